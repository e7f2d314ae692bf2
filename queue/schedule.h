/*
 * schedule.h - what is due when: a wheel over pendings, O(1) in and out.
 *
 * Four levels of 256 slots (1/16 s, 16 s, 68 min, 12 days) and a list for what is years away. A
 * second with a million pendings is handed out over several turns, and cascades move a bounded
 * number a call. Due times are monotonic here, so setting the clock while the program runs changes
 * nothing. On disk they are wall milliseconds: what a start finds is due when the clock says so,
 * all of it at once where that was set forward meanwhile, and where it was set back no later than
 * the longest delay that its retry rule allows (recover.c).
 *
 * Nothing is handed out before it is due. What is due within seconds comes at most 1/16 s late
 * (a message rate is kept by short postponements), everything else at most a second.
 *
 * Thread: the engine's. Memory: only the slots' list heads; the links are the pendings'.
 */
#pragma once

#include "queue/stub.h"

struct schedule;

struct schedule *schedule_create(int64_t now_ms);
void schedule_free(struct schedule **schedule);
/* Sets pending->due_s, rounded up. Due at the next schedule_pop() when due_ms is 0 or was past at
 * the last one. The link must be initialised and in no list. */
void schedule_add(struct schedule *schedule, struct pending *pending, int64_t due_ms);
/* Due at once for the first time: handed out in turn with all else that is due, however much that
 * is, so that mail which was just accepted does not wait behind a backlog. */
void schedule_add_new(struct schedule *schedule, struct pending *pending);
void schedule_remove(struct schedule *schedule, struct pending *pending); /* must be in it */
/* The next due pending, taken out of the schedule, or NULL: nothing is due, or this call has moved
 * SCHEDULE_MOVES_MAX from a far slot to nearer ones; then schedule_next_ms() is past and the caller
 * comes again in its next turn. Cheap when nothing is due. now_ms never falls. */
enum { SCHEDULE_MOVES_MAX = 2048 };
struct pending *schedule_pop(struct schedule *schedule, int64_t now_ms);
/* Monotonic ms at which schedule_pop() may have something; INT64_MAX when empty. */
int64_t schedule_next_ms(const struct schedule *schedule);
size_t schedule_count(const struct schedule *schedule);
