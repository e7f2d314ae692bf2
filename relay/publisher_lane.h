/*
 * publisher_lane.h - what the publisher knows of one shard: the hand-over, and how far it was told.
 *
 * Three positions of its log, each behind the one before it:
 *
 *   appended   every event before it is in the file, though perhaps in memory only
 *   durable    ... and synced, with the cursor that says so (event_file_commit)
 *   passed     ... and the shard was told
 *
 * What does not begin at `appended` is a gap and read from the journal, so that an overflow, a
 * start, a reopened file and a change of segment are one case. A failed sync sets `appended` back
 * to `durable`, which may lie inside a run that is still being told.
 *
 * Private to the publisher. Thread: the publisher's, except lane_push(): the engine that owns the
 * shard, and lane_attach(): any. What both sides use is under `lock`.
 */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "relay/publisher.h"

enum { LANE_BURST_BYTES = 1024 * 1024 }; /* a hand-over this large is not kept, nor waited for */

/* A run in a hand-over; `len` bytes of its records follow, content left out. */
struct run {
    uint64_t position;
    uint64_t end;
    uint64_t pushed; /* bytes of the lane up to its end, content included */
    size_t len;
};

struct lane {
    pthread_mutex_t lock; /* of the first part */
    struct buf waiting;
    bool is_dropping;            /* no room: nothing is taken until the publisher comes */
    uint64_t pushed_end;         /* position: end of the last run, taken or dropped */
    uint64_t pushed;             /* bytes since the start */
    publisher_passed_fn *passed; /* NULL until attached */
    void *context;

    unsigned shard;
    struct buf taken; /* runs being told */
    uint64_t appended;
    uint64_t goal; /* behind what is taken the journal is read up to here */
    uint64_t goal_pushed;
    uint64_t appended_pushed; /* lane's bytes that the whole runs before `appended` had */
    uint64_t durable_pushed;
    uint64_t passed_end; /* last position given to passed() */
};

void lane_init(struct lane *lane, unsigned shard, size_t hand_over_max);
void lane_free(struct lane *lane);

/* Copies a run of whole records, or drops it where the hand-over has no room for it. */
void lane_push(struct lane *lane, uint64_t position, struct bytes records);
/* Where the last run ends, taken or dropped. Any thread. */
uint64_t lane_pushed(struct lane *lane);
/* Once: from here on passed() is called. Everything up to durable_position is as if dropped. */
void lane_attach(struct lane *lane, publisher_passed_fn *passed, void *context,
                 uint64_t durable_position);

/* Is there anything that was not told, or not even looked at? */
bool lane_has_work(struct lane *lane);
/* Takes the hand-over when the last one was told; the bytes that it holds. */
size_t lane_take(struct lane *lane);
/* The first run of what was taken; false: there is none. `records` are dead with the next call. */
bool lane_first(const struct lane *lane, struct run *run_out, struct bytes *records_out);
/* The first run was told. */
void lane_drop_first(struct lane *lane, const struct run *run);
/* All runs were: gives back what a burst took. */
void lane_end_taken(struct lane *lane);

/* Everything up to `position` was told; `pushed`: the lane's bytes up to there. */
void lane_appended(struct lane *lane, uint64_t position, uint64_t pushed);
/* The files end at `position`. What was told since is read from the journal again. */
void lane_set_back(struct lane *lane, uint64_t position);
/* Everything appended is durable, which is up to `position`: tells the shard. */
void lane_durable(struct lane *lane, uint64_t position);
