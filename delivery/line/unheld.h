/*
 * unheld.h - the look for waiting mail that nothing would wake: a broken promise, so there is none.
 *
 * It is a look and not a count kept where mail and its wakers change, because it is just there that
 * a change may have been forgotten. It goes round all sites and destinations in slices, a round at
 * most every ten seconds; with 10,000 or fewer of each a round is one slice. What it finds is
 * woken, complained about, and reported until the next round is over.
 *
 * Thread: the engine's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delivery;
struct destination;
struct site;

struct unheld_round {
    unsigned ticks;           /* since it began */
    size_t sites_left;        /* to be looked at */
    size_t destinations_left; /* likewise, after them */
    uint64_t found;           /* recipients, in this round */
    uint64_t found_before;    /* in the last one */
};

/* Once a second. */
void unheld_tick(struct delivery *delivery);
uint64_t unheld_count(const struct delivery *delivery);

/* Waiting mail that nothing will wake. */
bool site_is_unheld(const struct site *site);
bool destination_is_unheld(const struct destination *destination);
