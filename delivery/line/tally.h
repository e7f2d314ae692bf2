/*
 * tally.h - what tenants had of something that engines share: connection slots, a message rate.
 *
 * A tally is a tenant's: recipients that it was given while others waited, each divided by its
 * weight. Who has had less is to be next, on whatever engine it waits: the deficit round robin of
 * turns.h, across engines. The clock is the furthest that anybody had come who was served; who
 * comes anew begins there, and who has been away is not more than TALLY_SLACK recipients behind it,
 * or what was not asked for would be saved up.
 *
 * Tallies are made for who waits, kept while they say that somebody has had more than the others,
 * and forgotten once they are many. Pure data; whoever owns it guards it.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "delivery/line/classes.h"

enum {
    /* Of the least weight: more than a connection is ever ahead, but for a large transaction. */
    TALLY_SLACK = 200,
};

struct tallies {
    struct map by_name;
    int64_t clock;
    struct tally *first;      /* has had the most; NULL: nobody, or it is forgotten */
    int64_t furthest, second; /* what it had, and the most that any other one had */
    uint16_t weight_min;      /* of all there were; 0: none */
    size_t waiting_count;     /* those for which somebody waits */
    size_t sweep_at;
};

struct tally {
    struct map_node node; /* key: the tenant's name, behind it */
    struct tallies *tallies;
    int64_t had;         /* on the clock's scale */
    uint64_t recipients; /* that were given to it */
    unsigned references;
    unsigned waiter_count; /* see tally_wait() */
    uint16_t weight;
    /* The owner's, where it keeps who waits by tenants: rings, of each class, and its place among
     * the tenants that wait with that class. */
    struct list_node *waiters[RANK_COUNT];
    struct list_node in_rank[RANK_COUNT];
};

struct tallies *tallies_create(void);
void tallies_free(struct tallies **tallies); /* no reference is left; NULL: nothing to do */

/* Found or made; referenced. A weight of 0 counts as 1. */
struct tally *tally_get(struct tallies *tallies, struct bytes tenant, unsigned weight);
struct tally *tally_find(struct tallies *tallies, struct bytes tenant); /* NULL: none */
void tally_put(struct tally **tally);

/* Somebody waits for it now; or does no more. */
void tally_wait(struct tally *tally, bool waits);
/* So many recipients were given to it: how many all in all. */
uint64_t tally_charge(struct tally *tally, unsigned count);
/* Nobody has had more than another now. */
void tallies_forgive(struct tallies *tallies);

/* It had less; or it comes anew and is not in advance. */
bool tally_is_before(const struct tally *tally, bool is_fresh, const struct tally *other,
                     bool is_other_fresh);
/* It has had more than every other one: coming anew gives no right to more. */
bool tally_is_in_advance(const struct tally *tally);
