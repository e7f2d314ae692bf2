/* load.c - rows of the database as rows of snapshots; one way for one row and for all. */
#include "directory/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "directory/account_shows.h"
#include "directory/sender_rules.h"
#include "directory/store_private.h"
#include "directory/tenant_limit.h"

enum {
    KEYS_MAX = 32,      /* of a domain: more are not shown */
    NETWORKS_MAX = 255, /* of a credential */
    /* More than that, and more than a part of all rows: reading everything is as cheap. */
    CHANGES_MAX = 20000,
    CHANGES_SHARE = 4,
};

/* Rows of a second table that belong to rows of the first, both in the order of its ids: read side
 * by side. `id` 0: of all rows. */
struct beside {
    struct query query;
    int64_t id; /* that the current row belongs to; INT64_MAX: there is none */
};

static void beside_next(struct beside *beside)
{
    beside->id = query_row(&beside->query) ? query_column(&beside->query) : INT64_MAX;
}

static void begin(struct query *query, struct store *store, const char *sql, const char *sql_one,
                  uint32_t id)
{
    query_begin(query, store, id == 0 ? sql : sql_one);
    if (id != 0)
        query_int(query, id);
}

/* Is the current row of `of`? Rows of others before it are passed over. */
static bool beside_is_of(struct beside *beside, int64_t of)
{
    while (beside->id < of)
        beside_next(beside);
    return beside->id == of;
}

#define ALL_OR_ONE(select, order, key) \
    select " ORDER BY " order, select " WHERE " key " = ? ORDER BY " order

static enum store_result load_tenants(struct store *store, struct snapshot_builder *builder,
                                      uint32_t id)
{
    uint32_t ids[SHOWING_ACCOUNTS_MAX];
    struct query query;
    struct beside limits, showing;
    bool any = false;

    begin(&query, store,
          ALL_OR_ONE("SELECT id, disabled, null_sender, name FROM tenants", "id", "id"), id);
    begin(&limits.query, store,
          ALL_OR_ONE("SELECT tenant, name, value FROM limits", "tenant, name", "tenant"), id);
    begin(&showing.query, store,
          "SELECT tenant, id FROM accounts WHERE shows > 0 ORDER BY tenant, id",
          "SELECT tenant, id FROM accounts WHERE shows > 0 AND tenant = ? ORDER BY tenant, id", id);
    beside_next(&limits);
    beside_next(&showing);
    while (query_row(&query)) {
        struct directory_tenant row = {.id = (uint32_t)query_column(&query), .showing = ids};

        row.is_disabled = query_column(&query) != 0;
        row.allows_null_sender = query_column(&query) != 0;
        row.name = query_column_text(&query);
        for (; beside_is_of(&limits, row.id); beside_next(&limits)) {
            enum tenant_limit limit;

            /* One that a newer version knows is kept in the database and not obeyed. */
            if (tenant_limit_find(query_column_text(&limits.query), &limit))
                row.limits[limit] = (uint64_t)query_column(&limits.query);
        }
        for (; beside_is_of(&showing, row.id); beside_next(&showing))
            if (row.showing_count < SHOWING_ACCOUNTS_MAX)
                ids[row.showing_count++] = (uint32_t)query_column(&showing.query);
        snapshot_put_tenant(builder, &row);
        any = true;
    }
    if (id != 0 && !any)
        snapshot_drop(builder, SNAPSHOT_TENANTS, id);
    enum store_result result = query_end(&limits.query);
    enum store_result accounts = query_end(&showing.query);
    if (query_end(&query) != STORE_OK)
        return query.result;
    return result != STORE_OK ? result : accounts;
}

/* As they are written: "192.0.2.0/24,2001:db8::/32". What the commands wrote is well-formed; a part
 * that is not allows nobody. */
static uint8_t parse_networks(struct bytes text, struct network out[static NETWORKS_MAX])
{
    uint8_t count = 0;

    while (text.len > 0 && count < NETWORKS_MAX) {
        struct bytes part = bytes_slice(text, 0, bytes_find(text, ',', 0));

        text = bytes_slice(text, part.len + 1, text.len);
        if (!network_parse(part, &out[count]))
            out[count] = (struct network){.prefix_len = 128};
        count++;
    }
    return count;
}

