/*
 * state.h - struct outcomes as the files of this folder see it. Private to them.
 */
#pragma once

#include "base/slab.h"
#include "delivery/outcome/class_counts.h"
#include "delivery/outcome/outcomes.h"

struct outcomes {
    struct engine *engine;
    struct shard *home;
    struct outcome_settings settings;
    struct outcome_hooks hooks;
    struct signer *signer; /* NULL: notifications are not signed */
    bool is_stopping;
    int64_t started_ms, sure_from_ms; /* outcomes_trust_ages() */
    struct series *nowhere;           /* counts what ends without a site */
    struct class_counts classes;
    struct slab settlements, clearings;
    size_t in_attempt_count; /* recipients in attempts and clearings */
    size_t settled_count;    /* recipients whose outcomes are not durable yet */
    size_t notice_bytes;     /* of notifications that are not */

    struct list gatherings; /* failures that wait for others of their message, oldest first */
    size_t gathering_count;
    struct timeout gathering_timeout;

    struct list waiting_clearings; /* for a load */
    size_t clearing_loads;
};

/* What a monotonic time is on the wall clock, as that stands now. */
static inline int64_t outcomes_wall_ms(const struct outcomes *outcomes, int64_t monotonic_ms)
{
    return monotonic_ms - engine_now_ms(outcomes->engine) + engine_wall_ms(outcomes->engine);
}
