/*
 * sinks.h - all sinks of the program, and how much of the disk waits for them.
 *
 * The oldest file that a sink still needs, and all behind it, stays whatever the retention says.
 * When these files take more than the budget, either new mail is refused until they take less, or
 * what does not fit is given up, oldest first, and each sink concerned is told a gap record.
 *
 * Thread: any, one at a time for sinks_configure() and sinks_stop().
 */
#pragma once

#include <stdatomic.h>

#include "sink/sink.h"

enum sinks_full { SINKS_FULL_GAP, SINKS_FULL_REFUSE };

struct sinks_settings {
    uint64_t budget; /* bytes of closed event files; what is not compressed yet has 5 s for that */
    enum sinks_full full;
    size_t count;
    const struct sink_settings *sinks;
};

struct sinks;

/* `is_full` is set while new mail is to be refused. Starts its own thread; NULL with `why`. */
struct sinks *sinks_start(const struct sinks_settings *settings, const char *directory,
                          struct event_bounds *bounds, _Atomic bool *is_full, char *why,
                          size_t why_len);
/* Starts, stops and changes sinks. Those that do not start are logged; the others go on. */
void sinks_configure(struct sinks *sinks, const struct sinks_settings *settings);
/* A replay that is being looked for is broken off: there will be a stop. Any thread. */
void sinks_hurry(struct sinks *sinks);
/* Ends all of them by until_ms (monotonic). */
void sinks_stop(struct sinks **sinks, int64_t until_ms);

/* The same as sinks_pause() for a program that does not run; `directory` has the event files.
 * -ENOENT: there are none yet. */
must_use int sinks_pause_stopped(const char *directory, const char *name, uint64_t owner,
                                 bool is_paused);
/* 1: paused; 0; or -errno. Any time. */
must_use int sinks_is_paused(const char *directory, const char *name, uint64_t owner);
/* The place of a sink that will not come back. */
void sinks_forget(const char *directory, const char *name, uint64_t owner);

/* The status of each, in memory of the caller's; in the order in which they came. */
struct sink_status *sinks_status(struct sinks *sinks, size_t *count_out);
struct sinks_held {
    uint64_t bytes; /* closed event files that a sink still needs */
    uint64_t budget;
    bool is_full;
};
void sinks_held(struct sinks *sinks, struct sinks_held *out);
/* Of the sink with this name; -ENOENT: there is none. */
must_use int sinks_pause(struct sinks *sinks, const char *name, bool is_paused);
must_use int sinks_replay(struct sinks *sinks, const char *name, int64_t since_ms,
                          uint64_t *count_out);
