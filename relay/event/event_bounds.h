/*
 * event_bounds.h - between which two places of the event files readers may read.
 *
 *   files:   17 ........ 18 ........ 19 (current.jsonl) ....|....
 *            ^ keep_from: older ones may go                 ^ committed: behind it a crash cuts
 *
 * The publisher moves `committed` and obeys `keep_from`; who holds files back for its readers moves
 * `keep_from`. Neither waits for the other. A place is the number of a file and the offset in its
 * text, whether that is compressed or not; `events` counts all events before it, since the first
 * file of the directory was begun, so that the difference of two places is a number of events.
 *
 * Thread: any.
 */
#pragma once

#include <pthread.h>

#include "base/bytes.h"

struct event_place {
    uint64_t number; /* of the file; 0: no place */
    uint64_t offset; /* in its text, at the beginning of a line or the end */
    uint64_t events; /* before it; only differences mean something */
};

/* -1, 0, 1: order in the files. */
int event_place_compare(struct event_place a, struct event_place b);

struct event_bounds {
    pthread_mutex_t lock; /* of the places; nothing else is locked under it */
    struct event_place committed;
    uint64_t keep_from;           /* closed files from this number on stay */
    pthread_mutex_t telling;      /* of the rest; before any lock of who is told */
    void (*moved)(void *context); /* `committed` did; on the publisher's thread; may be NULL */
    void *context;
};

/* Nothing committed, and everything stays until somebody says what may go. */
void event_bounds_init(struct event_bounds *bounds);
void event_bounds_free(struct event_bounds *bounds);
void event_bounds_listen(struct event_bounds *bounds, void (*moved)(void *context), void *context);
void event_bounds_commit(struct event_bounds *bounds, struct event_place committed);
struct event_place event_bounds_committed(struct event_bounds *bounds);
void event_bounds_keep(struct event_bounds *bounds, uint64_t keep_from);
uint64_t event_bounds_kept(struct event_bounds *bounds);
