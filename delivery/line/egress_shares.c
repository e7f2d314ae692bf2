/*
 * egress_shares.c - the message rate: shares of it, and who has which.
 *
 * A share that lies ahead is somebody's: it stands in the egress's ring with its time and the class
 * of the mail that it is for. Whose class has its turn takes the first time from another and leaves
 * its own, when it takes its share or finds better mail for it; nobody is woken for that.
 */
#include "delivery/line/egress_state.h"

#include <stdlib.h>

#include "delivery/line/ring.h"

enum {
    RATE_BURST_US = 100 * 1000, /* messages of this much time may go at once: clocks tick in ms */
    /* Who comes back for its share much too late must take another, or many sites that had lost
     * their mail meanwhile would send together. */
    SHARE_KEPT_MS = 60 * 1000,
};

struct egress_share {
    struct list_node ring;
    _Atomic int64_t at_ms; /* its time; another engine may put it off */
    unsigned number;       /* of the rate */
    uint8_t rank;          /* enum rank; under the lock, as is_ahead */
    bool is_ahead;         /* in the ring: it may be put off */
};

/* --- the rate --------------------------------------------------------------------------------- */

static int64_t rate_take(struct egress *egress, int64_t now_ms)
{
    int64_t interval_us = atomic_load_explicit(&egress->interval_us, memory_order_relaxed);
    int64_t now_us = now_ms * 1000;
    int64_t on_time_us;

    if (interval_us == 0)
        return 0;
    /* One message at a time may always go; more only where the interval is below the burst. */
    int64_t early_max_us = MAX(RATE_BURST_US - interval_us, (int64_t)0);
    int64_t next_us = atomic_load(&egress->next_us);

    do
        on_time_us = MAX(next_us, now_us);
    while (!atomic_compare_exchange_weak(&egress->next_us, &next_us, on_time_us + interval_us));
    int64_t wait_us = on_time_us - now_us - early_max_us;

    return wait_us > 0 ? (wait_us + 999) / 1000 : 0;
}

int64_t egress_rate_take(struct egress *egress, int64_t now_ms)
{
    int64_t wait_ms = rate_take(egress, now_ms);

    return egress->provider != NULL ? MAX(wait_ms, rate_take(egress->provider, now_ms)) : wait_ms;
}

unsigned egress_rate_number(const struct egress *egress)
{
    unsigned number = atomic_load_explicit(&egress->rate_number, memory_order_relaxed);

    if (egress->provider != NULL)
        number += atomic_load_explicit(&egress->provider->rate_number, memory_order_relaxed);
    return number;
}

/* --- shares that lie ahead -------------------------------------------------------------------- */

static struct egress_share *share_at(struct list_node *node)
{
    return container_of(node, struct egress_share, ring);
}

/* Under the lock: the first time that lies ahead, of another class and before this one's. */
static struct egress_share *find_earlier(struct egress *egress, const struct egress_share *share,
                                         int64_t now_ms, unsigned *waiting_out)
{
    int64_t first_ms = atomic_load(&share->at_ms);
    struct egress_share *found = NULL;
    struct list_node *node = egress->shares;

    *waiting_out = 0;
    while (node != NULL) {
        struct egress_share *other = share_at(node);
        int64_t at_ms = atomic_load(&other->at_ms);
        bool is_ahead = at_ms > now_ms && other->number == share->number;

        if (is_ahead)
            *waiting_out |= RANK_BIT(other->rank);
        if (is_ahead && other->rank != share->rank && at_ms < first_ms) {
            found = other;
            first_ms = at_ms;
        }
        node = node->next != egress->shares ? node->next : NULL;
    }
    return found;
}

/* Under the lock. Its class's turn among those that wait: it has the first time there is, and who
 * had that has its. That one is woken at the time it had, and looks again. */
static void go_first_in_turn(struct egress *egress, struct egress_share *share, int64_t now_ms)
{
    unsigned waiting;
    struct egress_share *other = find_earlier(egress, share, now_ms, &waiting);

    if (other == NULL || classes_next(&egress->share_classes, waiting) != (enum rank)share->rank)
        return;
    int64_t at_ms = atomic_load(&share->at_ms);

    atomic_store(&share->at_ms, atomic_load(&other->at_ms));
    atomic_store(&other->at_ms, at_ms);
}

