/* sts_refresh.c - one policy after the other. */
#include "delivery/mta_sts/sts_refresh.h"

#include "base/metric.h"

static void on_answer(void *context, const struct sts_answer *answer)
{
    struct sts_refresh *refresh = context;

    (void)answer; /* the store has learned of it, or learns still */
    refresh->lookup = NULL;
}

void sts_refresh_tick(struct sts_refresh *refresh, struct sts_store *store,
                      struct resolver *resolver, const struct sts_rules *rules)
{
    char domain[STS_DOMAIN_MAX + 1];
    struct sts_rules own = *rules;

    if (refresh->lookup != NULL ||
        !sts_store_next_old(store, engine_now_ms(resolver_engine(resolver)), domain))
        return;
    own.is_refresh = true;
    metric_inc(METRIC_STS_REFRESHES);
    refresh->lookup = sts_lookup_start(store, resolver, &own, bytes_of(domain), on_answer, refresh);
}

void sts_refresh_stop(struct sts_refresh *refresh)
{
    sts_lookup_cancel(&refresh->lookup);
}
