/*
 * stop_guard.h - ends the process when its stop hangs.
 *
 * A stop waits for threads, and a thread may wait for a disk that never answers: then no deadline
 * is kept. What is durable stays so whatever moment the process ends at; a kill -9 by whoever
 * waits for us would do the same, later.
 */
#pragma once

#include "base/bytes.h"

struct stop_guard;

/* From deadline_ms (monotonic) on: one line in the log, and exit with `code`. */
struct stop_guard *stop_guard_start(int64_t deadline_ms, int code);
void stop_guard_cancel(struct stop_guard **guard); /* NULL: nothing to do */
