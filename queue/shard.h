/*
 * shard.h - one engine's spool: accept messages durably, hand out what is due, record outcomes,
 * reclaim space.
 *
 * On disk: state_dir/spool/<shard>/<sequence>.seg, an unbroken run of append-only segments (see
 * record.h for the framing, docs/spool.md for the format and its proofs). States of a message:
 *
 *   Q0 nothing on disk - Q1 content, no accept record: a crash drops it, nobody was told 250
 *   Q2 accept record durable: only now 250 - Q3 some outcomes - Q4 every recipient final
 *   Q5 its events acknowledged by every sink: reclaimable
 *
 * All commits of a loop turn are one aligned O_DIRECT write that is durable when it completes.
 * Effects in memory come after it: a pending leaves COMMITTING when its outcome is durable. A
 * failed write is final for its segment: waiting accepts fail (the session says 451), outcomes
 * are written again to a new segment until they stand. Where less is free than spool.min_free
 * (space.h), and where no segment can be made, accepts fail with -ENOSPC (452); the last spare
 * segment is never theirs. shard_outcome_room() says how many outcomes find room whatever happens
 * to the disk; who keeps to it when beginning attempts loses none, and what they finish frees
 * space.
 *
 * Thread: the owning engine.
 */
#pragma once

#include "io/blocking.h"
#include "queue/message.h"
#include "queue/space.h"
#include "queue/stub.h"

struct shard;
struct flows; /* an engine's interned flows and domains (flow.h) */

struct spool_settings {
    const char *directory;         /* state_dir/spool */
    uint64_t segment_size;         /* bytes; 0: 64 MiB */
    unsigned spare_segments;       /* recycled files kept ready a shard; 0: 2 */
    uint64_t resident_max;         /* bytes of messages kept in memory a shard; 0: 256 MiB */
    uint64_t memory_max;           /* all memory of the process that mail may use; 0: no cap */
    unsigned compact_live_percent; /* compact while less than this of the spool lives; 0: 50 */
};

/* Bytes of spare segments that a shard gives back when space is low and makes again afterwards. */
uint64_t spool_taken_back(const struct spool_settings *settings);

struct shard_hooks {
    void *context;
    /* A recipient is due: first attempt, retry, or found at start. It is READY and the callee's
     * until shard_commit() with its outcome or shard_postpone(). Called from the loop, never from
     * inside a shard_* call. At most `due_batch` (1,000) calls a turn. */
    void (*due)(void *context, struct shard *shard, struct pending *pending);
    /* Records became durable: for event sinks. Bytes are valid during the call. */
    void (*journaled)(void *context, struct shard *shard, uint64_t position, struct bytes records);
    /* The last unfinished recipient of a domain is gone. */
    void (*domain_idle)(void *context, struct domain *domain);
    /* The longest that a recipient of the domain is made to wait between two attempts: what was
     * deferred before the start is due by then, wherever the wall clock stood. */
    int64_t (*delay_max_ms)(void *context, const struct domain *domain);
    /* With recovers_later: the rest cannot be read, -EPROTO for what a later version wrote in it;
     * a sentence was logged. The shard never becomes whole: it is to be closed, and the program to
     * end, since what was accepted before is neither found nor due. Once, from the loop. */
    void (*recovery_failed)(void *context, struct shard *shard, int error);
};

struct shard_setup {
    struct engine *engine;
    struct blocking_pool *segment_pool; /* prepares and unlinks segment files; NULL: done at once */
    struct flows *flows;
    unsigned index;      /* of the shard: directory name and id prefix */
    bool is_adopted;     /* its engine is gone: deliver from it, accept nothing new */
    unsigned sink_count; /* event sinks whose cursors hold segments back */
    const struct spool_settings *settings;
    const struct space *space; /* NULL: there is always room but for what the disk says */
    struct shard_hooks hooks;
    bool recovers_later; /* shard_open() leaves most of the work to the engine's turns */
};

/* What recovery found; all of it is logged as well. */
struct recovery {
    uint64_t messages, recipients, segments, bytes_scanned, torn_bytes, damaged_records;
    int64_t took_ms;
};

