/*
 * sts_fetch.h - the HTTPS request for a policy (RFC 8461 section 3.3).
 *
 * Only to the addresses given, with a certificate for the policy host that a known authority
 * signed; no redirects, no proxy, no cookies, MTA_STS_TEXT_MAX octets, STS_FETCH_MS in all. Blocks:
 * for a thread of the pool, or a command.
 */
#pragma once

#include <stdatomic.h>

#include "auth/mta_sts/policy.h"
#include "delivery/mta_sts/sts_store.h"
#include "io/address.h"

enum { STS_FETCH_MS = 20000, STS_ADDRESSES_MAX = 8 };

struct sts_fetch {
    struct bytes domain; /* as dns_name_parse() makes it */
    size_t address_count;
    struct address addresses[STS_ADDRESSES_MAX]; /* tried in this order; port set */
    const char *authorities;                     /* file of certificates; NULL: the system's */
    const _Atomic bool *is_stopping;             /* the program ends: no time is left */
    /* What came of it. */
    enum sts_problem problem;
    char why[STS_WHY_MAX];
    size_t text_len;
    uint8_t text[MTA_STS_TEXT_MAX];
};

void sts_fetch_run(struct sts_fetch *fetch);
