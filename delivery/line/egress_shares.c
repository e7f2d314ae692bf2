/*
 * egress_shares.c - the message rate: who waits for a share of it, and who gets which.
 *
 *   egress_share_take() --none waits, one is due--------------------------------> send now
 *             |                                                                     ^
 *             v                  its turn                     its turn              |
 *         in line for the MX set's rate --> in line for its provider's --> granted -' within
 *                                                                                  five seconds
 *
 * Nobody is promised a time: when a share is due, whoever's turn it is then gets it. One of those
 * in line has the bell: its timeout fires when the next share is due. That is the one that is to be
 * served last, so that the bell seldom changes hands, and it does not matter what its site does
 * meanwhile: the bell is of its engine. No wake is lost: a line in which somebody stands has a bell
 * whenever the lock is free, and who has it either has armed its timeout since or has a letter on
 * the way; whoever is granted a share has one too.
 */
#include "delivery/line/egress_state.h"

#include <stdlib.h>

enum {
    RATE_BURST_US = 100 * 1000, /* messages of this much time may go at once: clocks tick in ms */
    /* Who comes back for its share much too late must take another, or many sites that had lost
     * their mail meanwhile would send together. */
    SHARE_KEPT_MS = 5 * 1000,
    SERVE_MAX = 1000, /* shares given at once; the rest of those that are due a millisecond later */
};

/* --- the rate --------------------------------------------------------------------------------- */

/* One message at a time may always go; more only where the interval is below the burst. */
static int64_t early_max_us(int64_t interval_us)
{
    return MAX(RATE_BURST_US - interval_us, (int64_t)0);
}

/* `is_waited_for`: somebody was in line when it was due, so what the clock was late is no loss. */
static bool take_due(struct egress *place, bool is_waited_for, int64_t now_ms)
{
    int64_t interval_us = atomic_load_explicit(&place->interval_us, memory_order_relaxed);
    int64_t now_us = now_ms * 1000;
    int64_t on_time_us;

    if (interval_us == 0)
        return true;
    int64_t next_us = atomic_load(&place->next_us);

    do {
        if (next_us - early_max_us(interval_us) > now_us)
            return false;
        bool is_on_time = is_waited_for && now_us - next_us <= RATE_BURST_US;

        on_time_us = is_on_time ? next_us : MAX(next_us, now_us);
    } while (!atomic_compare_exchange_weak(&place->next_us, &next_us, on_time_us + interval_us));
    return true;
}

/* Until the next is due; at least 1. */
static int64_t due_after_ms(const struct egress *place, int64_t now_ms)
{
    int64_t interval_us = atomic_load_explicit(&place->interval_us, memory_order_relaxed);
    int64_t due_us =
        interval_us != 0 ? atomic_load(&place->next_us) - early_max_us(interval_us) : 0;

    return MAX((due_us - now_ms * 1000 + 999) / 1000, (int64_t)1);
}

static bool is_waited_for(const struct egress *egress)
{
    return atomic_load(&egress->throttled) > 0;
}

/* --- whose turn; all under the lock ----------------------------------------------------------- */

static void open_letter(struct letter *letter, struct engine *engine);

/* Its engine is to look at it. */
static void post(struct egress_share *share)
{
    if (atomic_exchange(&share->is_posted, true))
        return; /* what is so now is seen when that one is opened */
    share->letter.open = open_letter;
    engine_post(share->sender->engine, &share->letter);
}

/* It has what it needs up to here: on to the first line that it has to stand in, or granted. */
static void go_on(struct egress_share *share, struct egress *place,
                  const struct egress_tenant *tenant, int64_t now_ms)
{
    for (; place != NULL; place = place->provider)
        if (is_waited_for(place) || !take_due(place, false, now_ms)) {
            egress_queue_enter(share, place, tenant);
            share->own_next_us = atomic_load(&share->egress->next_us);
            return;
        }
    atomic_store(&share->granted_ms, now_ms);
    atomic_store(&share->is_waiting, false); /* from here on its engine may use it */
}

