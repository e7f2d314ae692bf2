/* sender_rules.c - rules about senders in the database, and in snapshots. */
#include "directory/sender_rules.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "directory/directory_name.h"
#include "directory/store_private.h"

enum { ARENA_MAX = 16 * 1024 };

/* --- values ----------------------------------------------------------------------------------- */

/* "192.0.2.0/24", always with its length. */
static bool put_network(struct arena *arena, const struct network *network, struct bytes *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = network->prefix_len >= 96 && memcmp(network->bytes, mapped, sizeof(mapped)) == 0;
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, network->bytes + (is_v4 ? 12 : 0), text,
                  sizeof(text)) == NULL)
        return false;
    return arena_printf(arena, out, "%s/%u", text, network->prefix_len - (is_v4 ? 96U : 0U));
}

static bool put_domain(struct arena *arena, struct bytes text, struct bytes *out)
{
    struct bytes rest = text, name;

    if (!bytes_take_nocase(&rest, BYTES("*.")))
        return directory_domain_name(arena, text, out);
    return directory_domain_name(arena, rest, &name) &&
           arena_printf(arena, out, "*.%.*s", BYTES_ARG(name));
}

bool sender_rule_value(struct arena *arena, struct bytes text, struct bytes *value_out)
{
    struct network network;

    if (text.len == 0 || text.len >= SENDER_RULE_TEXT_MAX)
        return false;
    if (network_parse(text, &network))
        return put_network(arena, &network, value_out);
    return bytes_find(text, '@', 0) < text.len ? directory_address(arena, text, false, value_out)
                                               : put_domain(arena, text, value_out);
}

bool sender_rule_key(struct arena *arena, uint32_t tenant, struct bytes value,
                     struct bytes *key_out)
{
    return arena_printf(arena, key_out, "%u:%.*s", tenant, BYTES_ARG(value));
}

struct bytes sender_rule_text(const struct directory_rule *rule)
{
    size_t colon = bytes_find(rule->key, ':', 0);

    return bytes_slice(rule->key, colon + 1, rule->key.len);
}

/* --- the database ----------------------------------------------------------------------------- */

static enum store_result find_value(struct store *store, struct arena *arena, const char *text,
                                    struct bytes *value_out)
{
    arena_clear(arena);
    if (sender_rule_value(arena, bytes_of(text), value_out))
        return STORE_OK;
    return store_say(store, STORE_INVALID,
                     "%.80s is no sender; expected local@domain, a domain, *.domain or a network "
                     "such as 192.0.2.0/24",
                     text);
}

static enum store_result look_for_room(struct store *store, int64_t tenant)
{
    struct query query;
    int64_t count = 0;

    query_begin(&query, store, "SELECT count(*) FROM sender_rules WHERE tenant = ?");
    query_int(&query, tenant);
    if (query_row(&query))
        count = query_column(&query);
    enum store_result result = query_end(&query);

    if (result == STORE_OK && count > SENDER_RULES_MAX)
        result = store_say(store, STORE_CLASH, "a tenant has at most %d rules about senders",
                           SENDER_RULES_MAX);
    return result;
}

static enum store_result set_one(struct store *store, int64_t tenant, bool is_allowed,
                                 struct bytes value)
{
    struct query query;

    query_begin(&query, store,
                "INSERT INTO sender_rules(tenant, value, allowed, created) VALUES (?1, ?2, ?3, ?4)"
                " ON CONFLICT(tenant, value) DO UPDATE SET allowed = ?3, created = ?4"
                " WHERE allowed <> ?3");
    query_int(&query, tenant);
    query_text(&query, value);
    query_int(&query, is_allowed);
    query_int(&query, clock_wall_ms() / 1000);
    return query_run(&query);
}

static enum store_result remove_one(struct store *store, int64_t tenant, struct bytes value)
{
    struct query query;

    query_begin(&query, store, "DELETE FROM sender_rules WHERE tenant = ? AND value = ?");
    query_int(&query, tenant);
    query_text(&query, value);
    enum store_result result = query_run(&query);

    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_NONE,
                           "there is no rule about %.*s (`ringpost tenant rules` lists them)",
                           BYTES_ARG(value));
    return result;
}

enum change { ALLOW, BLOCK, REMOVE };

/* Within an edit; *changed_out counts, and `said` names what changed. */
static enum store_result change_all(struct store *store, int64_t tenant, enum change change,
                                    size_t count, const char *const *values, struct buf *said,
                                    int64_t *changed_out)
{
    enum store_result result = STORE_OK;
    struct arena arena;
    struct bytes value;

    arena_init(&arena, ARENA_MAX);
    for (size_t i = 0; result == STORE_OK && i < count; i++) {
        result = find_value(store, &arena, values[i], &value);
        if (result == STORE_OK)
            result = change == REMOVE ? remove_one(store, tenant, value)
                                      : set_one(store, tenant, change == ALLOW, value);
        if (result != STORE_OK || edit_changed(store) == 0)
            continue;
        /* What finds no room is cut off in the audit's line too. */
        (void)!buf_printf(said, "%s%.*s", *changed_out > 0 ? " " : "", BYTES_ARG(value));
        ++*changed_out;
    }
    arena_free(&arena);
    return result;
}

