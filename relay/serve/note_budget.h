/*
 * note_budget.h - so many events in so much time, for those that peers can cause at will.
 *
 * Thread: its owner's.
 */
#pragma once

#include "base/bytes.h"

struct note_budget {
    unsigned count_max;
    int64_t window_ms;
    int64_t since_ms;
    unsigned count; /* in the window that began then */
};

/* Whether one more may be written at now_ms (monotonic); it is counted then. */
must_use bool note_budget_take(struct note_budget *budget, int64_t now_ms);