static void give_next(struct egress *place, const struct egress_share *actor, int64_t now_ms)
{
    struct egress_share *share = egress_queue_take(place);
    struct tally *tally = share->tally;
    const struct egress_tenant tenant = {tally->node.key, tally->weight};

    egress_queue_leave(share);
    if (share != actor)
        post(share);
    go_on(share, place->provider, &tenant, now_ms);
    tally_put(&tally);
}

/* Another has it if nobody does. */
static void pass_bell(struct egress *place, const struct egress_share *actor)
{
    struct egress_queue *queue = egress_queue_of(place);

    if (queue->bell != NULL || !is_waited_for(place))
        return;
    queue->bell = egress_queue_last(place);
    if (queue->bell != actor)
        post(queue->bell);
}

/* Shares that are due are given. `actor`, which sees for itself, needs no letter. */
static void serve(struct egress *place, const struct egress_share *actor, int64_t now_ms)
{
    for (unsigned i = 0; i < SERVE_MAX && is_waited_for(place) && take_due(place, true, now_ms);
         i++)
        give_next(place, actor, now_ms);
    pass_bell(place, actor);
}

/* Until it is to ring the bell; 0: it has none. Where it came to another line it looks at that. */
static int64_t look(struct egress_share *share, int64_t now_ms)
{
    struct egress *place = NULL;

    while (share->place != place) {
        place = share->place;
        if (place != NULL)
            serve(place, share, now_ms);
    }
    return place != NULL && egress_queue_of(place)->bell == share ? due_after_ms(place, now_ms) : 0;
}

void egress_ring_bell(struct egress *egress)
{
    if (is_waited_for(egress))
        post(egress_queue_of(egress)->bell);
}

/* --- on its engine ---------------------------------------------------------------------------- */

static void arm(struct egress_share *share, int64_t after_ms)
{
    struct engine *engine = share->sender->engine;

    if (after_ms != 0)
        engine_timeout(engine, &share->timeout, after_ms);
    else
        engine_timeout_cancel(engine, &share->timeout);
}

static void attend(struct egress_share *share)
{
    int64_t now_ms = engine_now_ms(share->sender->engine);

    pthread_mutex_lock(&share->egress->table->lock);
    int64_t after_ms = look(share, now_ms);

    pthread_mutex_unlock(&share->egress->table->lock);
    arm(share, after_ms);
    if (!atomic_load(&share->is_waiting))
        share->sender->woken(share->sender);
}

static void open_letter(struct letter *letter, struct engine *engine)
{
    struct egress_share *share = container_of(letter, struct egress_share, letter);

    (void)engine;
    (void)atomic_exchange(&share->is_posted, false);
    attend(share);
}

static void on_timeout(struct timeout *timeout)
{
    attend(container_of(timeout, struct egress_share, timeout));
}

/* --- for sites -------------------------------------------------------------------------------- */

static struct egress_share *share_new(struct egress *egress, struct egress_sender *sender)
{
    struct egress_share *share = calloc(1, sizeof(*share));

    check(share != NULL);
    list_node_init(&share->ring);
    timeout_init(&share->timeout, on_timeout);
    share->egress = egress;
    share->sender = sender;
    sender->share = share;
    return share;
}

static uint64_t in_short(const struct egress_mail *mail)
{
    return egress_tenant_hash(mail->tenant.name) << 3 | mail->rank << 1 | mail->is_fresh;
}

bool egress_share_is_waiting(const struct egress_sender *sender)
{
    return sender->share != NULL && atomic_load(&sender->share->is_waiting);
}

/* In this order: the letter is there before it does not wait any more. */
bool egress_share_is_awaited(const struct egress_sender *sender)
{
    return egress_share_is_waiting(sender) ||
           (sender->share != NULL && atomic_load(&sender->share->is_posted));
}

/* Once. */
static bool use_granted(struct egress_share *share, int64_t now_ms)
{
    int64_t granted_ms = share != NULL ? atomic_exchange(&share->granted_ms, 0) : 0;

    return granted_ms != 0 && now_ms - granted_ms <= SHARE_KEPT_MS;
}

/* The rates that nobody waits for and of which a share is due; where that ends, NULL: all. */
static struct egress *take_at_once(struct egress *egress, int64_t now_ms)
{
    while (egress != NULL && !is_waited_for(egress) && take_due(egress, false, now_ms))
        egress = egress->provider;
    return egress;
}

