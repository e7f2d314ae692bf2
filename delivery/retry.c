/* retry.c - exponential back-off within the age that a message may reach. */
#include "delivery/retry.h"

#include "base/random.h"

int64_t retry_delay_ms(const struct retry_rule *rule, unsigned attempts)
{
    int64_t max_ms = (int64_t)rule->max_s * 1000;
    double delay_ms = (double)rule->first_s * 1000;

    check(attempts > 0);
    for (unsigned i = 1; i < attempts && delay_ms < (double)max_ms && rule->factor > 1; i++)
        delay_ms *= rule->factor;
    return delay_ms < (double)max_ms ? (int64_t)delay_ms : max_ms;
}

int64_t retry_next_ms(const struct retry_rule *rule, unsigned attempts, int64_t accepted_ms,
                      int64_t now_ms)
{
    int64_t end_ms = retry_end_ms(rule, accepted_ms);

    if (now_ms >= end_ms)
        return 0;
    int64_t delay_ms = random_jitter(retry_delay_ms(rule, attempts), rule->jitter_percent);

    /* Never at once, whatever the rule says: a refusing peer must not be asked in a loop. */
    return MIN(now_ms + MAX(delay_ms, (int64_t)1000), end_ms);
}

bool retry_is_overdue(const struct retry_rule *rule, int64_t accepted_ms, int64_t started_ms,
                      int64_t now_ms)
{
    return now_ms > MAX(retry_end_ms(rule, accepted_ms), started_ms) + RETRY_GRACE_MS;
}