static enum store_result edit(struct store *store, struct bytes tenant, enum change change,
                              size_t count, const char *const *values)
{
    static const char *const names[] = {
        [ALLOW] = "tenant allow", [BLOCK] = "tenant block", [REMOVE] = "tenant unlist"};
    int64_t id = 0, changed = 0;
    struct buf said;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    buf_init(&said, 4096);
    result = store_find_tenant(store, tenant, &id);
    if (result == STORE_OK)
        result = change_all(store, id, change, count, values, &said, &changed);
    if (result == STORE_OK && changed == 0)
        result = store_say(store, STORE_SAME, "it was so already");
    if (result == STORE_OK)
        result = look_for_room(store, id);
    if (result == STORE_OK)
        result = edit_audit(store, names[change], tenant, "%.*s", BYTES_ARG(buf_bytes(&said)));
    buf_free(&said);
    return edit_end(store, result);
}

enum store_result sender_rules_set(struct store *store, struct bytes tenant, bool is_allowed,
                                   size_t count, const char *const *values)
{
    return edit(store, tenant, is_allowed ? ALLOW : BLOCK, count, values);
}

enum store_result sender_rules_remove(struct store *store, struct bytes tenant, size_t count,
                                      const char *const *values)
{
    return edit(store, tenant, REMOVE, count, values);
}

enum store_result sender_rules_list(struct store *store, struct bytes tenant,
                                    void (*visit)(void *context, const struct sender_rule_row *row),
                                    void *context)
{
    struct query query;
    int64_t id = 0;
    enum store_result result = store_find_tenant(store, tenant, &id);

    if (result != STORE_OK)
        return result;
    query_begin(&query, store,
                "SELECT allowed, created, value FROM sender_rules WHERE tenant = ? ORDER BY value");
    query_int(&query, id);
    while (query_row(&query)) {
        struct sender_rule_row row = {.is_allowed = query_column(&query) != 0};

        row.created_s = query_column(&query);
        row.value = query_column_text(&query);
        visit(context, &row);
    }
    return query_end(&query);
}

/* --- snapshots -------------------------------------------------------------------------------- */

struct search {
    const struct snapshot *snapshot;
    uint32_t tenant;
    struct arena arena;
};

static const struct directory_rule *find_text(struct search *search, const char *before,
                                              struct bytes value)
{
    struct bytes whole, key;

    arena_clear(&search->arena);
    return arena_printf(&search->arena, &whole, "%s%.*s", before, BYTES_ARG(value)) &&
                   sender_rule_key(&search->arena, search->tenant, whole, &key)
               ? snapshot_rule(search->snapshot, key)
               : NULL;
}

static const struct directory_rule *find_sender(struct search *search, struct bytes sender)
{
    struct arena names;
    struct bytes address = BYTES_NONE;
    const struct directory_rule *rule = NULL;

    arena_init(&names, ARENA_MAX);
    if (directory_address(&names, sender, false, &address)) {
        struct bytes domain = directory_address_domain(address);

        rule = find_text(search, "", address);
        if (rule == NULL)
            rule = find_text(search, "", domain);
        while (rule == NULL && bytes_find(domain, '.', 0) < domain.len) {
            domain = bytes_slice(domain, bytes_find(domain, '.', 0) + 1, domain.len);
            rule = find_text(search, "*.", domain);
        }
    }
    arena_free(&names);
    return rule;
}

/* The client's own address, then the networks around it: as many as prefixes. */
static const struct directory_rule *find_client(struct search *search, const struct address *client)
{
    struct address at = *client;
    bool is_v4 = client->any.sa_family == AF_INET;
    uint8_t *bytes = is_v4 ? (uint8_t *)&at.v4.sin_addr : at.v6.sin6_addr.s6_addr;
    const struct directory_rule *rule = NULL;
    char text[INET6_ADDRSTRLEN], value[INET6_ADDRSTRLEN + 8];

    if (!is_v4 && client->any.sa_family != AF_INET6)
        return NULL;
    for (unsigned len = is_v4 ? 32 : 128; rule == NULL; len--) {
        if (inet_ntop(client->any.sa_family, bytes, text, sizeof(text)) == NULL)
            return NULL;
        snprintf(value, sizeof(value), "%s/%u", text, len);
        rule = find_text(search, "", bytes_of(value));
        if (len == 0)
            break;
        bytes[(len - 1) / 8] &= (uint8_t) ~(0x80U >> (len - 1) % 8);
    }
    return rule;
}

const struct directory_rule *sender_rule_find(const struct snapshot *snapshot, uint32_t tenant,
                                              struct bytes sender, const struct address *client)
{
    struct search search = {.snapshot = snapshot, .tenant = tenant};
    const struct directory_rule *rule = NULL;

    if (snapshot_count(snapshot, SNAPSHOT_RULES) == 0)
        return NULL;
    arena_init(&search.arena, ARENA_MAX);
    if (sender.len > 0)
        rule = find_sender(&search, sender);
    if (rule == NULL && client != NULL)
        rule = find_client(&search, client);
    arena_free(&search.arena);
    return rule;
}
