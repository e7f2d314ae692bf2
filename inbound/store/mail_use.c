/* mail_use.c - entries in a map, and in the order in which they were asked for. */
#include "inbound/store/mail_use.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"

struct entry {
    struct map_node node;
    struct list_node in_all; /* longest not asked for first */
    bool is_known;
    uint64_t bytes;
    int64_t counted_ms;     /* it was known to be so */
    int64_t count_asked_ms; /* somebody was told to count it */
    char key[];
};

struct mail_uses {
    pthread_mutex_t mutex;
    struct map map;
    struct list all;
    size_t max;
};

struct mail_uses *mail_uses_create(size_t max)
{
    struct mail_uses *uses = calloc(1, sizeof(*uses));

    check(uses != NULL);
    check(max > 0);
    pthread_mutex_init(&uses->mutex, NULL);
    map_init(&uses->map);
    list_init(&uses->all);
    uses->max = max;
    return uses;
}

static void forget(struct mail_uses *uses, struct entry *entry)
{
    list_remove(&entry->in_all);
    map_remove(&uses->map, &entry->node);
    free(entry);
}

void mail_uses_free(struct mail_uses **uses)
{
    struct mail_uses *u = *uses;
    struct list_node *node;

    *uses = NULL;
    if (u == NULL)
        return;
    while ((node = list_first(&u->all)) != NULL)
        forget(u, container_of(node, struct entry, in_all));
    map_free(&u->map);
    pthread_mutex_destroy(&u->mutex);
    free(u);
}

/* With the mutex. It is the last to go from now on. */
static struct entry *need(struct mail_uses *uses, struct bytes key, int64_t now_ms)
{
    struct map_node *node = map_find(&uses->map, key);
    struct entry *entry;

    if (node != NULL) {
        entry = container_of(node, struct entry, node);
        list_remove(&entry->in_all);
        list_push_back(&uses->all, &entry->in_all);
        return entry;
    }
    if (uses->map.count >= uses->max)
        forget(uses, container_of(list_first(&uses->all), struct entry, in_all));
    entry = calloc(1, sizeof(*entry) + key.len);
    check(entry != NULL);
    memcpy(entry->key, key.ptr, key.len);
    entry->count_asked_ms = now_ms - MAIL_USE_FRESH_MS;
    list_node_init(&entry->in_all);
    list_push_back(&uses->all, &entry->in_all);
    map_insert(&uses->map, &entry->node, bytes_range(entry->key, key.len));
    return entry;
}

void mail_use_set(struct mail_uses *uses, struct bytes key, uint64_t bytes, int64_t now_ms)
{
    pthread_mutex_lock(&uses->mutex);
    struct entry *entry = need(uses, key, now_ms);

    entry->is_known = true;
    entry->bytes = bytes;
    entry->counted_ms = now_ms;
    pthread_mutex_unlock(&uses->mutex);
}

bool mail_use_find(struct mail_uses *uses, struct bytes key, int64_t now_ms, uint64_t *bytes_out,
                   bool *counts_out)
{
    pthread_mutex_lock(&uses->mutex);
    struct entry *entry = need(uses, key, now_ms);
    int64_t age_ms = now_ms - entry->counted_ms;
    bool is_known = entry->is_known && age_ms < MAIL_USE_HOLDS_MS;

    *counts_out = (!entry->is_known || age_ms >= MAIL_USE_FRESH_MS) &&
                  now_ms - entry->count_asked_ms >= MAIL_USE_FRESH_MS;
    if (*counts_out)
        entry->count_asked_ms = now_ms;
    if (is_known)
        *bytes_out = entry->bytes;
    pthread_mutex_unlock(&uses->mutex);
    return is_known;
}
