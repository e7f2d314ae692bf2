/*
 * client_address.h - a client's address as checks take it: 4 or 16 octets in network order. Pure.
 */
#pragma once

#include "base/bytes.h"

enum { CLIENT_REVERSE_MAX = 73 }; /* octets: 32 nibbles, their dots, "ip6.arpa" */

/* An IPv4-mapped address as the IPv4 address it is; empty for what has another length. */
struct bytes client_address_plain(struct bytes address);
/* The name that has its PTR records, "1.2.0.192.in-addr.arpa"; of a plain address. */
struct bytes client_address_reverse(struct bytes address, char out[static CLIENT_REVERSE_MAX]);