/* Under the lock. */
static void set_aside(struct egress *egress, struct egress_share *share)
{
    if (share->is_ahead)
        ring_remove(&egress->shares, &share->ring);
    share->is_ahead = false;
    atomic_store(&share->at_ms, 0);
}

static int64_t share_new(struct egress *egress, struct egress_share **share, enum rank rank,
                         int64_t now_ms)
{
    unsigned number = egress_rate_number(egress);
    int64_t wait_ms = egress_rate_take(egress, now_ms);

    if (wait_ms == 0)
        return 0;
    if (*share == NULL) {
        *share = calloc(1, sizeof(**share));
        check(*share != NULL);
        list_node_init(&(*share)->ring);
    }
    struct egress_share *s = *share;

    pthread_mutex_lock(&egress->table->lock);
    s->number = number;
    s->rank = (uint8_t)rank;
    s->is_ahead = true;
    atomic_store(&s->at_ms, now_ms + wait_ms);
    ring_push_back(&egress->shares, &s->ring);
    go_first_in_turn(egress, s, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
    return atomic_load(&s->at_ms) - now_ms;
}

static bool is_good(const struct egress *egress, const struct egress_share *share, int64_t now_ms)
{
    int64_t at_ms = share != NULL ? atomic_load(&share->at_ms) : 0;

    return at_ms != 0 && now_ms - at_ms <= SHARE_KEPT_MS &&
           share->number == egress_rate_number(egress);
}

/* Under the lock: better mail than it was taken for may use it. */
static void raise_share(struct egress *egress, struct egress_share *share, enum rank rank,
                        int64_t now_ms)
{
    if (!share->is_ahead || rank >= (enum rank)share->rank)
        return;
    share->rank = (uint8_t)rank;
    go_first_in_turn(egress, share, now_ms);
}

void egress_share_raise(struct egress *egress, struct egress_share *share, enum rank rank,
                        int64_t now_ms)
{
    /* Nobody else writes the rank. */
    if (share == NULL || rank >= (enum rank)share->rank || !is_good(egress, share, now_ms))
        return;
    pthread_mutex_lock(&egress->table->lock);
    raise_share(egress, share, rank, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
}

/* Under the lock: the time it has now. */
static int64_t look_again(struct egress *egress, struct egress_share *share, enum rank rank,
                          int64_t now_ms)
{
    raise_share(egress, share, rank, now_ms);
    int64_t at_ms = atomic_load(&share->at_ms);

    if (at_ms > now_ms)
        return at_ms - now_ms;
    set_aside(egress, share); /* it is used now */
    classes_charge(&egress->share_classes, (enum rank)share->rank, 1);
    return 0;
}

int64_t egress_share_take(struct egress *egress, struct egress_share **share, enum rank rank,
                          int64_t now_ms)
{
    struct egress_share *s = *share;

    if (s == NULL || atomic_load(&s->at_ms) == 0)
        return share_new(egress, share, rank, now_ms);
    if (!is_good(egress, s, now_ms)) {
        pthread_mutex_lock(&egress->table->lock);
        set_aside(egress, s);
        pthread_mutex_unlock(&egress->table->lock);
        return share_new(egress, share, rank, now_ms);
    }
    pthread_mutex_lock(&egress->table->lock);
    int64_t wait_ms = look_again(egress, s, rank, now_ms);

    pthread_mutex_unlock(&egress->table->lock);
    return wait_ms;
}

int64_t egress_share_at_ms(const struct egress *egress, const struct egress_share *share,
                           int64_t now_ms)
{
    int64_t at_ms = is_good(egress, share, now_ms) ? atomic_load(&share->at_ms) : 0;

    return at_ms > now_ms ? at_ms : 0;
}

void egress_share_drop(struct egress *egress, struct egress_share **share)
{
    if (*share == NULL)
        return;
    pthread_mutex_lock(&egress->table->lock);
    set_aside(egress, *share);
    pthread_mutex_unlock(&egress->table->lock);
    free(*share);
    *share = NULL;
}
