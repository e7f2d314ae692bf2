/*
 * schedule.h - what is due when: a wheel of seconds over pendings, O(1) in and out.
 *
 * Four levels of 256 slots (1 s, 256 s, 18 h, 194 days). A second with a million pendings is handed
 * out over several turns, and cascades move a bounded number a call. Due times are monotonic
 * seconds here and wall milliseconds on disk: a stepped clock neither fires everything at once nor
 * holds anything for ever.
 *
 * Thread: the engine's. Memory: only the slots' list heads; the links are the pendings'.
 */
#pragma once

#include "queue/stub.h"

struct schedule;

struct schedule *schedule_create(int64_t now_ms);
void schedule_free(struct schedule **schedule);
void schedule_add(struct schedule *schedule, struct pending *pending, int64_t due_ms);
void schedule_remove(struct schedule *schedule, struct pending *pending);
/* The next due pending, taken out of the schedule, or NULL. Cheap when nothing is due. */
struct pending *schedule_pop(struct schedule *schedule, int64_t now_ms);
/* Monotonic ms at which schedule_pop() may have something; INT64_MAX when empty. */
int64_t schedule_next_ms(const struct schedule *schedule);
size_t schedule_count(const struct schedule *schedule);
