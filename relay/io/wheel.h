/*
 * wheel.h - armed timeouts by due time, in a hierarchical wheel with ticks of a millisecond.
 *
 * Seven levels of 64 slots: level 0 is the next 64 ms to the millisecond, each level above is 64
 * times coarser, the top reaches 139 years. A timeout sits on the level of the highest 6-bit digit
 * in which its time differs from the wheel's; when the wheel's time reaches a coarse slot, its
 * timeouts move down. Arming and cancelling are O(1); one timeout moves at most six times.
 *
 * Internal to relay/io: the engine and its fake. Thread: the engine's.
 */
#pragma once

#include "io/engine.h"

enum { WHEEL_LEVELS = 7, WHEEL_SLOTS = 64 };

struct wheel {
    int64_t elapsed_ms;              /* every slot before it has been emptied */
    uint64_t occupied[WHEEL_LEVELS]; /* may name slots that cancelling emptied since */
    struct list due;
    struct list cascading; /* a coarse slot whose timeouts are moving down */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, int64_t now_ms);
/* Arms for timeout->at_ms, armed or not before. */
void wheel_arm(struct wheel *wheel, struct timeout *timeout, int64_t at_ms);
void wheel_disarm(struct timeout *timeout);
/* Takes out one timeout due at now_ms, or NULL. *work_left bounds the steps (timeouts taken or
 * moved); when it reaches 0 and one is due still, wheel_next_ms() is not after now_ms. */
struct timeout *wheel_take(struct wheel *wheel, int64_t now_ms, unsigned *work_left);
/* When wheel_take() has something to do next, at the earliest: where few are armed, when the first
 * is due. INT64_MAX when nothing is armed. */
int64_t wheel_next_ms(struct wheel *wheel);
