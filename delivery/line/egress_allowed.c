/* egress_allowed.c - how many connections the receiver allows, as far as it has shown. */
#include "delivery/line/egress_state.h"

enum {
    PROBE_FIRST_MS = 5 * 1000,
    PROBE_MAX_MS = 60 * 1000,
    /* A receiver counts a session down a moment after it has ended. */
    COUNTS_DOWN_MS = 10 * 1000,
    RETRY_MS = 1000,
    SERVED_MS = 60 * 1000, /* a site that serves has served somebody within it */
    SERVED_STEP_MS = 1000,
    ALONE_MAX = 3, /* times in a row that one set's word counts as "enough" */
    ALONE_FORGOTTEN_MS = 5 * 60 * 1000,
};

/* Under the lock. */
static void allow(struct egress *egress, int count)
{
    atomic_store(&egress->allowed,
                 count < (int)atomic_load(&egress->connections_max) ? count : EGRESS_ANY);
    egress_grant_waiting(egress);
}

/* What is the receiver's word where nothing says that it is meant for one set of hosts. */
static struct egress *widest(struct egress *egress)
{
    return egress->provider != NULL ? egress->provider : egress;
}

/* --- let in ----------------------------------------------------------------------------------- */

/* Under the lock: more than before, so perhaps one more still. */
static void allow_more(struct egress *egress, int ready, int64_t now_ms)
{
    if (ready <= egress->known)
        return;
    egress->known = ready;
    egress->probe_wait_ms = PROBE_FIRST_MS;
    egress->probe_at_ms = now_ms + PROBE_FIRST_MS;
    egress->is_probing = true;
    allow(egress, ready + 1);
}

