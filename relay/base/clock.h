/*
 * clock.h - the two clocks.
 *
 * Monotonic time (milliseconds since boot) orders deadlines in memory. Wall time (milliseconds
 * since 1970, UTC) stands in records, events and headers. Engines cache both once a turn and hand
 * them on (engine_now_ms); these functions are for everybody else. Any thread.
 */
#pragma once

#include <time.h>

#include "base/bytes.h"

int64_t clock_monotonic_ms(void);
/* `ms` from now, as a condition of CLOCK_MONOTONIC waits until. */
struct timespec clock_monotonic_after(int64_t ms);
int64_t clock_monotonic_us(void);
/* As of the kernel's last tick, some milliseconds ago: for who asks very often. */
int64_t clock_monotonic_coarse_ms(void);
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);

/* Both at one moment. What one is minus the other changes when somebody sets the wall clock, so
 * deadlines are kept in monotonic time, and told and stored in wall time as that stands then. */
struct clocks {
    int64_t now_ms; /* monotonic */
    int64_t wall_ms;
};

struct clocks clocks_read(void);

static inline int64_t clocks_to_wall(struct clocks clocks, int64_t monotonic_ms)
{
    return monotonic_ms - clocks.now_ms + clocks.wall_ms;
}

static inline int64_t clocks_to_monotonic(struct clocks clocks, int64_t wall_ms)
{
    return wall_ms - clocks.wall_ms + clocks.now_ms;
}

/* Notices that the wall clock was set: what it is minus the monotonic one is another than at the
 * last look by CLOCK_STEP_MS or more. Smaller ones, a leap second or what clock_gettime() takes
 * itself, add up until they are a step. */
struct clock_watch {
    int64_t offset_ms;
};
enum { CLOCK_STEP_MS = 2000 };
struct clock_watch clock_watch_begin(struct clocks clocks);
/* How far it was set since the last step that was told (below 0: back); 0: it was not. */
int64_t clock_watch_look(struct clock_watch *watch, struct clocks clocks);

enum { CLOCK_TEXT_MAX = 40 };
/* "Tue, 24 Nov 2026 03:10:00 +0000" (RFC 5322 section 3.3), NUL-terminated; its length. */
size_t clock_format_rfc5322(int64_t wall_ms, char out[static CLOCK_TEXT_MAX]);
/* "2026-11-24T03:10:00.123Z" (RFC 3339), NUL-terminated; its length. */
size_t clock_format_rfc3339(int64_t wall_ms, char out[static CLOCK_TEXT_MAX]);
/* "24-Nov-2026 03:10:00 +0000" (date-time, RFC 9051 section 9, without its quotes); its length. */
size_t clock_format_rfc9051(int64_t wall_s, char out[static CLOCK_TEXT_MAX]);
/* RFC 3339 (with Z or an offset, fraction optional) to wall milliseconds. */
bool clock_parse_rfc3339(struct bytes text, int64_t *wall_ms_out);
