/*
 * index_format.h - the bytes of a mailbox's index: a header, frames, entries.
 *
 * ringpost.index in the folder's directory: INDEX_HEADER bytes, then frames. A frame is what was
 * done at once: u32 length and u32 checksum of its body, which begins with u64 number (1, 2, ...),
 * u64 modseq and u64 ceiling, u32 uidnext and u32 whether it is part of the snapshot; then entries,
 * zeros to a multiple of 8. The first frames are the snapshot: header.snapshot of them. Behind the
 * last there may be zeros, which are room for more.
 *
 * The ceiling is above every modseq that anybody can have seen before the next frame was durable.
 * Integers are little-endian. Pure, any thread. Private to this folder.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/file_name.h"

enum {
    INDEX_HEADER = 64,
    INDEX_FRAME_HEAD = 40,      /* length, checksum, and the fields before its entries */
    INDEX_FRAME_MAX = 64 << 20, /* of a body */
    INDEX_MESSAGE_MIN = 59,     /* a message's entry has no less: so a lost tail has no more */
};

struct index_header {
    uint32_t uidvalidity;
    uint8_t id[16];
    uint64_t snapshot;        /* frames */
    uint32_t messages, names; /* of it: how many, and bytes of their names; 0: not told */
};

struct index_frame {
    uint64_t number, modseq, ceiling;
    uint32_t uidnext;
    bool is_snapshot;
    struct bytes entries;
};

enum index_kind {
    INDEX_MESSAGE = 1,
    INDEX_FLAGS,    /* as they are now; the frame's modseq */
    INDEX_EXPUNGE,  /* the frame's modseq */
    INDEX_LETTERS,  /* its file was renamed */
    INDEX_CACHE,    /* where what was computed of it lies */
    INDEX_LINES,    /* how many lines end in LF alone */
    INDEX_KEYWORD,  /* number, letter plus one (0: none), name */
    INDEX_VANISHED, /* an expunged one that is remembered */
    INDEX_FLOOR,    /* what went up to this modseq is not remembered */
    INDEX_STAMP,    /* of dovecot-uidlist, as we wrote or read it */
    INDEX_CLOSED,   /* nothing was lazy any more; when new/ and cur/ were changed last */
    INDEX_KINDS,
};

struct index_entry {
    enum index_kind kind;
    uint8_t bits, number, letter;
    uint32_t uid, letters, internal_s, saved_s, lines_lf, cache;
    uint64_t flags, modseq, email_id, file_size;
    uint64_t stamp, stamp_cur;
    struct bytes name; /* of a message: its base; of a keyword */
};

void index_header_format(const struct index_header *header, uint8_t out[static INDEX_HEADER]);
must_use bool index_header_parse(struct bytes text, struct index_header *out);

/* The next one off the front; false: there is none, or it is damaged. */
must_use bool index_frame_take(struct bytes *text, struct index_frame *out);
/* false: the entries end, or make no sense. */
must_use bool index_entry_take(struct bytes *entries, struct index_entry *out);

/* A frame is begun, gets entries and is ended; its place is what begin returned. */
size_t index_frame_begin(struct buf *out);
void index_entry_put(struct buf *out, const struct index_entry *entry);
void index_frame_end(struct buf *out, size_t place, const struct index_frame *frame);
