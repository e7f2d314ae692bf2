/*
 * publisher.h - a thread that turns what the shards journal into the event files.
 *
 *   engine: shard_hooks.journaled -> publisher_push() -> a bounded hand-over a shard
 *   thread: hand-over, or the journal where it had a gap -> JSON -> event files -> commit
 *           -> passed() -> (letter) -> shard_sink_passed(): the segments may go
 *
 * Engines never wait for it. What does not fit the hand-over (a slow disk, a full one) is dropped
 * there and read back from the journal later, as is everything between the files' cursor and the
 * spool at a start: nothing is lost and nothing comes twice.
 */
#pragma once

#include "event/event_file.h"
#include "queue/space.h"

struct event;
struct publisher;

/* Who else is told of each event, in the order of each shard, and again where the files are told
 * again. On the publisher's thread, but `attached`, which is called before anything of the shard is
 * pushed; what is before `position` is from before the start. `commit` comes before what was told
 * counts as passed. */
struct publisher_follower {
    void *context;
    void (*attached)(void *context, unsigned shard, uint64_t position);
    void (*event)(void *context, const struct event *event);
    void (*told)(void *context, unsigned shard, uint64_t position); /* everything before it */
    void (*commit)(void *context);
};

struct publisher_settings {
    const char *spool_directory; /* copied */
    unsigned shard_count;        /* shards 00 .. shard_count-1, at most MESSAGE_ID_SHARDS_MAX */
    size_t hand_over_max;        /* bytes waiting a shard; 0: 16 MiB */
    struct space *space;         /* events_are_full is the publisher's to say; NULL: nobody asks */
    const struct publisher_follower *follower; /* copied; NULL: nobody */
    struct event_file_settings file;
};

/* Every event of the shard before `position` is durable in the files. On the publisher's thread. */
typedef void publisher_passed_fn(void *context, unsigned shard, uint64_t position);

/* Opens the files and starts the thread. NULL with a sentence in `why` and errno (ENOTSUP: a newer
 * version has written them). Settings are copied. */
struct publisher *publisher_start(const struct publisher_settings *settings, char *why,
                                  size_t why_len);
/* The shard is open and durable up to durable_position: from here on it may be pushed. Any thread,
 * once a shard. */
void publisher_attach(struct publisher *publisher, unsigned shard, publisher_passed_fn *passed,
                      void *context, uint64_t durable_position);
/* A run of whole records, durable, in the shard's order. Copies what it needs; never blocks.
 * Thread: the engine that owns the shard. */
void publisher_push(struct publisher *publisher, unsigned shard, uint64_t position,
                    struct bytes records);
/* The position up to which the shard was pushed, or durable when it was attached. Any thread. */
uint64_t publisher_pushed(struct publisher *publisher, unsigned shard);
/* Takes what was pushed, commits, ends the thread. What is not in the files at deadline_ms
 * (monotonic), because they cannot be written or there is so much of it, is left to the next start,
 * which continues from the journal. passed() is not called after. */
void publisher_stop(struct publisher **publisher, int64_t deadline_ms);
