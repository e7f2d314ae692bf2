/*
 * classes.h - whose turn it is among the priority classes that wait for the same.
 *
 * High goes before normal before bulk, but who has much of a higher class does not stop the lower
 * ones: while all wait, of 21 turns 16 are for high, 4 for normal, 1 for bulk. In a round each may
 * take as many as that, the highest first; a round is over when none that waits has any left. So a
 * recipient of the highest class waits for a lower one's turns only when 16 of its own went before
 * it in the same round, and then for five; and bulk gets 5 % of a line that never empties, enough
 * for a hundred thousand a day where a receiver takes 25 a second, and too little to be noticed by
 * those before it. Four to one between neighbours: each is clearly before the next, none is lost.
 *
 * A turn costs as many as it takes (recipients, connections); who took more than it had left pays
 * in later rounds. Where only one class waits, rounds pass until it has something again.
 *
 * Plain data; whoever owns it guards it.
 */
#pragma once

#include "queue/message.h"

/* In the order of service, unlike the numbers on disk. */
enum rank { RANK_HIGH, RANK_NORMAL, RANK_BULK, RANK_COUNT };

/* RANK_COUNT where nothing waits: behind all. */
#define RANK_BIT(rank) (1U << (rank))
enum { RANK_MASK = RANK_BIT(RANK_COUNT) - 1 };

enum rank rank_of(enum mail_class class);
const char *rank_name(enum rank rank); /* as the class is called */
/* Of every 21 turns, while all classes wait. */
unsigned rank_turns(enum rank rank);

/* The first of those in a mask of RANK_BIT(); RANK_COUNT: it is 0. */
static inline enum rank rank_first(unsigned mask)
{
    return mask == 0 ? RANK_COUNT : (enum rank)__builtin_ctz(mask);
}

/* Zeroed: a new round. */
struct classes {
    int16_t taken[RANK_COUNT]; /* in this round; more than a round's: a debt to later ones */
};

/* Of those in the mask, which is not 0, the one to be served now. */
enum rank classes_next(struct classes *classes, unsigned waiting);
/* The same, and no round begins for it: where it may come to nothing. */
static inline enum rank classes_peek(const struct classes *classes, unsigned waiting)
{
    struct classes copy = *classes;

    return classes_next(&copy, waiting);
}
/* It took so many, at most CLASSES_CHARGE_MAX; returned ones are negative. */
enum { CLASSES_CHARGE_MAX = 10000 };
void classes_charge(struct classes *classes, enum rank rank, int count);
