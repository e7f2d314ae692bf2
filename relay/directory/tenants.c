/* tenants.c - tenants in the database. */
#include "directory/tenants.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "directory/store_private.h"
#include "directory/suggest.h"
#include "directory/tenant_limit.h"

bool tenant_name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len > TENANT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !byte_is_digit(c) &&
            (i == 0 || (c != '-' && c != '_' && c != '.')))
            return false;
    }
    return true;
}

enum store_result store_find_tenant(struct store *store, struct bytes name, int64_t *id_out)
{
    char like[SUGGEST_MAX];
    struct query query;
    bool found = false;

    query_begin(&query, store, "SELECT id FROM tenants WHERE name = ?");
    query_text(&query, name);
    if (query_row(&query)) {
        *id_out = query_column(&query);
        found = true;
    }
    enum store_result result = query_end(&query);
    if (result != STORE_OK || found)
        return result;
    suggest(store, "SELECT name FROM tenants", name, like);
    return store_say(store, STORE_NONE,
                     "there is no tenant %.*s%s (`ringpost tenant add NAME` makes one)",
                     (int)MIN(name.len, (size_t)TENANT_NAME_MAX), (const char *)name.ptr, like);
}

enum store_result tenant_add(struct store *store, struct bytes name)
{
    struct query query;

    if (!tenant_name_is_valid(name))
        return store_say(
            store, STORE_INVALID,
            "not a name of a tenant; expected lower-case letters, digits, \"-\", \"_\" "
            "and \".\", a letter or digit first, at most %d",
            TENANT_NAME_MAX);
    enum store_result result = edit_begin(store);
    if (result != STORE_OK)
        return result;
    query_begin(&query, store,
                "INSERT INTO tenants(name, created) VALUES (?, ?) ON CONFLICT DO NOTHING");
    query_text(&query, name);
    query_int(&query, clock_wall_ms() / 1000);
    result = query_run(&query);
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "tenant %.*s exists", BYTES_ARG(name));
    if (result == STORE_OK)
        result = edit_audit(store, "tenant add", name, "%s", "");
    return edit_end(store, result);
}

static enum store_result set_limit(struct store *store, int64_t tenant,
                                   const struct tenant_setting *setting)
{
    struct query query;

    if (setting->is_null_sender) {
        query_begin(&query, store, "UPDATE tenants SET null_sender = ? WHERE id = ?");
        query_int(&query, setting->value != 0);
        query_int(&query, tenant);
        return query_run(&query);
    }
    query_begin(&query, store,
                setting->value == 0 ? "DELETE FROM limits WHERE tenant = ? AND name = ?"
                                    : "INSERT INTO limits(tenant, name, value) VALUES (?, ?, ?)"
                                      " ON CONFLICT DO UPDATE SET value = excluded.value");
    query_int(&query, tenant);
    query_text(&query, bytes_of(tenant_limit_row(setting->limit)->name));
    if (setting->value != 0)
        query_int(&query, (int64_t)setting->value);
    return query_run(&query);
}

enum store_result tenant_set(struct store *store, struct bytes name, size_t count,
                             const struct tenant_setting *settings)
{
    struct buf detail;
    int64_t id;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    buf_init(&detail, 4096);
    result = store_find_tenant(store, name, &id);
    for (size_t i = 0; result == STORE_OK && i < count; i++) {
        const struct tenant_setting *setting = &settings[i];
        const char *key =
            setting->is_null_sender ? "null_sender" : tenant_limit_row(setting->limit)->name;

        result = set_limit(store, id, setting);
        /* What finds no room is cut off in the audit's line too. */
        (void)!buf_printf(&detail, "%s%s=%llu", i == 0 ? "" : " ", key,
                          (unsigned long long)setting->value);
    }
    if (result == STORE_OK)
        result = edit_audit(store, "tenant set", name, "%.*s", BYTES_ARG(buf_bytes(&detail)));
    buf_free(&detail);
    return edit_end(store, result);
}

enum store_result tenant_disable(struct store *store, struct bytes name, bool is_disabled)
{
    struct query query;
    int64_t id;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_tenant(store, name, &id);
    if (result == STORE_OK) {
        query_begin(&query, store,
                    "UPDATE tenants SET disabled = ? WHERE id = ? AND disabled <> ?");
        query_int(&query, is_disabled);
        query_int(&query, id);
        query_int(&query, is_disabled);
        result = query_run(&query);
    }
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "tenant %.*s is %s", BYTES_ARG(name),
                           is_disabled ? "disabled" : "enabled");
    if (result == STORE_OK)
        result =
            edit_audit(store, is_disabled ? "tenant disable" : "tenant enable", name, "%s", "");
    return edit_end(store, result);
}

