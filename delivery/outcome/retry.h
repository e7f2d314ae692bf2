/*
 * retry.h - when a recipient that failed for now is tried again, and when its time is over.
 *
 * Exponential back-off with jitter from the destination's retry_rule. The last try is made when
 * max_age is reached, so the age is used in full; what fails then expires. Pure but for the jitter.
 */
#pragma once

#include "base/bytes.h"

/* How recipients that failed for now are tried again. */
struct retry_rule {
    const char
        *match;       /* pattern of their domain (smtp/domain_pattern.h); "*" is the default rule */
    unsigned first_s; /* after the first failure */
    double factor;
    unsigned max_s;
    unsigned jitter_percent;
    unsigned max_age_s;      /* from acceptance; then a bounce */
    unsigned delay_notice_s; /* a delay DSN where asked for after this long; 0: never */
};

/* The first whose pattern matches, else the last. At least one. */
const struct retry_rule *retry_rule_for(const struct retry_rule *rules, size_t count,
                                        struct bytes domain);

/* When a message of this age limit is over. Times are all of one clock: delivery's are monotonic,
 * so that no message grows old because somebody set the wall clock. */
static inline int64_t retry_end_ms(const struct retry_rule *rule, int64_t accepted_ms)
{
    return accepted_ms + (int64_t)rule->max_age_s * 1000;
}

/* Back-off before the try that follows `attempts` failed ones (at least 1), without jitter. */
int64_t retry_delay_ms(const struct retry_rule *rule, unsigned attempts);

/* The longest that retry_next_ms() puts a try off. */
int64_t retry_delay_max_ms(const struct retry_rule *rule);

/* Time of the next try after the attempts-th failed at now_ms; 0: its time is over. */
int64_t retry_next_ms(const struct retry_rule *rule, unsigned attempts, int64_t accepted_ms,
                      int64_t now_ms);

/* For so long from the start on what a start found is tried where its age is the word of the wall
 * clock alone: twice the longest back-off, so three times at least; no longer than max_age. */
int64_t retry_respite_ms(const struct retry_rule *rule);

/* The last try, due when max_age is reached, may have to wait for a connection: a tenth of max_age,
 * within these. */
enum { RETRY_GRACE_MS_MIN = 5 * 1000, RETRY_GRACE_MS_MAX = 10 * 60 * 1000 };
int64_t retry_grace_ms(const struct retry_rule *rule);
/* Too old to be tried at all: what sat somewhere else than in the back-off. */
bool retry_is_overdue(const struct retry_rule *rule, int64_t accepted_ms, int64_t now_ms);
