/*
 * shard_private.h - a shard's parts, for the files that make it up:
 *
 *   shard.c    its turn, what is due, the operator's side, open and close
 *   commit.c   commits and outcomes, staged
 *   effect.c   what changes in memory once they are durable
 *   flush.c    staging of batches, the write, its completion and its failure
 *   supply.c   segments prepared ahead, closed, reclaimed
 *   content.c  chunks written, messages and contents read back
 *   compact.c  moves what lives long out of the oldest segment
 *   arriving.c moves what a message that still arrives has written there
 *   damage.c   what does not read back: told, counted, copied aside
 *   recover.c  start-up, with recover_files.c and replay.c (recover.h)
 *
 * A circle of arriving.c, commit.c, compact.c, content.c, damage.c, effect.c, flush.c, recover.c,
 * recover_files.c, replay.c, shard.c and supply.c: one log, through which all goes. What is durable
 * has effects, effects free segments, what lives in the oldest is moved, what does not read back is
 * told, and each of these is committed again and wants the next flush.
 *
 * Thread: the owning engine.
 */
#pragma once

#include "queue/flow.h"
#include "queue/schedule.h"
#include "queue/segment.h"
#include "queue/shard.h"
#include "queue/stub_index.h"

enum {
    SPARES_MAX = 16,
    CUTS_MAX = SPOOL_BLOCK / (RECORD_HEADER_LEN + CUT_LEN) - 2,
    SINKS_MAX = 16,
    DUE_BATCH = 1000,
    PREPARE_RETRY_MS = 1000,
    STUB_REACH_MAX = (1 << 12) - 1,
    SEGMENT_SIZE_MIN = 64 * 1024,
    /* Set aside for what becomes of a recipient. Its record is some 350 bytes, and 2 KiB with long
     * addresses and replies, but in a flush of its own it takes a block. A notification now and
     * then is in what most leave over. */
    OUTCOME_ROOM = SPOOL_BLOCK,
};

/* --- staging --------------------------------------------------------------------------------- */

enum batch_kind { BATCH_COMMIT, BATCH_CONTENT, BATCH_NOTE, BATCH_MOVE };

/* A message that a batch accepts or moves. */
struct accepting {
    struct message *message; /* referenced; NULL in BATCH_MOVE */
    struct stub *stub;       /* the batch's until it is durable; in BATCH_MOVE the living one */
    uint32_t at;             /* in the staging: its ACCEPT record */
    uint32_t len;            /* of that */
    uint32_t content_len;    /* of the CONTENT records right before it */
    uint32_t first_segment;  /* where its extents begin; 0: inline */
    uint64_t far_len;        /* bytes of its extents */
};

struct batch {
    enum batch_kind kind;
    uint32_t start, len; /* in the staging */
    uint32_t index_len;  /* bound on its entries in the footer */
    struct commit *commit;
    struct content_write *write;
    struct damage *damage; /* that the note tells of; its copy is made once that stands */
    uint32_t accepting_from, accepting_count; /* of the staging's */
    uint32_t effect_count;                    /* the next ones of the staging */
};

/* What an outcome will change once it is durable. */
struct effect {
    struct pending *pending;
    int64_t due_ms; /* monotonic */
    struct outcome_entry entry;
};

struct staging {
    uint8_t *data; /* SPOOL_BLOCK-aligned */
    size_t len, capacity;
    struct batch *batches;
    size_t batch_count, batch_capacity;
    size_t waiting_count; /* the first ones: they stay when there is no space */
    struct accepting *accepting;
    size_t accepting_count, accepting_capacity;
    struct effect *effects;
    size_t effect_count, effect_capacity;
};

/* Puts the records of one batch behind each other. */
struct batch_writer {
    struct staging *staging;
    struct batch *batch;
    size_t last; /* of the record before; its CONTINUES falls at the end */
    unsigned last_flags;
};

/* --- shard ----------------------------------------------------------------------------------- */

struct supply {
    struct chore chore;
    enum { SUPPLY_IDLE, SUPPLY_MAKE, SUPPLY_RECYCLE, SUPPLY_REMOVE, SUPPLY_TRIM } doing;
    struct segment *segment;      /* recycled, removed, or a spare that is trimmed */
    struct segment_header header; /* of the one to come */
    char spool[SPOOL_PATH_MAX];
    int result;       /* fd or 0, or -errno */
    bool failed;      /* the last try to prepare one */
    int error;        /* what it failed with */
    int64_t retry_ms; /* not before */
    struct timeout retry;
};

struct compaction {
    struct segment *segment; /* being emptied; NULL: none */
    struct ids ids;          /* of what may live there */
    size_t next;
    unsigned copies; /* under way */
    bool is_listing; /* its footer is being read */
    bool has_failed; /* something in it cannot be read */
    struct op op;
    void *footer;
    int64_t rest_until_ms; /* after a round that could not move everything */
    struct timeout rest;
};