static void put_secret(struct directory_credential *row, struct bytes secret)
{
    const uint8_t *at = secret.ptr;

    memcpy(row->salt, at, sizeof(row->salt));
    at += sizeof(row->salt);
    memcpy(row->hash, at, sizeof(row->hash));
    at += sizeof(row->hash);
    memcpy(row->stored_key, at, sizeof(row->stored_key));
    at += sizeof(row->stored_key);
    memcpy(row->server_key, at, sizeof(row->server_key));
}

enum { SECRET_BLOB_LEN = CREDENTIAL_SALT_LEN + 3 * CREDENTIAL_HASH_LEN };

static enum store_result load_credentials(struct store *store, struct snapshot_builder *builder,
                                          uint32_t id)
{
    struct network networks[NETWORKS_MAX];
    struct query query;
    bool any = false;

    begin(&query, store,
          ALL_OR_ONE("SELECT id, tenant, account, scopes, class, expires, key, networks, secret"
                     " FROM credentials",
                     "id", "id"),
          id);
    while (query_row(&query)) {
        struct directory_credential row = {.id = (uint32_t)query_column(&query)};

        row.tenant = (uint32_t)query_column(&query);
        row.account = (uint32_t)query_column(&query);
        row.scopes = (uint8_t)query_column(&query);
        row.class = (uint8_t)query_column(&query);
        row.expires_s = query_column(&query);
        struct bytes name = query_column_text(&query);
        row.network_count = parse_networks(query_column_text(&query), networks);
        row.networks = networks;
        struct bytes secret = query_column_blob(&query);
        if (name.len != CREDENTIAL_ID_LEN || secret.len != SECRET_BLOB_LEN)
            continue; /* the schema forbids it: a damaged row is nobody's */
        memcpy(row.name, name.ptr, name.len);
        put_secret(&row, secret);
        snapshot_put_credential(builder, &row);
        any = true;
    }
    if (id != 0 && !any)
        snapshot_drop(builder, SNAPSHOT_CREDENTIALS, id);
    return query_end(&query);
}

static enum store_result load_domains(struct store *store, struct snapshot_builder *builder,
                                      uint32_t id)
{
    struct directory_key keys[KEYS_MAX];
    struct arena texts; /* a query's live until its next row */
    struct query query;
    struct beside beside;
    bool any = false;

    arena_init(&texts, SIZE_MAX);
    begin(&query, store,
          ALL_OR_ONE("SELECT id, tenant, active, hosted, sub_domains, name FROM domains", "id",
                     "id"),
          id);
    begin(&beside.query, store,
          ALL_OR_ONE("SELECT domain, id, algorithm, state, selector, file, public FROM dkim_keys",
                     "domain, id DESC", "domain"),
          id);
    beside_next(&beside);
    while (query_row(&query)) {
        struct directory_domain row = {.id = (uint32_t)query_column(&query), .keys = keys};

        row.tenant = (uint32_t)query_column(&query);
        row.is_active = query_column(&query) != 0;
        row.is_hosted = query_column(&query) != 0;
        row.allows_sub_domains = query_column(&query) != 0;
        row.name = query_column_text(&query);
        for (; beside_is_of(&beside, row.id); beside_next(&beside)) {
            struct directory_key *key = &keys[row.key_count];

            if (row.key_count == KEYS_MAX)
                continue;
            key->id = (uint32_t)query_column(&beside.query);
            key->algorithm = (uint8_t)query_column(&beside.query);
            key->state = (uint8_t)query_column(&beside.query);
            check(arena_copy(&texts, query_column_text(&beside.query), &key->selector));
            check(arena_copy(&texts, query_column_text(&beside.query), &key->file));
            key->public_hash = bytes_hash(query_column_text(&beside.query));
            row.key_count++;
        }
        snapshot_put_domain(builder, &row);
        arena_clear(&texts);
        any = true;
    }
    arena_free(&texts);
    if (id != 0 && !any)
        snapshot_drop(builder, SNAPSHOT_DOMAINS, id);
    enum store_result result = query_end(&beside.query);
    return query_end(&query) != STORE_OK ? query.result : result;
}

