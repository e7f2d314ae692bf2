/*
 * map.h - hash table from bytes to an object that embeds its node.
 *
 * The object owns its key; the map keeps the pointer and the hash. Grows by doubling, a few
 * buckets a call, so that no insert stalls an engine. Keys compare byte for byte: normalise
 * before (lower-case domains). One thread, unless the caller locks.
 */
#pragma once

#include "base/bytes.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct bytes key; /* owned by the object that embeds the node */
};

struct map {
    struct map_node **buckets;
    struct map_node **old_buckets; /* being emptied while growing, else NULL */
    size_t bucket_count;           /* power of two */
    size_t old_bucket_count;
    size_t old_next; /* first old bucket that is not moved yet */
    size_t count;
    uint64_t seed; /* of the hash: whoever chooses keys cannot choose collisions beforehand */
};

void map_init(struct map *map);
void map_free(struct map *map);                               /* frees the table, not the objects */
struct map_node *map_find(struct map *map, struct bytes key); /* NULL when absent */
/* The key must not be present. */
void map_insert(struct map *map, struct map_node *node, struct bytes key);
void map_remove(struct map *map, struct map_node *node); /* must be present */
/* Calls visit for every node; it may remove the node it is given and nothing else. */
void map_for_each(struct map *map, void (*visit)(void *context, struct map_node *node),
                  void *context);
