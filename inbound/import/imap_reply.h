/*
 * imap_reply.h - what an IMAP server says, taken apart (RFC 9051 section 7). A server is not
 * trusted: a response is bounded, and so are its literals.
 *
 * A message's content does not pass through memory: the literal behind BODY[] is told while it
 * comes, and in the response NIL stands in its place.
 *
 * Pure, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum {
    IMAP_REPLY_MAX = 256 << 10, /* bytes of a response without content */
    IMAP_LISTED_FLAGS_MAX = 64,
};

struct imap_reader {
    struct buf reply;
    size_t line_start;     /* of the reply: what came behind the last literal */
    uint64_t literal_left; /* of one that comes */
    bool is_in_literal, streams;
    bool has_content; /* of this reply: content() was told all of it */
    bool is_whole;    /* the next feed begins a new one */
    uint64_t content_max;
    void *context;
    /* 0 to go on; anything else ends imap_reader_feed(), which returns it. */
    int (*content)(void *context, struct bytes b);
};

void imap_reader_begin(struct imap_reader *reader, uint64_t content_max, void *context,
                       int (*content)(void *context, struct bytes b));
void imap_reader_free(struct imap_reader *reader);
/* Takes bytes off *input. 1: reader->reply is a whole response, without its CRLF, until the next
 * call; 0: all was taken. -EMSGSIZE: too long; -EPROTO: two contents in one; or of content(). */
must_use int imap_reader_feed(struct imap_reader *reader, struct bytes *input);

enum imap_reply_kind { IMAP_REPLY_TAGGED, IMAP_REPLY_UNTAGGED, IMAP_REPLY_CONTINUE };

struct imap_reply {
    enum imap_reply_kind kind;
    struct bytes tag; /* of a tagged one */
    bool has_number;  /* "* 12 FETCH" */
    uint32_t number;
    struct bytes word; /* OK, NO, LIST, FETCH, ... */
    struct bytes rest; /* behind it and its space */
};
must_use bool imap_reply_read(struct bytes text, struct imap_reply *out);
/* A response code of the rest, "[UIDVALIDITY 12] text": a number by its name. */
must_use bool imap_reply_code(struct bytes rest, const char *name, uint32_t *number_out);
/* Whether a word stands in the rest, apart by spaces, in any case: of CAPABILITY. */
bool imap_reply_has(struct bytes rest, const char *word);

struct imap_fetched {
    uint32_t uid; /* 0: not told */
    bool has_size, has_date, has_body;
    uint64_t size;
    int64_t date_s;
    struct bytes body; /* told as a quoted string; ptr NULL: NIL, or content() was told */
    size_t flag_count;
    struct bytes flags[IMAP_LISTED_FLAGS_MAX]; /* more are left out */
};
/* The rest of a FETCH. Slices are of the text or the arena's. */
must_use bool imap_reply_fetch(struct arena *arena, struct bytes rest, struct imap_fetched *out);

struct imap_listed {
    bool is_selectable;
    uint8_t separator; /* 0: none */
    struct bytes name; /* as the server writes it */
};
must_use bool imap_reply_list(struct arena *arena, struct bytes rest, struct imap_listed *out);
/* The first prefix of one's own in a NAMESPACE (RFC 2342); empty where there is none. */
must_use bool imap_reply_namespace(struct arena *arena, struct bytes rest,
                                   struct bytes *prefix_out);
