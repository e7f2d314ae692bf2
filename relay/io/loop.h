/*
 * loop.h - what an engine is besides its ops: clocks, timeouts, inbox, hooks, the end of a turn.
 *
 * First member of `struct engine` in engine.c and in the fake, which share everything but ops.
 *
 * Internal to relay/io. Thread: the engine's, except what engine.h opens to all.
 */
#pragma once

#include "io/inbox.h"
#include "io/wheel.h"

/* turn_budget.h: what this turn spent. */
struct turn_spent {
    int64_t us, began_us;
    bool was_refused; /* somebody, in this turn */
    bool has_line;    /* somebody was in the last turn */
};

struct loop {
    int64_t now_ms;
    int64_t wall_ms;
    int64_t clock_error_ms; /* how far now_ms may be behind: added to what is armed */
    struct list hooks;
    struct list_node *next_hook; /* while hooks run: they may remove one another */
    struct list turn_ends;
    bool has_turn_again;
    unsigned index;
    int doorbell_fd; /* eventfd */
    struct wheel wheel;
    struct inbox inbox;
    struct turn_spent spent;
    int64_t busy_us; /* in turns, waits left out */
};

/* 0 or -errno. */
must_use int loop_init(struct loop *loop, unsigned index, int64_t now_ms, int64_t wall_ms);
void loop_destroy(struct loop *loop);
/* When the loop has something to do although no op completes: now_ms or less for at once,
 * INT64_MAX for not at all. Otherwise it fell asleep, and posters ring until loop_wake_up(). */
int64_t loop_fall_asleep(struct loop *loop);
void loop_wake_up(struct loop *loop);
/* The part of a turn behind the completions: letters, timeouts, hooks, turn ends. */
void loop_count_turn(struct loop *loop, int64_t began_us); /* at its end */
void loop_turn(struct loop *loop);
/* Whether engine_stop() was called since the last time. */
bool loop_was_stopped(struct loop *loop);
