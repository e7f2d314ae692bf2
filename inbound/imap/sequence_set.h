/*
 * sequence_set.h - "1:3,7,9:*": numbers of messages or UIDs (RFC 9051 section 9, sequence-set).
 *
 * Pure; any thread. What it holds is the arena's.
 */
#pragma once

#include "base/arena.h"

enum { SEQUENCE_LAST = 0 }; /* "*" that is not resolved yet: no number is 0 */

struct sequence_range {
    uint32_t from, to;
};

struct sequence_set {
    bool is_saved; /* "$": what the last SEARCH saved (RFC 9051 section 6.4.4.1) */
    size_t count;
    struct sequence_range *ranges; /* as they came, from and to in any order, until resolved */
};

/* False where it is none, or the arena is full. "$" only where takes_saved. */
must_use bool sequence_set_take(struct arena *arena, struct bytes *input, bool takes_saved,
                                struct sequence_set *set_out);
/* With ranges of its own. False: the arena is full. */
must_use bool sequence_set_copy(struct arena *arena, const struct sequence_set *set,
                                struct sequence_set *copy_out);
/* "*" becomes `last`, each range goes up, the ranges are in order and apart. Where there is none
 * (0), ranges with "*" go: "1:*" of an empty mailbox is no message, and not a mistake. */
void sequence_set_resolve(struct sequence_set *set, uint32_t last);
/* Of a resolved one. */
bool sequence_set_has(const struct sequence_set *set, uint32_t number);
/* The smallest number of a resolved set that is at least `from`, and those that follow it without
 * a gap; false: none is. */
must_use bool sequence_set_next(const struct sequence_set *set, uint32_t from,
                                struct sequence_range *run_out);

/* A set that grows number by number, in ascending order, as text: "1:3,7". */
struct buf;
struct sequence_writer {
    struct buf *out;
    uint32_t from, to; /* not written yet; from 0: nothing */
    bool has_written, has_failed;
};
void sequence_writer_add(struct sequence_writer *writer, uint32_t number);
/* What of from..to is in a resolved set; false: nothing. */
bool sequence_writer_add_common(struct sequence_writer *writer, const struct sequence_set *set,
                                uint32_t from, uint32_t to);
/* False: `out` was full. Nothing is written where nothing was added. */
must_use bool sequence_writer_end(struct sequence_writer *writer);
