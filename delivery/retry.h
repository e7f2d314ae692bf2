/*
 * retry.h - when a recipient that failed for now is tried again, and when its time is over.
 *
 * Exponential back-off with jitter from the destination's retry_rule. The last try is made when
 * max_age is reached, so the age is used in full; what fails then expires. Pure but for the jitter.
 */
#pragma once

#include "delivery/delivery.h"

/* Wall time at which a message of this age limit is over. */
static inline int64_t retry_end_ms(const struct retry_rule *rule, int64_t accepted_ms)
{
    return accepted_ms + (int64_t)rule->max_age_s * 1000;
}

/* Back-off before the try that follows `attempts` failed ones (at least 1), without jitter. */
int64_t retry_delay_ms(const struct retry_rule *rule, unsigned attempts);

/* Wall time of the next try after the attempts-th failed at now_ms; 0: its time is over. */
int64_t retry_next_ms(const struct retry_rule *rule, unsigned attempts, int64_t accepted_ms,
                      int64_t now_ms);

enum { RETRY_GRACE_MS = 10 * 60 * 1000 };
/* Too old to be tried at all: what sat somewhere else than in the back-off. A message that became
 * too old while no server ran is given the grace to be tried once. */
bool retry_is_overdue(const struct retry_rule *rule, int64_t accepted_ms, int64_t started_ms,
                      int64_t now_ms);
