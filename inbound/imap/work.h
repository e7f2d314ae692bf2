/*
 * work.h - what a session has from its login on, and the command that touches mailboxes
 * (inbound/access/work.h).
 *
 * A command is read on the engine, into the work's arena, and done in slices: run() is called until
 * it does not say WORK_MORE. Slices are the pool's, but the first of a quick command may be the
 * engine's, which holds the selected mailbox meanwhile (mailbox_hold()) and waits for nothing: what
 * would says work_want_pool() and WORK_MORE, and is called again. At the end, where the command
 * allows it, the session is told what changed (view.h), then the tagged answer.
 *
 *   engine: parse --> work_begin() --> slices: run ... run, sync, answer --> engine: next command
 *
 * Private to the folder.
 */
#pragma once

#include "inbound/access/work.h"
#include "inbound/imap/put.h"
#include "inbound/imap/session.h"
#include "inbound/imap/view.h"

enum work_step {
    WORK_MORE, /* another slice */
    WORK_DONE, /* work_answer() was called, or nothing is to be said */
};

enum {
    WORK_ARENA_MAX = 8 << 20,
    WORK_OUT_MAX = 64 << 20,
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
    struct access_work access;
    uint64_t message_size_max;
    int64_t progress_interval_ms;
    struct mail_account *account; /* NULL: not opened yet */

    /* What ENABLE and others switched on. */
    bool is_rev2, is_utf8, has_condstore, has_qresync, is_uidonly;

    /* The command. */
    enum work_step (*run)(struct imap_work *work);
    enum work_stage stage;
    enum work_sync sync;
    bool is_uid;                           /* UID FETCH and the like */
    bool is_quick;                         /* the engine may run it while it holds the mailbox */
    bool is_news;                          /* nobody asked: it tells what the watch told of */
    void *state;                           /* the command's, in the arena */
    void (*ended)(struct imap_work *work); /* on the pool: gives up what state has; may be NULL */
    struct arena arena;
    int64_t progress_ms; /* monotonic: progress was told last, or the command began */
    bool has_answer;     /* else nothing tagged is said */
    char tag[IMAP_TAG_MAX + 1];
    char answer[WORK_ANSWER_MAX];
    struct bytes answer_code; /* of the arena: what does not fit there; "[...] " */
    bool tells_modseq;        /* an OK has HIGHESTMODSEQ, as of the sync before it */

    struct mailbox *held;                           /* by the engine, for this slice */
    struct view view;                               /* of the selected mailbox */
    struct saved saved;                             /* SEARCHRES */
    void (*give_up_append)(struct imap_work *work); /* while there is one: append.c */
    struct append *append;                          /* append.c */
    struct mailbox_watch watch;                     /* while a mailbox is selected */
    bool is_watching;
    uint8_t news_turns;          /* in which IDLE did not tell them, for somebody had the mailbox */
    bool keeps_queue;            /* the selected one is Queue: queue.h */
    struct letter news;          /* the watch's, to the engine */
    _Atomic bool is_news_posted; /* and not opened yet */
    _Atomic bool has_news;       /* since the last sync */
    _Atomic bool has_notices;    /* likewise, for NOTIFY */
    struct notify *notify;       /* notify.h; NULL: it was never said */
    void (*close_notify)(struct imap_work *work); /* while there is one */
    unsigned own_events; /* that the command causes, and tells whatever NOTIFY says */
};

static inline struct imap_work *imap_work_from(struct access_work *access)
{
    return container_of(access, struct imap_work, access);
}
/* NULL: nobody logged in. */
static inline struct imap_work *imap_work_of(const struct imap_session *session)
{
    struct access_work *access = session->access.work;

    return access != NULL ? imap_work_from(access) : NULL;
}

/* The kind's (inbound/access/session.h). */
void work_init(struct access_work *access);
bool work_run(struct access_work *access);
bool work_enter(struct access_work *access);
void work_leave(struct access_work *access);
void work_close(struct access_work *access);
bool work_is_held(const struct access_work *access);
void work_free(struct access_work *access);
/* What it has beside itself. */
size_t work_memory(const struct imap_work *work);

/* On the engine: a command begins, its arena is empty, and it is not quick. */
void work_reset(struct imap_work *work, const char *tag);
/* run() is called; the session waits in ACCESS_WORK. */
enum step work_begin(struct imap_work *work, enum work_step (*run)(struct imap_work *work),
                     enum work_sync sync);

/* In a slice; answer.c. */
/* "OK [CODE] text" */
enum work_step work_answer(struct imap_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* There is something for NOTIFY. Any thread. */
void work_post_news(struct imap_work *work);
/* What an error of the store means to a client. */
enum work_step work_fail(struct imap_work *work, int error);
enum work_step work_bye(struct imap_work *work, const char *text);
/* The slice is the engine's: nothing may wait. */
static inline bool work_is_on_engine(const struct imap_work *work)
{
    return work->access.is_on_engine;
}
/* What it holds, before the slice is over. */
void work_let_go(struct imap_work *work);
/* It would: the slice is over, the pool's goes on where this stood. */
static inline void work_want_pool(struct imap_work *work)
{
    check(work->access.is_on_engine);
    work->access.wants_pool = true;
}
static inline bool work_is_full(const struct imap_work *work)
{
    return access_work_is_full(&work->access);
}
static inline void work_put(struct imap_work *work, struct bytes b)
{
    access_put(&work->access, b);
}
static inline void work_put_number(struct imap_work *work, uint64_t number)
{
    if (!imap_put_number(&work->access.out, number))
        work->access.is_last = true;
}
/* Room to write in place, then work_extend(). NULL: it is out of bounds, and the session ends. */
static inline uint8_t *work_reserve(struct imap_work *work, size_t len)
{
    uint8_t *at = buf_reserve(&work->access.out, len);

    work->access.is_last |= at == NULL;
    return at;
}
static inline void work_extend(struct imap_work *work, const uint8_t *at, const uint8_t *end)
{
    buf_extend(&work->access.out, (size_t)(end - at));
}
#define work_printf(work, ...) access_printf(&(work)->access, __VA_ARGS__)
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
