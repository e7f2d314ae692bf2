/*
 * recover.h - the parts of start-up: recover_files.c finds and opens files, replay.c knows what is
 * in them, and recover.c, above both, makes them the shard's segments and their mail due.
 *
 * recover_begin() learns what must be known before anything new is accepted: which segments there
 * are, where the last one ends, which serials were given out. recover_step() then applies one
 * segment a call, from the oldest on, and at last schedules what is unfinished, while new mail is
 * accepted into segments behind all of these. Until it is over nothing is reclaimed or compacted,
 * and no recovered recipient is due.
 *
 * Private to queue/. Blocking: what it reads it waits for.
 */
#pragma once

#include "queue/shard_private.h"

struct recovering {
    struct shard *shard;
    struct recovery *result;
    char *why;
    uint32_t *sequences;
    size_t sequence_count, sequence_capacity;
    struct cut *cuts;
    size_t cut_count, cut_capacity;
    struct segment **trailing; /* empty so far, with nothing but empty ones behind */
    size_t trailing_count;
    uint32_t sequence_min;   /* of the next one: what a file said that is gone */
    struct segment *segment; /* being applied */
    uint8_t *block;
    const uint8_t *bytes;       /* of the segment being scanned, from SPOOL_BLOCK on */
    const struct segment *kept; /* looked at last: its bytes need not be read again */
    uint8_t *kept_bytes;
    size_t kept_len;
    struct record unknown; /* that a later version wrote; its payload is gone */
    bool has_unknown;
    size_t next, count; /* of the shard's segments: to be applied */
    uint32_t end;       /* later segments hold what was accepted since the start */
    uint64_t cursor;    /* of the walk that schedules */
    int64_t started_ms;
    int64_t wall_offset_ms; /* wall minus monotonic, of the start: one for all that is recovered */
};

/* Makes and locks the shard's directory and lists its segments, in order, in r->sequences. 0, or
 * -errno with a sentence in r->why, as the two below. */
must_use int recover_open_directory(struct recovering *r);
/* Opens a segment that is ours; *segment_out NULL: the file is gone or moved aside, it was none. */
must_use int recover_open_segment(struct recovering *r, uint32_t sequence,
                                  struct segment **segment_out);
/* Says in r->why what is wrong with a segment; returns `error`. */
int recover_fail(struct recovering *r, int error, const char *what, uint32_t sequence);
/* The same of one that was being read: for what a later version wrote in it (r->unknown) the
 * sentence says where. */
int recover_fail_reading(struct recovering *r, int error, uint32_t sequence);

/* Applies a segment by its footer. False, with some of it applied perhaps, when there is none that
 * is good: it has to be scanned, which leads to the same state. */
must_use bool replay_footer(struct recovering *r);
/* A record that a later version wrote: it is kept in r->unknown, and the start is to end. */
must_use bool replay_refuses(struct recovering *r, const struct record *record);
/* What a segment with a footer must say before it counts: a version that we know. 0 or -EPROTO with
 * r->unknown; the three below say the same of records. */
must_use int replay_look_at_footer(struct recovering *r, const struct segment_trailer *trailer);
/* What a segment without a footer says of the log's end and the serials; nothing is applied. Keeps
 * the bytes for replay_records(). */
must_use int replay_look(struct recovering *r, uint32_t end, struct record_scan_result *out);
/* The first `len` bytes behind the header, zeros where the disk does not give them; for free().
 * NULL: no memory. */
must_use uint8_t *replay_read(const struct segment *segment, size_t len);
/* Applies the records in [SPOOL_BLOCK, end) and sets data_end; whole_until as in record_scan(). */
must_use int replay_records(struct recovering *r, uint32_t end, uint32_t whole_until);
/* Gives a scanned segment its footer; without one the next start scans it again. */
void replay_write_footer(struct recovering *r);
must_use bool replay_read_trailer(struct recovering *r, const struct segment *segment,
                                  struct segment_trailer *trailer);
