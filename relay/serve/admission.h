/*
 * admission.h - how many sessions the whole process has, in all and of each client address.
 *
 * The sessions of one client are spread over the engines, so the counts are shared: a table in
 * stripes, each with a lock of its own that is held for one look-up at each end of a session.
 * IPv6 clients are counted by /64, the least that one customer of a provider has.
 *
 * Any thread.
 */
#pragma once

#include "io/address.h"

struct admission_key {
    uint8_t bytes[16];
};

struct admission_key admission_key_of(const struct address *client);
/* The network that a client is of, counted apart from clients: a /24 of IPv4, a /48 of IPv6. */
struct admission_key admission_network_of(const struct address *client);
/* Counts one more session unless there are max already (0: no limit). */
must_use bool admission_enter(const struct admission_key *key, unsigned max);
void admission_leave(const struct admission_key *key); /* one that entered */
unsigned admission_count(const struct admission_key *key);
/* The same of the sessions of all services together. */
must_use bool admission_enter_total(unsigned max);
void admission_leave_total(void);
unsigned admission_total(void);