static enum store_result count_of(struct store *store, int64_t tenant, int64_t counts[static 3])
{
    struct query query;

    query_begin(&query, store,
                "SELECT (SELECT count(*) FROM credentials WHERE tenant = ?1),"
                " (SELECT count(*) FROM domains WHERE tenant = ?1),"
                " (SELECT count(*) FROM accounts WHERE tenant = ?1)");
    query_int(&query, tenant);
    if (query_row(&query))
        for (unsigned i = 0; i < 3; i++)
            counts[i] = query_column(&query);
    return query_end(&query);
}

/* What stands in nobody's way goes last. */
static enum store_result remove_all(struct store *store, int64_t tenant)
{
    static const char *const statements[] = {
        "DELETE FROM aliases WHERE tenant = ?",  "DELETE FROM credentials WHERE tenant = ?",
        "DELETE FROM accounts WHERE tenant = ?", "DELETE FROM domains WHERE tenant = ?",
        "DELETE FROM tenants WHERE id = ?",
    };
    enum store_result result = STORE_OK;

    for (size_t i = 0; result == STORE_OK && i < ARRAY_LEN(statements); i++) {
        struct query query;

        query_begin(&query, store, statements[i]);
        query_int(&query, tenant);
        result = query_run(&query);
    }
    return result;
}

enum store_result tenant_remove(struct store *store, struct bytes name, bool with_all)
{
    int64_t id, counts[3] = {0};
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_tenant(store, name, &id);
    if (result == STORE_OK)
        result = count_of(store, id, counts);
    if (result == STORE_OK && !with_all && (counts[0] | counts[1] | counts[2]) != 0)
        result = store_say(store, STORE_CLASH,
                           "tenant %.*s has %lld credentials, %lld domains and %lld accounts; "
                           "remove them, or use --with-all",
                           BYTES_ARG(name), (long long)counts[0], (long long)counts[1],
                           (long long)counts[2]);
    if (result == STORE_OK)
        result = remove_all(store, id);
    if (result == STORE_OK)
        result =
            edit_audit(store, "tenant remove", name, "credentials=%lld domains=%lld accounts=%lld",
                       (long long)counts[0], (long long)counts[1], (long long)counts[2]);
    return edit_end(store, result);
}

bool tenant_is_known(const char *state_dir, struct bytes name)
{
    struct store store;
    struct query query;
    bool is_known = false;

    if (store_open_to_look(&store, state_dir) == STORE_OK) {
        query_begin(&query, &store, "SELECT 1 FROM tenants WHERE name = ?");
        query_text(&query, name);
        is_known = query_row(&query);
        (void)query_end(&query);
    }
    sqlite3_close(store.db);
    return is_known;
}

static enum store_result read_limits(struct store *store, struct directory_tenant *tenant)
{
    struct query query;

    query_begin(&query, store, "SELECT name, value FROM limits WHERE tenant = ?");
    query_int(&query, tenant->id);
    while (query_row(&query)) {
        enum tenant_limit limit;

        if (tenant_limit_find(query_column_text(&query), &limit))
            tenant->limits[limit] = (uint64_t)query_column(&query);
    }
    return query_end(&query);
}

enum store_result tenant_list(struct store *store, struct bytes name,
                              void (*visit)(void *context, const struct tenant_row *row),
                              void *context)
{
    struct query query;
    int64_t id;

    if (name.ptr != NULL) {
        enum store_result result = store_find_tenant(store, name, &id);

        if (result != STORE_OK)
            return result;
    }
    query_begin(&query, store,
                "SELECT id, disabled, null_sender, created,"
                " (SELECT count(*) FROM credentials WHERE tenant = tenants.id),"
                " (SELECT count(*) FROM domains WHERE tenant = tenants.id),"
                " (SELECT count(*) FROM accounts WHERE tenant = tenants.id), name"
                " FROM tenants WHERE ?1 IS NULL OR name = ?1 ORDER BY name");
    query_text(&query, name);
    while (query_row(&query)) {
        struct tenant_row row = {.tenant.id = (uint32_t)query_column(&query)};

        row.tenant.is_disabled = query_column(&query) != 0;
        row.tenant.allows_null_sender = query_column(&query) != 0;
        row.created_s = query_column(&query);
        row.credentials = query_column(&query);
        row.domains = query_column(&query);
        row.accounts = query_column(&query);
        row.tenant.name = query_column_text(&query);
        query.result = read_limits(store, &row.tenant);
        if (query.result == STORE_OK)
            visit(context, &row);
    }
    return query_end(&query);
}
