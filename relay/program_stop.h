/*
 * program_stop.h - the stages of a stop, and the wait for the workers.
 *
 *   signal ---attempts---> attempts_ms ---disk---> disk_ms ---events---> files_ms --> end_ms
 *
 * Each stage leaves the next some time, so that all of them together keep stop_timeout. With one of
 * a second or two it takes as much longer as they need. All times are monotonic.
 *
 * Thread: the main one.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct program;

/* Who may wait until when. */
struct stop_times {
    int64_t attempts_ms; /* sessions and attempts */
    int64_t disk_ms;     /* outcomes that are being written */
    int64_t files_ms;    /* their events */
    int64_t end_ms;      /* threads that do not come back */
};

/* From now on. */
struct stop_times stop_times_of(unsigned timeout_s);
/* Closes the ports and waits for the workers, which have all been started; one of the blocked
 * `signals` more breaks off what they wait for. */
void program_drain(struct program *program, const sigset_t *signals,
                   const struct stop_times *times);
/* After a start that failed half-way: whatever runs is stopped without ado. */
void program_drop_workers(struct program *program);
/* Have all workers ended? */
bool program_has_stopped(const struct program *program);
