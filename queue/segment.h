/*
 * segment.h - one file of a shard, and its index.
 *
 * SPARE (prepared, empty) -> OPEN (the one that is appended to) -> CLOSED, or FAILED when a write
 * or sync went wrong: its bytes behind data_end are void. Reclaimed from the oldest end only, once
 * nothing begins in it that lives, no message in memory pins it and every sink has passed it.
 *
 * Private to queue/. Thread: the engine's; segment_make() and its likes run where blocking is fine.
 */
#pragma once

#include "queue/accept_record.h"
#include "queue/stub.h"

struct shard;

enum segment_state { SEGMENT_SPARE, SEGMENT_OPEN, SEGMENT_CLOSED, SEGMENT_FAILED };

/* What the index says of one outcome record. */
struct outcome_entry {
    uint64_t id;
    int64_t due_ms; /* wall */
    uint32_t recipient;
    uint32_t seq;
    uint16_t attempts;
    uint8_t kind;
};

struct ids {
    uint64_t *values;
    size_t count, capacity;
};

struct segment {
    struct shard *shard; /* NULL: the shard is gone, pins keep the object */
    uint32_t sequence;
    uint32_t size;
    uint32_t format; /* of its header: what a program of an older format may find in it */
    uint64_t salt;
    int fd;
    enum segment_state state;
    uint32_t data_end;      /* durable up to here: the next flush begins here */
    uint32_t whole_until;   /* torn behind this, found by recovery; 0: not torn (segment_trailer) */
    uint32_t index_len;     /* bound on what the footer will take */
    uint32_t footer_offset; /* 0: no footer (yet) */
    uint32_t footer_len;
    bool is_busy;        /* its footer is being written */
    uint32_t live_count; /* unfinished messages whose first byte stands here */
    unsigned pins;       /* messages in memory that may be read from here, reads in flight */
    struct ids accepted; /* messages whose accept stands here, until the footer has them */
    struct ids far;      /* messages that begin here and were accepted in a later segment */
    struct outcome_entry *outcomes; /* for messages accepted in an earlier segment */
    size_t outcome_count, outcome_capacity;
};

static inline uint64_t segment_record_seed(const struct segment *segment)
{
    return segment_seed(segment->salt, segment->sequence);
}

must_use bool ids_add(struct ids *ids, uint64_t value);
void ids_free(struct ids *ids);

/* Of the header's format, sequence, size and salt. NULL: no memory. */
struct segment *segment_new(struct shard *shard, const struct segment_header *header, int fd);
/* Closes and frees; with pins left, the last segment_unpin() does. */
void segment_free(struct segment **segment);
void segment_pin(struct segment *segment);
void segment_unpin(struct segment *segment);
void segment_add_outcome(struct segment *segment, const struct outcome_entry *entry);
void segment_forget_index(struct segment *segment);

/* --- files: blocking ------------------------------------------------------------------------- */

/* Makes a file of zeros with a header. fd or -errno; on failure nothing is left behind. */
must_use int segment_make(const char *spool, const struct segment_header *header);
/* Gives the file of a dead segment a new life. From the first write on the old one is gone. */
must_use int segment_recycle(const char *spool, int fd, uint32_t old_sequence,
                             const struct segment_header *header);
must_use int segment_remove(const char *spool, unsigned shard, uint32_t sequence);

/* --- footer ---------------------------------------------------------------------------------- */

/* What the footer says of one accept record: everything a stub needs. A footer of version 1 knows
 * no tenant, and none of its messages has a class or a not-before. */
struct accept_entry {
    uint64_t id;
    uint32_t offset, len, content_len;
    uint32_t accepted_s;
    uint32_t next_seq;
    uint32_t recipient_count;
    uint32_t reach;
    bool is_inline, is_moved, is_received;
    enum mail_class class;
    enum mail_tls tls; /* of its flows */
    struct bytes tenant;
    int64_t not_before_ms;   /* wall; 0: none */
    struct bytes recipients; /* undecoded */
};

/* Bound on an entry in the footer. */
size_t footer_accept_len(const struct message *message);
enum { FOOTER_OUTCOME_LEN = 32, FOOTER_FIXED_LEN = 16 };
/* Bytes at the end of the file that the footer takes, given the entries' length. */
static inline uint32_t footer_room(size_t entries_len)
{
    size_t record = record_size(FOOTER_FIXED_LEN + entries_len);

    return (uint32_t)((record + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK + SPOOL_BLOCK);
}

struct footer_writer {
    uint8_t *data; /* blocks for the end of the file, then the trailer; for free() */
    size_t len, capacity;
    uint32_t accepts, outcomes;
    unsigned version;
};

/* `format` of the segment: one of format 1 gets a footer as programs of that time read it. */
must_use bool footer_begin(struct footer_writer *writer, size_t entries_len_max, unsigned format);
/* wall_offset_ms: wall minus monotonic. */
must_use bool footer_add_accept(struct footer_writer *writer, const struct stub *stub,
                                int64_t wall_offset_ms);
must_use bool footer_add_outcome(struct footer_writer *writer, const struct outcome_entry *entry);
/* Sets footer_offset and footer_len of the segment; writer->data, writer->len are to be written at
 * footer_offset. False when it does not fit behind data_end. */
must_use bool footer_finish(struct footer_writer *writer, struct segment *segment,
                            uint64_t serial_max);

struct footer_reader {
    struct bytes accepts_rest;
    uint32_t accepts, outcomes; /* left */
    unsigned version;
};

/* `bytes` are those at footer_offset. */
must_use bool footer_open(struct bytes bytes, uint32_t offset, uint64_t seed,
                          struct footer_reader *out);
/* All accepts first, then the outcomes. False at the end or on nonsense. */
must_use bool footer_next_accept(struct footer_reader *reader, struct accept_entry *out);
must_use bool footer_next_outcome(struct footer_reader *reader, struct outcome_entry *out);
must_use bool footer_next_recipient(struct accept_entry *entry, struct bytes *domain_out,
                                    struct recipient_state *state_out);
