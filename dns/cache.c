/*
 * cache.c - DNS answers by name and type, in blocks that are freed whole.
 *
 * Entries are appended to the newest block. When there are too many bytes the oldest block goes:
 * what was asked for since it was written moves to the newest once more, up to a quarter of a
 * block, the rest is forgotten. So old entries leave no holes, and no entry has a place in a list.
 */
#include "dns/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/metric.h"
#include "dns/packed.h"

enum {
    KEY_TYPE_LEN = 2,
    KEY_MAX = KEY_TYPE_LEN + DNS_NAME_MAX,
    BLOCK_MIN = 1024,
    BLOCK_MAX = 64 * 1024, /* unless one answer is larger */
    BLOCKS = 16,           /* at least, of a small cache */
    BUCKET_SHARE = 12,     /* of the table, an entry: 8 to 16 */
    MOVED_PART = 4,        /* of a block: as much of it may move on */
};

/* Told instead of the fact since the servers fail. */
struct meanwhile {
    const char *why;
    int64_t expires_ms;
    bool is_stale; /* the fact, said to be stale; else the failure */
};

struct entry {
    struct map_node node;        /* linked unless it is dropped */
    struct meanwhile *meanwhile; /* NULL: servers did not fail */
    int64_t expires_ms;          /* of the fact */
    uint32_t fact_len;           /* packed; 0: never known */
    bool is_used;                /* since it was written */
    bool is_dropped;
    uint8_t bytes[]; /* key, then fact */
};

struct block {
    struct list_node node;
    size_t size; /* with this struct */
    size_t used; /* of memory */
    _Alignas(struct entry) uint8_t memory[];
};

struct dns_cache {
    pthread_mutex_t lock;
    struct map entries; /* by type and name */
    struct list blocks; /* oldest first */
    size_t bytes, bytes_max;
    size_t block_size;
    int64_t stale_ms;
};

struct dns_cache *dns_cache_create(size_t bytes_max, int64_t stale_ms)
{
    struct dns_cache *cache = calloc(1, sizeof(*cache));

    check(cache != NULL);
    check(pthread_mutex_init(&cache->lock, NULL) == 0);
    cache->bytes_max = bytes_max;
    cache->block_size = MIN(MAX(bytes_max / BLOCKS, (size_t)BLOCK_MIN), (size_t)BLOCK_MAX);
    cache->stale_ms = stale_ms;
    map_init(&cache->entries);
    list_init(&cache->blocks);
    return cache;
}

/* --- blocks: under the lock, as all up to "finding" ------------------------------------------- */

static void count_bytes(struct dns_cache *cache, int64_t bytes)
{
    cache->bytes = (size_t)((int64_t)cache->bytes + bytes);
    metric_add(METRIC_DNS_CACHE_BYTES, bytes);
}

static struct block *newest_block(const struct dns_cache *cache)
{
    return list_is_empty(&cache->blocks)
               ? NULL
               : container_of(cache->blocks.head.prev, struct block, node);
}

static struct block *block_add(struct dns_cache *cache, size_t len)
{
    size_t size = MAX(cache->block_size, sizeof(struct block) + len);
    struct block *block = malloc(size);

    check(block != NULL);
    *block = (struct block){.size = size};
    list_node_init(&block->node);
    list_push_back(&cache->blocks, &block->node);
    count_bytes(cache, (int64_t)size);
    return block;
}

/* --- entries ---------------------------------------------------------------------------------- */

static struct bytes make_key(uint8_t into[static KEY_MAX], struct bytes name, enum dns_type type)
{
    check(name.len > 0 && name.len <= DNS_NAME_MAX);
    into[0] = (uint8_t)((unsigned)type >> 8);
    into[1] = (uint8_t)type;
    memcpy(into + KEY_TYPE_LEN, name.ptr, name.len);
    return bytes_range(into, KEY_TYPE_LEN + name.len);
}

static size_t entry_size(size_t key_len, size_t fact_len)
{
    size_t size = offsetof(struct entry, bytes) + key_len + fact_len;

    return (size + _Alignof(struct entry) - 1) & ~(_Alignof(struct entry) - 1);
}

static struct bytes entry_fact(const struct entry *entry)
{
    return bytes_range(entry->bytes + entry->node.key.len, entry->fact_len);
}

static struct entry *entry_find(struct dns_cache *cache, struct bytes name, enum dns_type type)
{
    uint8_t key[KEY_MAX];
    struct map_node *node = map_find(&cache->entries, make_key(key, name, type));

    return node == NULL ? NULL : container_of(node, struct entry, node);
}

/* Room for one in the newest block, in the table; the caller fills in the fact. */
static struct entry *entry_append(struct dns_cache *cache, struct bytes key, size_t fact_len)
{
    size_t size = entry_size(key.len, fact_len);
    struct block *block = newest_block(cache);

