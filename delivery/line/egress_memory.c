/* egress_memory.c - what is remembered of an egress that nobody uses. */
#include <stdlib.h>
#include <string.h>

#include "delivery/line/egress_state.h"

enum { SWEEP_MIN = 10000 };

struct egress_memory {
    struct map_node node;
    unsigned failures;
    int64_t resting_until_ms, let_in_ms;
    int64_t interval_us, next_us; /* its next share, at the rate that it had */
    uint8_t key[];
};

struct sweep {
    struct egress_memories *memories;
    int64_t now_ms;
};

void egress_memories_init(struct egress_memories *memories)
{
    map_init(&memories->by_key);
    memories->sweep_at = SWEEP_MIN;
}

static void forget(struct egress_memories *memories, struct egress_memory *memory)
{
    map_remove(&memories->by_key, &memory->node);
    free(memory);
}

static void drop(void *context, struct map_node *node)
{
    forget(context, container_of(node, struct egress_memory, node));
}

void egress_memories_free(struct egress_memories *memories)
{
    map_for_each(&memories->by_key, drop, memories);
    map_free(&memories->by_key);
}

static void forget_past(void *context, struct map_node *node)
{
    const struct sweep *sweep = context;
    struct egress_memory *memory = container_of(node, struct egress_memory, node);

    if (memory->resting_until_ms <= sweep->now_ms && memory->next_us <= sweep->now_ms * 1000)
        forget(sweep->memories, memory);
}

bool egress_memory_keep(struct egress_memories *memories, const struct egress *egress,
                        int64_t now_ms)
{
    if (egress->is_provider || atomic_load(&egress->allowed) != EGRESS_ANY ||
        atomic_load(&egress->turned_away) != 0)
        return false;
    struct bytes key = egress->node.key;
    struct egress_memory *memory = malloc(sizeof(*memory) + key.len);

    check(memory != NULL);
    memory->failures = atomic_load(&egress->failures);
    memory->resting_until_ms = atomic_load(&egress->resting_until_ms);
    memory->let_in_ms = atomic_load(&egress->let_in_ms);
    memory->interval_us = atomic_load(&egress->interval_us);
    memory->next_us = atomic_load(&egress->next_us);
    memcpy(memory->key, key.ptr, key.len);
    map_insert(&memories->by_key, &memory->node, (struct bytes){memory->key, key.len});
    if (memories->by_key.count > memories->sweep_at) { /* twice as many as were kept before */
        struct sweep sweep = {memories, now_ms};

        map_for_each(&memories->by_key, forget_past, &sweep);
        memories->sweep_at = MAX(memories->by_key.count * 2, (size_t)SWEEP_MIN);
    }
    return true;
}

void egress_memory_take(struct egress_memories *memories, struct egress *egress)
{
    struct map_node *node = map_find(&memories->by_key, egress->node.key);

    if (node == NULL)
        return;
    struct egress_memory *memory = container_of(node, struct egress_memory, node);

    atomic_store(&egress->failures, memory->failures);
    atomic_store(&egress->resting_until_ms, memory->resting_until_ms);
    atomic_store(&egress->let_in_ms, memory->let_in_ms);
    atomic_store(&egress->interval_us, memory->interval_us);
    atomic_store(&egress->next_us, memory->next_us);
    forget(memories, memory);
}
