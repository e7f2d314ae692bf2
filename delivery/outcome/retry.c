/* retry.c - exponential back-off within the age that a message may reach. */
#include "delivery/outcome/retry.h"

#include "base/random.h"
#include "smtp/domain_pattern.h"

/* Never at once, whatever the rule says: a refusing peer must not be asked in a loop. */
enum { DELAY_MS_MIN = 1000 };

const struct retry_rule *retry_rule_for(const struct retry_rule *rules, size_t count,
                                        struct bytes domain)
{
    check(count > 0);
    for (size_t i = 0; i < count; i++)
        if (smtp_domain_matches(rules[i].match, domain))
            return &rules[i];
    return &rules[count - 1];
}

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

    return MIN(now_ms + MAX(delay_ms, (int64_t)DELAY_MS_MIN), end_ms);
}

int64_t retry_delay_max_ms(const struct retry_rule *rule)
{
    int64_t max_ms = (int64_t)rule->max_s * 1000;

    return MAX(max_ms + max_ms * rule->jitter_percent / 100, (int64_t)DELAY_MS_MIN);
}

int64_t retry_respite_ms(const struct retry_rule *rule)
{
    return MIN(2 * retry_delay_max_ms(rule), (int64_t)rule->max_age_s * 1000);
}

int64_t retry_grace_ms(const struct retry_rule *rule)
{
    int64_t tenth_ms = (int64_t)rule->max_age_s * 100;

    return MIN(MAX(tenth_ms, (int64_t)RETRY_GRACE_MS_MIN), (int64_t)RETRY_GRACE_MS_MAX);
}

bool retry_is_overdue(const struct retry_rule *rule, int64_t accepted_ms, int64_t now_ms)
{
    return now_ms > retry_end_ms(rule, accepted_ms) + retry_grace_ms(rule);
}
