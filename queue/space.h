/*
 * space.h - what is known of the room on the disks, for those who would fill it.
 *
 * Written by who looks (the program's space watch, publisher, sinks), read by every engine.
 * Claims of two kinds, because two different things must stop: taking mail, long before the disk is
 * full; beginning attempts, once nothing more could be told of them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct space {
    _Atomic bool is_low;          /* less is free than spool.min_free: nothing new is accepted */
    _Atomic bool events_are_full; /* the event files have no room set aside, or cannot be written */
    _Atomic bool sinks_are_full;  /* what sinks have not read takes too much: as if is_low */
};
