/* egress.c - the table: egresses by name, their limits, when they are forgotten. */
#include "delivery/line/egress.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/line/delivery.h"
#include "delivery/line/egress_state.h"

enum { SWEEP_MIN = 10000, KEY_PART_MAX = 512 };

struct egress_table *egress_table_create(unsigned connections_max)
{
    struct egress_table *table = calloc(1, sizeof(*table));

    check(table != NULL);
    int error = pthread_mutex_init(&table->lock, NULL);

    check(error == 0);
    map_init(&table->egresses);
    egress_memories_init(&table->memories);
    table->sweep_at = SWEEP_MIN;
    table->connections_max =
        connections_max != 0 ? (int)connections_max : DELIVERY_CONNECTIONS_DEFAULT;
    return table;
}

/* Under the lock. Its provider's may have nothing left that uses it. */
static void remove_egress(struct egress *egress)
{
    check(egress->references == 0);
    check(atomic_load(&egress->connections) == 0);
    check(atomic_load(&egress->line.waiting) == 0);
    check(atomic_load(&egress->throttled) == 0);
    check(egress->holders == NULL);
    map_remove(&egress->table->egresses, &egress->node);
    egress_fairness_free(&egress->line);
    if (egress->provider != NULL)
        egress->provider->references--;
    free(egress);
}

static void drop(void *context, struct map_node *node)
{
    struct egress *egress = container_of(node, struct egress, node);

    (void)context;
    if (egress->references == 0)
        remove_egress(egress);
}

void egress_table_free(struct egress_table **table)
{
    map_for_each(&(*table)->egresses, drop, NULL);
    map_for_each(&(*table)->egresses, drop, NULL); /* providers, of which no site's is left now */
    check((*table)->egresses.count == 0);
    map_free(&(*table)->egresses);
    egress_memories_free(&(*table)->memories);
    egress_fairness_free(&(*table)->line);
    pthread_mutex_destroy(&(*table)->lock);
    free(*table);
    *table = NULL;
}

static struct egress *egress_new(struct egress_table *table, struct bytes key, bool is_provider)
{
    size_t size = is_provider ? sizeof(struct provider_egress) : sizeof(struct egress);
    struct egress *egress = calloc(1, size + key.len);

    check(egress != NULL);
    uint8_t *copy = (uint8_t *)egress + size;

    memcpy(copy, key.ptr, key.len);
    egress->table = table;
    egress->is_provider = is_provider;
    atomic_init(&egress->allowed, EGRESS_ANY);
    map_insert(&table->egresses, &egress->node, (struct bytes){copy, key.len});
    egress_memory_take(&table->memories, egress);
    return egress;
}

static int64_t interval_us(const struct egress_limits *limits)
{
    return limits->messages_per_s > 0 ? (int64_t)(1e6 / limits->messages_per_s) : 0;
}

static unsigned connections_max(const struct egress_limits *limits)
{
    return MIN(MAX(limits->connections_max, 1U), (unsigned)EGRESS_CONNECTIONS_ANY);
}

/* Under the lock. The next share is due at once, or one that is fast now would wait as for a slow
 * one. */
static void set_interval(struct egress *egress, int64_t interval)
{
    if (atomic_load(&egress->interval_us) == interval)
        return;
    atomic_store(&egress->interval_us, interval);
    atomic_store(&egress->next_us, 0);
    egress_ring_bell(egress);
}

static void set_limits(struct egress *egress, const struct egress_limits *limits)
{
    egress->generation = limits->generation;
    egress->has_default_limits = limits->is_default;
    atomic_store(&egress->connections_max, connections_max(limits));
    set_interval(egress, interval_us(limits));
}

static void tighten_limits(struct egress *egress, const struct egress_limits *limits)
{
    if (connections_max(limits) < atomic_load(&egress->connections_max))
        atomic_store(&egress->connections_max, connections_max(limits));
    if (interval_us(limits) > atomic_load(&egress->interval_us))
        set_interval(egress, interval_us(limits));
}

/* Under the lock. */
static void limit(struct egress *egress, const struct egress_limits *limits)
{
    int newer = (int)(limits->generation - egress->generation);

    if (newer > 0 || (newer == 0 && egress->has_default_limits && !limits->is_default))
        set_limits(egress, limits);
    else if (newer == 0 && egress->has_default_limits == limits->is_default)
        tighten_limits(egress, limits);
    egress_grant_waiting(egress); /* there may be room for more now */
}

