/* cache.c - DNS answers by name and type, least recently used out first. */
#include "dns/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/metric.h"

enum { KEY_TYPE_LEN = 2, KEY_MAX = KEY_TYPE_LEN + DNS_NAME_MAX };

struct entry {
    struct map_node node;
    struct list_node use;
    const struct dns_answer *fact;      /* OK, NO_DATA, NXDOMAIN; NULL: never known */
    const struct dns_answer *meanwhile; /* DNS_FAILED or stale data; NULL: servers did not fail */
    uint8_t key[];
};

static struct bytes make_key(uint8_t into[static KEY_MAX], struct bytes name, enum dns_type type)
{
    check(name.len > 0 && name.len <= DNS_NAME_MAX);
    into[0] = (uint8_t)((unsigned)type >> 8);
    into[1] = (uint8_t)type;
    memcpy(into + KEY_TYPE_LEN, name.ptr, name.len);
    return bytes_range(into, KEY_TYPE_LEN + name.len);
}

void dns_cache_init(struct dns_cache *cache, size_t count_max, int64_t stale_ms)
{
    check(count_max > 0);
    *cache = (struct dns_cache){.count_max = count_max, .stale_ms = stale_ms};
    map_init(&cache->entries);
    list_init(&cache->by_use);
}

static void entry_drop(struct dns_cache *cache, struct entry *entry)
{
    map_remove(&cache->entries, &entry->node);
    list_remove(&entry->use);
    dns_answer_release(&entry->fact);
    dns_answer_release(&entry->meanwhile);
    free(entry);
    metric_dec(METRIC_DNS_CACHE_ENTRIES);
}

static void drop_all(struct dns_cache *cache)
{
    struct list_node *node;

    while ((node = list_first(&cache->by_use)) != NULL)
        entry_drop(cache, container_of(node, struct entry, use));
}

void dns_cache_free(struct dns_cache *cache)
{
    drop_all(cache);
    map_free(&cache->entries);
}

static struct entry *entry_find(struct dns_cache *cache, struct bytes name, enum dns_type type)
{
    uint8_t key[KEY_MAX];
    struct map_node *node = map_find(&cache->entries, make_key(key, name, type));

    return node == NULL ? NULL : container_of(node, struct entry, node);
}

static struct entry *entry_new(struct dns_cache *cache, struct bytes name, enum dns_type type)
{
    struct entry *entry = malloc(sizeof(*entry) + KEY_TYPE_LEN + name.len);
    uint8_t key[KEY_MAX];
    struct bytes bytes = make_key(key, name, type);

    if (cache->entries.count == cache->count_max)
        entry_drop(cache, container_of(list_first(&cache->by_use), struct entry, use));
    check(entry != NULL);
    *entry = (struct entry){0};
    memcpy(entry->key, bytes.ptr, bytes.len);
    map_insert(&cache->entries, &entry->node, bytes_range(entry->key, bytes.len));
    list_node_init(&entry->use);
    list_push_back(&cache->by_use, &entry->use);
    metric_inc(METRIC_DNS_CACHE_ENTRIES);
    return entry;
}

static void entry_touch(struct dns_cache *cache, struct entry *entry)
{
    list_remove(&entry->use);
    list_push_back(&cache->by_use, &entry->use);
}

static bool holds(const struct dns_answer *answer, int64_t now_ms)
{
    return answer != NULL && now_ms < answer->expires_ms;
}

const struct dns_answer *dns_cache_find(struct dns_cache *cache, struct bytes name,
                                        enum dns_type type, int64_t now_ms)
{
    struct entry *entry = entry_find(cache, name, type);

    if (entry == NULL)
        return NULL;
    entry_touch(cache, entry);
    if (holds(entry->fact, now_ms))
        return entry->fact;
    return holds(entry->meanwhile, now_ms) ? entry->meanwhile : NULL;
}

/* What to tell while `failure` holds. Negative facts are never stretched: mail bounces on them. */
static const struct dns_answer *choose_meanwhile(const struct dns_cache *cache,
                                                 const struct dns_answer *fact,
                                                 const struct dns_answer *failure, int64_t now_ms)
{
    if (fact == NULL || fact->status != DNS_OK || now_ms >= fact->expires_ms + cache->stale_ms)
        return dns_answer_keep(failure);
    return dns_answer_stale(fact, failure->why,
                            MIN(failure->expires_ms, fact->expires_ms + cache->stale_ms));
}

const struct dns_answer *dns_cache_store(struct dns_cache *cache, struct bytes name,
                                         enum dns_type type, const struct dns_answer *answer,
                                         int64_t now_ms)
{
    struct entry *entry = entry_find(cache, name, type);

    check(answer->status != DNS_BAD_NAME);
    if (entry == NULL)
        entry = entry_new(cache, name, type);
    entry_touch(cache, entry);
    dns_answer_release(&entry->meanwhile);
    if (answer->status == DNS_FAILED) {
        entry->meanwhile = choose_meanwhile(cache, entry->fact, answer, now_ms);
        return dns_answer_keep(entry->meanwhile);
    }
    dns_answer_release(&entry->fact);
    entry->fact = dns_answer_keep(answer);
    return dns_answer_keep(answer);
}

void dns_cache_flush(struct dns_cache *cache, struct bytes name)
{
    static const enum dns_type types[] = {
        DNS_TYPE_A,   DNS_TYPE_CNAME, DNS_TYPE_SOA,  DNS_TYPE_MX,
        DNS_TYPE_TXT, DNS_TYPE_AAAA,  DNS_TYPE_TLSA,
    };

    if (name.len == 0)
        drop_all(cache);
    for (size_t i = 0; i < ARRAY_LEN(types) && name.len > 0; i++) {
        struct entry *entry = entry_find(cache, name, types[i]);

        if (entry != NULL)
            entry_drop(cache, entry);
    }
}
