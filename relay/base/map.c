/* map.c - chained hash table that grows a few buckets a call. */
#include "base/map.h"

#include <stdlib.h>

#include <xxhash.h>

#include "base/random.h"

enum {
    BUCKETS_MIN = 16,
    MOVES_PER_CALL = 4, /* old buckets; more than one, so that growing ends before the next one */
};

void map_init(struct map *map)
{
    *map = (struct map){.seed = random_u64()};
}

void map_free(struct map *map)
{
    free(map->buckets);
    free(map->old_buckets);
    *map = (struct map){.seed = map->seed};
}

static void push(struct map_node **bucket, struct map_node *node)
{
    node->next = *bucket;
    *bucket = node;
}

static struct map_node **bucket_of(struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

/* The old bucket that may still hold `hash`, or NULL. */
static struct map_node **old_bucket_of(struct map *map, uint64_t hash)
{
    if (map->old_buckets == NULL)
        return NULL;
    size_t place = hash & (map->old_bucket_count - 1);

    return place < map->old_next ? NULL : &map->old_buckets[place];
}

static void move_some(struct map *map, size_t bucket_count)
{
    if (map->old_buckets == NULL)
        return;
    for (; bucket_count > 0 && map->old_next < map->old_bucket_count; bucket_count--) {
        struct map_node *node = map->old_buckets[map->old_next++];

        while (node != NULL) {
            struct map_node *next = node->next;

            push(bucket_of(map, node->hash), node);
            node = next;
        }
    }
    if (map->old_next == map->old_bucket_count) {
        free(map->old_buckets);
        map->old_buckets = NULL;
    }
}

static void grow(struct map *map)
{
    move_some(map, SIZE_MAX); /* nothing is left of the last growth, unless it was a tiny one */
    size_t bucket_count = MAX(map->bucket_count * 2, (size_t)BUCKETS_MIN);
    /* Large tables come from mmap, which zeroes a page when it is first touched, not now. */
    struct map_node **buckets = calloc(bucket_count, sizeof(struct map_node *));

    check(buckets != NULL);
    map->old_buckets = map->buckets;
    map->old_bucket_count = map->bucket_count;
    map->old_next = 0;
    map->buckets = buckets;
    map->bucket_count = bucket_count;
}

static struct map_node *find_in(struct map_node *node, uint64_t hash, struct bytes key)
{
    while (node != NULL && !(node->hash == hash && bytes_equal(node->key, key)))
        node = node->next;
    return node;
}

static struct map_node *find_hashed(struct map *map, uint64_t hash, struct bytes key)
{
    if (map->count == 0)
        return NULL;
    struct map_node *found = find_in(*bucket_of(map, hash), hash, key);
    struct map_node **old_bucket = old_bucket_of(map, hash);

    if (found == NULL && old_bucket != NULL)
        found = find_in(*old_bucket, hash, key);
    return found;
}

static uint64_t hash_key(const struct map *map, struct bytes key)
{
    return XXH3_64bits_withSeed(key.ptr, key.len, map->seed);
}

struct map_node *map_find(struct map *map, struct bytes key)
{
    move_some(map, MOVES_PER_CALL);
    return find_hashed(map, hash_key(map, key), key);
}

void map_insert(struct map *map, struct map_node *node, struct bytes key)
{
    uint64_t hash = hash_key(map, key);

    check(find_hashed(map, hash, key) == NULL);
    if (map->count == map->bucket_count)
        grow(map);
    move_some(map, MOVES_PER_CALL);
    node->hash = hash;
    node->key = key;
    push(bucket_of(map, hash), node);
    map->count++;
}

static bool unchain(struct map_node **link, struct map_node *node)
{
    while (*link != NULL && *link != node)
        link = &(*link)->next;
    if (*link == NULL)
        return false;
    *link = node->next;
    node->next = NULL;
    return true;
}

void map_remove(struct map *map, struct map_node *node)
{
    check(map->count > 0);
    struct map_node **old_bucket = old_bucket_of(map, node->hash);
    bool found = unchain(bucket_of(map, node->hash), node) ||
                 (old_bucket != NULL && unchain(old_bucket, node));

    check(found);
    map->count--;
    move_some(map, MOVES_PER_CALL);
}

void map_for_each(struct map *map, void (*visit)(void *context, struct map_node *node),
                  void *context)
{
    /* Walking is as long as the table anyway, and now nothing moves when visit() removes. */
    move_some(map, SIZE_MAX);
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_node *node = map->buckets[i];

        while (node != NULL) {
            struct map_node *next = node->next;

            visit(context, node);
            node = next;
        }
    }
}
