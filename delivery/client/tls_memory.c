/* tls_memory.c - two tables whose oldest entries make room for new ones. */
#include "delivery/client/tls_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

enum { KEY_MAX = 256 * 1024 };

struct entry {
    struct map_node node;
    struct list_node in_age;
    int64_t until_ms;
    struct tls_session *session; /* of sessions */
    uint8_t result;              /* of what is broken */
    char why[TLS_WHY_LEN];
};

struct table {
    struct map map;
    struct list by_age; /* oldest first: all live as long */
    size_t count_max;
};

struct tls_memory {
    struct table sessions, broken;
    struct buf key;
};

static void table_init(struct table *table, size_t count_max)
{
    map_init(&table->map);
    list_init(&table->by_age);
    table->count_max = count_max;
}

static void drop(struct table *table, struct entry *entry)
{
    map_remove(&table->map, &entry->node);
    list_remove(&entry->in_age);
    tls_session_release(&entry->session);
    free(entry);
}

static void clear(struct table *table)
{
    struct list_node *node;

    while ((node = list_first(&table->by_age)) != NULL)
        drop(table, container_of(node, struct entry, in_age));
}

/* NULL: none, or too old. */
static struct entry *find(struct table *table, struct bytes key, int64_t now_ms)
{
    struct map_node *node = map_find(&table->map, key);
    struct entry *entry = node != NULL ? container_of(node, struct entry, node) : NULL;

    if (entry == NULL || now_ms < entry->until_ms)
        return entry;
    drop(table, entry);
    return NULL;
}

/* In place of what there was. */
static struct entry *add(struct table *table, struct bytes key, int64_t until_ms)
{
    struct map_node *old = map_find(&table->map, key);
    struct list_node *oldest;

    if (old != NULL)
        drop(table, container_of(old, struct entry, node));
    if (table->map.count >= table->count_max && (oldest = list_first(&table->by_age)) != NULL)
        drop(table, container_of(oldest, struct entry, in_age));
    struct entry *entry = calloc(1, sizeof(*entry) + key.len);

    check(entry != NULL);
    memcpy(entry + 1, key.ptr, key.len);
    entry->until_ms = until_ms;
    list_node_init(&entry->in_age);
    list_push_back(&table->by_age, &entry->in_age);
    map_insert(&table->map, &entry->node, bytes_range(entry + 1, key.len));
    return entry;
}

struct tls_memory *tls_memory_create(void)
{
    struct tls_memory *memory = calloc(1, sizeof(*memory));

    check(memory != NULL);
    table_init(&memory->sessions, TLS_SESSIONS_MAX);
    table_init(&memory->broken, TLS_BROKEN_MAX);
    buf_init(&memory->key, KEY_MAX);
    return memory;
}

void tls_memory_free(struct tls_memory **memory)
{
    struct tls_memory *freed = *memory;

    *memory = NULL;
    clear(&freed->sessions);
    clear(&freed->broken);
    map_free(&freed->sessions.map);
    map_free(&freed->broken.map);
    buf_free(&freed->key);
    free(freed);
}

/* --- sessions --------------------------------------------------------------------------------- */

static struct bytes session_key(struct tls_memory *memory, struct bytes host, uint16_t port,
                                const struct tls_policy *policy)
{
    buf_clear(&memory->key);
    check(buf_printf(&memory->key, "%u %.*s\n", port, BYTES_ARG(host)));
    check(tls_policy_identify(policy, &memory->key));
    return buf_bytes(&memory->key);
}

const struct tls_session *tls_memory_session(struct tls_memory *memory, struct bytes host,
                                             uint16_t port, const struct tls_policy *policy,
                                             int64_t now_ms)
{
    struct bytes key = session_key(memory, host, port, policy);
    const struct entry *entry = find(&memory->sessions, key, now_ms);

    return entry != NULL ? entry->session : NULL;
}

void tls_memory_keep(struct tls_memory *memory, struct bytes host, uint16_t port,
                     const struct tls_policy *policy, struct tls_session *session, int64_t now_ms)
{
    struct bytes key = session_key(memory, host, port, policy);

    add(&memory->sessions, key, now_ms + TLS_SESSION_MS)->session = session;
}

void tls_memory_forget_sessions(struct tls_memory *memory)
{
    clear(&memory->sessions);
}

/* --- what is broken --------------------------------------------------------------------------- */

bool tls_memory_is_broken(struct tls_memory *memory, const struct address *peer, int64_t now_ms,
                          enum tls_result *result_out, const char **why_out)
{
    char text[ADDRESS_TEXT_MAX];
    size_t len = address_format_port(peer, text);
    const struct entry *entry = find(&memory->broken, bytes_range(text, len), now_ms);

    if (entry == NULL)
        return false;
    *result_out = (enum tls_result)entry->result;
    *why_out = entry->why;
    return true;
}

void tls_memory_broke(struct tls_memory *memory, const struct address *peer, enum tls_result result,
                      const char *why, int64_t now_ms)
{
    char text[ADDRESS_TEXT_MAX];
    size_t len = address_format_port(peer, text);
    struct entry *entry = add(&memory->broken, bytes_range(text, len), now_ms + TLS_BROKEN_MS);

    entry->result = (uint8_t)result;
    snprintf(entry->why, sizeof(entry->why), "%s", why);
}
