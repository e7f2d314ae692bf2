/*
 * log_queue.h - bounded queues of log lines, one a thread, and the one thread that writes them.
 *
 * A line is copied with its time and level into the calling thread's queue; that neither waits nor
 * allocates after a thread's first line. The last eighth of a queue is kept for warnings and
 * errors. A line that finds no room is counted, and the writer tells in the log how many these are.
 * The lines of one thread keep their order; those of several are written as they are found.
 * Only log.c uses this.
 */
#pragma once

#include "base/log.h"

enum {
    LOG_LINE_MAX = 4096,         /* prefix and newline included */
    LOG_QUEUE_BYTES = 256 << 10, /* a thread */
};

struct log_entry {
    int64_t wall_ms;
    enum log_level level;
    uint32_t len;
    const char *text;
};

/* What log.c does with lines. Called by the writing thread alone, and these may wait. */
struct log_sink {
    /* Takes a line; the text dies on return. */
    void (*put)(const struct log_entry *entry);
    /* Everything put must go out now. */
    void (*flush)(void);
};

must_use bool log_queue_start(const struct log_sink *sink);
bool log_queue_is_running(void);
/* Queues a line of at most LOG_LINE_MAX bytes. False, and counted, when there is no room. */
bool log_queue_push(const struct log_entry *entry);
/* How many queues there are: as many as threads ever logged at one time. Any thread. */
unsigned log_queue_rings(void);
bool log_queue_flush(unsigned timeout_ms); /* log_flush() */
/* Ends the writing thread when it has written everything within this time; false when it has not
 * and goes on trying. */
bool log_queue_stop(unsigned timeout_ms);
