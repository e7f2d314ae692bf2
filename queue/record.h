/*
 * record.h - the spool's bytes: a segment's header and trailer, the framing of records, and what
 * each record says. docs/spool.md draws all of it.
 *
 * A segment is block 0 (two copies of its header), then flushes. A flush starts at a block
 * boundary, holds batches and ends with a PAD up to the next boundary. A batch is a run of records
 * that stands or falls as one: its first has no FOLLOWS flag, its last no CONTINUES flag.
 * Every checksum is seeded with salt ^ sequence, so what an earlier life of a recycled file left
 * behind never validates. Numbers are little-endian; records are 8-aligned.
 *
 * What an ACCEPT says stands in accept_record.h, what a FOOTER says in segment.h.
 *
 * Pure functions over bytes; any thread. Nothing here trusts its input, except where it says so.
 */
#pragma once

#include "queue/message.h"

enum {
    SPOOL_FORMAT = 2, /* what is written; 1 is read */
    SPOOL_BLOCK = 4096,
    RECORD_HEADER_LEN = 32,
    RECORD_ALIGN = 8,
    RECORD_PAYLOAD_MAX = 64 * 1024 * 1024,
};

/* --- segment header and trailer -------------------------------------------------------------- */

struct segment_header {
    uint32_t format;
    uint16_t node;
    uint16_t shard;
    uint32_t sequence;
    uint32_t size; /* of the file */
    uint64_t salt;
    int64_t created_ms;  /* wall */
    uint64_t serial_max; /* highest message id serial given out when it was made */
};

enum segment_header_verdict {
    SEGMENT_HEADER_GOOD,
    SEGMENT_HEADER_BAD,   /* no copy validates */
    SEGMENT_HEADER_NEWER, /* good, of a later format: only `format` is set */
};

/* block: SPOOL_BLOCK bytes. */
void segment_header_encode(const struct segment_header *header, uint8_t *block);
must_use enum segment_header_verdict segment_header_decode(const uint8_t *block,
                                                           struct segment_header *out);
static inline uint64_t segment_seed(uint64_t salt, uint32_t sequence)
{
    return salt ^ sequence;
}

/* The last block of a closed segment. */
struct segment_trailer {
    uint32_t sequence;
    uint32_t data_end;      /* where the last flush ends */
    uint32_t footer_offset; /* of the FOOTER record, a block boundary */
    uint32_t footer_len;    /* of the whole record */
    uint64_t salt;          /* again: the header may be damaged */
    uint64_t serial_max;    /* highest message id serial in here and before */
    uint32_t whole_until;   /* every flush before it was written to its end; 0: nobody knows */
};

void segment_trailer_encode(const struct segment_trailer *trailer, uint8_t *block);
must_use bool segment_trailer_decode(const uint8_t *block, struct segment_trailer *out);

/* "<spool>/<shard:2 hex>/<sequence:16 hex>.seg" and the directory of it. */
enum { SPOOL_PATH_MAX = 1024 };
must_use bool segment_path(const char *spool, unsigned shard, uint32_t sequence,
                           char out[static SPOOL_PATH_MAX]);
must_use bool shard_path(const char *spool, unsigned shard, char out[static SPOOL_PATH_MAX]);
/* The sequence in a file's name; false if it is not a segment's. */
must_use bool segment_name_parse(const char *name, uint32_t *sequence_out);

static inline uint64_t position_of(uint32_t sequence, uint32_t offset)
{
    return (uint64_t)sequence << 32 | offset;
}
static inline uint32_t position_sequence(uint64_t position)
{
    return (uint32_t)(position >> 32);
}
static inline uint32_t position_offset(uint64_t position)
{
    return (uint32_t)position;
}

/* --- framing --------------------------------------------------------------------------------- */

enum record_type {
    RECORD_PAD = 1, /* up to the next block */
    RECORD_CONTENT, /* a piece of a message's content */
    RECORD_ACCEPT,  /* the promise; its content, if small, stands right before it in its batch */
    RECORD_OUTCOME, /* what became of one recipient: state, then the encoded event */
    RECORD_EVENT,   /* an encoded event that belongs to no message */
    RECORD_CUT,     /* first in a segment: an earlier one ends sooner than its bytes say */
    RECORD_FOOTER,  /* index of a closed segment; outside the run of flushes */
};

enum record_flag {
    RECORD_CONTINUES = 1, /* the batch goes on with the next record */
    RECORD_FOLLOWS = 2,   /* the batch began before this record */
    RECORD_MOVED = 4,     /* ACCEPT: a compacted copy with state; told before, yields no event */
};

struct record {
    enum record_type type;
    uint8_t version;
    uint8_t flags;
    uint32_t offset; /* of its header in the segment */
    uint32_t flush;  /* offset at which its flush began */
    uint64_t checksum;
    struct bytes payload;
};

/* Bytes a record of this payload takes: header, payload, zeros to the next multiple of 8. */
static inline size_t record_size(size_t payload_len)
{
    return RECORD_HEADER_LEN + ((payload_len + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1));
}

