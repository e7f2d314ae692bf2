/*
 * import_taker.h - what a source of mail tells of its folders and messages, to whom takes them.
 *
 *   folder() --> message: wants() --> begin() --> data() ... --> end()
 *                                                           --> bad()
 *
 * A source pushes: folder after folder, in each message after message. Whoever takes says 0 to go
 * on; anything below 0 ends the import, and the source returns IMPORT_STOPPED at once. wants() may
 * be left out where the key is known only when the message was read: end() finds out then.
 *
 * Thread: one.
 */
#pragma once

#include "base/bytes.h"

enum {
    IMPORT_KEYWORDS_MAX = 64,        /* of one message; more are left out */
    IMPORT_WHY_MAX = 256,            /* bytes of a reason */
    IMPORT_MESSAGE_MAX = 1024 << 20, /* bytes of a message; a larger one is a bad one */
    IMPORT_STOPPED = -10001,         /* by who takes: it knows why */
    IMPORT_FAILED = -10002,          /* the source; `why` says it */
};

struct import_message {
    struct bytes key;  /* what tells it from all others of its folder, the same in each run */
    const char *label; /* what people find it by */
    uint64_t flags;    /* MAIL_SEEN, ... of mailbox.h; no keywords */
    bool is_passed;    /* P of Maildir */
    uint64_t size;     /* where data() was left out */
    size_t keyword_count;
    struct bytes keywords[IMPORT_KEYWORDS_MAX];
    bool has_date;
    int64_t date_s; /* since 1970, UTC: INTERNALDATE */
};

enum import_answer { IMPORT_TAKE = 0, IMPORT_PASS = 1 /* leave it out */ };

struct import_taker {
    bool wants_content; /* else data() may be left out, for who has to fetch it */
    /* `name`: UTF-8, "/" between parts; INBOX. IMPORT_TAKE, IMPORT_PASS, below 0: end. */
    int (*folder)(struct import_taker *taker, struct bytes name);
    /* False: it was imported before, and has been counted. */
    bool (*wants)(struct import_taker *taker, struct bytes key);
    int (*begin)(struct import_taker *taker);
    int (*data)(struct import_taker *taker, struct bytes b);
    int (*end)(struct import_taker *taker, const struct import_message *message);
    /* A message, begun or not, that cannot be had: it stays where it is and is named. */
    void (*bad)(struct import_taker *taker, const char *label, const char *why);
    /* Something of the source that is no message and is left out; named as well. */
    void (*note)(struct import_taker *taker, const char *text);
};
