/*
 * domain_reach.h - what who has mail for a hosted domain meets: each of its mail hosts on port 25,
 * and its MTA-STS policy over HTTPS (RFC 8461 section 3.3).
 *
 * From here: a machine may be kept from port 25 of others, or from its own address outside, so what
 * is not reached is not known. Not for engines: it waits.
 */
#pragma once

#include "directory/domain_records.h"
#include "io/address.h"
#include "relay/cli/dns_look.h"
#include "relay/config.h"

enum { REACH_HOSTS_MAX = 8, REACH_NAME_MAX = 253, REACH_WHY_MAX = 700, REACH_POLICY_MAX = 2600 };

struct domain_met {
    const char *result; /* "right", "wrong", "missing", "unknown" */
    char why[REACH_WHY_MAX];
};

struct domain_reach {
    size_t host_count; /* the most preferred REACH_HOSTS_MAX of MX */
    struct {
        char name[REACH_NAME_MAX + 1];
        char address[ADDRESS_TEXT_MAX]; /* "": none is known */
        struct domain_met met;
    } hosts[REACH_HOSTS_MAX];
    struct domain_met policy;
    char policy_text[REACH_POLICY_MAX]; /* what it could be, for its mail hosts; "": it is right */
};

void domain_reach(struct config *config, struct dns_look *look, struct bytes domain,
                  struct arena *arena, struct domain_reach *out);
