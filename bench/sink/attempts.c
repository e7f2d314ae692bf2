/* attempts.c - open addressing, a lock for each of 64 parts. */
#include "bench/sink/attempts.h"

#include <stdlib.h>

#include "base/check.h"

enum { CAPACITY_MIN = 1024 };

struct attempt_slot {
    uint64_t hash;
    uint32_t count; /* 0: free */
};

static void shard_allocate(struct attempt_shard *shard, uint64_t capacity)
{
    shard->slots = calloc(capacity, sizeof(*shard->slots));
    check(shard->slots != NULL);
    shard->capacity = capacity;
}

void attempts_init(struct attempts *attempts)
{
    for (unsigned i = 0; i < ATTEMPT_SHARDS; i++) {
        attempts->shards[i] = (struct attempt_shard){.lock = PTHREAD_MUTEX_INITIALIZER};
        shard_allocate(&attempts->shards[i], CAPACITY_MIN);
    }
}

void attempts_free(struct attempts *attempts)
{
    for (unsigned i = 0; i < ATTEMPT_SHARDS; i++) {
        free(attempts->shards[i].slots);
        attempts->shards[i].slots = NULL;
    }
}

static struct attempt_slot *shard_find(const struct attempt_shard *shard, uint64_t hash)
{
    uint64_t at = hash & (shard->capacity - 1);

    while (shard->slots[at].count != 0 && shard->slots[at].hash != hash)
        at = (at + 1) & (shard->capacity - 1);
    return &shard->slots[at];
}

static void shard_grow(struct attempt_shard *shard)
{
    struct attempt_slot *old = shard->slots;
    uint64_t old_capacity = shard->capacity;

    shard_allocate(shard, old_capacity * 2);
    for (uint64_t i = 0; i < old_capacity; i++) {
        if (old[i].count != 0)
            *shard_find(shard, old[i].hash) = old[i];
    }
    free(old);
}

uint32_t attempts_count(struct attempts *attempts, uint64_t hash)
{
    struct attempt_shard *shard = &attempts->shards[hash >> 58];

    pthread_mutex_lock(&shard->lock);
    if (shard->count >= shard->capacity / 2)
        shard_grow(shard);
    struct attempt_slot *slot = shard_find(shard, hash);

    if (slot->count == 0) {
        slot->hash = hash;
        shard->count++;
    }
    uint32_t count = ++slot->count;

    pthread_mutex_unlock(&shard->lock);
    return count;
}