static void let_in(struct egress *egress, int64_t now_ms)
{
    int ready = atomic_fetch_add(&egress->ready, 1) + 1;

    atomic_store(&egress->let_in_ms, now_ms);
    if (atomic_load(&egress->turned_away) != 0)
        atomic_store(&egress->turned_away, 0);
    if (atomic_load(&egress->allowed) == EGRESS_ANY)
        return;
    pthread_mutex_lock(&egress->table->lock);
    allow_more(egress, ready, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
}

void egress_let_in(struct egress *egress, int64_t now_ms)
{
    egress_table_saw(egress->table, now_ms);
    let_in(egress, now_ms);
    if (egress->provider == NULL)
        return;
    struct provider_egress *provider = egress_as_provider(egress->provider);

    let_in(egress->provider, now_ms);
    if (atomic_load(&provider->refused_by) != 0)
        atomic_store(&provider->refused_by, 0);
}

static void left(struct egress *egress, int64_t now_ms)
{
    int before = atomic_fetch_sub(&egress->ready, 1);

    check(before > 0);
    atomic_store(&egress->let_in_ms, now_ms);
}

void egress_left(struct egress *egress, int64_t now_ms)
{
    left(egress, now_ms);
    if (egress->provider != NULL)
        left(egress->provider, now_ms);
}

/* --- turned away ------------------------------------------------------------------------------ */

/* Under the lock. */
static void learn(struct egress *egress, int ready, int64_t now_ms)
{
    if (egress->probe_wait_ms == 0)
        egress->probe_wait_ms = PROBE_FIRST_MS;
    else if (egress->is_probing)
        egress->probe_wait_ms = MIN(egress->probe_wait_ms * 2, (int64_t)PROBE_MAX_MS);
    egress->is_probing = false;
    egress->known = ready;
    egress->probe_at_ms = now_ms + (ready > 0 ? egress->probe_wait_ms : RETRY_MS);
    atomic_store(&egress->allowed, ready);
}

/* Others of ours are in, or may be and not know it yet, or were in a moment ago. */
static bool may_have_enough(const struct egress *egress, bool by_reply, int64_t now_ms)
{
    int64_t let_in_ms = atomic_load(&egress->let_in_ms);

    if (atomic_load(&egress->ready) > 0)
        return true;
    return by_reply && (atomic_load(&egress->connections) > 1 ||
                        (let_in_ms != 0 && now_ms - let_in_ms < COUNTS_DOWN_MS));
}

/* Under the lock: a set of a provider, no other connection of which is in. Who has to wait, the
 * provider or the set alone; NULL: it is not that the provider has enough. */
static struct egress *who_has_enough(struct egress *egress, int64_t now_ms)
{
    struct provider_egress *provider = egress_as_provider(egress->provider);
    bool was_another = provider->turned_away_by != 0 &&
                       provider->turned_away_by != egress_witness(egress) &&
                       now_ms - provider->egress.turned_away_ms < COUNTS_DOWN_MS;

    if (now_ms - egress->turned_away_ms >= ALONE_FORGOTTEN_MS)
        atomic_store(&egress->turned_away, 0);
    if (atomic_load(&egress->turned_away) >= ALONE_MAX)
        return NULL;
    atomic_fetch_add(&egress->turned_away, 1);
    egress->turned_away_ms = now_ms;
    provider->turned_away_by = egress_witness(egress);
    provider->egress.turned_away_ms = now_ms;
    return was_another ? &provider->egress : egress;
}

/* Of the next host, perhaps. */
static void try_another(struct egress *egress)
{
    if (atomic_load(&egress->allowed) == 0)
        allow(egress, 1);
}

bool egress_turned_away(struct egress *egress, struct egress_waiter *waiter, bool by_reply,
                        int64_t now_ms)
{
    struct egress *full = widest(egress);

    pthread_mutex_lock(&egress->table->lock);
    if (!may_have_enough(full, by_reply, now_ms))
        full = NULL;
    else if (full != egress && atomic_load(&egress->ready) == 0)
        full = by_reply ? who_has_enough(egress, now_ms) : NULL;
    int ready = full != NULL ? atomic_load(&full->ready) : 0;

    /* It had the only slot there is, and the peer had not counted down yet: else those who never
     * have to wait for that would overtake it again and again. */
    waiter->keeps_place = full != NULL && ready == 0;
    if (full != NULL) {
        learn(full, ready, now_ms);
    } else {
        try_another(egress);
        if (egress->provider != NULL)
            try_another(egress->provider);
    }
    pthread_mutex_unlock(&egress->table->lock);
    return full != NULL;
}

void egress_served(struct egress *egress, int64_t now_ms)
{
    /* Not written for every message: engines share it. */
    if (now_ms - atomic_load_explicit(&egress->served_ms, memory_order_relaxed) >= SERVED_STEP_MS)
        atomic_store_explicit(&egress->served_ms, now_ms, memory_order_relaxed);
}

bool egress_turned_out(struct egress *egress, int64_t now_ms)
{
    struct egress *full = widest(egress);

    pthread_mutex_lock(&egress->table->lock);
    /* It is one of those that are in still. That other sets of the provider serve says nothing of
     * this one's hosts. */
    int64_t served_ms = atomic_load_explicit(&egress->served_ms, memory_order_relaxed);
    bool is_surplus =
        atomic_load(&egress->ready) > 1 && served_ms != 0 && now_ms - served_ms < SERVED_MS;

    if (is_surplus)
        learn(full, atomic_load(&full->ready) - 1, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
    return is_surplus;
}

/* --- one more? -------------------------------------------------------------------------------- */

static int64_t probe(struct egress *egress, int64_t now_ms)
{
    int64_t at_ms = 0;

    if (atomic_load(&egress->allowed) == EGRESS_ANY)
        return 0;
    pthread_mutex_lock(&egress->table->lock);
    if (now_ms >= egress->probe_at_ms) {
        egress->is_probing = true;
        egress->probe_at_ms = now_ms + egress->probe_wait_ms;
        allow(egress, egress->known + 1);
    }
    if (atomic_load(&egress->allowed) != EGRESS_ANY)
        at_ms = egress->probe_at_ms;
    pthread_mutex_unlock(&egress->table->lock);
    return at_ms;
}

int64_t egress_probe(struct egress *egress, int64_t now_ms)
{
    int64_t own_ms = probe(egress, now_ms);
    int64_t provider_ms = egress->provider != NULL ? probe(egress->provider, now_ms) : 0;

    return own_ms == 0 || provider_ms == 0 ? own_ms + provider_ms : MIN(own_ms, provider_ms);
}

static void forget_allowed(struct egress *egress)
{
    if (atomic_load(&egress->allowed) == EGRESS_ANY)
        return;
    pthread_mutex_lock(&egress->table->lock);
    allow(egress, EGRESS_ANY);
    pthread_mutex_unlock(&egress->table->lock);
}

void egress_forget_allowed(struct egress *egress)
{
    forget_allowed(egress);
    if (egress->provider != NULL)
        forget_allowed(egress->provider);
}

unsigned egress_allowed(const struct egress *egress)
{
    int allowed = atomic_load_explicit(&egress->allowed, memory_order_relaxed);

    return allowed == EGRESS_ANY ? 0 : (unsigned)MAX(allowed, 1);
}

static bool is_full(const struct egress *egress)
{
    unsigned allowed = egress_allowed(egress);

    return allowed != 0 && egress_connections(egress) >= allowed;
}

bool egress_is_full_by_receiver(const struct egress *egress)
{
    return is_full(egress) || (egress->provider != NULL && is_full(egress->provider));
}