    if (block == NULL || block->size - sizeof(*block) - block->used < size)
        block = block_add(cache, size);
    struct entry *entry = (struct entry *)(void *)(block->memory + block->used);

    block->used += size;
    *entry = (struct entry){.fact_len = (uint32_t)fact_len};
    memcpy(entry->bytes, key.ptr, key.len);
    map_insert(&cache->entries, &entry->node, bytes_range(entry->bytes, key.len));
    count_bytes(cache, BUCKET_SHARE);
    metric_inc(METRIC_DNS_CACHE_ENTRIES);
    return entry;
}

static void meanwhile_free(struct dns_cache *cache, struct entry *entry)
{
    if (entry->meanwhile != NULL)
        count_bytes(cache, -(int64_t)sizeof(*entry->meanwhile));
    free(entry->meanwhile);
    entry->meanwhile = NULL;
}

/* Its bytes stay until its block goes. */
static void entry_drop(struct dns_cache *cache, struct entry *entry)
{
    map_remove(&cache->entries, &entry->node);
    entry->is_dropped = true;
    meanwhile_free(cache, entry);
    count_bytes(cache, -BUCKET_SHARE);
    metric_dec(METRIC_DNS_CACHE_ENTRIES);
}

static struct entry *block_entry(struct block *block, size_t *at)
{
    struct entry *entry = (struct entry *)(void *)(block->memory + *at);

    if (*at == block->used)
        return NULL;
    *at += entry_size(entry->node.key.len, entry->fact_len);
    return entry;
}

/* Facts that are asked for and hold for longer are written once more. */
static void block_evict(struct dns_cache *cache, struct block *block, int64_t now_ms)
{
    size_t left = cache->block_size / MOVED_PART;
    struct entry *entry;
    size_t at = 0;

    list_remove(&block->node); /* nothing is appended to it, should it be the newest as well */
    while ((entry = block_entry(block, &at)) != NULL) {
        size_t size = entry_size(entry->node.key.len, entry->fact_len);
        bool moves = entry->is_used && now_ms < entry->expires_ms && size <= left;

        if (entry->is_dropped)
            continue;
        entry_drop(cache, entry);
        if (!moves)
            continue;
        struct entry *copy = entry_append(cache, entry->node.key, entry->fact_len);

        memcpy(copy->bytes, entry->bytes, entry->node.key.len + entry->fact_len);
        copy->expires_ms = entry->expires_ms;
        left -= size;
    }
    count_bytes(cache, -(int64_t)block->size);
    free(block);
}

static void keep_bound(struct dns_cache *cache, int64_t now_ms)
{
    while (cache->bytes > cache->bytes_max && !list_is_empty(&cache->blocks))
        block_evict(cache, container_of(list_first(&cache->blocks), struct block, node), now_ms);
}

/* In place of what was known, if anything. fact: NULL for nothing yet. */
static struct entry *entry_put(struct dns_cache *cache, struct bytes name, enum dns_type type,
                               const struct dns_answer *fact)
{
    struct entry *old = entry_find(cache, name, type);
    uint8_t into[KEY_MAX];
    struct bytes key = make_key(into, name, type);

    if (old != NULL)
        entry_drop(cache, old);
    struct entry *entry =
        entry_append(cache, key, fact == NULL ? 0 : dns_packed_len(fact, name, type));

    if (fact != NULL) {
        entry->expires_ms = fact->expires_ms;
        dns_pack(fact, name, type, entry->bytes + key.len);
    }
    return entry;
}

/* --- finding, storing ------------------------------------------------------------------------- */

/* One reference to what is told while the servers fail. */
static const struct dns_answer *tell_meanwhile(const struct entry *entry, struct bytes name,
                                               enum dns_type type)
{
    const struct meanwhile *meanwhile = entry->meanwhile;

    if (!meanwhile->is_stale)
        return dns_answer_bare(DNS_FAILED, meanwhile->why, meanwhile->expires_ms);
    const struct dns_answer *fact = dns_unpack(entry_fact(entry), name, type, entry->expires_ms);
    const struct dns_answer *stale = dns_answer_stale(fact, meanwhile->why, meanwhile->expires_ms);

    dns_answer_release(&fact);
    return stale;
}

static const struct dns_answer *find(struct dns_cache *cache, struct bytes name, enum dns_type type,
                                     int64_t now_ms)
{
    struct entry *entry = entry_find(cache, name, type);

    if (entry == NULL)
        return NULL;
    entry->is_used = true;
    if (entry->fact_len > 0 && now_ms < entry->expires_ms)
        return dns_unpack(entry_fact(entry), name, type, entry->expires_ms);
    if (entry->meanwhile != NULL && now_ms < entry->meanwhile->expires_ms)
        return tell_meanwhile(entry, name, type);
    return NULL;
}

