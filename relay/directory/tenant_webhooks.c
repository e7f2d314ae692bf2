/* tenant_webhooks.c - webhooks in the database. */
#include "directory/tenant_webhooks.h"

#include <string.h>

#include "base/clock.h"
#include "directory/store_private.h"

bool tenant_webhook_name_is_valid(struct bytes name)
{
    bool is_good = name.len > 0 && name.len <= TENANT_WEBHOOK_NAME_MAX;

    for (size_t i = 0; is_good && i < name.len; i++)
        is_good = byte_is_alnum(name.ptr[i]) || name.ptr[i] == '_' || name.ptr[i] == '-';
    return is_good;
}

static enum store_result look_for_room(struct store *store)
{
    struct query query;
    int64_t count = 0;

    query_begin(&query, store, "SELECT count(*) FROM webhooks");
    if (query_row(&query))
        count = query_column(&query);
    enum store_result result = query_end(&query);
    if (result == STORE_OK && count >= TENANT_WEBHOOKS_MAX)
        result = store_say(store, STORE_CLASH, "there are %d webhooks, and there may be no more",
                           TENANT_WEBHOOKS_MAX);
    return result;
}

static enum store_result insert(struct store *store, int64_t tenant, struct bytes name,
                                struct bytes settings)
{
    struct query query;

    query_begin(&query, store,
                "INSERT INTO webhooks(tenant, name, settings, created) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING");
    query_int(&query, tenant);
    query_text(&query, name);
    query_text(&query, settings);
    query_int(&query, clock_wall_ms() / 1000);
    return query_run(&query);
}

enum store_result tenant_webhook_add(struct store *store, struct bytes tenant, struct bytes name,
                                     struct bytes settings)
{
    int64_t id = 0;

    if (!tenant_webhook_name_is_valid(name))
        return store_say(store, STORE_INVALID,
                         "not a name of a webhook; expected up to %d letters, digits, \"_\" and "
                         "\"-\"",
                         TENANT_WEBHOOK_NAME_MAX);
    if (settings.len > TENANT_WEBHOOK_SETTINGS_MAX)
        return store_say(store, STORE_INVALID, "settings of more than %d bytes",
                         TENANT_WEBHOOK_SETTINGS_MAX);
    enum store_result result = edit_begin(store);
    if (result != STORE_OK)
        return result;
    result = store_find_tenant(store, tenant, &id);
    if (result == STORE_OK)
        result = look_for_room(store);
    if (result == STORE_OK)
        result = insert(store, id, name, settings);
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_CLASH,
                           "tenant %.*s has a webhook %.*s; choose another "
                           "--name, or remove it first",
                           BYTES_ARG(tenant), BYTES_ARG(name));
    if (result == STORE_OK)
        result = edit_audit(store, "webhook add", tenant, "name=%.*s", BYTES_ARG(name));
    return edit_end(store, result);
}

static enum store_result find(struct store *store, int64_t tenant, struct bytes name,
                              uint64_t *id_out)
{
    struct query query;
    bool is_found = false;

    query_begin(&query, store, "SELECT id FROM webhooks WHERE tenant = ? AND name = ?");
    query_int(&query, tenant);
    query_text(&query, name);
    if (query_row(&query)) {
        *id_out = (uint64_t)query_column(&query);
        is_found = true;
    }
    enum store_result result = query_end(&query);
    if (result == STORE_OK && !is_found)
        result = store_say(store, STORE_NONE,
                           "there is no such webhook (`ringpost webhook list` lists them)");
    return result;
}

enum store_result tenant_webhook_remove(struct store *store, struct bytes tenant, struct bytes name,
                                        uint64_t *id_out)
{
    struct query query;
    int64_t owner = 0;
    uint64_t id = 0;

    enum store_result result = edit_begin(store);
    if (result != STORE_OK)
        return result;
    result = store_find_tenant(store, tenant, &owner);
    if (result == STORE_OK)
        result = find(store, owner, name, &id);
    if (result == STORE_OK) {
        query_begin(&query, store, "DELETE FROM webhooks WHERE id = ?");
        query_int(&query, (int64_t)id);
        result = query_run(&query);
    }
    if (result == STORE_OK)
        result = edit_audit(store, "webhook remove", tenant, "name=%.*s", BYTES_ARG(name));
    result = edit_end(store, result);
    if (result == STORE_OK)
        *id_out = id;
    return result;
}

enum store_result tenant_webhook_list(struct store *store, struct bytes tenant,
                                      void (*visit)(void *context,
                                                    const struct tenant_webhook_row *row),
                                      void *context)
{
    struct query query;
    int64_t id;

    if (tenant.ptr != NULL) {
        enum store_result result = store_find_tenant(store, tenant, &id);

        if (result != STORE_OK)
            return result;
    }
    query_begin(&query, store,
                "SELECT webhooks.id, webhooks.created, tenants.name, webhooks.name, settings"
                " FROM webhooks JOIN tenants ON tenants.id = webhooks.tenant"
                " WHERE ?1 IS NULL OR tenants.name = ?1 ORDER BY tenants.name, webhooks.name");
    query_text(&query, tenant);
    while (query_row(&query)) {
        struct tenant_webhook_row row = {.id = (uint64_t)query_column(&query)};

        row.created_s = query_column(&query);
        row.tenant = query_column_text(&query);
        row.name = query_column_text(&query);
        row.settings = query_column_text(&query);
        visit(context, &row);
    }
    return query_end(&query);
}
