/*
 * mbox_reader.h - mboxes taken apart (RFC 4155), as mboxrd and mboxo have them.
 *
 * A From_ line behind an empty line, with a date in it, begins a message; one ">" goes from lines
 * of the body that begin with ">From " or more of them. The empty line before a From_ line and at
 * the end is the mbox's. Content-Length is not believed.
 *
 * Flags come of Status, X-Status, X-Keywords and of Thunderbird's X-Mozilla-Status and
 * X-Mozilla-Keys; these fields, X-UID, X-IMAP, X-IMAPbase and Content-Length are the mbox's and
 * are left out of the message. Lines end as they do in the file.
 *
 * Pure, one thread. Memory: a line's beginning, whatever its length.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "inbound/import/import_taker.h"

struct mbox_message {
    uint64_t number; /* from 1 on */
    uint64_t flags;
    size_t keyword_count;
    struct bytes keywords[IMPORT_KEYWORDS_MAX]; /* until end() has returned */
    bool has_date;
    int64_t date_s;   /* of the From_ line, else of Date */
    bool is_internal; /* what c-client and Dovecot keep about the folder: no mail */
};

/* Each returns 0 to go on; anything else ends mbox_feed(), which returns it. */
struct mbox_events {
    void *context;
    int (*begin)(void *context);
    int (*data)(void *context, struct bytes b);
    int (*end)(void *context, const struct mbox_message *message);
};

enum mbox_place { MBOX_START, MBOX_HEADER, MBOX_BODY };

struct mbox_reader {
    const struct mbox_events *events;
    enum mbox_place place;
    bool is_after_empty;  /* the line before was empty, or there was none */
    bool is_in_long_line; /* its beginning was told already */
    bool skips_field;     /* the field that a line goes on is left out */
    struct bytes held;    /* an empty line that may be the mbox's; one of two constants */
    bool has_internal_subject, has_internal_field;
    struct mbox_message message;
    struct arena arena; /* of the message: keywords */
    struct buf line;
};

void mbox_begin(struct mbox_reader *reader, const struct mbox_events *events);
void mbox_free(struct mbox_reader *reader);
/* -EILSEQ: it is no mbox; else 0 or what an event said. */
must_use int mbox_feed(struct mbox_reader *reader, struct bytes b);
/* The file is over. */
must_use int mbox_finish(struct mbox_reader *reader);

/* "From anna@a.example Mon Mar  2 10:00:00 2026", without its line's end. *has_date_out: with a
 * date that is one; a line without any, "From ", is Thunderbird's. */
must_use bool mbox_read_from(struct bytes line, bool *has_date_out, int64_t *date_s_out);
