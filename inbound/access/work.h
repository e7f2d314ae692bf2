/*
 * work.h - what a session has from its login on, and the command that touches mailboxes, done in
 * slices on the pool.
 *
 *   engine: access_work_begin() --> pool: work_run() ... work_run() --> engine: worked()
 *
 * The kind's work_run() is called until it says that it is over or the slice is full; after each
 * slice the engine sends what stands in `out`, and asks for the next when most of that has drained.
 *
 * The way to the pool and back costs more than most commands do. So the first slices of one that
 * the kind can do without waiting (work_enter()) run on the engine, while the turn has time for it
 * (io/turn_budget.h). What finds there that it would wait says so by `wants_pool` and returns: it
 * goes on on the pool, as does what is long.
 *
 * While a slice runs all of this is the pool's but for session and is_abandoned; else the engine's.
 * A work outlives its session: a last chore closes what it has open.
 *
 * A protocol embeds it as the first member of its own.
 */
#pragma once

#include <errno.h>
#include <stdatomic.h>

#include "inbound/access/session.h"
#include "io/blocking.h"

enum {
    ACCESS_SLICE_BYTES = 256 << 10,
    ACCESS_SLICE_MS = 20,
    ACCESS_UNSENT_MAX = 64 << 10, /* of the last slice, when the next begins */
    ACCESS_ENGINE_US = 8000,      /* of a command, in all its slices there */
};

struct access_work {
    struct chore chore;
    struct access *owner;
    struct access_session *session; /* NULL: it is gone */
    _Atomic bool is_abandoned;
    bool is_running, is_ending;

    /* Whose. */
    char *domain, *local;
    uint64_t quota;
    char *tenant; /* whose mail its folder Queue shows; NULL: it has none */

    /* The command. */
    bool is_over;
    bool is_last;   /* the session ends when `out` is sent */
    bool is_update; /* goes on to its end, whatever becomes of the session */
    struct buf out;
    bool says_much;       /* the last slice was full of it */
    int64_t slice_end_ms; /* monotonic, coarse */
    bool is_on_engine;    /* this slice: it must not wait */
    bool wants_pool;      /* it would have to */
    int64_t engine_us;    /* that its slices there took */
};

/* Of who logged in; NULL: no memory. */
struct access_work *access_work_create(struct access_session *session, struct bytes address,
                                       uint64_t quota, struct bytes tenant);
/* The session ends: nothing more is said. The work frees itself, later. */
void access_work_abandon(struct access_work **work);
/* A reason of the kind's work_is_held() went. */
void access_work_look_if_over(struct access_work *work);
/* On the engine: work_run() is called here or on the pool; the session waits in ACCESS_WORK. */
enum step access_work_begin(struct access_work *work);
enum step access_work_step(struct session *session);

/* In a slice. An error of what it needs: on the engine -EAGAIN says that it would wait; then true,
 * and the pool goes on where this stood. */
static inline bool access_work_would_wait(struct access_work *work, int error)
{
    if (error != -EAGAIN || !work->is_on_engine)
        return false;
    work->wants_pool = true;
    return true;
}
bool access_work_is_full(const struct access_work *work); /* enough for this slice? */
/* What finds no room in `out` ends the session: it is out of bounds. */
void access_put(struct access_work *work, struct bytes b);
void access_printf(struct access_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
