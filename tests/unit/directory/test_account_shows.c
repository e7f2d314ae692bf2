/* test_account_shows.c - the words for folders, and how many accounts may have some. */
#include "directory/account_shows.h"

#include "directory/accounts.h"
#include "directory/load.h"
#include "directory/store_private.h"
#include "directory/tenants.h"
#include "unit/directory/store_room.h"

static const struct {
    const char *text;
    bool is_good;
    unsigned shows;
    const char *written; /* NULL: as it was read */
} sets[] = {
    {"none", true, 0, NULL},
    {"bounces", true, SHOWS_BOUNCES, NULL},
    {"queue,bounces", true, SHOWS_BOUNCES | SHOWS_QUEUE, "bounces,queue"},
    {"bounces,complaints,reports,queue", true, SHOWS_ALL, NULL},
    {"", false, 0, NULL},
    {",", false, 0, NULL},
    {"bounces,", false, 0, NULL},
    {"bounces,bounces", false, 0, NULL},
    {"bounces,none", false, 0, NULL},
    {"Bounces", false, 0, NULL},
    {"bounces reports", false, 0, NULL},
    {"all", false, 0, NULL},
};

TEST(words_are_read_or_refused_and_written)
{
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        unsigned shows = 99;
        char text[SHOWS_TEXT_MAX];
        bool is_good = account_shows_parse(bytes_of(sets[i].text), &shows);
        const char *written = sets[i].written != NULL ? sets[i].written : sets[i].text;

        expect_row(i, is_good == sets[i].is_good);
        expect_row(i, shows == (is_good ? sets[i].shows : 99));
        if (is_good)
            expect_row(i, bytes_equal(account_shows_format(shows, text), bytes_of(written)));
    }
}

static void insert_domain(struct store *store)
{
    struct query query;

    query_begin(&query, store,
                "INSERT INTO domains(tenant, name, active, hosted, sub_domains, created)"
                " SELECT id, 'b.example', 1, 1, 0, 5 FROM tenants WHERE name = 'shop'");
    assert_int_equal(query_run(&query), STORE_OK);
}

TEST(a_tenant_knows_its_accounts_that_show_up_to_a_number)
{
    const struct snapshot *snapshot, *next;
    struct load_mark mark = {0};
    struct store_room room;
    bool is_whole;
    char text[32];

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    insert_domain(store);
    for (int i = 0; i <= SHOWING_ACCOUNTS_MAX; i++) {
        struct bytes address =
            bytes_range(text, (size_t)snprintf(text, sizeof(text), "u%d@b.example", i));

        assert_int_equal(account_add(store, address, 0), STORE_OK);
        assert_int_equal(account_set_shows(store, address, SHOWS_REPORTS),
                         i < SHOWING_ACCOUNTS_MAX ? STORE_OK : STORE_CLASH);
    }
    assert_int_equal(account_set_shows(store, BYTES("u0@b.example"), SHOWS_REPORTS), STORE_SAME);
    assert_int_equal(account_set_shows(store, BYTES("u99@b.example"), 1), STORE_NONE);
    assert_int_equal(load_all(store, &mark, &snapshot), STORE_OK);
    const struct directory_tenant *tenant = snapshot_tenant(snapshot, BYTES("shop"));
    assert_int_equal(tenant->showing_count, SHOWING_ACCOUNTS_MAX);
    for (unsigned i = 0; i < tenant->showing_count; i++)
        assert_int_equal(snapshot_account_of(snapshot, tenant->showing[i])->shows, SHOWS_REPORTS);
    /* One that is gone, and one that shows nothing any more, are known at the next change. */
    assert_int_equal(account_remove(store, BYTES("u0@b.example")), STORE_OK);
    assert_int_equal(account_set_shows(store, BYTES("u1@b.example"), 0), STORE_OK);
    assert_int_equal(load_changes(store, snapshot, &mark, &next, &is_whole), STORE_OK);
    assert_false(is_whole);
    tenant = snapshot_tenant(next, BYTES("shop"));
    assert_int_equal(tenant->showing_count, SHOWING_ACCOUNTS_MAX - 2);
    snapshot_free(&snapshot);
    snapshot_free(&next);
    store_close(&store);
    store_room_drop(&room);
}
