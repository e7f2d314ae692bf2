/*
 * place.h - who has a READY recipient: the bits of pending.flags that are delivery's.
 *
 * A READY pending is in exactly one place: in line (PENDING_AT_DESTINATION), held by a suspension
 * (PENDING_HELD), or in an attempt, clearing or gathering, all of which have deadlines
 * (PENDING_BUSY). The bits are cleared before the shard gets a pending back.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/check.h"
#include "queue/stub.h"

enum {
    PENDING_AT_DESTINATION = 1 << 4,
    PENDING_HELD = 1 << 5,
    PENDING_BUSY = 1 << 6,
    PENDING_PLACES = PENDING_AT_DESTINATION | PENDING_HELD | PENDING_BUSY,
};

_Static_assert((PENDING_PLACES & (PENDING_FLAGS_STORED | PENDING_WAITS | PENDING_LETS_GO |
                                  PENDING_UNTRIED | PENDING_KEEPS)) == 0,
               "the shard has the other bits");

/* Into an attempt, a clearing or a gathering, and out of it. */
static inline void pending_occupy(struct pending *pending)
{
    check((pending->flags & PENDING_PLACES) == 0);
    pending->flags |= PENDING_BUSY;
}

static inline void pending_release(struct pending *pending)
{
    check((pending->flags & PENDING_PLACES) == PENDING_BUSY);
    pending->flags &= (uint8_t)~PENDING_BUSY;
}
