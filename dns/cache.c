/* cache.c - DNS answers by name and type, least recently used out first. */
#include "dns/cache.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/metric.h"
#include "dns/packed.h"

enum {
    KEY_TYPE_LEN = 2,
    KEY_MAX = KEY_TYPE_LEN + DNS_NAME_MAX,
    BUCKET_SHARE = 12, /* of the table, an entry: 8 to 16 */
};

/* Told instead of the fact since the servers fail. */
struct meanwhile {
    const char *why;
    int64_t expires_ms;
    bool is_stale; /* the fact, said to be stale; else the failure */
};

struct entry {
    struct map_node node;
    struct list_node use;
    int64_t expires_ms;          /* of the fact */
    struct meanwhile *meanwhile; /* NULL: servers did not fail */
    uint32_t fact_len;           /* packed; 0: never known */
    uint8_t bytes[];             /* key, then fact */
};

struct dns_cache {
    pthread_mutex_t lock;
    struct map entries; /* by type and name */
    struct list by_use; /* least recently used first */
    size_t bytes, bytes_max;
    int64_t stale_ms;
};

struct dns_cache *dns_cache_create(size_t bytes_max, int64_t stale_ms)
{
    struct dns_cache *cache = calloc(1, sizeof(*cache));

    check(cache != NULL);
    check(pthread_mutex_init(&cache->lock, NULL) == 0);
    cache->bytes_max = bytes_max;
    cache->stale_ms = stale_ms;
    map_init(&cache->entries);
    list_init(&cache->by_use);
    return cache;
}

/* --- entries: under the lock ------------------------------------------------------------------ */

static struct bytes make_key(uint8_t into[static KEY_MAX], struct bytes name, enum dns_type type)
{
    check(name.len > 0 && name.len <= DNS_NAME_MAX);
    into[0] = (uint8_t)((unsigned)type >> 8);
    into[1] = (uint8_t)type;
    memcpy(into + KEY_TYPE_LEN, name.ptr, name.len);
    return bytes_range(into, KEY_TYPE_LEN + name.len);
}

static struct bytes entry_fact(const struct entry *entry)
{
    return bytes_range(entry->bytes + entry->node.key.len, entry->fact_len);
}

static size_t entry_size(struct entry *entry)
{
    return malloc_usable_size(entry) + BUCKET_SHARE +
           (entry->meanwhile == NULL ? 0 : malloc_usable_size(entry->meanwhile));
}

static void entry_free(struct entry *entry)
{
    free(entry->meanwhile);
    free(entry);
}

static void count(struct dns_cache *cache, struct entry *entry, int sign)
{
    int64_t size = sign * (int64_t)entry_size(entry);

    cache->bytes = (size_t)((int64_t)cache->bytes + size);
    metric_add(METRIC_DNS_CACHE_ENTRIES, sign);
    metric_add(METRIC_DNS_CACHE_BYTES, size);
}

static void entry_drop(struct dns_cache *cache, struct entry *entry)
{
    count(cache, entry, -1);
    map_remove(&cache->entries, &entry->node);
    list_remove(&entry->use);
    entry_free(entry);
}

static struct entry *entry_find(struct dns_cache *cache, struct bytes name, enum dns_type type)
{
    uint8_t key[KEY_MAX];
    struct map_node *node = map_find(&cache->entries, make_key(key, name, type));

    return node == NULL ? NULL : container_of(node, struct entry, node);
}

/* In place of what was known, if anything. fact: NULL for nothing yet. */
static struct entry *entry_put(struct dns_cache *cache, struct bytes name, enum dns_type type,
                               const struct dns_answer *fact)
{
    size_t fact_len = fact == NULL ? 0 : dns_packed_len(fact, name, type);
    struct entry *old = entry_find(cache, name, type);
    struct entry *entry = malloc(sizeof(*entry) + KEY_TYPE_LEN + name.len + fact_len);
    uint8_t key[KEY_MAX];
    struct bytes bytes = make_key(key, name, type);

    check(entry != NULL);
    if (old != NULL)
        entry_drop(cache, old);
    *entry = (struct entry){.fact_len = (uint32_t)fact_len};
    memcpy(entry->bytes, bytes.ptr, bytes.len);
    if (fact != NULL) {
        entry->expires_ms = fact->expires_ms;
        dns_pack(fact, name, type, entry->bytes + bytes.len);
    }
    map_insert(&cache->entries, &entry->node, bytes_range(entry->bytes, bytes.len));
    list_node_init(&entry->use);
    list_push_back(&cache->by_use, &entry->use);
    count(cache, entry, 1);
    return entry;
}

static void entry_touch(struct dns_cache *cache, struct entry *entry)
{
    list_remove(&entry->use);
    list_push_back(&cache->by_use, &entry->use);
}

static void keep_bound(struct dns_cache *cache)
{
    while (cache->bytes > cache->bytes_max)
        entry_drop(cache, container_of(list_first(&cache->by_use), struct entry, use));
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
    entry_touch(cache, entry);
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
    entry_touch(cache, entry);
    count(cache, entry, -1);
    if (entry->meanwhile == NULL)
        entry->meanwhile = malloc(sizeof(*entry->meanwhile));
    check(entry->meanwhile != NULL);
    *entry->meanwhile = choose_meanwhile(cache, entry, failure, now_ms);
    count(cache, entry, 1);
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
    keep_bound(cache);
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
    metric_add(METRIC_DNS_CACHE_BYTES, -(int64_t)cache->bytes);
    table = cache->entries;
    map_init(&cache->entries);
    list_splice(&dropped, &cache->by_use);
    cache->bytes = 0;
    pthread_mutex_unlock(&cache->lock);
    map_free(&table);
    while ((node = list_pop_front(&dropped)) != NULL)
        entry_free(container_of(node, struct entry, use));
}

static void flush_name(struct dns_cache *cache, struct bytes name)
{
    static const enum dns_type types[] = {
        DNS_TYPE_A,   DNS_TYPE_CNAME, DNS_TYPE_SOA,  DNS_TYPE_MX,
        DNS_TYPE_TXT, DNS_TYPE_AAAA,  DNS_TYPE_TLSA,
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
