/*
 * sts_policy.h - an MTA-STS policy as it was fetched: shared by all who need it, immutable.
 *
 * Thread: any; counted atomically.
 */
#pragma once

#include <stdatomic.h>

#include "auth/mta_sts/policy.h"

enum { STS_REFRESH_MS = 24 * 3600 * 1000 /* it is fetched again, though its id is the same */ };

struct sts_policy {
    _Atomic unsigned references;
    int64_t fetched_ms, expires_ms; /* monotonic */
    struct mta_sts_policy policy;   /* its text is here too */
    struct bytes id;
};
/* Copies. NULL: the text is no policy. */
struct sts_policy *sts_policy_make(struct bytes id, struct bytes text, int64_t fetched_ms);
struct sts_policy *sts_policy_keep(struct sts_policy *policy);
void sts_policy_release(struct sts_policy **policy); /* NULL: nothing */
/* So old that it is asked for again. */
bool sts_policy_is_old(const struct sts_policy *policy, int64_t now_ms);
