/* egress_queue.c - who waits for a share of a rate: by class and tenant, and who is first. */
#include "delivery/line/egress_state.h"

#include "delivery/line/ring.h"

enum {
    LOOK_MAX = 64,      /* tenants of a class that are compared; those behind come forward */
    FORESEE_MAX = 1000, /* who waits, counted for an operator */
};

static struct egress_share *share_at(struct list_node *node)
{
    return container_of(node, struct egress_share, ring);
}

static struct egress_queue *queue_of(struct egress *place)
{
    return &egress_fairness(&place->line)->queue;
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

static bool is_before(const struct tally *tally, const struct tally *other, enum rank rank)
{
    return tally_is_before(tally, share_at(tally->waiters[rank])->is_fresh, other,
                           share_at(other->waiters[rank])->is_fresh);
}

/* Of tenants that have had the same it is the one that was served longest ago. */
struct egress_share *egress_queue_take(struct egress *place)
{
    struct egress_queue *queue = queue_of(place);
    enum rank rank = classes_next(&queue->classes, waiting_mask(queue));
    struct list_node *ring = queue->tenants[rank], *node = ring;
    struct tally *first = tally_at(ring, rank);

    for (unsigned i = 1; i < LOOK_MAX && (node = node->next) != ring; i++)
        if (is_before(tally_at(node, rank), first, rank))
            first = tally_at(node, rank);
    classes_charge(&queue->classes, rank, 1);
    ring_remove(&queue->tenants[rank], &first->in_rank[rank]);
    ring_push_back(&queue->tenants[rank], &first->in_rank[rank]);
    return share_at(first->waiters[rank]);
}

struct egress_share *egress_queue_last(struct egress *place)
{
    const struct egress_queue *queue = queue_of(place);
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
    const struct egress_queue *queue = queue_of(share->place);
    int64_t count = count_up_to(share->tally->waiters[share->rank], &share->ring);
    int64_t tenants = count_up_to(queue->tenants[share->rank], NULL);
    int64_t above = 0;

    for (unsigned i = 0; i < share->rank; i++)
        above += queue->counts[i];
    return above + MIN(count * tenants, (int64_t)queue->counts[share->rank] - 1);
}
