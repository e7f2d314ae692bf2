/*
 * address_scope.h - addresses that a name of somebody else's must not make us connect to.
 *
 * Mail hosts, webhooks and policy hosts are named by outsiders, whose DNS may say 127.0.0.1 or the
 * address of a machine that only we reach. So each address is asked about after it was resolved,
 * and where it is connected to, not only when a name is configured. Pure functions, any thread.
 */
#pragma once

#include "io/address.h"

/* Unspecified, loopback, link-local, private, shared, multicast, reserved, documentation, and what
 * stands for such a one (IPv4-mapped, NAT64, 6to4, Teredo); a zeroed one too. Unless one of
 * `allowed` holds it. */
bool address_is_forbidden(const struct address *address, const struct network *allowed,
                          size_t allowed_count);
