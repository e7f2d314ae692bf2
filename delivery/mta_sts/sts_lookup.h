/*
 * sts_lookup.h - the MTA-STS policy of one domain (RFC 8461 section 3).
 *
 *   start --> TXT _mta-sts.domain --the id of what is known--------------------------> told
 *              |                  '--another id--> A, AAAA of mta-sts.domain --> fetch --> told
 *              '--no record, or none to be had: what is known, if anything ------------> told
 *
 * Who asks waits for a fetch, STS_WAIT_MS at most; a policy that only has become old is told at
 * once and fetched behind his back.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/mta_sts/sts_store.h"
#include "dns/resolver.h"

enum { STS_WAIT_MS = 25000 };

struct sts_answer {
    struct sts_policy *policy; /* NULL: none. Valid during the call; sts_policy_keep() */
    enum sts_problem problem;  /* there may be one, but it could not be had; or no newer one */
    const char *why;           /* a part of a sentence; "" without a problem */
    int64_t expires_ms;        /* monotonic: ask again then */
};

/* Called later, once, never from inside sts_lookup_start(); the lookup is gone afterwards. */
typedef void sts_done(void *context, const struct sts_answer *answer);

struct sts_lookup;
struct sts_rules {
    const struct network
        *allow_private; /* where the policy host may be, besides public addresses */
    size_t allow_private_count;
    bool is_refresh; /* no mail waits for it */
};

/* `domain` as dns_name_parse() makes it. What `rules` points to is used before this returns, and
 * copied. */
struct sts_lookup *sts_lookup_start(struct sts_store *store, struct resolver *resolver,
                                    const struct sts_rules *rules, struct bytes domain,
                                    sts_done *done, void *context);
/* done() will not be called. NULL: nothing. */
void sts_lookup_cancel(struct sts_lookup **lookup);
