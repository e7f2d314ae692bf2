/*
 * egress_shares.c - the message rate: shares of it, and who has which.
 *
 * A share that lies ahead is somebody's: it stands in the egress's ring with its time and the class
 * and tenant of the mail that it is for. Whose class has its turn takes the first time from another
 * and leaves its own, when it takes its share, looks at it or finds better mail for it; of a class
 * the tenant does that has had less. Nobody is woken for that.
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
    bool is_fresh;         /* likewise, as what follows */
    bool is_ahead;         /* in the ring: it may be put off */
    struct tally *tally;   /* of its tenant; while it is ahead */
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

/* Under the lock: the first time that lies ahead, before this one's: of another class, */
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

/* or of a tenant of its class that it is before. */
static struct egress_share *find_behind(struct egress *egress, const struct egress_share *share,
                                        int64_t now_ms)
{
    int64_t first_ms = atomic_load(&share->at_ms);
    struct egress_share *found = NULL;
    struct list_node *node = egress->shares;

    while (node != NULL) {
        struct egress_share *other = share_at(node);
        int64_t at_ms = atomic_load(&other->at_ms);

        if (at_ms > now_ms && at_ms < first_ms && other->number == share->number &&
            other->rank == share->rank &&
            tally_is_before(share->tally, share->is_fresh, other->tally, other->is_fresh)) {
            found = other;
            first_ms = at_ms;
        }
        node = node->next != egress->shares ? node->next : NULL;
    }
    return found;
}

/* Who had the other's time has this one's. It is woken at the time it had, and looks again. */
static void exchange(struct egress_share *share, struct egress_share *other)
{
    int64_t at_ms = atomic_load(&share->at_ms);

    atomic_store(&share->at_ms, atomic_load(&other->at_ms));
    atomic_store(&other->at_ms, at_ms);
}

/* Under the lock. Its class's turn among those that wait: it has the first time there is; and
 * within its class it has the first of those who had more. */
static void go_first_in_turn(struct egress *egress, struct egress_share *share, int64_t now_ms)
{
    unsigned waiting;
    struct egress_share *other = find_earlier(egress, share, now_ms, &waiting);

    if (other != NULL && classes_next(&egress->share_classes, waiting) == (enum rank)share->rank)
        exchange(share, other);
    if ((other = find_behind(egress, share, now_ms)) != NULL)
        exchange(share, other);
}

/* Under the lock. */
static void show_tenants(struct egress *egress)
{
    struct egress_tenants *tenants = &egress_fairness(&egress->line)->shares;
    uint64_t tenant = 0;

    if (egress->shares != NULL)
        tenant = tenants->tallies->waiting_count > 1
                     ? EGRESS_TENANTS_MANY
                     : egress_tenant_hash(share_at(egress->shares)->tally->node.key);
    atomic_store(&tenants->waiting, tenant);
}

/* Under the lock: it is for this mail now, ahead or about to be. */
static void set_mail(struct egress *egress, struct egress_share *share,
                     const struct egress_mail *mail)
{
    struct tally *before = share->tally;

    share->rank = (uint8_t)mail->rank;
    share->is_fresh = mail->is_fresh;
    share->tally = egress_tally_of(&egress_fairness(&egress->line)->shares, &mail->tenant);
    tally_wait(share->tally, true);
    if (before == NULL)
        return;
    tally_wait(before, false);
    tally_put(&before);
}

/* Under the lock. */
static void set_aside(struct egress *egress, struct egress_share *share)
{
    atomic_store(&share->at_ms, 0);
    if (!share->is_ahead)
        return;
    share->is_ahead = false;
    ring_remove(&egress->shares, &share->ring);
    tally_wait(share->tally, false);
    tally_put(&share->tally);
    show_tenants(egress);
}

static int64_t share_new(struct egress *egress, struct egress_share **share,
                         const struct egress_mail *mail, int64_t now_ms)
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
    s->is_ahead = true;
    set_mail(egress, s, mail);
    atomic_store(&s->at_ms, now_ms + wait_ms);
    ring_push_back(&egress->shares, &s->ring);
    show_tenants(egress);
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

/* Under the lock: other mail than it was taken for may use it, but none of a lower class. */
static void raise_share(struct egress *egress, struct egress_share *share,
                        const struct egress_mail *mail, int64_t now_ms)
{
    if (!share->is_ahead)
        return;
    if (mail->rank <= (enum rank)share->rank) {
        set_mail(egress, share, mail);
        show_tenants(egress);
    }
    go_first_in_turn(egress, share, now_ms);
}

/* Nobody else writes rank and tally, and nobody its tenant's name. */
static bool is_of(const struct egress_share *share, const struct egress_mail *mail)
{
    return mail->rank > (enum rank)share->rank ||
           (mail->rank == (enum rank)share->rank && mail->is_fresh == share->is_fresh &&
            share->tally != NULL && bytes_equal(share->tally->node.key, mail->tenant.name));
}

void egress_share_raise(struct egress *egress, struct egress_share *share,
                        const struct egress_mail *mail, int64_t now_ms)
{
    if (share == NULL || !share->is_ahead || is_of(share, mail) || !is_good(egress, share, now_ms))
        return;
    pthread_mutex_lock(&egress->table->lock);
    raise_share(egress, share, mail, now_ms);
    pthread_mutex_unlock(&egress->table->lock);
}

/* Under the lock: the time it has now. */
static int64_t look_again(struct egress *egress, struct egress_share *share,
                          const struct egress_mail *mail, int64_t now_ms)
{
    raise_share(egress, share, mail, now_ms);
    int64_t at_ms = atomic_load(&share->at_ms);

    if (at_ms > now_ms)
        return at_ms - now_ms;
    set_aside(egress, share); /* it is used now */
    classes_charge(&egress->share_classes, (enum rank)share->rank, 1);
    return 0;
}

int64_t egress_share_take(struct egress *egress, struct egress_share **share,
                          const struct egress_mail *mail, int64_t now_ms)
{
    struct egress_share *s = *share;

    if (s == NULL || atomic_load(&s->at_ms) == 0)
        return share_new(egress, share, mail, now_ms);
    if (!is_good(egress, s, now_ms)) {
        pthread_mutex_lock(&egress->table->lock);
        set_aside(egress, s);
        pthread_mutex_unlock(&egress->table->lock);
        return share_new(egress, share, mail, now_ms);
    }
    pthread_mutex_lock(&egress->table->lock);
    int64_t wait_ms = look_again(egress, s, mail, now_ms);

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