/* Each type has a version of its own; what is written has this one. */
unsigned record_version(enum record_type type);
/* False: a later version of ringpost wrote it, or its type is not known here. Such a record is not
 * to be taken for damage, for damage is skipped: who meets one does not go on. */
must_use bool record_is_known(const struct record *record);
const char *record_type_name(enum record_type type); /* "accept" */
/* "the accept record at offset 8192 is of version 9, which this version of ringpost does not
 * know" */
enum { RECORD_UNKNOWN_TEXT_MAX = 128 };
void record_unknown_text(const struct record *record, char out[static RECORD_UNKNOWN_TEXT_MAX]);

/* Writes the header, without place and checksums, and the zeros behind the payload. The payload
 * stands (or will stand, before sealing) at `at` + RECORD_HEADER_LEN. */
void record_begin(uint8_t *at, enum record_type type, unsigned flags, uint32_t payload_len);
/* Fixes a begun record's place and checksums. May be done again for another place. */
void record_seal(uint8_t *at, uint32_t offset, uint32_t flush, uint64_t seed);
/* Sets or clears flags of a begun record before it is sealed. */
void record_set_flags(uint8_t *at, unsigned flags);
/* The same of its version, for a record as an earlier format had it. */
void record_set_version(uint8_t *at, unsigned version);
size_t record_begun_size(const uint8_t *at);

enum record_verdict {
    RECORD_GOOD,
    RECORD_DAMAGED, /* the header is good, the payload is not: *out is set, the next one is known */
    RECORD_ABSENT,  /* no header validates here */
    RECORD_PARTIAL, /* a good header whose payload goes beyond the bytes given: *out is set */
};

/* Reads the record at the front of `bytes`, which stands at `offset` of its segment. */
must_use enum record_verdict record_read(struct bytes bytes, uint32_t offset, uint64_t seed,
                                         struct record *out);
/* As record_read() of a GOOD one, for bytes we just wrote: verifies nothing but the bounds. False
 * at the end. *bytes moves on behind the record. */
must_use bool record_next_trusted(struct bytes *bytes, struct record *out);
/* The first place at or after `from` (a multiple of 8) where a header validates, or bytes.len. */
size_t record_find(struct bytes bytes, size_t from, uint32_t base, uint64_t seed);

/* --- a run of flushes whose end nobody knows ------------------------------------------------- */

/*
 * Walks `bytes`, which stand at `base` of their segment (a record's place), and tells in order:
 * whole batches, record by record; damage, after which the neighbours go on, those of the same
 * batch included (is_alone); and the torn tail. Since one flush ends before the next begins, a bad
 * spot before a good record of a *later* flush is damage. Else the last flush was cut short there:
 * its incomplete batches are dropped, its whole ones stand (they may have been answered).
 */
struct record_scan {
    void *context;
    /* is_alone: another record of its batch is damaged. */
    void (*record)(void *context, const struct record *record, bool is_alone);
    /* len bytes at offset; `header` is the damaged record's where readable, else NULL. */
    void (*damage)(void *context, uint32_t offset, uint32_t len, const struct record *header);
    void (*torn)(void *context, uint32_t offset, uint32_t len);
    /* Place in the segment: before it nothing is torn, so what is bad there is damage. Or 0. Taken
     * down to a multiple of RECORD_ALIGN. */
    uint32_t whole_until;
};

struct record_scan_result {
    uint64_t records;
    uint64_t damaged;     /* spots */
    uint64_t torn_bytes;  /* of dropped batches and headers; not of stale bytes behind the end */
    uint32_t end;         /* segment offset behind the last good record, at least whole_until */
    uint32_t whole_until; /* before it nothing was torn; at most end */
};

/* Callbacks may be NULL. 0 or -ENOMEM. */
must_use int record_scan(struct bytes bytes, uint32_t base, uint64_t seed,
                         const struct record_scan *scan, struct record_scan_result *result_out);

/* The id alone, also of a damaged record; value 0 when it cannot be read. */
struct message_id record_message_id(const struct record *record);

/* --- OUTCOME, CUT ---------------------------------------------------------------------------- */

struct outcome_record {
    struct message_id id;
    uint32_t recipient; /* number */
    uint32_t seq;       /* of the event */
    int64_t due_ms;     /* wall; 0 when final */
    uint16_t attempts;  /* made so far */
    enum event_kind kind;
    struct bytes event; /* encoded, see event_decode() */
};

enum { OUTCOME_FIXED_LEN = 32 };
/* Writes the OUTCOME_FIXED_LEN bytes before the encoded event. */
void outcome_encode(const struct outcome_record *outcome, uint8_t *out);
must_use bool outcome_decode(const struct record *record, struct outcome_record *out);

/* Segment `sequence` ends at `offset`: a write there failed, and whatever of it reached the disk
 * is void. CUTs stand before all else in the segment that replaced it (at SPOOL_BLOCK). */
struct cut {
    uint32_t sequence;
    uint32_t offset;
};

enum { CUT_LEN = 8 };
void cut_encode(const struct cut *cut, uint8_t *out);
must_use bool cut_decode(const struct record *record, struct cut *out);
