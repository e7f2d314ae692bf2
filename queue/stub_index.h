/*
 * stub_index.h - finds stubs by message id.
 *
 * Linear hashing: the table grows by one bucket an insert, so no insert stalls and a million stubs
 * cost four megabytes. A walk goes through the hash space in order of the reversed bits; a bucket
 * that is split meanwhile stays inside its range, so each stub that stays is met exactly once.
 * The table never shrinks. Private to queue/. Thread: the engine's.
 */
#pragma once

#include "queue/stub.h"

struct stub_index {
    struct stub ***chunks; /* of 8,192 buckets each: CHUNK in the .c file */
    size_t chunk_capacity;
    size_t bucket_count; /* 0 before the first insert */
    size_t count;
};

void stub_index_free(struct stub_index *index); /* the table, not the stubs */
struct stub *stub_index_find(const struct stub_index *index, struct message_id id);
/* The id must not be there. */
void stub_index_insert(struct stub_index *index, struct stub *stub);
void stub_index_remove(struct stub_index *index, struct stub *stub);
/* Visits up to `max` buckets from *cursor (0 at first); false when the walk is at its end. visit
 * may remove the stub it is given. */
bool stub_index_walk(struct stub_index *index, uint64_t *cursor, size_t max,
                     void (*visit)(void *context, struct stub *stub), void *context);
