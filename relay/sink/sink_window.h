/*
 * sink_window.h - the events that a sink was handed and has not answered, in the files' order.
 *
 * Answers come in any order: a broker answers partition by partition. What counts is how far there
 * is no event without an answer, which is where the cursor may stand. It has memory for what it
 * holds: one that is empty has next to none.
 *
 * Private to relay/sink. Thread: the sink's.
 */
#pragma once

#include "event/event_bounds.h"

struct window_entry {
    struct event_place at; /* before it, and behind what is not wanted in front of it */
    int64_t time_ms;       /* wall, of the event; 0: not known */
    int64_t taken_ms;      /* monotonic */
    uint32_t len;          /* bytes of its line */
    bool is_answered;
    bool is_gap; /* the record of one */
};

struct sink_window {
    size_t max;                   /* entries at most */
    size_t capacity;              /* of the ring: as many as it needed of late */
    struct window_entry *entries; /* a ring: ticket % capacity */
    uint64_t first, next;         /* tickets */
    uint64_t told, gaps;          /* passed; gap records among it */
    uint64_t bytes;               /* of lines without an answer, and of those behind one */
};

void window_init(struct sink_window *window, size_t max);
void window_free(struct sink_window *window);
bool window_is_full(const struct sink_window *window);
bool window_is_empty(const struct sink_window *window);
/* The ticket of what is taken in, which must not be full. */
uint64_t window_add(struct sink_window *window, const struct window_entry *entry);
/* The last one was not taken after all. */
void window_take_back(struct sink_window *window);
/* False: this ticket has its answer, or never was. */
bool window_answer(struct sink_window *window, uint64_t ticket);
/* Takes off what is answered at the front: how much, and the time of the last of it, if known. */
size_t window_pass(struct sink_window *window, int64_t *time_ms_out);
/* The oldest without an answer, NULL when empty. After window_pass(). */
const struct window_entry *window_oldest(const struct sink_window *window);
void window_clear(struct sink_window *window);
