#include "directory/load.h"

#include <sqlite3.h>

#include "base/random.h"
#include "directory/account_shows.h"
#include "directory/accounts.h"
#include "directory/credentials.h"
#include "directory/snapshot_build.h"
#include "directory/store_private.h"
#include "directory/tenant_limit.h"
#include "directory/tenants.h"
#include "unit/directory/store_room.h"

/* --- two snapshots say the same --------------------------------------------------------------- */

struct comparison {
    const struct snapshot *other;
    enum snapshot_table table;
};

static void same_tenant(const struct directory_tenant *a, const struct directory_tenant *b)
{
    assert_non_null(b);
    assert_true(bytes_equal(a->name, b->name));
    assert_int_equal(a->is_disabled, b->is_disabled);
    assert_int_equal(a->allows_null_sender, b->allows_null_sender);
    assert_memory_equal(a->limits, b->limits, sizeof(a->limits));
    assert_int_equal(a->showing_count, b->showing_count);
    for (unsigned i = 0; i < a->showing_count; i++)
        assert_int_equal(a->showing[i], b->showing[i]);
}

static void same_credential(const struct directory_credential *a,
                            const struct directory_credential *b)
{
    assert_non_null(b);
    assert_memory_equal(a->name, b->name, sizeof(a->name));
    assert_memory_equal(a->hash, b->hash, sizeof(a->hash));
    assert_memory_equal(a->server_key, b->server_key, sizeof(a->server_key));
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->account, b->account);
    assert_int_equal(a->scopes, b->scopes);
    assert_int_equal(a->class, b->class);
    assert_int_equal(a->expires_s, b->expires_s);
    assert_int_equal(a->network_count, b->network_count);
    for (unsigned i = 0; i < a->network_count; i++)
        assert_memory_equal(&a->networks[i], &b->networks[i], sizeof(a->networks[i]));
}

static void same_domain(const struct directory_domain *a, const struct directory_domain *b)
{
    assert_non_null(b);
    assert_true(bytes_equal(a->name, b->name));
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->is_active, b->is_active);
    assert_int_equal(a->is_hosted, b->is_hosted);
    assert_int_equal(a->allows_sub_domains, b->allows_sub_domains);
    assert_int_equal(a->key_count, b->key_count);
    for (unsigned i = 0; i < a->key_count; i++) {
        assert_true(bytes_equal(a->keys[i].selector, b->keys[i].selector));
        assert_true(bytes_equal(a->keys[i].file, b->keys[i].file));
        assert_int_equal(a->keys[i].state, b->keys[i].state);
        assert_int_equal(a->keys[i].algorithm, b->keys[i].algorithm);
    }
}

static void same_account(const struct directory_account *a, const struct directory_account *b)
{
    assert_non_null(b);
    assert_true(bytes_equal(a->address, b->address));
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->domain, b->domain);
    assert_int_equal(a->credential, b->credential);
    assert_int_equal(a->is_disabled, b->is_disabled);
    assert_int_equal(a->quota, b->quota);
    assert_int_equal(a->shows, b->shows);
}

static void same_alias(const struct directory_alias *a, const struct directory_alias *b)
{
    assert_non_null(b);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->target_count, b->target_count);
    for (unsigned i = 0; i < a->target_count; i++)
        assert_true(bytes_equal(a->targets[i], b->targets[i]));
}

static void same_rule(const struct directory_rule *a, const struct directory_rule *b)
{
    assert_non_null(b);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->is_allowed, b->is_allowed);
}

static void same_row(void *context, const void *row)
{
    const struct comparison *c = context;
    const struct directory_tenant *tenant = row;
    const struct directory_credential *credential = row;
    const struct directory_domain *domain = row;
    const struct directory_account *account = row;
    const struct directory_alias *alias = row;

    switch (c->table) {
    case SNAPSHOT_TENANTS:
        same_tenant(tenant, snapshot_tenant(c->other, tenant->name));
        same_tenant(tenant, snapshot_tenant_of(c->other, tenant->id));
        return;
    case SNAPSHOT_CREDENTIALS:
        same_credential(credential, snapshot_credential_of(c->other, credential->id));
        return;
    case SNAPSHOT_DOMAINS:
        same_domain(domain, snapshot_domain(c->other, domain->name));
        return;
    case SNAPSHOT_ACCOUNTS:
        same_account(account, snapshot_account(c->other, account->address));
        return;
    case SNAPSHOT_ALIASES:
        same_alias(alias, snapshot_alias(c->other, alias->address));
        return;
    case SNAPSHOT_RULES:
        same_rule(row, snapshot_rule(c->other, ((const struct directory_rule *)row)->key));
        return;
    case SNAPSHOT_TABLE_COUNT:
        fail();
    }
}