/* Messages with pieces in the spool and no accept yet, and the piece that is being moved. */
struct arriving {
    struct list messages;  /* message.arriving */
    struct message *moved; /* referenced; NULL: none is */
    size_t piece;          /* of its extents */
    struct content_read read;
    struct content_write write;
    int64_t rest_until_ms; /* after a piece that could not be moved */
};

/* Records that did not read back. */
struct damaged {
    struct ids copied;     /* positions whose copies stand in damaged/, or are on their way */
    struct ids seen;       /* positions found since the start */
    struct ids messages;   /* that cannot be read */
    struct list recovered; /* found while recovering, to be told */
    uint64_t copied_bytes;
    unsigned copying;
    bool is_full;
};

struct shard {
    struct engine *engine;
    struct blocking_pool *segment_pool; /* NULL: chores are done at once, where they arise */
    struct flows *flows;
    struct shard_hooks hooks;
    unsigned number;
    bool is_adopted;
    /* settings */
    char spool[SPOOL_PATH_MAX];
    uint32_t segment_size;
    unsigned spares_wanted; /* with the reserve */
    uint64_t resident_max, memory_max;
    unsigned compact_live_percent;
    const struct space *space;

    int lock_fd;
    struct segment **segments; /* oldest first; the open one, if any, last */
    size_t segment_count, segment_capacity;
    struct segment *open;
    struct segment *spares[SPARES_MAX]; /* in order of sequence */
    unsigned spare_count;
    uint32_t next_sequence;
    bool is_full;
    struct supply supply;
    unsigned footers; /* being written */

    uint64_t durable_position;
    uint64_t serial_last;
    struct stub_index index;
    struct schedule *schedule;
    uint64_t sink_positions[SINKS_MAX];
    unsigned sink_count;

    struct staging filling, flight;
    bool is_flushing;
    bool is_cutting; /* the flight is a block of CUT records */
    struct op flush_op;
    struct segment *flush_segment;
    int64_t flush_begun_us; /* monotonic */
    size_t flush_len, flush_written;
    unsigned flush_stalls;
    struct cut cuts[CUTS_MAX]; /* to be announced in the next segment */
    unsigned cut_count;
    struct buf event_buf;

    struct list failed_commits, failed_writes; /* to be told later */
    struct list ready_loads, waiting_loads;
    struct list ready_reads;
    struct list reads; /* struct read in flight */
    unsigned reads_in_flight;

    struct compaction compaction;
    struct arriving arriving;
    struct damaged damage;
    struct turn_hook hook;
    struct turn_end end;
    struct timeout due;
    int64_t due_armed_ms;

    struct recovering *recovering; /* NULL: every segment was read */
    struct recovery recovery;
    char why[256];
    bool is_closing, is_closed;
    bool has_failed;    /* to recover: the hook was told */
    bool is_broken_off; /* nothing is written any more */
    void (*closed)(void *context);
    void *closed_context;

    uint64_t messages, recipients, ready, committing;
    struct shard_sums sums;
    uint64_t bytes_used, bytes_live;
    uint64_t resident_bytes, resident_messages;
};

/* shard.c */
int64_t shard_wall_offset_ms(const struct shard *shard); /* wall minus monotonic */
/* The way into the schedule for all that waits: never before the message's not-before. */
void shard_schedule(struct shard *shard, struct pending *pending, int64_t due_ms);
/* Due at once whatever it waits for: it cannot be tried, only found out about. */
void shard_make_due(struct shard *shard, struct pending *pending);
uint32_t shard_segment_size(const struct spool_settings *settings);
unsigned shard_spares(const struct spool_settings *settings); /* with the reserve */

/* commit.c */
/* done() is told from the turn's hook. */
void shard_fail_later(struct shard *shard, struct commit *commit, int error);
/* As shard_note(); damage_told() is called once, perhaps at once. */
void shard_note_damage(struct shard *shard, const struct event *event, struct damage *damage);

/* effect.c */
/* A pending at work keeps its message in memory, if it is there. */
void pending_keep_message(struct pending *pending);
void pending_drop_message(struct shard *shard, struct pending *pending);
/* NULL: no memory. With a not-before that is set next. */
struct stub *stub_new(uint32_t recipient_count, bool has_not_before);
void stub_free(struct shard *shard, struct stub *stub);
/* Every pending that is not final is of a flow; the last one of a domain ends that. */
void shard_flow_join(struct shard *shard, struct pending *pending, const struct flow_part *part,
                     struct bytes domain);
void shard_flow_leave(struct shard *shard, struct pending *pending);
uint32_t stub_first_sequence(const struct stub *stub);
uint64_t stub_bytes(const struct stub *stub);
/* Its bytes stand there from now on, or no longer. */
void shard_attach_stub(struct shard *shard, struct stub *stub);
void shard_detach_stub(struct shard *shard, struct stub *stub);
void shard_apply_batch(struct shard *shard, const struct staging *staging,
                       const struct batch *batch, const struct effect *effects);
/* A batch that will not be: its message is not accepted. */
void shard_drop_batch(struct shard *shard, const struct staging *staging, struct batch *batch,
                      int error);
