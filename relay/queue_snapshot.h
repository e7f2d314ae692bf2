/*
 * queue_snapshot.h - which messages of a tenant wait now, and one of them, read on its engine.
 *
 * What the tenant sends: not what came from the world for its accounts, nor what its accounts'
 * mail became when it was sent on. Engines are visited in slices, as `ringpost queue list` does.
 *
 * Thread: any but an engine's; blocks. Not once workers stop.
 */
#pragma once

#include "relay/queue_show.h"
#include "relay/worker.h"

struct queue_waiting {
    uint64_t id;
    uint32_t accepted_s; /* monotonic */
    uint32_t state;      /* differs when recipients ended or were tried since */
};

struct queue_snapshot {
    size_t count;
    uint64_t all; /* that wait; `of` has the newest of them */
    struct queue_waiting *of;
};

enum { QUEUE_SNAPSHOT_MAX = 5000 };

/* False: `stops` became true meanwhile. */
must_use bool queue_snapshot_take(struct worker *workers, unsigned count, struct bytes tenant,
                                  const _Atomic bool *stops, struct queue_snapshot *out);
void queue_snapshot_free(struct queue_snapshot *snapshot);

struct queue_reading {
    int64_t accepted_ms, seen_ms; /* wall */
    size_t recipient_count;
    uint64_t size;
    struct buf lines, text; /* the caller's: of QUEUE_SHOW_MAX */
};
/* False: it has ended, does not read back, or was not handed in by the tenant. */
must_use bool queue_snapshot_read(struct worker *workers, unsigned count, uint64_t id,
                                  struct queue_reading *out);
