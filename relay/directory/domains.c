/* domains.c - domains in the database. */
#include "directory/domains.h"

#include "base/clock.h"
#include "directory/directory_name.h"
#include "directory/domain_keys.h"
#include "directory/suggest.h"

enum { NAMES_MAX = 4096, SHOWN_MAX = 253 };

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

enum store_result store_find_domain(struct store *store, struct bytes given, int64_t *id_out,
                                    int64_t *tenant_out)
{
    struct arena arena;
    struct bytes name;
    char like[SUGGEST_MAX];
    struct query query;
    bool found = false;

    arena_init(&arena, NAMES_MAX);
    if (!directory_domain_name(&arena, given, &name))
        name = BYTES("");
    query_begin(&query, store, "SELECT id, tenant FROM domains WHERE name = ?");
    query_text(&query, name);
    if (query_row(&query)) {
        *id_out = query_column(&query);
        *tenant_out = query_column(&query);
        found = true;
    }
    enum store_result result = query_end(&query);
    if (result == STORE_OK && !found) {
        suggest(store, "SELECT name FROM domains", name, like);
        result =
            store_say(store, STORE_NONE,
                      "there is no domain %.*s%s (`ringpost domain add TENANT DOMAIN` makes one)",
                      (int)MIN(given.len, (size_t)SHOWN_MAX), (const char *)given.ptr, like);
    }
    arena_free(&arena);
    return result;
}

/* --- add -------------------------------------------------------------------------------------- */

static enum store_result insert_domain(struct store *store, struct bytes name, int64_t tenant,
                                       const struct domain_wish *wish, const struct new_keys *keys)
{
    struct query query;

    query_begin(&query, store,
                "INSERT INTO domains(tenant, name, active, hosted, sub_domains, created)"
                " VALUES (?, ?, ?, ?, ?, ?)");
    query_int(&query, tenant);
    query_text(&query, name);
    query_int(&query, wish->is_active);
    query_int(&query, wish->is_hosted);
    query_int(&query, wish->allows_sub_domains);
    query_int(&query, now_s());
    enum store_result result = query_run(&query);
    if (result == STORE_OK)
        result = new_keys_insert(store, edit_new_id(store), keys,
                                 wish->is_active ? DKIM_KEY_ACTIVE : DKIM_KEY_PUBLISHED);
    return result;
}

static enum store_result widen(struct store *store, struct bytes name, int64_t id,
                               const struct domain_wish *wish)
{
    struct query query;

    query_begin(&query, store,
                "UPDATE domains SET active = max(active, ?2), hosted = max(hosted, ?3),"
                " sub_domains = max(sub_domains, ?4)"
                " WHERE id = ?1 AND (active < ?2 OR hosted < ?3 OR sub_domains < ?4)");
    query_int(&query, id);
    query_int(&query, wish->is_active);
    query_int(&query, wish->is_hosted);
    query_int(&query, wish->allows_sub_domains);
    enum store_result result = query_run(&query);
    if (result == STORE_OK && edit_changed(store) == 0)
        return store_say(store, STORE_SAME, "domain %.*s exists", BYTES_ARG(name));
    if (result == STORE_OK && wish->is_active)
        result = domain_keys_begin(store, id);
    return result;
}

static enum store_result add_named(struct store *store, const char *state_dir,
                                   const struct domain_wish *wish, struct bytes name)
{
    struct new_keys keys = {0};
    int64_t tenant = 0, id = 0, owner = 0;
    enum store_result result = store_find_tenant(store, wish->tenant, &tenant);

    if (result != STORE_OK)
        return result;
    result = store_find_domain(store, name, &id, &owner);
    if (result != STORE_OK && result != STORE_NONE)
        return result;
    bool is_new = result == STORE_NONE;
    /* Before the edit: making a key takes long, and others wait to write. */
    result = is_new ? new_keys_make(store, state_dir, name, &keys) : STORE_OK;
    if (result == STORE_OK && (result = edit_begin(store)) == STORE_OK) {
        if (is_new)
            result = insert_domain(store, name, tenant, wish, &keys);
        else if (owner != tenant)
            result =
                store_say(store, STORE_CLASH, "domain %.*s is of another tenant", BYTES_ARG(name));
        else
            result = widen(store, name, id, wish);
        if (result == STORE_OK)
            result = edit_audit(store, "domain add", name,
                                "tenant=%.*s active=%d hosted=%d sub_domains=%d",
                                BYTES_ARG(wish->tenant), wish->is_active, wish->is_hosted,
                                wish->allows_sub_domains);
        result = edit_end(store, result);
    }
    new_keys_end(&keys, state_dir, result);
    return result;
}

