/*
 * space_watch.h - a thread that looks how much is free where spool and event files are.
 *
 * New mail is refused while less than spool.min_free is free on either of the two file systems,
 * whoever took it: long before anything that was promised could find no room. Looking has a thread
 * of its own, because a disk that hangs must stop neither engines nor signals.
 */
#pragma once

#include "base/bytes.h"
#include "queue/space.h"

struct space_watch;

struct space_state {
    uint64_t spool_free_bytes, events_free_bytes; /* 0 also where it cannot be read */
    uint64_t min_free_bytes;
    bool is_low;
};

/* Looks once before it returns. Paths are copied. Once refused, mail is taken again when `again`
 * bytes more are free than min_free: what the shards take back as soon as they may. NULL with
 * errno. */
struct space_watch *space_watch_start(const char *spool, const char *events, uint64_t min_free,
                                      uint64_t again, struct space *space);
/* Any thread; from the next look on, which is at once. */
void space_watch_set(struct space_watch *watch, uint64_t min_free);
void space_watch_state(struct space_watch *watch, struct space_state *out); /* any thread */
void space_watch_stop(struct space_watch **watch);
