/*
 * queue_walk.h - one operator's action over the unfinished recipients of one worker, in slices.
 *
 * The control thread asks for slice after slice and writes what came out in between, so that
 * 100,000 matches neither stall an engine nor pile up in memory. Within a slice envelopes are read
 * back side by side, as far as the filter or the action needs them.
 */
#pragma once

#include "relay/queue_filter.h"
#include "relay/worker.h"

enum queue_action {
    QUEUE_COUNT,
    QUEUE_LIST,
    QUEUE_EXPLAIN,    /* a JSON line each, without its address where the envelope cannot be read */
    QUEUE_SURVEY,     /* into a struct delivery_survey */
    QUEUE_UNFINISHED, /* a JSON line a message: how many of its recipients are; from memory */
    QUEUE_RETRY,
    QUEUE_CANCEL,
};

struct queue_walk;

struct queue_walk_result {
    uint64_t visited;    /* messages that were looked at */
    uint64_t matched;    /* recipients that the filter means */
    uint64_t acted;      /* listed, explained, retried, cancelled */
    uint64_t busy;       /* matched, but an attempt holds them or their outcome is being written */
    uint64_t unreadable; /* their envelope could not be read back */
};

/* Control thread. `reason` is told in the events of a cancel. At most `limit` recipients are acted
 * on; 0: no limit. */
struct queue_walk *queue_walk_create(struct worker *worker, const struct queue_filter *filter,
                                     enum queue_action action, const char *reason, uint64_t limit);
/* Where QUEUE_SURVEY counts; walks over several workers, one after the other, may share it. */
void queue_walk_survey(struct queue_walk *walk, struct delivery_survey *survey);
/* Runs one slice on the worker and waits for it; appends JSON lines to `out` (QUEUE_LIST,
 * QUEUE_EXPLAIN, QUEUE_UNFINISHED). False when the walk is over. */
bool queue_walk_slice(struct queue_walk *walk, struct buf *out);
const struct queue_walk_result *queue_walk_result(const struct queue_walk *walk);
void queue_walk_free(struct queue_walk **walk);