static enum store_result load_accounts(struct store *store, struct snapshot_builder *builder,
                                       uint32_t id)
{
    struct query query;
    bool any = false;

    begin(&query, store,
          ALL_OR_ONE("SELECT id, tenant, domain, disabled, quota, files_sent, shows, address,"
                     " sends_as, (SELECT max(id) FROM credentials WHERE account = accounts.id)"
                     " FROM accounts",
                     "id", "id"),
          id);
    while (query_row(&query)) {
        struct directory_account row = {.id = (uint32_t)query_column(&query)};

        row.tenant = (uint32_t)query_column(&query);
        row.domain = (uint32_t)query_column(&query);
        row.is_disabled = query_column(&query) != 0;
        row.quota = (uint64_t)query_column(&query);
        row.files_sent = query_column(&query) != 0;
        row.shows = (uint8_t)query_column(&query);
        row.address = query_column_text(&query);
        row.sends_as = query_column_text(&query);
        row.credential = (uint32_t)query_column(&query);
        snapshot_put_account(builder, &row);
        any = true;
    }
    if (id != 0 && !any)
        snapshot_drop(builder, SNAPSHOT_ACCOUNTS, id);
    return query_end(&query);
}

struct targets {
    struct arena texts;
    struct bytes *list;
    uint32_t count, room;
};

static void add_target(struct targets *targets, struct bytes address)
{
    if (targets->count == targets->room) {
        targets->room = MAX(2 * targets->room, (uint32_t)16);
        targets->list = realloc(targets->list, targets->room * sizeof(*targets->list));
        check(targets->list != NULL);
    }
    check(arena_copy(&targets->texts, address, &targets->list[targets->count++]));
}

static enum store_result load_aliases(struct store *store, struct snapshot_builder *builder,
                                      uint32_t id)
{
    struct targets targets = {0};
    struct query query;
    struct beside beside;
    bool any = false;

    arena_init(&targets.texts, SIZE_MAX);
    begin(&query, store, ALL_OR_ONE("SELECT id, tenant, domain, address FROM aliases", "id", "id"),
          id);
    begin(&beside.query, store,
          ALL_OR_ONE("SELECT alias, address FROM alias_targets", "alias, address", "alias"), id);
    beside_next(&beside);
    while (query_row(&query)) {
        struct directory_alias row = {.id = (uint32_t)query_column(&query)};

        row.tenant = (uint32_t)query_column(&query);
        row.domain = (uint32_t)query_column(&query);
        row.address = query_column_text(&query);
        for (; beside_is_of(&beside, row.id); beside_next(&beside))
            add_target(&targets, query_column_text(&beside.query));
        row.targets = targets.list;
        row.target_count = targets.count;
        snapshot_put_alias(builder, &row);
        arena_clear(&targets.texts);
        targets.count = 0;
        any = true;
    }
    free(targets.list);
    arena_free(&targets.texts);
    if (id != 0 && !any)
        snapshot_drop(builder, SNAPSHOT_ALIASES, id);
    enum store_result result = query_end(&beside.query);
    return query_end(&query) != STORE_OK ? query.result : result;
}

static enum store_result load_rules(struct store *store, struct snapshot_builder *builder,
                                    uint32_t id)
{
    struct arena keys;
    struct query query;
    bool any = false;

    arena_init(&keys, 2 * SENDER_RULE_TEXT_MAX);
    begin(&query, store,
          ALL_OR_ONE("SELECT id, tenant, allowed, value FROM sender_rules", "id", "id"), id);
    while (query_row(&query)) {
        struct directory_rule row = {.id = (uint32_t)query_column(&query)};

        row.tenant = (uint32_t)query_column(&query);
        row.is_allowed = query_column(&query) != 0;
        arena_clear(&keys);
        /* One that is longer is not of the commands' making, and means nobody. */
        if (!sender_rule_key(&keys, row.tenant, query_column_text(&query), &row.key))
            continue;
        snapshot_put_rule(builder, &row);
        any = true;
    }
    arena_free(&keys);
    if (id != 0 && !any)
        snapshot_drop(builder, SNAPSHOT_RULES, id);
    return query_end(&query);
}

static enum store_result (*const loaders[SNAPSHOT_TABLE_COUNT])(struct store *store,
                                                                struct snapshot_builder *builder,
                                                                uint32_t id) = {
    [SNAPSHOT_TENANTS] = load_tenants, [SNAPSHOT_CREDENTIALS] = load_credentials,
    [SNAPSHOT_DOMAINS] = load_domains, [SNAPSHOT_ACCOUNTS] = load_accounts,
    [SNAPSHOT_ALIASES] = load_aliases, [SNAPSHOT_RULES] = load_rules,
};

/* --- how far ---------------------------------------------------------------------------------- */

static enum store_result read_mark(struct store *store, struct load_mark *out, int64_t *first_out)
{
    struct query query;