const struct dns_answer *dns_cache_find(struct dns_cache *cache, struct bytes name,
                                        enum dns_type type, int64_t now_ms)
{
    pthread_mutex_lock(&cache->lock);
    const struct dns_answer *answer = find(cache, name, type, now_ms);

    pthread_mutex_unlock(&cache->lock);
    return answer;
}

/* What to tell while `failure` holds. Negative facts are never stretched: mail bounces on them. */
static struct meanwhile choose_meanwhile(const struct dns_cache *cache, const struct entry *entry,
                                         const struct dns_answer *failure, int64_t now_ms)
{
    struct meanwhile chosen = {.why = failure->why, .expires_ms = failure->expires_ms};
    int64_t stale_until_ms = entry->expires_ms + cache->stale_ms;

    if (entry->fact_len > 0 && dns_packed_status(entry_fact(entry)) == DNS_OK &&
        now_ms < stale_until_ms) {
        chosen.is_stale = true;
        chosen.expires_ms = MIN(failure->expires_ms, stale_until_ms);
    }
    return chosen;
}

static const struct dns_answer *store_failure(struct dns_cache *cache, struct bytes name,
                                              enum dns_type type, const struct dns_answer *failure,
                                              int64_t now_ms)
{
    struct entry *entry = entry_find(cache, name, type);

    if (entry == NULL)
        entry = entry_put(cache, name, type, NULL);
    /* Another engine asked at the same time, and was answered. */
    if (entry->fact_len > 0 && now_ms < entry->expires_ms)
        return dns_unpack(entry_fact(entry), name, type, entry->expires_ms);
    if (entry->meanwhile == NULL) {
        entry->meanwhile = malloc(sizeof(*entry->meanwhile));
        check(entry->meanwhile != NULL);
        count_bytes(cache, sizeof(*entry->meanwhile));
    }
    *entry->meanwhile = choose_meanwhile(cache, entry, failure, now_ms);
    return tell_meanwhile(entry, name, type);
}

const struct dns_answer *dns_cache_store(struct dns_cache *cache, struct bytes name,
                                         enum dns_type type, const struct dns_answer *answer,
                                         int64_t now_ms)
{
    const struct dns_answer *told;

    check(answer->status != DNS_BAD_NAME);
    pthread_mutex_lock(&cache->lock);
    if (answer->status == DNS_FAILED) {
        told = store_failure(cache, name, type, answer, now_ms);
    } else {
        entry_put(cache, name, type, answer);
        told = dns_answer_keep(answer);
    }
    keep_bound(cache, now_ms);
    pthread_mutex_unlock(&cache->lock);
    return told;
}

/* --- forgetting ------------------------------------------------------------------------------- */

/* Frees outside the lock: everything may be a lot. */
static void flush_all(struct dns_cache *cache)
{
    struct list_node *node;
    struct list dropped;
    struct map table;

    list_init(&dropped);
    pthread_mutex_lock(&cache->lock);
    metric_add(METRIC_DNS_CACHE_ENTRIES, -(int64_t)cache->entries.count);
    count_bytes(cache, -(int64_t)cache->bytes);
    table = cache->entries;
    map_init(&cache->entries);
    list_splice(&dropped, &cache->blocks);
    pthread_mutex_unlock(&cache->lock);
    map_free(&table);
    while ((node = list_pop_front(&dropped)) != NULL) {
        struct block *block = container_of(node, struct block, node);
        struct entry *entry;
        size_t at = 0;

        while ((entry = block_entry(block, &at)) != NULL)
            free(entry->meanwhile);
        free(block);
    }
}

static void flush_name(struct dns_cache *cache, struct bytes name)
{
    static const enum dns_type types[] = {
        DNS_TYPE_A,  DNS_TYPE_CNAME, DNS_TYPE_SOA,  DNS_TYPE_PTR,
        DNS_TYPE_MX, DNS_TYPE_TXT,   DNS_TYPE_AAAA, DNS_TYPE_TLSA,
    };

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct entry *entry = entry_find(cache, name, types[i]);

        if (entry != NULL)
            entry_drop(cache, entry);
    }
    pthread_mutex_unlock(&cache->lock);
}

void dns_cache_flush(struct dns_cache *cache, struct bytes name)
{
    if (name.len == 0)
        flush_all(cache);
    else
        flush_name(cache, name);
}

void dns_cache_free(struct dns_cache **cache)
{
    struct dns_cache *c = *cache;

    *cache = NULL;
    if (c == NULL)
        return;
    flush_all(c);
    map_free(&c->entries);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

size_t dns_cache_bytes(struct dns_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t bytes = cache->bytes;

    pthread_mutex_unlock(&cache->lock);
    return bytes;
}

size_t dns_cache_count(struct dns_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t entries = cache->entries.count;

    pthread_mutex_unlock(&cache->lock);
    return entries;
}
