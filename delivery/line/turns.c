/* turns.c - deficit round robin over rings of shares and lines. */
#include "delivery/line/turns.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/line/ring.h"
#include "queue/flow.h"

enum {
    ELSEWHERE_MAX = 1000, /* recipients that are charged at once: an old count may be stale */
    LOOK_MAX = 8,         /* shares of which nothing may wait */
    KEY_MAX = 1 << 16,
};

struct named_share {
    struct share share;
    struct map_node node;
    uint8_t key[]; /* whose turns, then the tenant's name */
};

static struct share *share_at(struct list_node *node)
{
    return container_of(node, struct share, ring);
}

static struct turn *turn_at(struct list_node *node)
{
    return container_of(node, struct turn, ring);
}

/* --- shares ----------------------------------------------------------------------------------- */

void turns_table_init(struct turns_table *table)
{
    map_init(&table->shares);
    buf_init(&table->key, KEY_MAX);
}

void turns_table_free(struct turns_table *table)
{
    check(table->shares.count == 0);
    map_free(&table->shares);
    buf_free(&table->key);
}

void turns_init(struct turns *turns)
{
    *turns = (struct turns){0};
}

static unsigned waiting_mask(const struct share *share)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < RANK_COUNT; i++)
        if (share->lines[i] != NULL)
            mask |= RANK_BIT(i);
    return mask;
}

static struct bytes make_key(struct turns_table *table, const struct turns *turns,
                             const struct tenant *tenant)
{
    buf_clear(&table->key);
    bool fits = buf_append(&table->key, bytes_range(&turns, sizeof(turns))) &&
                buf_append(&table->key, tenant->node.key);
    check(fits);
    return buf_bytes(&table->key);
}

static struct named_share *named_new(struct turns_table *table, struct bytes key)
{
    struct named_share *named = malloc(sizeof(*named) + key.len);

    check(named != NULL);
    memcpy(named->key, key.ptr, key.len);
    map_insert(&table->shares, &named->node, (struct bytes){named->key, key.len});
    return named;
}

/* Found; or made, in the round or among the fresh. Known by its name: the tenant may have been gone
 * meanwhile, and be another in the same place. */
static struct share *share_get(struct turns *turns, struct turns_table *table,
                               const struct tenant *tenant, bool is_fresh)
{
    struct bytes key = make_key(table, turns, tenant);
    struct map_node *node = map_find(&table->shares, key);
    struct share *share;

    if (node != NULL) {
        share = &container_of(node, struct named_share, node)->share;
        share->tenant = tenant;
        return share;
    }
    share = &named_new(table, key)->share;
    *share = (struct share){
        .tenant = tenant,
        .is_fresh = is_fresh,
        .weight = tenant->weight,
        .credit = tenant->weight,
    };
    list_node_init(&share->ring);
    ring_push_back(is_fresh ? &turns->fresh : &turns->round, &share->ring);
    turns->share_count++;
    return share;
}

static void share_forget(struct turns *turns, struct turns_table *table, struct share *share)
{
    struct named_share *named = container_of(share, struct named_share, share);

    check(waiting_mask(share) == 0);
    ring_remove(share->is_fresh ? &turns->fresh : &turns->round, &share->ring);
    turns->share_count--;
    map_remove(&table->shares, &named->node);
    free(named);
}

/* From the head of the round, or from among the fresh. */
static void to_end_of_round(struct turns *turns, struct share *share)
{
    ring_remove(share->is_fresh ? &turns->fresh : &turns->round, &share->ring);
    share->is_fresh = false;
    ring_push_back(&turns->round, &share->ring);
}

static void forget_all(struct turns *turns, struct turns_table *table)
{
    while (turns->fresh != NULL)
        share_forget(turns, table, share_at(turns->fresh));
    while (turns->round != NULL)
        share_forget(turns, table, share_at(turns->round));
}

/* --- lines ------------------------------------------------------------------------------------ */

static void add_to(struct share *share, struct turn *turn, enum rank rank)
{
    list_node_init(&turn->ring);
    ring_push_back(&share->lines[rank], &turn->ring);
    turn->share = share;
}

/* The only line gets a share, which has had its turns. */
static void end_only(struct turns *turns, struct turns_table *table)
{
    struct turn *only = turns->only;
    const struct tenant *tenant = turns->tenant;

    turns->fresh = turns->round = NULL;
    add_to(share_get(turns, table, tenant, false), only, turns_best(turns));
}

void turns_add(struct turns *turns, struct turns_table *table, struct turn *turn,
               const struct tenant *tenant, enum rank rank)
{
    check(turn->share == NULL);
    if (turns_is_empty(turns)) {
        turns->only = turn;
        turns->tenant = tenant;
        turns->is_only_fresh = true;
    } else {
        if (turns->share_count == 0)
            end_only(turns, table);
        add_to(share_get(turns, table, tenant, true), turn, rank);
    }
    turns->line_count[rank]++;
}

