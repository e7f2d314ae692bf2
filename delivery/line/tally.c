/* tally.c - virtual time: recipients by weight. */
#include "delivery/line/tally.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNIT = 1000 * 1000, /* of a recipient, of weight 1; weights go up to 1,000 */
    SWEEP_MIN = 64,
    COUNT_MAX = 1000 * 1000, /* recipients charged at once */
};

struct tallies *tallies_create(void)
{
    struct tallies *tallies = calloc(1, sizeof(*tallies));

    check(tallies != NULL);
    map_init(&tallies->by_name);
    tallies->sweep_at = SWEEP_MIN;
    return tallies;
}

static void drop(struct tally *tally)
{
    if (tally->tallies->first == tally)
        tally->tallies->first = NULL;
    map_remove(&tally->tallies->by_name, &tally->node);
    free(tally);
}

static void drop_any(void *context, struct map_node *node)
{
    struct tally *tally = container_of(node, struct tally, node);

    (void)context;
    check(tally->references == 0);
    drop(tally);
}

void tallies_free(struct tallies **tallies)
{
    if (*tallies == NULL)
        return;
    map_for_each(&(*tallies)->by_name, drop_any, NULL);
    map_free(&(*tallies)->by_name);
    free(*tallies);
    *tallies = NULL;
}

static int64_t recipient(const struct tally *tally)
{
    return UNIT / tally->weight;
}

/* Coming again it begins where a new one does, or a little further back. */
static void forget(void *context, struct map_node *node)
{
    struct tally *tally = container_of(node, struct tally, node);

    (void)context;
    if (tally->references == 0 && tally->had <= tally->tallies->clock)
        drop(tally);
}

static struct tally *tally_new(struct tallies *tallies, struct bytes tenant)
{
    if (tallies->by_name.count >= tallies->sweep_at) {
        map_for_each(&tallies->by_name, forget, NULL);
        tallies->sweep_at = MAX(tallies->by_name.count * 2, (size_t)SWEEP_MIN);
    }
    struct tally *tally = calloc(1, sizeof(*tally) + tenant.len);

    check(tally != NULL);
    uint8_t *at = (uint8_t *)(tally + 1);
    struct bytes name = bytes_put(tenant, &at);

    tally->tallies = tallies;
    tally->had = tallies->clock;
    for (unsigned i = 0; i < RANK_COUNT; i++)
        list_node_init(&tally->in_rank[i]);
    map_insert(&tallies->by_name, &tally->node, name);
    return tally;
}

struct tally *tally_find(struct tallies *tallies, struct bytes tenant)
{
    struct map_node *node = map_find(&tallies->by_name, tenant);

    return node != NULL ? container_of(node, struct tally, node) : NULL;
}

struct tally *tally_get(struct tallies *tallies, struct bytes tenant, unsigned weight)
{
    struct tally *tally = tally_find(tallies, tenant);

    if (tally == NULL)
        tally = tally_new(tallies, tenant);
    tally->weight = (uint16_t)MIN(MAX(weight, 1U), (unsigned)UINT16_MAX);
    if (tallies->weight_min == 0 || tally->weight < tallies->weight_min)
        tallies->weight_min = tally->weight;
    tally->had =
        MAX(tally->had, tallies->clock - (int64_t)TALLY_SLACK * UNIT / tallies->weight_min);
    tally->references++;
    return tally;
}

void tally_put(struct tally **tally)
{
    check((*tally)->references > 0);
    (*tally)->references--;
    *tally = NULL;
}

void tally_wait(struct tally *tally, bool waits)
{
    struct tallies *tallies = tally->tallies;

    if (waits) {
        tallies->waiting_count += tally->waiter_count++ == 0;
        return;
    }
    check(tally->waiter_count > 0);
    tallies->waiting_count -= --tally->waiter_count == 0;
}

static void note_furthest(struct tallies *tallies, struct tally *tally)
{
    if (tallies->first == tally) {
        tallies->furthest = tally->had;
    } else if (tally->had > tallies->furthest) {
        tallies->second = tallies->furthest;
        tallies->furthest = tally->had;
        tallies->first = tally;
    } else {
        tallies->second = MAX(tallies->second, tally->had);
    }
}

uint64_t tally_charge(struct tally *tally, unsigned count)
{
    struct tallies *tallies = tally->tallies;

    tallies->clock = MAX(tallies->clock, tally->had);
    tally->had += MIN((int64_t)count, (int64_t)COUNT_MAX) * recipient(tally);
    tally->recipients += count;
    note_furthest(tallies, tally);
    return tally->recipients;
}

void tallies_forgive(struct tallies *tallies)
{
    tallies->clock = tallies->second = tallies->furthest;
}

bool tally_is_in_advance(const struct tally *tally)
{
    const struct tallies *tallies = tally->tallies;

    return tally->had > (tallies->first == tally ? tallies->second : tallies->furthest);
}

bool tally_is_before(const struct tally *tally, bool is_fresh, const struct tally *other,
                     bool is_other_fresh)
{
    bool goes_first = is_fresh && !tally_is_in_advance(tally);
    bool other_goes_first = is_other_fresh && !tally_is_in_advance(other);

    if (goes_first != other_goes_first)
        return goes_first;
    return tally->had < other->had;
}