/* Opens or creates, recovers, and schedules what is unfinished. Blocks: before the engine runs.
 * 0 or -errno with a sentence in why_out (at least 256 bytes): newer format, other node, locked.
 * With recovers_later it returns when mail can be accepted, and recovery_out stays empty; the rest
 * is read turn by turn, a segment each: until shard_is_whole() nothing of it is found or due. What
 * fails then is told by recovery_failed(). */
must_use int shard_open(const struct shard_setup *setup, struct shard **shard_out,
                        struct recovery *recovery_out, char *why_out);
/* Flushes what is buffered, then calls closed(); commits after this fail with -ESHUTDOWN. */
void shard_close(struct shard *shard, void (*closed)(void *context), void *context);
/* The time to stop is over: what waits for the disk fails with -ESHUTDOWN, as does what comes. Only
 * a write that the kernel has is still waited for. Before or after shard_close(). */
void shard_break_off(struct shard *shard);
void shard_free(struct shard **shard);          /* after closed() */
bool shard_is_whole(const struct shard *shard); /* everything is in memory that is unfinished */
unsigned shard_index(const struct shard *shard);
bool shard_is_adopted(const struct shard *shard);

/* --- content that is larger than one chunk, written while it arrives ------------------------- */

/* Writes up to CONTENT_CHUNK_MAX bytes; done() when the bytes were taken into the write (back-
 * pressure), not when durable: the accept record's commit covers them. On success the extent is
 * set. Bytes are copied before return. A transaction that ends without an accept just forgets its
 * extents; the space is dead. `message` is the one that the content is for: the space it stands in
 * is not reclaimed while that object lives, however long the client takes to send the rest. done()
 * puts the extent behind the others in message->content.extents: until the message is accepted the
 * shard may move pieces out of its oldest segment, and changes the extents in there. */
struct content_write {
    struct list_node node;
    struct message *message; /* referenced until done() */
    struct extent extent;
    bool is_copy; /* of what was accepted before: compaction's, also on a full disk */
    void (*done)(struct content_write *write, int result); /* 0, -ENOSPC, -EDQUOT, -EIO */
};
void shard_write_content(struct shard *shard, struct content_write *write, struct bytes chunk);

/* Reserves an id of this shard, for a Received field written before the commit. shard_commit()
 * keeps a message.id that is set and makes one where it is 0. */
struct message_id shard_next_id(struct shard *shard);

/* --- commits --------------------------------------------------------------------------------- */

/* What became of one recipient. The shard fills in event.shard/position/part/seq/id/time_ms when 0,
 * accepted_ms. kind: a final kind ends the pending; EVENT_DEFERRED needs next_attempt_ms and counts
 * an attempt. Marks say something of it, and its state stays as it is: EVENT_DELAYED, that the
 * notice went out, and EVENT_FORWARDED, that its copy for elsewhere stands in this commit. */
struct outcome {
    struct pending *pending;
    struct event event;
};

static inline bool outcome_is_mark(enum event_kind kind)
{
    return kind == EVENT_DELAYED || kind == EVENT_FORWARDED;
}

/*
 * One atomic step: all of it is recovered, or nothing. Accepts a message (or none) and records
 * outcomes (or none): a bounce and the DSN that tells of it are one commit.
 */
struct commit {
    struct list_node node;
    struct message *message; /* to accept; referenced by the shard on success */
    struct message **more;   /* ... others, behind it: a notice beside a bounce, answers */
    size_t more_count;
    struct outcome *outcomes; /* copied before shard_commit() returns */
    size_t outcome_count;
    /* Called once, later: 0 or -errno (-ENOSPC and -EDQUOT, see shard_why_full(), 452 4.3.1, -EIO
     * 451 4.3.0, -ENOMEM 452, -ESHUTDOWN 421, -EMSGSIZE 552: more than a segment holds). A commit
     * with outcomes does not fail, except with -ESHUTDOWN or -EMSGSIZE: it is retried until it
     * stands. */
    void (*done)(struct commit *commit, int result);
    int result_private;
};
void shard_commit(struct shard *shard, struct commit *commit);

/* Records an event that is no outcome: EVENT_REJECTED, an operator's command. Not waited for. False
 * if it is left out: the disk is full and too many wait, or the shard closes. */
must_use bool shard_note(struct shard *shard, const struct event *event);

/* Why accepting is refused: -ENOSPC, there is too little space; -EDQUOT, there is enough, but sinks
 * of events are too far behind (space.h); 0, it is not. */