static void assert_same(const struct snapshot *a, const struct snapshot *b)
{
    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++) {
        struct comparison comparison = {b, (enum snapshot_table)i};

        assert_int_equal(snapshot_count(a, (enum snapshot_table)i),
                         snapshot_count(b, (enum snapshot_table)i));
        snapshot_for_each(a, (enum snapshot_table)i, same_row, &comparison);
    }
}

/* --- changes at random ------------------------------------------------------------------------ */

enum { NAMES = 12, DOMAINS = 10, ADDRESSES = 20 };

static struct bytes named(char out[static 48], const char *format, unsigned number)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return bytes_range(out, (size_t)snprintf(out, 48, format, number));
#pragma GCC diagnostic pop
}

static void insert_domain(struct store *store, struct bytes tenant, struct bytes name)
{
    struct query query;

    /* As domain_add() does, without the keys' files, which take their time to be made. */
    query_begin(&query, store,
                "INSERT INTO domains(tenant, name, active, hosted, sub_domains, created)"
                " SELECT id, ?2, 1, 1, ?3, 5 FROM tenants WHERE name = ?1 ON CONFLICT DO NOTHING");
    query_text(&query, tenant);
    query_text(&query, name);
    query_int(&query, (int64_t)random_below(2));
    assert_int_equal(query_run(&query), STORE_OK);
    query_begin(&query, store,
                "INSERT INTO dkim_keys(domain, selector, algorithm, state, file, public, created,"
                " changed) SELECT id, ?2, 1, ?3, 'f' || ?2, 'p', 5, 5 FROM domains WHERE name = ?1"
                " ON CONFLICT DO UPDATE SET state = excluded.state");
    query_text(&query, name);
    char selector[48];
    query_text(&query, named(selector, "s%u", (unsigned)random_below(4)));
    query_int(&query, (int64_t)random_below(3));
    assert_int_equal(query_run(&query), STORE_OK);
}

static void remove_by_name(struct store *store, const char *sql, struct bytes name)
{
    struct query query;

    query_begin(&query, store, sql);
    query_text(&query, name);
    assert_int_equal(query_run(&query), STORE_OK);
}

static void add_credential(struct store *store, struct bytes tenant, struct bytes account)
{
    static const struct bytes networks[] = {BYTES("192.0.2.0/24"), BYTES("2001:db8::1")};
    struct credential_wish wish = {
        .tenant = tenant,
        .account = random_below(2) == 0 ? account : BYTES_NONE,
        .network_count = random_below(3),
        .networks = networks,
        .class = (uint8_t)random_below(3),
    };
    char id[CREDENTIAL_ID_LEN], secret[SECRET_LEN];

    (void)!credential_add(store, &wish, id, secret); /* tenant or account may not be there */
}

/* What is refused changes nothing, which is as good. */
static void change(struct store *store)
{
    char tenant_text[48], domain_text[48], address_text[48];
    struct bytes tenant = named(tenant_text, "tenant%u", (unsigned)random_below(NAMES));
    struct bytes domain = named(domain_text, "d%u.example", (unsigned)random_below(DOMAINS));
    unsigned number = (unsigned)random_below(ADDRESSES);
    struct bytes address =
        bytes_range(address_text, (size_t)snprintf(address_text, sizeof(address_text),
                                                   "u%u@d%u.example", number, number % DOMAINS));
    struct tenant_setting setting = {.limit = (enum tenant_limit)random_below(LIMIT_COUNT),
                                     .value = random_below(3)};

    switch (random_below(14)) {
    case 0:
    case 1:
        (void)!tenant_add(store, tenant);
        return;
    case 2:
        (void)!tenant_set(store, tenant, 1, &setting);
        return;
    case 3:
        (void)!tenant_disable(store, tenant, random_below(2) == 0);
        return;
    case 4:
        if (random_below(4) == 0)
            (void)!tenant_remove(store, tenant, true);
        return;
    case 5:
    case 6:
        insert_domain(store, tenant, domain);
        return;
    case 7:
        (void)!account_add(store, address, random_below(5));
        return;
    case 8:
        (void)!account_remove(store, address);
        return;
    case 9:
    case 10:
        add_credential(store, tenant, address);
        return;
    case 11:
        remove_by_name(store,
                       "DELETE FROM credentials WHERE id = (SELECT max(id) FROM credentials"
                       " WHERE ? <> '')",
                       tenant);
        return;
    case 12:
        (void)!account_set_shows(store, address, (unsigned)random_below(SHOWS_ALL + 1));
        return;
    default:
        if (random_below(2) == 0)
            (void)!alias_add(store, named(address_text, "a@d%u.example", number % DOMAINS), 1,
                             &address);
        else
            (void)!alias_remove(store, named(address_text, "a@d%u.example", number % DOMAINS));
        return;
    }
}

