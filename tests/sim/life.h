/*
 * life.h - a seeded life of a shard on a simulated disk, and the lives after power cuts in it.
 */
#pragma once

#include "support/disk_sim.h"

/* What was done, over all lives of a run. */
struct life_counts {
    uint64_t histories, cuts, recovery_cuts; /* of these cuts, in the middle of a recovery */
    uint64_t faults, failed_starts; /* histories in which one struck; starts it prevented */
    uint64_t accepted, refused, outcomes, finished, compared, reopened; /* compared: contents */
    uint64_t vacant; /* lives without an engine of its own that ended without mail */
};

struct life_plan {
    uint64_t seed;
    unsigned steps;
    unsigned cuts; /* about as many in the first life */
    struct disk_sim_fault fault;
    bool is_reopened; /* at the end of the steps: operations of a start may fail as well */
};

/* One history. It exits with a sentence on stderr when a promise is broken. Returns how many disk
 * operations the steps of its first life took: so many may fail. */
uint64_t life_run(const struct life_plan *plan, struct life_counts *counts);
