/* domain_keys.c - keys of domains: made, rotated, let go. */
#include "directory/domain_keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "directory/directory_name.h"

enum { NAMES_MAX = 4096 };

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

/* --- new ones --------------------------------------------------------------------------------- */

/* Both algorithms: receivers that know Ed25519 are few, those that refuse RSA fewer. The selector
 * tells when it was made, and by a number which of that day's. */
enum store_result new_keys_make(struct store *store, const char *state_dir, struct bytes domain,
                                struct new_keys *out)
{
    static const char letters[] = {[SIGNATURE_RSA_SHA256] = 'r', [SIGNATURE_ED25519_SHA256] = 'e'};
    time_t now = (time_t)now_s();
    struct tm day;

    *out = (struct new_keys){0};
    for (size_t i = 0; i < ARRAY_LEN(out->keys); i++)
        buf_init(&out->keys[i].public_key, DKIM_PUBLIC_MAX);
    check(gmtime_r(&now, &day) != NULL);
    for (unsigned number = 0; out->count < ARRAY_LEN(out->keys) && number < 1000; number++) {
        struct new_key *key = &out->keys[out->count];

        key->algorithm = out->count == 0 ? SIGNATURE_RSA_SHA256 : SIGNATURE_ED25519_SHA256;
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

enum store_result new_keys_insert(struct store *store, int64_t domain, const struct new_keys *keys,
                                  enum dkim_key_state state)
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

void new_keys_end(struct new_keys *keys, const char *state_dir, enum store_result result)
{
    for (size_t i = 0; result != STORE_OK && i < keys->count; i++)
        dkim_key_remove(state_dir, bytes_of(keys->keys[i].file));
    for (size_t i = 0; i < ARRAY_LEN(keys->keys); i++)
        buf_free(&keys->keys[i].public_key);
}

/* --- those that are there --------------------------------------------------------------------- */

enum store_result domain_keys_read(struct store *store, int64_t domain, struct arena *arena,
                                   struct domain_key_row keys[static DOMAIN_KEYS_MAX],
                                   size_t *count_out)
{
    struct query query;

    *count_out = 0;
    query_begin(&query, store,
                "SELECT id, algorithm, state, created, changed, selector, file, public"
                " FROM dkim_keys WHERE domain = ? ORDER BY id DESC");
    query_int(&query, domain);
    while (query_row(&query)) {
        if (*count_out == DOMAIN_KEYS_MAX)
            continue;
        struct domain_key_row *key = &keys[(*count_out)++];

        key->id = query_column(&query);
        key->algorithm = (enum signature_algorithm)query_column(&query);
        key->state = (enum dkim_key_state)query_column(&query);
        key->created_s = query_column(&query);
        key->changed_s = query_column(&query);
        check(arena_copy(arena, query_column_text(&query), &key->selector));
        check(arena_copy(arena, query_column_text(&query), &key->file));
        check(arena_copy(arena, query_column_text(&query), &key->public_key));
    }
    return query_end(&query);
}

enum store_result doomed_keys_find(struct store *store, int64_t domain, int64_t retired_before_s,
                                   struct doomed_keys *out)
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
        if (out->count < DOMAIN_KEYS_MAX)
            check(arena_copy(&out->arena, query_column_text(&query), &out->files[out->count++]));
    return query_end(&query);
}

void doomed_keys_end(struct doomed_keys *doomed, const char *state_dir, enum store_result result)
{
    for (size_t i = 0; result == STORE_OK && i < doomed->count; i++)
        dkim_key_remove(state_dir, doomed->files[i]);
    arena_free(&doomed->arena);
}

static enum store_result count_keys(struct store *store, int64_t domain, enum dkim_key_state state,
                                    int64_t *count_out)
{
    struct query query;

    query_begin(&query, store, "SELECT count(*) FROM dkim_keys WHERE domain = ? AND state = ?");
    query_int(&query, domain);
    query_int(&query, state);
    if (query_row(&query))
        *count_out = query_column(&query);
    return query_end(&query);
}

enum store_result domain_keys_begin(struct store *store, int64_t domain)
{
    int64_t signing = 0;
    struct query query;
    enum store_result result = count_keys(store, domain, DKIM_KEY_ACTIVE, &signing);

