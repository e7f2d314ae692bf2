/*
 * work.h - what a session has from its login on: the maildrop, and the command that reads or
 * changes it, done on the pool in slices.
 *
 *   engine: command --> pop3_work_begin() --> pool: run ... run --> engine: next command
 *
 * run() is called until it is over; after each slice the engine sends what stands in `out`, and
 * asks for the next when most of that has drained. While a slice runs all of this is the pool's but
 * for session and is_abandoned; else the engine's. A work outlives its session: a last chore closes
 * what it has open.
 *
 * Private to the folder.
 */
#pragma once

#include <stdatomic.h>

#include "inbound/pop3/maildrop.h"
#include "inbound/pop3/session.h"

enum {
    WORK_OUT_MAX = 1 << 20,
    WORK_SLICE_BYTES = 256 << 10,
    WORK_SLICE_MS = 20,
};

struct pop3_work {
    struct chore chore;
    struct pop3 *pop3;
    struct pop3_session *session; /* NULL: it is gone */
    _Atomic bool is_abandoned;
    bool is_running, is_ending;
    struct maildrop maildrop;

    /* The command. */
    bool (*run)(struct pop3_work *work); /* true: it is over */
    bool is_over;
    bool is_last;     /* the session ends when `out` is sent */
    bool is_updating; /* QUIT: goes on to its end, whatever becomes of the session */
    struct buf out;
    int64_t slice_end_ms; /* monotonic */
};

/* Of who logged in; NULL: no memory. */
struct pop3_work *pop3_work_create(struct pop3_session *session, struct bytes address,
                                   uint64_t quota);
/* The session ends: nothing more is said. The work frees itself, later. */
void pop3_work_abandon(struct pop3_work **work);
size_t pop3_work_memory(const struct pop3_work *work);
/* On the engine: run() is called on the pool; the session waits in POP3_WORK. */
enum step pop3_work_begin(struct pop3_work *work, bool (*run)(struct pop3_work *work));
enum step pop3_work_step(struct session *session);

/* On the pool. */
bool pop3_work_is_full(const struct pop3_work *work); /* enough for this slice? */
/* What finds no room in `out` ends the session: it is out of bounds. */
void pop3_work_put(struct pop3_work *work, struct bytes b);
void pop3_work_printf(struct pop3_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
