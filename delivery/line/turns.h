/*
 * turns.h - whose mail a site takes next: tenants by weight, then classes, then domains in turn.
 *
 *   fresh:  (d)                    a tenant comes: served before the round, once
 *             \ its credit is used, or nothing of it waits any more
 *              v
 *   round:  --(a)---(b)---(c)--    at the head: credit > 0   served until it is used, then its
 *            ^ ^__________/ end                              weight more, and to the end
 *            |                                  credit <= 0  its weight more, and to the end
 *            |                                  empty, owes nothing: forgotten
 *            share of tenant a
 *              high:    (line)-(line)            16 \
 *              normal:  (line)                    4  > of 21 turns of the tenant (classes.h)
 *              bulk:    (line)-(line)-(line)      1 /
 *                        ^ one of a domain; after its turn the next one's
 *
 * Deficit round robin: a tenant's weight is the recipients that it may send in a round. A message
 * takes along whatever waits of it, and all of these are charged (one message is of one tenant and
 * class); what was too many is a debt that later rounds pay. Recipients and not messages, because a
 * thousand recipients in one transaction hold a connection as long as many messages do, and events
 * and outcomes cost by the recipient. Where all have debts, rounds pass without being walked
 * through.
 *
 * Who has not been in line takes the next turn of all, whatever waits: that is what a password
 * reset needs beside a million of somebody else's. Served, it goes to the end of the round even if
 * nothing of it is left, and is forgotten when the round comes to it: so a tenant that sends one
 * after another, each alone in line, gets no more than its share either. What a tenant is sent of
 * the site by other engines it pays for as well (turns_served_elsewhere()).
 *
 * A pull costs one step, and at most one more for each recipient sent before or tenant forgotten. A
 * line that is the only one of its site has its turn every time and needs no share. With the second
 * one each tenant gets a share, which is an allocation, until the round forgets it or nothing waits
 * at the site any more. Nothing else is allocated: a hundred thousand domains with a site each cost
 * nothing for it.
 *
 * Thread: the engine's. Neither network nor time: tests drive it as it is.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "delivery/line/classes.h"

struct share;
struct tenant;

/* In a line. */
struct turn {
    struct list_node ring; /* of its share's class */
    struct share *share;   /* NULL: nothing waits in it, or it is the only one */
};

/* A tenant's at a site. */
struct share {
    struct list_node ring;               /* in the round, or among the fresh */
    const struct tenant *tenant;         /* may be gone where nothing waits */
    struct list_node *lines[RANK_COUNT]; /* rings, at whose turn it is; NULL: none */
    int32_t credit;                      /* recipients that it may still send; < 0: a debt */
    uint64_t total;                      /* of all engines, when it was told last; 0: never */
    uint16_t weight;
    bool is_fresh;
    struct classes classes;
};

/* All shares of an engine, by site and tenant. */
struct turns_table {
    struct map shares;
    struct buf key; /* of the one that is looked for */
};

struct turns {
    union {
        struct {
            struct list_node *fresh, *round; /* rings of shares; NULL: none */
        };
        struct {
            struct turn *only; /* share_count is 0; NULL: nothing waits */
            const struct tenant *tenant;
        };
    };
    uint32_t share_count : 31;       /* those of which nothing waits included */
    uint32_t is_only_fresh : 1;      /* nothing was served since something waits */
    uint32_t line_count[RANK_COUNT]; /* with waiting mail */
};

void turns_table_init(struct turns_table *table);
void turns_table_free(struct turns_table *table); /* no share is left */
void turns_init(struct turns *turns);

/* Something waits in this line, which is in no turns; it comes last of its tenant and class. */
void turns_add(struct turns *turns, struct turns_table *table, struct turn *turn,
               const struct tenant *tenant, enum rank rank);
/* Nothing waits in it any more, or not here. */
void turns_remove(struct turns *turns, struct turns_table *table, struct turn *turn,
                  enum rank rank);
/* Whose turn it is, and stays until it was served or is removed; NULL: nothing waits. */
struct turn *turns_next(struct turns *turns, struct turns_table *table, enum rank *rank_out);
/* turns_next()'s took so many recipients. They may stay in line after that or be removed. */
void turns_served(struct turns *turns, struct turn *turn, enum rank rank, unsigned count);
/* Behind turns_served(), where its tenant's recipients are counted for all engines: so many in all,
 * these included; 0: they are not. */
void turns_served_elsewhere(struct turn *turn, unsigned count, uint64_t total);
/* Some of those were not sent and wait again; up to two rounds' are made good. */
void turns_give_back(struct turn *turn, enum rank rank, unsigned count);

/* Lines of the tenants whose turns come behind this one's, whose turn it is: some of them. */
size_t turns_others(const struct turns *turns, const struct turn *turn, struct turn **others_out,
                    size_t count_max);
/* Nothing of its tenant was served since it came; whose turn it is. */
bool turns_is_fresh(const struct turns *turns, const struct turn *turn);
/* The highest that waits, RANK_COUNT: nothing does. */
enum rank turns_best(const struct turns *turns);
static inline bool turns_is_empty(const struct turns *turns)
{
    return turns_best(turns) == RANK_COUNT;
}
/* The highest class that waits of the tenant of this line, in which something waits. */
enum rank turns_best_of_tenant(const struct turns *turns, const struct turn *turn);
/* What the tenants of which something waits weigh, this line's and all; walks over all of them. */
struct turns_weights {
    uint64_t own, all;
};
struct turns_weights turns_weigh(const struct turns *turns, const struct turn *turn);
