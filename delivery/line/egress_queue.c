/* egress_queue.c - who waits for a share of a rate: by class and tenant, and who is first. */
#include "delivery/line/egress_state.h"

#include "delivery/line/ring.h"

enum {
    LOOK_MAX = 64,      /* tenants of a class that are compared, from the first in line on, */
    LOOK_BACK_MAX = 16, /* and where there are more, from the last */
    FORESEE_MAX = 1000, /* who waits, counted for an operator */
};

static struct egress_share *share_at(struct list_node *node)
{
    return container_of(node, struct egress_share, ring);
}

static unsigned waiting_mask(const struct egress_queue *queue)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < RANK_COUNT; i++)
        if (queue->tenants[i] != NULL)
            mask |= RANK_BIT(i);
    return mask;
}

static struct tally *tally_at(struct list_node *node, unsigned rank)
{
    return container_of(node - rank, struct tally, in_rank);
}

static void show_tenants(struct egress_fairness *fairness)
{
    const struct egress_queue *queue = &fairness->queue;
    enum rank rank = rank_first(waiting_mask(queue));
    uint64_t tenant = 0;

    if (fairness->shares.tallies->waiting_count > 1)
        tenant = EGRESS_TENANTS_MANY;
    else if (rank != RANK_COUNT)
        tenant = egress_tenant_hash(tally_at(queue->tenants[rank], rank)->node.key);
    atomic_store(&fairness->shares.waiting, tenant);
}

/* Its tenant is in line anew where it waits for nothing else here: at each of a thousand sites that
 * it has a message for it came anew, too. */
static void stand(struct egress_share *share, struct egress_queue *queue)
{
    struct tally *tally = share->tally;

    share->is_fresh = share->is_fresh && tally->waiter_count == 0;
    if (tally->waiters[share->rank] == NULL)
        ring_push_back(&queue->tenants[share->rank], &tally->in_rank[share->rank]);
    ring_push_back(&tally->waiters[share->rank], &share->ring);
    tally_wait(tally, true);
    queue->counts[share->rank]++;
}

static void step_out(struct egress_share *share, struct egress_queue *queue)
{
    struct tally *tally = share->tally;

    ring_remove(&tally->waiters[share->rank], &share->ring);
    if (tally->waiters[share->rank] == NULL)
        ring_remove(&queue->tenants[share->rank], &tally->in_rank[share->rank]);
    tally_wait(tally, false);
    queue->counts[share->rank]--;
}

void egress_queue_enter(struct egress_share *share, struct egress *place,
                        const struct egress_tenant *tenant)
{
    struct egress_fairness *fairness = egress_fairness(&place->line);

    check(share->place == NULL);
    share->place = place;
    share->tally = egress_tally_of(&fairness->shares, tenant);
    stand(share, &fairness->queue);
    atomic_fetch_add(&place->throttled, 1);
    atomic_store(&share->is_waiting, true);
    if (fairness->queue.bell == NULL)
        fairness->queue.bell = share;
    show_tenants(fairness);
}

void egress_queue_leave(struct egress_share *share)
{
    struct egress *place = share->place;
    struct egress_fairness *fairness = egress_fairness(&place->line);

    step_out(share, &fairness->queue);
    atomic_fetch_sub(&place->throttled, 1);
    if (fairness->queue.bell == share)
        fairness->queue.bell = NULL;
    share->place = NULL;
    show_tenants(fairness);
}

void egress_queue_change(struct egress_share *share, const struct egress_mail *mail)
{
    struct egress_fairness *fairness = egress_fairness(&share->place->line);
    struct tally *before = share->tally;
    struct tally *tally = egress_tally_of(&fairness->shares, &mail->tenant);

    if (tally != before || share->rank != (uint8_t)mail->rank) {
        step_out(share, &fairness->queue);
        share->tally = tally;
        share->rank = (uint8_t)mail->rank;
        share->is_fresh = mail->is_fresh;
        stand(share, &fairness->queue);
        show_tenants(fairness);
    } else {
        share->is_fresh = share->is_fresh && mail->is_fresh;
    }
    tally_put(&before);
}

