/*
 * pressure.h - what gives when mail takes as much memory as it may (limits.memory).
 *
 * First, in the last sixteenth, new mail: MAIL and the beginning of content are told 452. When all
 * of it is used, the sessions that hold most: their buffers and the messages they were sending go,
 * and they are told 421. Sessions with less than RELIEF_MEMORY_MIN are never ended for it, nor are
 * messages that are being made durable. Each engine looks at its own sessions, once a turn.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/bytes.h"

struct submission;

enum { RELIEF_MEMORY_MIN = 4096 };

/* No more mail may begin. */
bool pressure_is_high(const struct submission *submission);
/* Looks at the end of each turn from now on; pressure_leave() before it is freed. */
void pressure_watch(struct submission *submission);
void pressure_leave(struct submission *submission);