enum store_result domain_add(struct store *store, const char *state_dir,
                             const struct domain_wish *wish)
{
    struct arena arena;
    struct bytes name;

    arena_init(&arena, NAMES_MAX);
    enum store_result result =
        directory_domain_name(&arena, wish->name, &name)
            ? add_named(store, state_dir, wish, name)
            : store_say(store, STORE_INVALID, "\"%.*s\" is no domain",
                        (int)MIN(wish->name.len, (size_t)SHOWN_MAX), (const char *)wish->name.ptr);
    arena_free(&arena);
    return result;
}

/* --- list ------------------------------------------------------------------------------------- */

enum store_result domain_list(struct store *store, struct bytes name,
                              void (*visit)(void *context, const struct domain_row *row),
                              void *context)
{
    struct domain_key_row keys[DOMAIN_KEYS_MAX];
    int64_t id = 0, tenant;
    struct arena arena;
    struct query query;

    if (name.ptr != NULL) {
        enum store_result result = store_find_domain(store, name, &id, &tenant);

        if (result != STORE_OK)
            return result;
    }
    arena_init(&arena, SIZE_MAX);
    query_begin(&query, store,
                "SELECT d.id, d.active, d.hosted, d.sub_domains, d.created,"
                " coalesce(d.verified, 0), d.name, t.name"
                " FROM domains d JOIN tenants t ON t.id = d.tenant WHERE ?1 = 0 OR d.id = ?1"
                " ORDER BY d.name");
    query_int(&query, id);
    while (query_row(&query)) {
        struct domain_row row = {.keys = keys};

        row.id = query_column(&query);
        row.is_active = query_column(&query) != 0;
        row.is_hosted = query_column(&query) != 0;
        row.allows_sub_domains = query_column(&query) != 0;
        row.created_s = query_column(&query);
        row.verified_s = query_column(&query);
        row.name = query_column_text(&query);
        row.tenant = query_column_text(&query);
        query.result = domain_keys_read(store, row.id, &arena, keys, &row.key_count);
        if (query.result == STORE_OK)
            visit(context, &row);
        arena_clear(&arena);
    }
    arena_free(&arena);
    return query_end(&query);
}

/* --- activate, remove ------------------------------------------------------------------------- */

enum store_result domain_activate(struct store *store, struct bytes name)
{
    int64_t id, tenant;
    struct query query;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_domain(store, name, &id, &tenant);
    if (result == STORE_OK) {
        query_begin(&query, store, "UPDATE domains SET active = 1, verified = ? WHERE id = ?");
        query_int(&query, now_s());
        query_int(&query, id);
        result = query_run(&query);
    }
    if (result == STORE_OK)
        result = domain_keys_begin(store, id);
    if (result == STORE_OK)
        result = edit_audit(store, "domain verify", name, "active");
    return edit_end(store, result);
}

static enum store_result check_unused(struct store *store, struct bytes name, int64_t id)
{
    int64_t accounts = 0, aliases = 0;
    struct query query;

    query_begin(&query, store,
                "SELECT (SELECT count(*) FROM accounts WHERE domain = ?1),"
                " (SELECT count(*) FROM aliases WHERE domain = ?1)");
    query_int(&query, id);
    if (query_row(&query)) {
        accounts = query_column(&query);
        aliases = query_column(&query);
    }
    enum store_result result = query_end(&query);
    if (result == STORE_OK && (accounts != 0 || aliases != 0))
        result = store_say(store, STORE_CLASH,
                           "domain %.*s has %lld accounts and %lld aliases; remove them first",
                           BYTES_ARG(name), (long long)accounts, (long long)aliases);
    return result;
}

enum store_result domain_remove(struct store *store, const char *state_dir, struct bytes name)
{
    struct doomed_keys doomed = {0};
    int64_t id, tenant;
    struct query query;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_domain(store, name, &id, &tenant);
    if (result == STORE_OK)
        result = check_unused(store, name, id);
    if (result == STORE_OK)
        result = doomed_keys_find(store, id, 0, &doomed);
    if (result == STORE_OK) {
        query_begin(&query, store, "DELETE FROM domains WHERE id = ?");
        query_int(&query, id);
        result = query_run(&query);
    }
    if (result == STORE_OK)
        result = edit_audit(store, "domain remove", name, "%s", "");
    result = edit_end(store, result);
    doomed_keys_end(&doomed, state_dir, result);
    return result;
}

bool domains_have_hosted(const char *state_dir)
{
    struct store store;
    struct query query;
    bool is_hosted = false;

    if (store_open_to_look(&store, state_dir) == STORE_OK) {
        query_begin(&query, &store, "SELECT 1 FROM domains WHERE hosted = 1 LIMIT 1");
        is_hosted = query_row(&query);
        (void)query_end(&query);
    }
    sqlite3_close(store.db);
    return is_hosted;
}