must_use int shard_why_full(const struct shard *shard);
bool shard_is_full(const struct shard *shard);
/* Recipients whose outcomes will find room, in the spool and in the event files, also if the disk
 * is full from now on. Who has so many attempts and settlements under way begins no more. */
size_t shard_outcome_room(const struct shard *shard);

/* --- delivery's side ------------------------------------------------------------------------- */

/* Gives a READY pending back without an attempt (throttled, suspended, site at rest): due again at
 * due_ms (monotonic). Not on disk: after a crash it is due at once. */
void shard_postpone(struct shard *shard, struct pending *pending, int64_t due_ms);
/* A READY pending will not be tried soon (suspended, far back in line): nothing of its message is
 * kept in memory for its sake until it is READY the next time; shard_load() brings it. */
void shard_let_go(struct shard *shard, struct pending *pending);

/* Brings a message into memory (at once where resident, but done() is always called later) and
 * references it for the caller, who releases it with message_release(). */
struct load {
    struct list_node node;
    struct stub *stub;
    bool envelope_only; /* content.memory may stay empty */
    /* -EIO, -EBADMSG (damaged), -ENOMEM, -ENOENT (the last recipient became final meanwhile) */
    void (*done)(struct load *load, int result, struct message *message);
    void *owner_private;
    struct message_id id_private;
};
void shard_load(struct shard *shard, struct load *load);
/* It was read, and read again, and does not read back: no load will end well any more. Known since
 * the start only. */
bool shard_is_damaged(const struct shard *shard, const struct stub *stub);

/* Reads content of a message whose content is not resident, piece by piece (large ones). Result:
 * bytes read into the reader's own buffer, checked against the record's checksum. */
struct content_read {
    struct list_node node;
    void (*done)(struct content_read *read, int result, struct bytes piece); /* valid until next
                                                                 shard_read_content or _end */
    void *owner_private;
    struct read *read_private; /* zero before the first piece */
    struct message *message_private;
    size_t next_extent; /* of message->content; 0 before the first piece */
};
/* The next piece (at most CONTENT_CHUNK_MAX); result 0 at the end. */
void shard_read_content(struct shard *shard, struct message *message, struct content_read *read);
void shard_read_content_end(struct shard *shard, struct content_read *read); /* frees the buffer */

/* --- the operator's side --------------------------------------------------------------------- */

struct stub *shard_find(struct shard *shard, struct message_id id); /* NULL: finished or unknown */
/* Makes a SCHEDULED pending due now. False if it is in another state, and where its message has a
 * not-before that is to come. */
bool shard_retry_now(struct shard *shard, struct pending *pending);
/* Takes a SCHEDULED pending out for an outcome of the operator's (cancel): READY and the caller's.
 * False if it is in another state. */
bool shard_take(struct shard *shard, struct pending *pending);

/* The operator's side sees a shard once it is whole: before, nothing is found and a walk is at its
 * end at once.
 *
 * Visits stubs in slices: from *cursor (0 at first), at most `max` buckets a call; false at the
 * end. Stubs may come and go between slices; each that stays is visited once. */
bool shard_walk(struct shard *shard, uint64_t *cursor, size_t max,
                void (*visit)(void *context, struct shard *shard, struct stub *stub),
                void *context);

/* A sink has durably taken every event before `position`. */
void shard_sink_passed(struct shard *shard, unsigned sink, uint64_t position);
uint64_t shard_durable_position(const struct shard *shard);

/* Recipients, since the start. At any time: accepted + recovered = ended + unfinished. */
struct shard_sums {
    uint64_t accepted;
    uint64_t recovered;               /* unfinished when the program started */
    uint64_t ended[EVENT_KIND_COUNT]; /* by the final event, durable */
};

struct shard_status {
    struct shard_sums sums;
    int64_t unaccounted; /* what that sum is off by: must stay 0 */
    uint64_t messages, recipients, scheduled, ready, committing;
    uint64_t segments, bytes_used, bytes_live, spare_segments;
    uint64_t resident_bytes, resident_messages;
    uint64_t overdue;   /* broken invariant: unfinished and in none of these states; must stay 0 */
    bool is_full;       /* accepting is refused for want of space */
    bool is_recovering; /* the numbers still grow */
};
void shard_status(struct shard *shard, struct shard_status *out);
