/*
 * attempts.h - how often each recipient was asked for, whichever thread was asked.
 *
 * Sixteen bytes a recipient; recipients are known by a 64-bit hash. Any thread.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

enum { ATTEMPT_SHARDS = 64 };

struct attempts {
    struct attempt_shard {
        pthread_mutex_t lock;
        struct attempt_slot *slots;
        uint64_t capacity; /* power of two */
        uint64_t count;
    } shards[ATTEMPT_SHARDS];
};

void attempts_init(struct attempts *attempts);
void attempts_free(struct attempts *attempts);
/* Counts one more; 1 for the first. */
uint32_t attempts_count(struct attempts *attempts, uint64_t hash);
