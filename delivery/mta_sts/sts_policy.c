/* sts_policy.c - a policy in one piece of memory. */
#include "delivery/mta_sts/sts_policy.h"

#include <stdlib.h>

enum { REFRESH_PART = 2 /* of a short max_age */ };

struct sts_policy *sts_policy_make(struct bytes id, struct bytes text, int64_t fetched_ms)
{
    struct sts_policy *policy = malloc(sizeof(*policy) + id.len + text.len);
    const char *why;

    check(policy != NULL);
    uint8_t *at = (uint8_t *)(policy + 1);

    *policy = (struct sts_policy){.fetched_ms = fetched_ms};
    atomic_init(&policy->references, 1);
    policy->id = bytes_put(id, &at);
    if (!mta_sts_policy_parse(bytes_put(text, &at), &policy->policy, &why)) {
        free(policy);
        return NULL;
    }
    policy->expires_ms = fetched_ms + (int64_t)policy->policy.max_age_s * 1000;
    return policy;
}

struct sts_policy *sts_policy_keep(struct sts_policy *policy)
{
    atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void sts_policy_release(struct sts_policy **policy)
{
    struct sts_policy *released = *policy;

    *policy = NULL;
    if (released != NULL && atomic_fetch_sub(&released->references, 1) == 1)
        free(released);
}

bool sts_policy_is_old(const struct sts_policy *policy, int64_t now_ms)
{
    int64_t life_ms = policy->expires_ms - policy->fetched_ms;

    return now_ms - policy->fetched_ms >= MIN(life_ms / REFRESH_PART, (int64_t)STS_REFRESH_MS);
}
