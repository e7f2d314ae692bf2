/*
 * work.h - what a session has from its login on, and the command that touches mailboxes.
 *
 * A command is read on the engine, into the work's arena, and done on the pool in slices: run() is
 * called until it does not say WORK_MORE; after each slice the engine sends what stands in `out`,
 * and asks for the next when that has drained. At the end, where the command allows it, the session
 * is told what changed (view.h), then the tagged answer.
 *
 *   engine: parse --> work_begin() --> pool: run ... run, sync, answer --> engine: next command
 *
 * While a slice runs all of this is the pool's but for session and is_abandoned; else the engine's.
 * A work outlives its session: a last chore closes what it has open.
 *
 * Private to the folder.
 */
#pragma once

#include <stdatomic.h>

#include "inbound/imap/session.h"
#include "inbound/imap/view.h"

enum work_step {
    WORK_MORE, /* another slice */
    WORK_DONE, /* work_answer() was called, or nothing is to be said */
};

enum {
    WORK_ARENA_MAX = 8 << 20,
    WORK_OUT_MAX = 64 << 20, /* of a slice; what is larger comes in pieces */
    WORK_SLICE_BYTES = 256 << 10,
    WORK_SLICE_MS = 20,
    WORK_ANSWER_MAX = 512,
};

enum work_stage { STAGE_RUN, STAGE_SYNC, STAGE_ANSWER, STAGE_OVER };

/* What a sync may tell. */
enum work_sync {
    SYNC_NOTHING,
    SYNC_FLAGS, /* no message may go: RFC 9051 section 7.5.1 */
    SYNC_ALL,
};

struct append;
struct notify;

struct imap_work {
    struct chore chore;
    struct imap *imap;
    struct imap_session *session; /* NULL: it is gone */
    _Atomic bool is_abandoned;
    bool is_running, is_ending;

    /* Whose. */
    char *domain, *local;
    uint64_t quota;
    uint64_t message_size_max;
    struct mail_account *account; /* NULL: not opened yet */

    /* What ENABLE and others switched on. */
    bool is_rev2, is_utf8, has_condstore, has_qresync;

    /* The command. */
    enum work_step (*run)(struct imap_work *work);
    enum work_stage stage;
    enum work_sync sync;
    bool is_uid;                           /* UID FETCH and the like */
    void *state;                           /* the command's, in the arena */
    void (*ended)(struct imap_work *work); /* on the pool: gives up what state has; may be NULL */
    struct arena arena;
    struct buf out;
    int64_t slice_end_ms; /* monotonic */
    bool is_bye;          /* the session ends when `out` is sent */
    bool has_answer;      /* else nothing tagged is said */
    char tag[IMAP_TAG_MAX + 1];
    char answer[WORK_ANSWER_MAX];
    struct bytes answer_code; /* of the arena: what does not fit there; "[...] " */

    struct view view;                               /* of the selected mailbox */
    struct saved saved;                             /* SEARCHRES */
    void (*give_up_append)(struct imap_work *work); /* while there is one: append.c */
    struct append *append;                          /* append.c */
    struct mailbox_watch watch;                     /* while a mailbox is selected */
    bool is_watching;
    struct letter news;                           /* the watch's, to the engine */
    _Atomic bool is_news_posted;                  /* and not opened yet */
    _Atomic bool has_news;                        /* since the last sync */
    _Atomic bool has_notices;                     /* likewise, for NOTIFY */
    struct notify *notify;                        /* notify.h; NULL: it was never said */
    void (*close_notify)(struct imap_work *work); /* while there is one */
    unsigned own_events; /* that the command causes, and tells whatever NOTIFY says */
};

/* Of who logged in; NULL: no memory. */
struct imap_work *work_create(struct imap_session *session, struct bytes address, uint64_t quota);
/* The session ends: nothing more is said. The work frees itself, later. */
void work_abandon(struct imap_work **work);
size_t work_memory(const struct imap_work *work);

/* On the engine: a command begins, its arena is empty. */
void work_reset(struct imap_work *work, const char *tag);
/* run() is called on the pool; the session waits in IMAP_WORK. */
enum step work_begin(struct imap_work *work, enum work_step (*run)(struct imap_work *work),
                     enum work_sync sync);
enum step imap_work_step(struct session *session);

/* On the pool; answer.c. */
/* "OK [CODE] text" */
enum work_step work_answer(struct imap_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* There is something for NOTIFY. Any thread. */
void work_post_news(struct imap_work *work);
/* What an error of the store means to a client. */
enum work_step work_fail(struct imap_work *work, int error);
enum work_step work_bye(struct imap_work *work, const char *text);
/* Enough for this slice? */
bool work_is_full(const struct imap_work *work);
/* Appends to `out`. What finds no room ends the session: it is out of bounds. */
void work_put(struct imap_work *work, struct bytes b);
void work_printf(struct imap_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Opens the account where it is not: 0 or -errno. */
must_use int work_open_account(struct imap_work *work);
/* IMAP4rev2 or UTF8=ACCEPT: names in UTF-8. */
static inline bool work_tells_utf8(const struct imap_work *work)
{
    return work->is_rev2 || work->is_utf8;
}
static inline bool work_is_selected(const struct imap_work *work)
{
    return work->view.mailbox != NULL;
}
