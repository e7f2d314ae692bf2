/*
 * search_program.h - what SEARCH, SORT and THREAD look for (RFC 9051 section 6.4.4), as a tree.
 *
 * Bounded: SEARCH_DEPTH_MAX deep, SEARCH_KEYS_MAX keys. Texts are as they came, in the charset of
 * the program. Pure, any thread; all of it is the arena's or the command's.
 */
#pragma once

#include "inbound/imap/sequence_set.h"

enum { SEARCH_DEPTH_MAX = 50, SEARCH_KEYS_MAX = 1000 };

enum search_kind {
    SEARCH_AND, /* of its children; none: all messages */
    SEARCH_OR,
    SEARCH_NOT,
    SEARCH_NUMBERS, /* set, of sequence numbers */
    SEARCH_UIDS,    /* set */
    SEARCH_FLAG,    /* text: "\\Seen" or a keyword */
    SEARCH_RECENT,
    SEARCH_LARGER,
    SEARCH_SMALLER,
    SEARCH_BEFORE, /* internal date: number is a midnight, of no zone */
    SEARCH_ON,
    SEARCH_SINCE,
    SEARCH_SENTBEFORE, /* Date of the header */
    SEARCH_SENTON,
    SEARCH_SENTSINCE,
    SEARCH_SAVEDBEFORE, /* save date (RFC 8514) */
    SEARCH_SAVEDON,
    SEARCH_SAVEDSINCE,
    SEARCH_SAVEDATESUPPORTED,
    SEARCH_OLDER, /* seconds (RFC 5032) */
    SEARCH_YOUNGER,
    SEARCH_HEADER, /* name, text */
    SEARCH_BODY,   /* text */
    SEARCH_TEXT,
    SEARCH_MODSEQ,  /* number (RFC 7162 section 3.1.5) */
    SEARCH_EMAILID, /* text (RFC 8474) */
    SEARCH_THREADID,
};

struct search_key {
    enum search_kind kind;
    struct sequence_set set;
    struct bytes name, text;
    int64_t number;  /* of SEARCH_HEADER, while it runs: source_kept_field() */
    void *of_search; /* what whoever runs it keeps for it */
    struct search_key *first, *next;
};

/* RETURN (RFC 9051 section 6.4.4). */
enum search_return {
    SEARCH_RETURN_MIN = 1,
    SEARCH_RETURN_MAX = 2,
    SEARCH_RETURN_ALL = 4,
    SEARCH_RETURN_COUNT = 8,
    SEARCH_RETURN_SAVE = 16,
};

struct search_program {
    bool has_return; /* RETURN was there: the answer is an ESEARCH */
    unsigned returns;
    struct bytes charset; /* empty: none was named */
    bool has_modseq;      /* it looks at mod-sequences */
    struct search_key *root;
    /* private */
    struct arena *arena;
    size_t count;
};

/* What stands behind "SEARCH". False: BAD. */
must_use bool search_program_take(struct arena *arena, struct bytes *input,
                                  struct search_program *program_out);
/* Keys alone, to the end; of SORT and THREAD, behind the charset. */
must_use bool search_program_take_keys(struct arena *arena, struct bytes *input,
                                       struct search_program *program_out);
