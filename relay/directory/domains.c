/* domains.c - domains in the database. */
#include "directory/domains.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "directory/directory_name.h"
#include "directory/dkim_key.h"
#include "directory/store_private.h"
#include "directory/suggest.h"

enum { NAMES_MAX = 4096, SHOWN_MAX = 253, KEYS_MAX = 32 };

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

/* --- keys ------------------------------------------------------------------------------------- */

/* Not yet in the database. */
struct new_key {
    enum dkim_algorithm algorithm;
    char selector[DKIM_SELECTOR_MAX + 1], file[DKIM_KEY_FILE_MAX];
    struct buf public_key;
};

struct new_keys {
    struct new_key keys[2];
    size_t count;
};

static void drop_files(const struct new_keys *keys, const char *state_dir)
{
    for (size_t i = 0; i < keys->count; i++)
        dkim_key_remove(state_dir, bytes_of(keys->keys[i].file));
}

static void free_keys(struct new_keys *keys)
{
    for (size_t i = 0; i < ARRAY_LEN(keys->keys); i++)
        buf_free(&keys->keys[i].public_key);
}

/* Both algorithms: receivers that know Ed25519 are few, those that refuse RSA fewer. The selector
 * tells when it was made, and by a number which of that day's. */
static enum store_result make_keys(struct store *store, const char *state_dir, struct bytes domain,
                                   struct new_keys *out)
{
    static const char letters[] = {[DKIM_RSA_SHA256] = 'r', [DKIM_ED25519_SHA256] = 'e'};
    time_t now = (time_t)now_s();
    struct tm day;

    *out = (struct new_keys){0};
    for (size_t i = 0; i < ARRAY_LEN(out->keys); i++)
        buf_init(&out->keys[i].public_key, DKIM_PUBLIC_MAX);
    check(gmtime_r(&now, &day) != NULL);
    for (unsigned number = 0; out->count < ARRAY_LEN(out->keys) && number < 1000; number++) {
        struct new_key *key = &out->keys[out->count];

        key->algorithm = out->count == 0 ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
        snprintf(key->selector, sizeof(key->selector), "rp%04d%02d%02d%c%u", day.tm_year + 1900,
                 day.tm_mon + 1, day.tm_mday, letters[key->algorithm], number);
        int error = dkim_key_make(state_dir, domain, bytes_of(key->selector), key->algorithm,
                                  key->file, &key->public_key);
        if (error == 0)
            out->count++;
        else
            buf_clear(&key->public_key);
        if (error < 0 && error != -EEXIST)
            return store_say(store, STORE_BROKEN, "%s/keys/%.*s: %s", state_dir, BYTES_ARG(domain),
                             strerror(-error));
    }
    return out->count == ARRAY_LEN(out->keys)
               ? STORE_OK
               : store_say(store, STORE_BROKEN, "%s/keys/%.*s: full of keys of today", state_dir,
                           BYTES_ARG(domain));
}

