/*
 * blocking.h - pools of threads for what must block; they answer through the inbox.
 *
 * A pool has one purpose (segments of the spool; accounts' mail; the directory), with threads and a
 * bound of its own: a slow disk under one delays no other. Chores begin in the order in which they
 * were asked for; with one thread they are done in it. Of idle threads the last to become so is
 * woken.
 *
 * blocking_run() may be called from any thread; work() runs on one of the pool's, then
 * letter.open() on the engine that asked (or, with engine NULL, on the pool's thread).
 */
#pragma once

#include "io/engine.h"

struct blocking_pool;

struct chore {
    struct letter letter;              /* open() is the answer */
    struct engine *engine;             /* where the answer goes */
    void (*work)(struct chore *chore); /* on a thread of the pool */
    int64_t asked_us;                  /* the pool's */
};

struct blocking_settings {
    const char *name;     /* of the purpose, for threads and metrics: at most BLOCKING_NAME_MAX */
    unsigned threads;     /* at least one */
    unsigned waiting_max; /* chores that no thread has taken yet; at least one */
};
enum { BLOCKING_NAME_MAX = 12 };

struct blocking_status {
    char name[BLOCKING_NAME_MAX + 1];
    unsigned waiting, running;
    uint64_t done, refused; /* since the start; refused: the pool was full */
    int64_t wait_us_max;    /* the longest that a chore waited for a thread, or waits now */
};

/* Copies the settings. NULL with errno: no threads. */
struct blocking_pool *blocking_pool_start(const struct blocking_settings *settings);
/* Finishes all that was asked for, answers included, then ends the threads; nothing may be asked
 * any more. Clears *pool; NULL is fine. */
void blocking_pool_stop(struct blocking_pool **pool);
/* False, and the chore is the caller's still: the pool is full. */
must_use bool blocking_run(struct blocking_pool *pool, struct chore *chore);
void blocking_pool_status(struct blocking_pool *pool, struct blocking_status *out); /* any thread */
