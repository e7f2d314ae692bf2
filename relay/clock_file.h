/*
 * clock_file.h - what a start may believe of the wall clock: the file `clock` in state_dir.
 *
 * The spool tells ages by the wall clock. Within one boot of the machine the monotonic clock goes
 * on over a restart: so a start can tell whether the wall clock was set while nobody looked, and
 * the file says since when it had not been set before. Of another boot, or where there is no such
 * file, nothing is known.
 *
 * One line: "1", the boot's id, and in milliseconds the monotonic and the wall clock at one moment,
 * and the monotonic time since when the wall clock has not been set. It is not synced: a file that
 * a power cut takes is of another boot anyway.
 *
 * Thread: the main thread. It writes a hundred bytes without waiting for the disk.
 */
#pragma once

#include "base/clock.h"

enum { BOOT_ID_MAX = 64 };

struct clock_file {
    char path[4096];
    char boot[BOOT_ID_MAX]; /* empty: cannot be read, and no file is believed */
    int64_t steady_ms;      /* monotonic: since when the wall clock has not been set */
    int64_t written_ms;     /* monotonic */
};

/* Reads what the last run left, and writes it anew. Returns steady_ms: what was accepted since then
 * is as old as the wall clock says (delivery_setup.ages_sure_from_ms). */
int64_t clock_file_open(struct clock_file *file, const char *state_dir, struct clocks clocks);
/* Now and then, and at once when the wall clock was set. */
void clock_file_look(struct clock_file *file, struct clocks clocks, bool was_set);