void egress_limit(struct egress *egress, const struct egress_limits *limits)
{
    pthread_mutex_lock(&egress->table->lock);
    limit(egress, limits);
    pthread_mutex_unlock(&egress->table->lock);
}

/* Lengths first: no two triples make one key, whatever bytes a publisher of names chose. */
static struct bytes make_key(uint8_t key[static 3 * KEY_PART_MAX + 6], struct bytes provider,
                             struct bytes site, struct bytes source)
{
    const struct bytes parts[] = {provider, site, source};
    uint8_t *at = key;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct bytes part = bytes_slice(parts[i], 0, KEY_PART_MAX);

        *at++ = (uint8_t)(part.len >> 8);
        *at++ = (uint8_t)part.len;
        (void)bytes_put(part, &at);
    }
    return bytes_range((const char *)key, (size_t)(at - key));
}

/* Under the lock; found or made, referenced. */
static struct egress *get(struct egress_table *table, struct bytes provider, struct bytes site,
                          struct bytes source, const struct egress_limits *limits)
{
    uint8_t key[3 * KEY_PART_MAX + 6];
    struct bytes name = make_key(key, provider, site, source);
    struct map_node *node = map_find(&table->egresses, name);
    struct egress *egress = node != NULL
                                ? container_of(node, struct egress, node)
                                : egress_new(table, name, provider.len > 0 && site.len == 0);

    if (egress->references++ == 0)
        set_limits(egress, limits);
    limit(egress, limits);
    return egress;
}

struct egress *egress_get(struct egress_table *table, struct bytes site, struct bytes source,
                          const struct egress_limits *limits)
{
    pthread_mutex_lock(&table->lock);
    struct egress *egress = get(table, BYTES_NONE, site, source, limits);

    pthread_mutex_unlock(&table->lock);
    return egress;
}

struct egress *egress_get_of(struct egress_table *table, struct bytes provider,
                             const struct egress_limits *provider_limits, struct bytes site,
                             struct bytes source, const struct egress_limits *limits)
{
    check(provider.len > 0 && site.len > 0);
    pthread_mutex_lock(&table->lock);
    struct egress *of_provider = get(table, provider, BYTES_NONE, source, provider_limits);
    struct egress *egress = get(table, provider, site, source, limits);

    if (egress->provider == NULL)
        egress->provider = of_provider;
    else
        of_provider->references--; /* it had one */
    pthread_mutex_unlock(&table->lock);
    return egress;
}

struct egress *egress_provider(const struct egress *egress)
{
    return egress->provider;
}

/* One that receivers complained about, or whose rate is in use, is remembered for a while: it is
 * what the next site of this name must know. */
static bool is_forgettable(const struct egress *egress, int64_t now_ms)
{
    if (egress->references > 0)
        return false;
    return atomic_load(&egress->resting_until_ms) <= now_ms &&
           (atomic_load(&egress->allowed) == EGRESS_ANY || egress->probe_at_ms <= now_ms) &&
           atomic_load(&egress->next_us) <= now_ms * 1000;
}

static void forget(void *context, struct map_node *node)
{
    struct egress_table *table = context;
    struct egress *egress = container_of(node, struct egress, node);

    if (is_forgettable(egress, atomic_load(&table->now_ms)))
        remove_egress(egress);
}

/* Under the lock: one user less. One that fails is not forgotten at once. */
static void leave(struct egress_table *table, struct egress *egress)
{
    int64_t now_ms = atomic_load(&table->now_ms);

    if (egress->references > 0)
        return;
    bool has_failed = atomic_load(&egress->failures) != 0;

    if ((!has_failed && is_forgettable(egress, now_ms)) ||
        egress_memory_keep(&table->memories, egress, now_ms))
        remove_egress(egress);
}

void egress_put(struct egress **egress)
{
    struct egress *e = *egress;
    struct egress *provider = e->provider;
    struct egress_table *table = e->table;

    *egress = NULL;
    pthread_mutex_lock(&table->lock);
    check(e->references > 0);
    e->references--;
    leave(table, e);
    if (provider != NULL)
        leave(table, provider);
    /* The others go once they are many: twice as many as were kept the last time. */
    if (table->egresses.count > table->sweep_at) {
        map_for_each(&table->egresses, forget, table);
        table->sweep_at = MAX(table->egresses.count * 2, (size_t)SWEEP_MIN);
    }
    pthread_mutex_unlock(&table->lock);
}