    if (result != STORE_OK || signing > 0)
        return result;
    query_begin(&query, store,
                "UPDATE dkim_keys SET state = 1, changed = ? WHERE domain = ? AND state = 0");
    query_int(&query, now_s());
    query_int(&query, domain);
    return query_run(&query);
}

/* --- rotation --------------------------------------------------------------------------------- */

/* With the name in its one form, which files are called after. */
static enum store_result publish(struct store *store, const char *state_dir, struct bytes name)
{
    struct new_keys keys = {0};
    int64_t id, tenant, count = 0;
    enum store_result result = store_find_domain(store, name, &id, &tenant);

    if (result == STORE_OK)
        result = count_keys(store, id, DKIM_KEY_PUBLISHED, &count);
    if (result == STORE_OK && count > 0)
        return store_say(store, STORE_SAME, "domain %.*s has keys that wait for their records",
                         BYTES_ARG(name));
    if (result == STORE_OK)
        result = new_keys_make(store, state_dir, name, &keys);
    if (result == STORE_OK && (result = edit_begin(store)) == STORE_OK) {
        result = new_keys_insert(store, id, &keys, DKIM_KEY_PUBLISHED);
        if (result == STORE_OK)
            result = edit_audit(store, "domain rotate", name, "published %s and %s",
                                keys.keys[0].selector, keys.keys[1].selector);
        result = edit_end(store, result);
    }
    new_keys_end(&keys, state_dir, result);
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
    enum store_result result = count_keys(store, id, DKIM_KEY_PUBLISHED, &count);

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
    struct doomed_keys doomed = {0};
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = store_find_domain(store, name, &id, &tenant);
    if (result == STORE_OK)
        result = doomed_keys_find(store, id, before_s, &doomed);
    if (result == STORE_OK)
        result = delete_retired(store, id, before_s);
    if (result == STORE_OK)
        result = switch_rows(store, id, name);
    if (result == STORE_OK)
        result = edit_audit(store, "domain rotate", name, "switched");
    result = edit_end(store, result);
    doomed_keys_end(&doomed, state_dir, result);
    return result;
}

/* --- by the clock ----------------------------------------------------------------------------- */

static enum store_result find_retired(struct store *store, int64_t before_s, struct arena *arena,
                                      int64_t *id_out, struct bytes *name_out)
{
    enum store_result found = STORE_SAME;
    struct query query;

    query_begin(&query, store,
                "SELECT domains.id, domains.name FROM dkim_keys"
                " JOIN domains ON domains.id = dkim_keys.domain"
                " WHERE dkim_keys.state = 2 AND dkim_keys.changed < ? LIMIT 1");
    query_int(&query, before_s);
    while (query_row(&query)) {
        *id_out = query_column(&query);
        check(arena_copy(arena, query_column_text(&query), name_out));
        found = STORE_OK;
    }
    enum store_result result = query_end(&query);

    return result == STORE_OK ? found : result;
}

static enum store_result drop_retired(struct store *store, const char *state_dir, int64_t id,
                                      struct bytes name, int64_t before_s)
{
    struct doomed_keys doomed = {0};
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    result = doomed_keys_find(store, id, before_s, &doomed);
    if (result == STORE_OK)
        result = delete_retired(store, id, before_s);
    if (result == STORE_OK)
        result = edit_audit(store, "domain rotate", name, "dropped %zu retired", doomed.count);
    result = edit_end(store, result);
    doomed_keys_end(&doomed, state_dir, result);
    return result;
}

enum store_result domain_drop_retired(struct store *store, const char *state_dir, int64_t wall_s)
{
    int64_t id = 0, before_s = wall_s - DKIM_RETIRED_S;
    struct bytes name = BYTES_NONE;
    struct arena arena;

    arena_init(&arena, NAMES_MAX);
    enum store_result result = find_retired(store, before_s, &arena, &id, &name);
    if (result == STORE_OK)
        result = drop_retired(store, state_dir, id, name, before_s);
    arena_free(&arena);
    return result;
}
