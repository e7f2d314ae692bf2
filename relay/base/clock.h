/*
 * clock.h - the two clocks.
 *
 * Monotonic time (milliseconds since boot) orders deadlines in memory. Wall time (milliseconds
 * since 1970, UTC) stands in records, events and headers. Engines cache both once a turn and hand
 * them on (engine_now_ms); these functions are for everybody else. Any thread.
 */
#pragma once

#include "base/bytes.h"

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);

enum { CLOCK_TEXT_MAX = 40 };
/* "Tue, 24 Nov 2026 03:10:00 +0000" (RFC 5322 section 3.3), NUL-terminated; its length. */
size_t clock_format_rfc5322(int64_t wall_ms, char out[static CLOCK_TEXT_MAX]);
/* "2026-11-24T03:10:00.123Z" (RFC 3339), NUL-terminated; its length. */
size_t clock_format_rfc3339(int64_t wall_ms, char out[static CLOCK_TEXT_MAX]);
/* RFC 3339 (with Z or an offset, fraction optional) to wall milliseconds. */
bool clock_parse_rfc3339(struct bytes text, int64_t *wall_ms_out);