/* Before it is dropped: marks among its outcomes can be asked for again. */
void shard_forget_marks(struct shard *shard, const struct batch *batch,
                        const struct effect *effects);
void shard_make_resident(struct shard *shard, struct stub *stub, struct message *message);
void shard_drop_resident(struct shard *shard, struct stub *stub);

/* flush.c */
struct batch_writer batch_begin(struct staging *staging, enum batch_kind kind);
/* One of those that the batch accepts or moves; until the staging takes another. */
struct accepting *staging_accepting(const struct staging *staging, const struct batch *batch,
                                    size_t number);
/* Room for a record's payload, zeroed behind it. */
uint8_t *batch_add(struct batch_writer *writer, enum record_type type, unsigned flags, size_t len);
void batch_end(struct batch_writer *writer);
/* Content (if it is inline) and accept record. states: one a recipient when it is a moved copy. */
void batch_add_message(struct batch_writer *writer, struct message *message, uint32_t next_seq,
                       const struct recipient_state *states);
size_t inline_content_len(const struct message *message);
struct effect *staging_add_effect(struct staging *staging);
void staging_free(struct staging *staging);
bool shard_batch_fits(const struct shard *shard, size_t batch_len, size_t index_len);
/* The same of a message's moved copy, which is larger than what is accepted first. */
bool shard_copy_fits(const struct shard *shard, const struct message *message);
void flush_wanted(struct shard *shard);
void flush_turn_end(struct turn_end *end);
void flush_init(struct shard *shard);
void flush_drop_accepts(struct shard *shard, int error);
void flush_drop_all(struct shard *shard);

/* supply.c */
void supply_init(struct shard *shard);
struct segment *shard_segment(const struct shard *shard, uint32_t sequence); /* NULL: not there */
/* False when it was lost with a failed write, or reclaimed. */
bool shard_extent_stands(const struct shard *shard, const struct extent *extent);
void shard_append_segment(struct shard *shard, struct segment *segment);
/* Closes the open segment and opens the next spare; false: there is none (yet). */
bool supply_roll(struct shard *shard);
void supply_close_segment(struct shard *shard, struct segment *segment);
/* Less is free on the disk than there should be. */
bool supply_is_low(const struct shard *shard);
/* Bytes that outcomes can be written to whatever happens to the disk; at most a segment's. */
uint64_t supply_reserve_bytes(const struct shard *shard);
bool supply_is_dead(const struct shard *shard, const struct segment *segment);
/* What still stands in it may be moved: its records have no other use any more. */
bool supply_may_empty(const struct shard *shard, const struct segment *segment);
void supply_check(struct shard *shard); /* prepare, reclaim: whatever is wanted */
void supply_reserve_header(struct shard *shard, struct segment_header *header);
must_use bool segment_build_footer(struct shard *shard, struct segment *segment,
                                   int64_t wall_offset_ms, struct footer_writer *writer);

/* content.c */
/* What is read: one stretch of records of a segment. */
struct read {
    struct list_node node;
    struct op op;
    struct shard *shard;
    struct segment *segment; /* pinned */
    struct segment *oldest;  /* of a message: where its content begins; pinned, may be NULL */
    bool is_message;
    struct list loads; /* of a message: who wants it */
    void (*moved)(struct read *read, int result, struct message *message); /* or compaction */
    struct content_read *content; /* of a piece of content; NULL once ended */
    struct message_id id;
    uint8_t *buffer;
    uint32_t offset; /* of the first record */
    uint32_t len;
    uint32_t blocks_offset, blocks_len, blocks_read;
    uint32_t accept_offset;
    unsigned tries;
    bool envelope_only;
    bool is_busy;
    bool is_again; /* the first time it looked damaged */
};
void content_turn(struct shard *shard);
void content_fail_waiting(struct shard *shard);
/* Reads a message for itself, not resident. moved() is called once. */
void content_load_for_move(struct shard *shard, struct stub *stub,
                           void (*moved)(struct read *read, int result, struct message *message));

/* compact.c */
void compact_init(struct shard *shard);
void compact_turn(struct shard *shard);
void compact_stop(struct shard *shard);
void compact_moved(struct shard *shard); /* a copy stands, or failed */
bool compact_is_idle(const struct shard *shard);
/* So little of the spool lives that the oldest segment is to be emptied, and it can be. */
bool compact_is_worth(const struct shard *shard);

/* arriving.c */
void arriving_init(struct shard *shard);
void arriving_join(struct shard *shard, struct message *message); /* its first piece was taken */
void arriving_turn(struct shard *shard);
bool arriving_is_idle(const struct shard *shard);
void arriving_free(struct shard *shard); /* messages may outlive the shard */

/* recover.c */
must_use int recover_begin(struct shard *shard, struct recovery *recovery, char *why_out);
/* 1: there is more to do; 0: whole. -errno with a sentence at why_out. */
must_use int recover_step(struct shard *shard);
void recover_end(struct shard *shard); /* also in the middle */