void turns_remove(struct turns *turns, struct turns_table *table, struct turn *turn, enum rank rank)
{
    struct share *share = turn->share;

    check(turns->line_count[rank] > 0);
    turns->line_count[rank]--;
    if (share == NULL) {
        check(turns->only == turn);
        turns->only = NULL;
        return;
    }
    ring_remove(&share->lines[rank], &turn->ring);
    turn->share = NULL;
    if (turns_is_empty(turns))
        forget_all(turns, table);
    else if (share->is_fresh && waiting_mask(share) == 0)
        to_end_of_round(turns, share);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* All in the round owe something: as many rounds as leave the next one to help the first of
 * them. */
static void skip_rounds(struct turns *turns)
{
    struct list_node *node = turns->round;
    int32_t rounds = INT32_MAX;

    do {
        const struct share *share = share_at(node);

        if (waiting_mask(share) != 0)
            rounds = MIN(rounds, MAX(-share->credit, 0) / share->weight);
    } while ((node = node->next) != turns->round);
    do {
        struct share *share = share_at(node);

        share->credit = MIN(share->credit + rounds * share->weight, (int32_t)share->weight);
    } while ((node = node->next) != turns->round);
}

/* Something waits. */
static struct share *share_next(struct turns *turns, struct turns_table *table)
{
    uint32_t steps = 0;

    while (turns->fresh == NULL) {
        struct share *share = share_at(turns->round);
        bool is_waiting = waiting_mask(share) != 0;

        if (!is_waiting && share->credit > 0) {
            share_forget(turns, table, share);
            continue;
        }
        if (share->credit > 0)
            return share;
        if (is_waiting)
            share->weight = share->tenant->weight;
        share->credit += share->weight;
        turns->round = turns->round->next;
        if (++steps >= turns->share_count) {
            skip_rounds(turns);
            steps = 0;
        }
    }
    return share_at(turns->fresh);
}

struct turn *turns_next(struct turns *turns, struct turns_table *table, enum rank *rank_out)
{
    if (turns->share_count == 0) {
        *rank_out = turns_best(turns);
        return turns->only;
    }
    struct share *share = share_next(turns, table);

    *rank_out = classes_next(&share->classes, waiting_mask(share));
    return turn_at(share->lines[*rank_out]);
}

void turns_served(struct turns *turns, struct turn *turn, enum rank rank, unsigned count)
{
    struct share *share = turn->share;

    if (share == NULL) {
        check(turns->only == turn);
        turns->is_only_fresh = false;
        return;
    }
    check(share->lines[rank] == &turn->ring);
    check(turns->fresh != NULL ? turns->fresh == &share->ring : turns->round == &share->ring);
    share->lines[rank] = turn->ring.next;
    classes_charge(&share->classes, rank, (int)count);
    share->credit -= (int32_t)count;
    if (share->credit > 0)
        return;
    share->weight = share->tenant->weight;
    share->credit += share->weight;
    to_end_of_round(turns, share);
}

void turns_served_elsewhere(struct turn *turn, unsigned count, uint64_t total)
{
    struct share *share = turn->share;

    if (share == NULL)
        return;
    if (share->total != 0 && total > share->total + count)
        share->credit -= (int32_t)MIN(total - share->total - count, (uint64_t)ELSEWHERE_MAX);
    share->total = total;
}

void turns_give_back(struct turn *turn, enum rank rank, unsigned count)
{
    struct share *share = turn->share;

    if (share == NULL)
        return;
    classes_charge(&share->classes, rank, -(int)count);
    share->credit = MIN(share->credit + (int32_t)count, 2 * (int32_t)share->weight);
}

/* --- what is asked of them -------------------------------------------------------------------- */

static struct turn *any_line(const struct share *share)
{
    enum rank rank = rank_first(waiting_mask(share));

    return rank < RANK_COUNT ? turn_at(share->lines[rank]) : NULL;
}

size_t turns_others(const struct turns *turns, const struct turn *turn, struct turn **others_out,
                    size_t count_max)
{
    struct list_node *const rings[] = {turns->fresh, turns->round};
    size_t count = 0;

    for (size_t i = 0; turns->share_count > 0 && i < ARRAY_LEN(rings); i++) {
        struct list_node *node = rings[i];

        for (unsigned steps = 0; node != NULL && steps < LOOK_MAX && count < count_max; steps++) {
            struct turn *other = any_line(share_at(node));

            if (other != NULL && other->share != turn->share)
                others_out[count++] = other;
            node = node->next != rings[i] ? node->next : NULL;
        }
    }
    return count;
}

bool turns_is_fresh(const struct turns *turns, const struct turn *turn)
{
    return turn->share != NULL ? turn->share->is_fresh : turns->is_only_fresh;
}

enum rank turns_best(const struct turns *turns)
{
    unsigned rank = 0;

    while (rank < RANK_COUNT && turns->line_count[rank] == 0)
        rank++;
    return (enum rank)rank;
}

enum rank turns_best_of_tenant(const struct turns *turns, const struct turn *turn)
{
    return turn->share != NULL ? rank_first(waiting_mask(turn->share)) : turns_best(turns);
}

static uint64_t weigh(const struct list_node *first)
{
    const struct list_node *node = first;
    uint64_t sum = 0;

    if (first == NULL)
        return 0;
    do {
        const struct share *share = container_of(node, struct share, ring);

        if (waiting_mask(share) != 0)
            sum += share->weight;
    } while ((node = node->next) != first);
    return sum;
}

struct turns_weights turns_weigh(const struct turns *turns, const struct turn *turn)
{
    if (turn->share == NULL)
        return (struct turns_weights){turns->tenant->weight, turns->tenant->weight};
    return (struct turns_weights){turn->share->weight, weigh(turns->fresh) + weigh(turns->round)};
}