TEST(load_of_changes_at_random_equals_all_of_it)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct load_mark mark = {0}, whole_mark;
        const struct snapshot *snapshot = NULL, *whole, *next;
        struct store_room room;
        bool is_whole;

        random_seed(seed);
        store_room_make(&room);
        struct store *store = store_room_open(&room);
        assert_int_equal(store_run(store, "PRAGMA synchronous = OFF"), STORE_OK);
        assert_int_equal(load_all(store, &mark, &snapshot), STORE_OK);
        for (unsigned round = 0; round < 40; round++) {
            for (uint64_t i = 1 + random_below(8); i > 0; i--)
                change(store);
            assert_int_equal(load_changes(store, snapshot, &mark, &next, &is_whole), STORE_OK);
            assert_false(is_whole);
            if (next != NULL) {
                assert_true(snapshot_version(next) > snapshot_version(snapshot));
                snapshot_free(&snapshot);
                snapshot = next;
            }
            assert_int_equal(load_all(store, &whole_mark, &whole), STORE_OK);
            assert_int_equal(mark.seq, whole_mark.seq);
            assert_same(snapshot, whole);
            assert_same(whole, snapshot);
            snapshot_free(&whole);
        }
        assert_true(snapshot_count(snapshot, SNAPSHOT_TENANTS) > 0);
        snapshot_free(&snapshot);
        store_close(&store);
        store_room_drop(&room);
    }
}

TEST(load_without_changes_makes_nothing)
{
    struct load_mark mark = {0};
    const struct snapshot *snapshot, *next;
    struct store_room room;
    bool is_whole;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(load_all(store, &mark, &snapshot), STORE_OK);
    assert_int_equal(snapshot_version(snapshot), 1);
    assert_int_equal(load_changes(store, snapshot, &mark, &next, &is_whole), STORE_OK);
    assert_null(next);
    snapshot_free(&snapshot);
    store_close(&store);
    store_room_drop(&room);
}

/* Changes that were forgotten meanwhile, and a database that is another one. */
TEST(load_of_what_cannot_be_followed_is_whole)
{
    static const char *const cuts[] = {
        "DELETE FROM changes WHERE seq < (SELECT max(seq) FROM changes)",
        "UPDATE generation SET id = 'another'",
    };

    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct load_mark mark = {0};
        const struct snapshot *snapshot, *next;
        struct store_room room;
        bool is_whole;

        store_room_make(&room);
        struct store *store = store_room_open(&room);
        assert_int_equal(tenant_add(store, BYTES("first")), STORE_OK);
        assert_int_equal(load_all(store, &mark, &snapshot), STORE_OK);
        assert_int_equal(tenant_add(store, BYTES("second")), STORE_OK);
        assert_int_equal(tenant_add(store, BYTES("third")), STORE_OK);
        assert_int_equal(store_run(store, cuts[i]), STORE_OK);
        assert_int_equal(load_changes(store, snapshot, &mark, &next, &is_whole), STORE_OK);
        assert_true(is_whole);
        assert_non_null(snapshot_tenant(next, BYTES("second")));
        assert_true(snapshot_version(next) > snapshot_version(snapshot));
        snapshot_free(&snapshot);
        snapshot_free(&next);
        store_close(&store);
        store_room_drop(&room);
    }
}

TEST(load_of_a_damaged_table_fails_and_keeps_the_mark)
{
    struct load_mark mark = {0}, before;
    const struct snapshot *snapshot, *next = NULL;
    struct store_room room;
    bool is_whole;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(load_all(store, &mark, &snapshot), STORE_OK);
    before = mark;
    assert_int_equal(tenant_add(store, BYTES("first")), STORE_OK);
    assert_int_equal(store_run(store, "DROP TABLE limits"), STORE_OK);
    assert_int_equal(load_changes(store, snapshot, &mark, &next, &is_whole), STORE_BROKEN);
    assert_null(next);
    assert_memory_equal(&mark, &before, sizeof(mark));
    snapshot_free(&snapshot);
    store_close(&store);
    store_room_drop(&room);
}
