/*
 * egress_memory.h - what is remembered of an egress that nobody uses: how often it failed, until
 * when it rests, its next share of the rate. Private to the files egress*.c.
 *
 * A queue for many hosts that are gone leaves thousands of these behind. They are small, and of
 * sizes of their own: a struct egress kept among thousands that were freed keeps its page.
 *
 * Thread: any, under the table's lock.
 */
#pragma once

#include "base/map.h"

struct egress;

struct egress_memories {
    struct map by_key;
    size_t sweep_at; /* so many: what matters no more is forgotten */
};

void egress_memories_init(struct egress_memories *memories);
void egress_memories_free(struct egress_memories *memories);
/* Of an egress that goes. False: more is to be remembered of it, or it is a provider's. */
must_use bool egress_memory_keep(struct egress_memories *memories, const struct egress *egress,
                                 int64_t now_ms);
/* An egress was made: what is remembered of its key is its again. */
void egress_memory_take(struct egress_memories *memories, struct egress *egress);
