/*
 * sink_timers.h - which sink is to be looked at next though nothing happened: a heap.
 *
 * Private to relay/sink. Thread: the host's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Stands in what is to be looked at. */
struct sink_timer {
    int64_t due_ms; /* monotonic */
    size_t at;      /* place in the heap, from 1 on; 0: not set */
};

struct sink_timers {
    struct sink_timer **heap;
    size_t count, capacity;
};

void sink_timers_free(struct sink_timers *timers);
/* INT64_MAX: not at all. */
void sink_timer_set(struct sink_timers *timers, struct sink_timer *timer, int64_t due_ms);
/* The first that is due by now, which is taken off; or NULL. */
struct sink_timer *sink_timers_pop(struct sink_timers *timers, int64_t now_ms);
/* INT64_MAX: none is set. */
int64_t sink_timers_next(const struct sink_timers *timers);