    query_begin(&query, store,
                "SELECT (SELECT id FROM generation),"
                " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0),"
                " coalesce((SELECT min(seq) FROM changes), 0)");
    if (query_row(&query)) {
        struct bytes generation = query_column_text(&query);

        *out = (struct load_mark){0};
        memcpy(out->generation, generation.ptr, MIN(generation.len, sizeof(out->generation) - 1));
        out->seq = query_column(&query);
        *first_out = query_column(&query);
    }
    return query_end(&query);
}

/* Versions grow, also where another database takes over, and begin with 1: 0 is the snapshot before
 * any was read. */
static uint64_t version_after(const struct snapshot *previous, const struct load_mark *mark)
{
    uint64_t version = (uint64_t)mark->seq + 1;

    return previous == NULL ? version : MAX(version, snapshot_version(previous) + 1);
}

static enum store_result load_tables(struct store *store, uint64_t version,
                                     const struct snapshot **snapshot_out)
{
    struct snapshot_builder *builder = snapshot_build(NULL);

    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++) {
        enum store_result result = loaders[i](store, builder, 0);

        if (result != STORE_OK) {
            snapshot_abandon(&builder);
            return result;
        }
    }
    *snapshot_out = snapshot_finish(&builder, version);
    return STORE_OK;
}

/* Each row once, however often it changed. */
static enum store_result load_rows(struct store *store, const struct snapshot *previous,
                                   const struct load_mark *from, uint64_t version,
                                   const struct snapshot **snapshot_out)
{
    struct snapshot_builder *builder = snapshot_build(previous);
    struct query query;

    query_begin(&query, store, "SELECT DISTINCT kind, id FROM changes WHERE seq > ?");
    query_int(&query, from->seq);
    while (query_row(&query)) {
        int64_t kind = query_column(&query);
        int64_t id = query_column(&query);

        /* A kind of a newer version: nothing here shows it. */
        if (kind >= 0 && kind < SNAPSHOT_TABLE_COUNT && query.result == STORE_OK)
            query.result = loaders[kind](store, builder, (uint32_t)id);
    }
    enum store_result result = query_end(&query);
    if (result != STORE_OK) {
        snapshot_abandon(&builder);
        return result;
    }
    *snapshot_out = snapshot_finish(&builder, version);
    return STORE_OK;
}

static bool is_many(const struct snapshot *snapshot, int64_t changes)
{
    uint64_t rows = 0;

    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
        rows += snapshot_count(snapshot, (enum snapshot_table)i);
    return changes > CHANGES_MAX && (uint64_t)changes > rows / CHANGES_SHARE;
}

static enum store_result load_within(struct store *store, const struct snapshot *previous,
                                     struct load_mark *mark, const struct snapshot **snapshot_out,
                                     bool *is_whole_out)
{
    struct load_mark now = {0};
    int64_t first = 0;
    enum store_result result = read_mark(store, &now, &first);

    if (result != STORE_OK)
        return result;
    bool is_same = strcmp(now.generation, mark->generation) == 0 && now.seq >= mark->seq;
    *snapshot_out = NULL;
    *is_whole_out = previous == NULL || !is_same ||
                    (now.seq > mark->seq && first > mark->seq + 1) ||
                    is_many(previous, now.seq - mark->seq) || snapshot_is_worn(previous);
    if (*is_whole_out)
        result = load_tables(store, version_after(previous, &now), snapshot_out);
    else if (now.seq > mark->seq)
        result = load_rows(store, previous, mark, version_after(previous, &now), snapshot_out);
    if (result == STORE_OK)
        *mark = now;
    return result;
}

/* All of one moment: a transaction that only reads. */
enum store_result load_changes(struct store *store, const struct snapshot *previous,
                               struct load_mark *mark, const struct snapshot **snapshot_out,
                               bool *is_whole_out)
{
    enum store_result result = store_run(store, "BEGIN");

    if (result != STORE_OK)
        return result;
    result = load_within(store, previous, mark, snapshot_out, is_whole_out);
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* nothing was written */
    return result;
}

enum store_result load_all(struct store *store, struct load_mark *mark_out,
                           const struct snapshot **snapshot_out)
{
    struct load_mark mark = {0};
    bool is_whole;
    enum store_result result = load_changes(store, NULL, &mark, snapshot_out, &is_whole);

    if (result == STORE_OK)
        *mark_out = mark;
    return result;
}