/* --- who is first ----------------------------------------------------------------------------- */

/* Who is before all others that were looked at, and who has had the most of those in front. */
struct look {
    enum rank rank;
    bool heeds_fresh;
    struct tally *first, *last;
};

static bool is_fresh(const struct look *look, const struct tally *tally)
{
    return look->heeds_fresh && share_at(tally->waiters[look->rank])->is_fresh;
}

static struct tally *look_at(struct look *look, struct list_node *node)
{
    struct tally *tally = tally_at(node, look->rank);

    if (look->first == NULL ||
        tally_is_before(tally, is_fresh(look, tally), look->first, is_fresh(look, look->first)))
        look->first = tally;
    return tally;
}

/* Of tenants that have had the same it is the one that was served longest ago. Who has just come is
 * looked at however many they are, or nobody would go first. */
static void look_at_tenants(struct look *look, struct list_node *ring)
{
    struct list_node *node = ring;

    for (unsigned i = 0; i < LOOK_MAX; i++) {
        struct tally *tally = look_at(look, node);

        if (look->last == NULL || tally_is_before(look->last, false, tally, false))
            look->last = tally;
        if ((node = node->next) == ring)
            return;
    }
    struct list_node *end = node;

    node = ring;
    for (unsigned i = 0; i < LOOK_BACK_MAX && node != end; i++)
        (void)look_at(look, node = node->prev);
}

static void to_end(struct egress_queue *queue, struct tally *tally, enum rank rank)
{
    ring_remove(&queue->tenants[rank], &tally->in_rank[rank]);
    ring_push_back(&queue->tenants[rank], &tally->in_rank[rank]);
}

/* Who comes anew goes first every second time: where others send one message after another, each
 * of them anew, whoever has had less gets on as well. And where there are more than are looked at,
 * those in front that have had more than it make room, or who stands behind them would be looked at
 * only once the last ones have had as much. */
struct egress_share *egress_queue_take(struct egress *place)
{
    struct egress_queue *queue = egress_queue_of(place);
    enum rank rank = classes_next(&queue->classes, waiting_mask(queue));
    struct look look = {.rank = rank, .heeds_fresh = (queue->anew & RANK_BIT(rank)) == 0};

    look_at_tenants(&look, queue->tenants[rank]);
    queue->anew &= (uint8_t)~RANK_BIT(rank);
    if (is_fresh(&look, look.first))
        queue->anew |= (uint8_t)RANK_BIT(rank);
    classes_charge(&queue->classes, rank, 1);
    if (tally_is_before(look.first, false, look.last, false))
        to_end(queue, look.last, rank);
    to_end(queue, look.first, rank);
    return share_at(look.first->waiters[rank]);
}

struct egress_share *egress_queue_last(struct egress *place)
{
    const struct egress_queue *queue = egress_queue_of(place);
    unsigned rank = RANK_COUNT - 1;

    while (queue->tenants[rank] == NULL)
        rank--;
    return share_at(tally_at(queue->tenants[rank]->prev, rank)->waiters[rank]->prev);
}

/* Nodes of a ring, those before this one; NULL: all. */
static int64_t count_up_to(const struct list_node *ring, const struct list_node *end)
{
    const struct list_node *node = ring;
    int64_t count = 0;

    while (node != end && count < FORESEE_MAX) {
        count++;
        if ((node = node->next) == ring)
            break;
    }
    return count;
}

int64_t egress_queue_foresee(const struct egress_share *share)
{
    const struct egress_queue *queue = egress_queue_of(share->place);
    int64_t count = count_up_to(share->tally->waiters[share->rank], &share->ring);
    int64_t tenants = count_up_to(queue->tenants[share->rank], NULL);
    int64_t above = 0;

    for (unsigned i = 0; i < share->rank; i++)
        above += queue->counts[i];
    return above + MIN(count * tenants, (int64_t)queue->counts[share->rank] - 1);
}
