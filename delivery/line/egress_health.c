/* egress_health.c - rest after failures. */
#include "delivery/line/egress_state.h"

enum {
    REST_FIRST_MS = 30 * 1000,
    REST_MAX_MS = 30 * 60 * 1000,
    TAKES_MS = 60 * 1000, /* since one was let in: what a host says is meant for it alone */
};

/* --- health ----------------------------------------------------------------------------------- */

/* Under the lock. */
static void rest(struct egress *egress, int64_t now_ms)
{
    atomic_store(&egress->table->now_ms, now_ms);
    /* Many connections fail together when a site goes: that is one failure. */
    if (atomic_load(&egress->resting_until_ms) > now_ms)
        return;
    unsigned failures = atomic_fetch_add(&egress->failures, 1);
    int64_t rest_ms = failures >= 6 ? REST_MAX_MS : (int64_t)REST_FIRST_MS << failures;

    atomic_store(&egress->resting_until_ms, now_ms + MIN(rest_ms, (int64_t)REST_MAX_MS));
}

void egress_failed(struct egress *egress, int64_t now_ms)
{
    pthread_mutex_lock(&egress->table->lock);
    rest(egress, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
}

/* Under the lock: the provider of one that is at rest for what a host said. */
static void provider_refused(struct egress *egress, int64_t now_ms)
{
    struct provider_egress *provider = egress_as_provider(egress->provider);
    int64_t let_in_ms = atomic_load(&provider->egress.let_in_ms);
    uint64_t before = atomic_load(&provider->refused_by);

    if (atomic_load(&provider->egress.ready) > 0 ||
        (let_in_ms != 0 && now_ms - let_in_ms < TAKES_MS))
        return;
    if (before == 0)
        atomic_store(&provider->refused_by, egress_witness(egress));
    else if (before != egress_witness(egress))
        rest(&provider->egress, now_ms);
}

void egress_refused(struct egress *egress, int64_t now_ms)
{
    pthread_mutex_lock(&egress->table->lock);
    rest(egress, now_ms);
    if (egress->provider != NULL)
        provider_refused(egress, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
}

static void succeeded(struct egress *egress)
{
    /* The usual case touches nothing that other engines read. */
    if (atomic_load_explicit(&egress->failures, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&egress->table->lock);
    atomic_store(&egress->failures, 0);
    atomic_store(&egress->resting_until_ms, 0);
    pthread_mutex_unlock(&egress->table->lock);
}

void egress_succeeded(struct egress *egress)
{
    succeeded(egress);
    if (egress->provider != NULL)
        succeeded(egress->provider);
}

static int64_t resting_until_ms(const struct egress *egress)
{
    return atomic_load_explicit(&egress->resting_until_ms, memory_order_relaxed);
}

int64_t egress_resting_until_ms(const struct egress *egress)
{
    int64_t own_ms = resting_until_ms(egress);

    return egress->provider != NULL ? MAX(own_ms, resting_until_ms(egress->provider)) : own_ms;
}
