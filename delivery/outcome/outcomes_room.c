/* outcomes_room.c - counts what is begun and what is not durable yet. */
#include "delivery/outcome/state.h"

static size_t taken(const struct outcomes *o)
{
    return o->in_attempt_count + o->settled_count;
}

size_t outcomes_room(const struct outcomes *o, const struct shard *shard)
{
    size_t room = shard_outcome_room(shard);

    return room > taken(o) ? room - taken(o) : 0;
}

bool outcomes_may_begin(const struct outcomes *o)
{
    return o->settlements.count < SETTLEMENTS_FULL && o->notice_bytes < NOTICES_FULL &&
           outcomes_room(o, o->home) > 0;
}

bool outcomes_have_ample_room(const struct outcomes *o)
{
    size_t room = shard_outcome_room(o->home);

    return o->clearings.count <= CLEARINGS_FULL / 2 &&
           o->settlements.count <= SETTLEMENTS_FULL / 2 && o->notice_bytes <= NOTICES_FULL / 2 &&
           room > 0 && taken(o) <= room / 2;
}

bool outcomes_are_many(const struct outcomes *o)
{
    return o->settlements.count >= SETTLEMENTS_FULL / 2 || o->notice_bytes >= NOTICES_FULL / 2;
}

void outcomes_count_in(struct outcomes *o, size_t recipients)
{
    o->in_attempt_count += recipients;
}

void outcomes_count_out(struct outcomes *o, size_t recipients)
{
    check(o->in_attempt_count >= recipients);
    o->in_attempt_count -= recipients;
}

size_t outcomes_in_attempt(const struct outcomes *o)
{
    return o->in_attempt_count;
}

size_t outcomes_committing(const struct outcomes *o)
{
    return o->settlements.count;
}

size_t outcomes_notices(const struct outcomes *o)
{
    return o->notice_bytes;
}

bool outcomes_are_none(const struct outcomes *o)
{
    return o->settlements.count == 0 && o->clearings.count == 0;
}

const struct retry_rule *outcomes_retry_rule(const struct outcomes *o, struct bytes domain)
{
    return retry_rule_for(o->settings.retries, o->settings.retry_count, domain);
}
