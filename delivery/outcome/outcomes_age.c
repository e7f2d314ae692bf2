/* outcomes_age.c - how old a recipient is, where a start had to believe the wall clock. */
#include "delivery/outcome/outcomes.h"
#include "delivery/outcome/state.h"

void outcomes_trust_ages(struct outcomes *o, int64_t sure_from_ms)
{
    check(sure_from_ms <= engine_now_ms(o->engine));
    o->sure_from_ms = sure_from_ms;
}

/* A stub knows its time in whole seconds, cut off. */
static bool is_sure(const struct outcomes *o, const struct pending *pending)
{
    return stub_accepted_ms(pending_stub(pending), engine_now_ms(o->engine)) + 1000 >
           o->sure_from_ms;
}

int64_t outcomes_age_from_ms(const struct outcomes *o, const struct retry_rule *rule,
                             const struct pending *pending)
{
    int64_t from_ms = stub_age_from_ms(pending_stub(pending), engine_now_ms(o->engine));

    if (is_sure(o, pending))
        return from_ms;
    return MAX(from_ms, o->started_ms - (int64_t)rule->max_age_s * 1000 + retry_respite_ms(rule));
}

int64_t outcomes_waits_from_ms(const struct outcomes *o, const struct pending *pending)
{
    int64_t from_ms = stub_age_from_ms(pending_stub(pending), engine_now_ms(o->engine));

    return is_sure(o, pending) ? from_ms : MAX(from_ms, o->started_ms);
}
