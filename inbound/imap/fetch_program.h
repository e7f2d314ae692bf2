/*
 * fetch_program.h - what FETCH asks for (RFC 9051 section 6.4.5), read.
 *
 * Pure, any thread; all of it is the arena's or the command's.
 */
#pragma once

#include "base/arena.h"
#include "inbound/mime/mime_section.h"

enum { FETCH_ITEMS_MAX = 100, FETCH_PATH_MAX = 100 /* numbers of a part */ };

enum fetch_kind {
    FETCH_FLAGS,
    FETCH_UID,
    FETCH_INTERNALDATE,
    FETCH_SIZE,
    FETCH_MODSEQ,
    FETCH_SAVEDATE, /* RFC 8514 */
    FETCH_EMAILID,  /* RFC 8474 */
    FETCH_THREADID,
    FETCH_ENVELOPE,
    FETCH_BODYSTRUCTURE,
    FETCH_BODY,    /* the same without extensions */
    FETCH_PREVIEW, /* RFC 8970 */
    FETCH_SECTION, /* BODY[...], and RFC822, RFC822.HEADER, RFC822.TEXT */
    FETCH_BINARY,  /* RFC 3516 */
    FETCH_BINARY_SIZE,
};

struct fetch_item {
    enum fetch_kind kind;
    struct bytes label; /* of a section: as it is told, without "<0>": "BODY[1.MIME]" */
    struct mime_section section;
    bool sets_seen;
    bool is_partial;
    uint64_t from, len; /* of a partial one */
};

struct fetch_program {
    size_t count;
    struct fetch_item *items;
    bool sets_seen;     /* one of them does */
    bool reads_message; /* one of them needs its bytes */
    bool wants_modseq;  /* MODSEQ is there, or CHANGEDSINCE: this enables CONDSTORE */
    bool has_since;     /* CHANGEDSINCE (RFC 7162 section 3.1.4) */
    bool has_vanished;  /* VANISHED (section 3.2.6) */
    uint64_t since;
};

/* What stands behind the sequence set and its space, to the end. False: BAD. */
must_use bool fetch_program_take(struct arena *arena, struct bytes *input,
                                 struct fetch_program *program_out);
/* Items alone, in parentheses. */
must_use bool fetch_program_take_list(struct arena *arena, struct bytes *input,
                                      struct fetch_program *program_out);
bool fetch_program_has(const struct fetch_program *program, enum fetch_kind kind);
/* One that is there already is not added again. False: there are too many. */
must_use bool fetch_program_add(struct fetch_program *program, enum fetch_kind kind);
