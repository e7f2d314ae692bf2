/*
 * blocking.h - a thread for what must block, which answers through the inbox.
 *
 * Preparing spool segments, unlinking, compressing event files: one thread does them in order.
 * blocking_run() may be called from any thread; work() runs on the blocking thread, then
 * letter.open() on the engine that asked (or, with engine NULL, on the blocking thread).
 */
#pragma once

#include "io/engine.h"

struct blocking; /* the thread */

struct chore {
    struct letter letter;              /* open() is the answer */
    struct engine *engine;             /* where the answer goes */
    void (*work)(struct chore *chore); /* on the blocking thread */
};

struct blocking *blocking_start(void); /* NULL with errno */
/* Finishes what was asked for, then ends the thread. */
void blocking_stop(struct blocking **blocking);
void blocking_run(struct blocking *blocking, struct chore *chore);