static enum store_result insert_keys(struct store *store, int64_t domain,
                                     const struct new_keys *keys, enum dkim_key_state state)
{
    enum store_result result = STORE_OK;

    for (size_t i = 0; result == STORE_OK && i < keys->count; i++) {
        struct query query;

        query_begin(&query, store,
                    "INSERT INTO dkim_keys(domain, selector, algorithm, state, file, public,"
                    " created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
        query_int(&query, domain);
        query_text(&query, bytes_of(keys->keys[i].selector));
        query_int(&query, keys->keys[i].algorithm);
        query_int(&query, state);
        query_text(&query, bytes_of(keys->keys[i].file));
        query_text(&query, buf_bytes(&keys->keys[i].public_key));
        query_int(&query, now_s());
        query_int(&query, now_s());
        result = query_run(&query);
    }
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
    /* A domain without records signs with nothing: its keys sign from the first message on. */
    if (result == STORE_OK)
        result = insert_keys(store, edit_new_id(store), keys, DKIM_KEY_ACTIVE);
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
        result = store_say(store, STORE_SAME, "domain %.*s exists", BYTES_ARG(name));
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
    result = is_new ? make_keys(store, state_dir, name, &keys) : STORE_OK;
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
    if (result != STORE_OK)
        drop_files(&keys, state_dir);
    free_keys(&keys);
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

static enum store_result read_keys(struct store *store, int64_t domain, struct arena *arena,
                                   struct domain_key_row keys[static KEYS_MAX], size_t *count_out)
{
    struct query query;

    *count_out = 0;
    query_begin(&query, store,
                "SELECT id, algorithm, state, created, changed, selector, file, public"
                " FROM dkim_keys WHERE domain = ? ORDER BY id DESC");
    query_int(&query, domain);
    while (query_row(&query)) {
        if (*count_out == KEYS_MAX)
            continue;
        struct domain_key_row *key = &keys[(*count_out)++];

        key->id = query_column(&query);
        key->algorithm = (enum dkim_algorithm)query_column(&query);
        key->state = (enum dkim_key_state)query_column(&query);
        key->created_s = query_column(&query);
        key->changed_s = query_column(&query);
        check(arena_copy(arena, query_column_text(&query), &key->selector));
        check(arena_copy(arena, query_column_text(&query), &key->file));
        check(arena_copy(arena, query_column_text(&query), &key->public_key));
    }
    return query_end(&query);
}

enum store_result domain_list(struct store *store, struct bytes name,
                              void (*visit)(void *context, const struct domain_row *row),
                              void *context)
{
    struct domain_key_row keys[KEYS_MAX];
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
        query.result = read_keys(store, row.id, &arena, keys, &row.key_count);
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
        result = edit_audit(store, "domain verify", name, "active");
    return edit_end(store, result);
}

/* Files of keys that are to go, once the rows are gone. */
struct doomed {
    struct arena arena;
    size_t count;
    struct bytes files[KEYS_MAX];
};

static enum store_result find_doomed(struct store *store, int64_t domain, int64_t retired_before_s,
                                     struct doomed *out)
{
    struct query query;

    arena_init(&out->arena, SIZE_MAX);
    out->count = 0;
    query_begin(&query, store,
                "SELECT file FROM dkim_keys WHERE domain = ?1"
                " AND (?2 = 0 OR (state = 2 AND changed < ?2))");
    query_int(&query, domain);
    query_int(&query, retired_before_s);
    while (query_row(&query))
        if (out->count < KEYS_MAX)
            check(arena_copy(&out->arena, query_column_text(&query), &out->files[out->count++]));
    return query_end(&query);
}

static void end_doomed(struct doomed *doomed, const char *state_dir, enum store_result result)
{
    for (size_t i = 0; result == STORE_OK && i < doomed->count; i++)
        dkim_key_remove(state_dir, doomed->files[i]);
    arena_free(&doomed->arena);
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
    struct doomed doomed = {0};
    int64_t id, tenant;
    struct query query;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_domain(store, name, &id, &tenant);
    if (result == STORE_OK)
        result = check_unused(store, name, id);
    if (result == STORE_OK)
        result = find_doomed(store, id, 0, &doomed);
    if (result == STORE_OK) {
        query_begin(&query, store, "DELETE FROM domains WHERE id = ?");
        query_int(&query, id);
        result = query_run(&query);
    }
    if (result == STORE_OK)
        result = edit_audit(store, "domain remove", name, "%s", "");
    result = edit_end(store, result);
    end_doomed(&doomed, state_dir, result);
    return result;
}

/* --- rotation --------------------------------------------------------------------------------- */

static enum store_result count_published(struct store *store, int64_t domain, int64_t *count_out)
{
    struct query query;

    query_begin(&query, store, "SELECT count(*) FROM dkim_keys WHERE domain = ? AND state = 0");
    query_int(&query, domain);
    if (query_row(&query))
        *count_out = query_column(&query);
    return query_end(&query);
}

/* With the name in its one form, which files are called after. */
static enum store_result publish(struct store *store, const char *state_dir, struct bytes name)
{
    struct new_keys keys = {0};
    int64_t id, tenant, count = 0;
    enum store_result result = store_find_domain(store, name, &id, &tenant);

    if (result == STORE_OK)
        result = count_published(store, id, &count);
    if (result == STORE_OK && count > 0)
        return store_say(store, STORE_SAME, "domain %.*s has keys that wait for their records",
                         BYTES_ARG(name));
    if (result == STORE_OK)
        result = make_keys(store, state_dir, name, &keys);
    if (result == STORE_OK && (result = edit_begin(store)) == STORE_OK) {
        result = insert_keys(store, id, &keys, DKIM_KEY_PUBLISHED);
        if (result == STORE_OK)
            result = edit_audit(store, "domain rotate", name, "published %s and %s",
                                keys.keys[0].selector, keys.keys[1].selector);
        result = edit_end(store, result);
    }
    if (result != STORE_OK)
        drop_files(&keys, state_dir);
    free_keys(&keys);
    return result;
}

enum store_result domain_publish_keys(struct store *store, const char *state_dir, struct bytes name)
{
    struct arena arena;
    struct bytes normal = name;

    arena_init(&arena, NAMES_MAX);
    (void)!directory_domain_name(&arena, name, &normal); /* else it is not found */
    enum store_result result = publish(store, state_dir, normal);
    arena_free(&arena);
    return result;
}

static enum store_result switch_rows(struct store *store, int64_t id, struct bytes name)
{
    static const char *const statements[] = {
        "UPDATE dkim_keys SET state = 2, changed = ?2 WHERE domain = ?1 AND state = 1",
        "UPDATE dkim_keys SET state = 1, changed = ?2 WHERE domain = ?1 AND state = 0",
    };
    int64_t count = 0;
    enum store_result result = count_published(store, id, &count);

    if (result == STORE_OK && count == 0)
        return store_say(store, STORE_CLASH, "domain %.*s has no keys that wait to sign",
                         BYTES_ARG(name));
    for (size_t i = 0; result == STORE_OK && i < ARRAY_LEN(statements); i++) {
        struct query query;

        query_begin(&query, store, statements[i]);
        query_int(&query, id);
        query_int(&query, now_s());
        result = query_run(&query);
    }
    return result;
}

static enum store_result delete_retired(struct store *store, int64_t id, int64_t before_s)
{
    struct query query;

    query_begin(&query, store,
                "DELETE FROM dkim_keys WHERE domain = ? AND state = 2 AND changed < ?");
    query_int(&query, id);
    query_int(&query, before_s);
    return query_run(&query);
}

enum store_result domain_switch_keys(struct store *store, const char *state_dir, struct bytes name)
{
    int64_t id, tenant, before_s = now_s() - DKIM_RETIRED_S;
    struct doomed doomed = {0};
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_domain(store, name, &id, &tenant);
    if (result == STORE_OK)
        result = find_doomed(store, id, before_s, &doomed);
    if (result == STORE_OK)
        result = delete_retired(store, id, before_s);
    if (result == STORE_OK)
        result = switch_rows(store, id, name);
    if (result == STORE_OK)
        result = edit_audit(store, "domain rotate", name, "switched");
    result = edit_end(store, result);
    end_doomed(&doomed, state_dir, result);
    return result;
}