bool egress_share_take(struct egress *egress, struct egress_sender *sender,
                       const struct egress_mail *mail, int64_t now_ms)
{
    struct egress_share *share = sender->share;

    egress_share_change(egress, sender, mail);
    if (egress_share_is_waiting(sender))
        return false;
    if (use_granted(share, now_ms))
        return true;
    struct egress *place = take_at_once(egress, now_ms);

    if (place == NULL)
        return true;
    if (share == NULL)
        share = share_new(egress, sender);
    share->told = in_short(mail);
    pthread_mutex_lock(&egress->table->lock);
    share->rank = (uint8_t)mail->rank;
    share->is_fresh = mail->is_fresh;
    go_on(share, place, &mail->tenant, now_ms);
    int64_t after_ms = look(share, now_ms);

    pthread_mutex_unlock(&egress->table->lock);
    arm(share, after_ms);
    return use_granted(share, now_ms);
}

void egress_share_change(struct egress *egress, struct egress_sender *sender,
                         const struct egress_mail *mail)
{
    struct egress_share *share = sender->share;

    if (!egress_share_is_waiting(sender) || share->told == in_short(mail))
        return;
    share->told = in_short(mail);
    pthread_mutex_lock(&egress->table->lock);
    if (share->place != NULL)
        egress_queue_change(share, mail);
    pthread_mutex_unlock(&egress->table->lock);
}

int64_t egress_share_at_ms(const struct egress_sender *sender, int64_t now_ms)
{
    const struct egress_share *share = sender->share;
    int64_t at_ms = 0;

    if (!egress_share_is_waiting(sender))
        return 0;
    pthread_mutex_lock(&share->egress->table->lock);
    if (share->place != NULL)
        at_ms = now_ms + due_after_ms(share->place, now_ms) +
                egress_queue_foresee(share) * atomic_load(&share->place->interval_us) / 1000;
    pthread_mutex_unlock(&share->egress->table->lock);
    return at_ms;
}

/* Under the lock. At once it is for the next in line: where the mail of a thousand sites is held
 * back, those behind them are not to wait for their times. Later it is lost, or two would go
 * together. */
static void give_back(struct egress_share *share, int64_t now_ms)
{
    int64_t granted_ms = atomic_exchange(&share->granted_ms, 0);

    if (granted_ms == 0 || now_ms - granted_ms > RATE_BURST_US / 1000)
        return;
    for (struct egress *e = share->egress; e != NULL; e = e->provider) {
        atomic_fetch_sub(&e->next_us, atomic_load(&e->interval_us));
        egress_ring_bell(e);
    }
}

/* Under the lock: of its site's rate, where it waits for its provider's only, and nobody else has
 * had one since. */
static void give_back_own(const struct egress_share *share)
{
    struct egress *own = share->egress;
    int64_t next_us = share->own_next_us;

    if (share->place != own &&
        atomic_compare_exchange_strong(&own->next_us, &next_us,
                                       next_us - atomic_load(&own->interval_us)))
        egress_ring_bell(own);
}

void egress_share_pass(struct egress_sender *sender)
{
    struct egress_share *share = sender->share;

    if (share == NULL || atomic_load(&share->granted_ms) == 0)
        return;
    pthread_mutex_lock(&share->egress->table->lock);
    give_back(share, engine_now_ms(sender->engine));
    pthread_mutex_unlock(&share->egress->table->lock);
}

bool egress_share_drop(struct egress_sender *sender)
{
    struct egress_share *share = sender->share;

    if (share == NULL)
        return true;
    pthread_mutex_lock(&share->egress->table->lock);
    struct egress *place = share->place;

    if (place != NULL) {
        give_back_own(share);
        egress_queue_leave(share);
        tally_put(&share->tally);
        pass_bell(place, NULL);
    }
    atomic_store(&share->is_waiting, false);
    give_back(share, engine_now_ms(sender->engine));
    bool is_posted = atomic_load(&share->is_posted);

    pthread_mutex_unlock(&share->egress->table->lock);
    engine_timeout_cancel(sender->engine, &share->timeout);
    if (is_posted)
        return false;
    free(share);
    sender->share = NULL;
    return true;
}
