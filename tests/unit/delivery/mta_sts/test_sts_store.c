/* modules: sts */
/* test_sts_store.c - policies over restarts, and failures that are remembered. */
#include "delivery/mta_sts/sts_store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"

static char directory[64];

static struct sts_store *open_store(bool is_readonly)
{
    const struct sts_settings settings = {.state_dir = directory, .is_readonly = is_readonly};
    struct sts_store *store = sts_store_open(&settings);

    assert_non_null(store);
    return store;
}

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/ringpost-sts-XXXXXX");
    assert_non_null(mkdtemp(directory));
}

static void remove_directory(void)
{
    static const char *const names[] = {"mta_sts.db", "mta_sts.db-wal", "mta_sts.db-shm"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(directory), 0);
}

static void put(struct sts_store *store, const char *domain, const char *id, unsigned max_age_s,
                int64_t fetched_ms)
{
    char text[200];

    snprintf(text, sizeof(text), "version: STSv1\nmode: enforce\nmx: %s\nmax_age: %u\n", domain,
             max_age_s);
    struct sts_policy *policy = sts_policy_make(bytes_of(id), bytes_of(text), fetched_ms);

    assert_non_null(policy);
    sts_store_put(store, bytes_of(domain), policy);
    sts_policy_release(&policy);
}

/* The id of what is kept, or "". */
static const char *kept(struct sts_store *store, const char *domain, int64_t now_ms)
{
    static char id[MTA_STS_ID_MAX + 1];
    struct sts_known known;

    sts_store_find(store, bytes_of(domain), now_ms, &known);
    id[0] = '\0';
    if (known.policy != NULL) {
        snprintf(id, sizeof(id), "%.*s", BYTES_ARG(known.policy->id));
        assert_true(mta_sts_policy_allows(&known.policy->policy, bytes_of(domain)));
    }
    sts_policy_release(&known.policy);
    return id;
}

TEST(policy_holds_until_its_time_is_over)
{
    const struct sts_settings none = {.state_dir = NULL};
    struct sts_store *store = sts_store_open(&none);

    put(store, "a.example", "1", 60, 1000);
    assert_string_equal(kept(store, "a.example", 1000), "1");
    assert_string_equal(kept(store, "a.example", 60999), "1");
    assert_string_equal(kept(store, "b.example", 1000), "");
    put(store, "a.example", "2", 60, 2000);
    assert_string_equal(kept(store, "a.example", 61999), "2");
    assert_string_equal(kept(store, "a.example", 62000), "");
    assert_string_equal(kept(store, "a.example", 2000), ""); /* it is gone for good */
    sts_store_free(&store);
}

TEST(policy_survives_a_restart_and_ages_meanwhile)
{
    int64_t now_ms = clock_monotonic_ms();

    make_directory();
    struct sts_store *store = open_store(false);

    put(store, "a.example", "1", 3600, now_ms - 1800 * 1000);
    put(store, "a.example", "2", 3600, now_ms - 1800 * 1000);
    put(store, "over.example", "1", 100, now_ms - 200 * 1000);
    sts_store_free(&store);
    for (int i = 0; i < 2; i++) { /* read by a command, then by a daemon */
        store = open_store(i == 0);
        assert_string_equal(kept(store, "a.example", now_ms), "2");
        assert_string_equal(kept(store, "a.example", now_ms + 1790 * 1000), "2");
        assert_string_equal(kept(store, "over.example", now_ms), "");
        assert_int_equal(sts_store_count(store), 1);
        sts_store_free(&store);
    }
    store = open_store(false);
    assert_string_equal(kept(store, "a.example", now_ms + 1810 * 1000), "");
    sts_store_free(&store);
    remove_directory();
}

TEST(readonly_store_writes_nothing)
{
    char path[128];

    make_directory();
    snprintf(path, sizeof(path), "%s/mta_sts.db", directory);
    struct sts_store *store = open_store(true);

    put(store, "a.example", "1", 3600, clock_monotonic_ms());
    sts_store_free(&store);
    assert_int_equal(access(path, F_OK), -1);
    remove_directory();
}

TEST(rows_that_do_not_read_back_are_left_out)
{
    int64_t now_ms = clock_monotonic_ms();
    char path[128];
    sqlite3 *db;

    make_directory();
    struct sts_store *store = open_store(false);

    put(store, "good.example", "1", 3600, now_ms);
    put(store, "text.example", "1", 3600, now_ms);
    put(store, "id.example", "1", 3600, now_ms);
    sts_store_free(&store);
    snprintf(path, sizeof(path), "%s/mta_sts.db", directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "UPDATE policy SET text = 'rubbish' WHERE domain = 'text.example';"
                     "UPDATE policy SET id = 'a b' WHERE domain = 'id.example'",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    store = open_store(false);
    assert_string_equal(kept(store, "good.example", now_ms), "1");
    assert_string_equal(kept(store, "text.example", now_ms), "");
    assert_string_equal(kept(store, "id.example", now_ms), "");
    sts_store_free(&store);
    remove_directory();
}

TEST(file_that_is_none_leaves_policies_in_memory)
{
    char path[128];

    make_directory();
    snprintf(path, sizeof(path), "%s/mta_sts.db", directory);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        assert_true(fputs("this is no database\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    struct sts_store *store = open_store(false);

    put(store, "a.example", "1", 3600, clock_monotonic_ms());
    assert_string_equal(kept(store, "a.example", clock_monotonic_ms()), "1");
    sts_store_free(&store);
    remove_directory();
}

TEST(failure_is_remembered_for_its_id_and_leaves_the_policy)
{
    const struct sts_settings none = {.state_dir = NULL};
    struct sts_store *store = sts_store_open(&none);
    int64_t now_ms = clock_monotonic_ms();
    struct sts_known known;

    put(store, "a.example", "1", 3600, now_ms);
    sts_store_fail(store, BYTES("a.example"), BYTES("2"), STS_WEBPKI_INVALID, "expired");
    sts_store_find(store, BYTES("a.example"), now_ms, &known);
    assert_non_null(known.policy);
    assert_int_equal(known.problem, STS_WEBPKI_INVALID);
    assert_string_equal(known.id, "2");
    assert_string_equal(known.why, "expired");
    sts_policy_release(&known.policy);
    sts_store_find(store, BYTES("a.example"), now_ms + STS_FAILURE_MS + 1000, &known);
    assert_non_null(known.policy);
    assert_int_equal(known.problem, STS_FINE);
    sts_policy_release(&known.policy);
    put(store, "a.example", "2", 3600, now_ms); /* a success ends it */
    sts_store_find(store, BYTES("a.example"), now_ms, &known);
    assert_int_equal(known.problem, STS_FINE);
    sts_policy_release(&known.policy);
    sts_store_free(&store);
}

TEST(old_is_what_has_lived_half_its_time_or_a_day)
{
    static const struct {
        unsigned max_age_s;
        int64_t age_s;
        bool is_old;
    } rows[] = {
        {1000, 499, false},    {1000, 500, true}, {604800, 86399, false},
        {604800, 86400, true}, {0, 0, true},
    };
    char text[128];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof(text), "version: STSv1\nmode: none\nmax_age: %u", rows[i].max_age_s);
        struct sts_policy *policy = sts_policy_make(BYTES("1"), bytes_of(text), 5000);

        expect_row(i, sts_policy_is_old(policy, 5000 + rows[i].age_s * 1000) == rows[i].is_old);
        sts_policy_release(&policy);
    }
}

TEST(old_policies_are_named_in_turn_and_not_too_often)
{
    enum { DAY_MS = 86400 * 1000, MINUTE_MS = 60 * 1000 };
    const struct sts_settings none = {.state_dir = NULL};
    struct sts_store *store = sts_store_open(&none);
    int64_t now_ms = clock_monotonic_ms() + 40 * (int64_t)DAY_MS;
    char domain[STS_DOMAIN_MAX + 1];

    assert_false(sts_store_next_old(store, now_ms, domain));
    put(store, "fresh.example", "1", 30 * 86400, now_ms);
    put(store, "old.example", "1", 30 * 86400, now_ms - DAY_MS);
    put(store, "over.example", "1", 3600, now_ms - DAY_MS);
    put(store, "half.example", "1", 3600, now_ms - 45 * MINUTE_MS);
    put(store, "unused.example", "1", 30 * 86400, now_ms - 2 * DAY_MS);
    assert_false(sts_store_next_old(store, now_ms, domain)); /* no mail went there for long */
    assert_string_equal(kept(store, "fresh.example", now_ms), "1");
    assert_string_equal(kept(store, "old.example", now_ms), "1");
    assert_string_equal(kept(store, "half.example", now_ms), "1");
    assert_true(sts_store_next_old(store, now_ms, domain));
    assert_string_equal(domain, "old.example");
    assert_true(sts_store_next_old(store, now_ms, domain));
    assert_string_equal(domain, "half.example");
    assert_false(sts_store_next_old(store, now_ms, domain));
    /* One is there again, the other could not be had. */
    put(store, "half.example", "1", 3600, now_ms);
    assert_false(sts_store_next_old(store, now_ms + STS_FAILURE_MS - 1, domain));
    assert_true(sts_store_next_old(store, now_ms + STS_FAILURE_MS, domain));
    assert_string_equal(domain, "old.example");
    assert_false(sts_store_next_old(store, now_ms + STS_FAILURE_MS, domain));
    sts_store_free(&store);
}

TEST(who_only_looks_does_not_use)
{
    const struct sts_settings none = {.state_dir = NULL};
    struct sts_store *store = sts_store_open(&none);
    int64_t now_ms = clock_monotonic_ms(), later_ms = now_ms + STS_USED_MS;
    char domain[STS_DOMAIN_MAX + 1];
    struct sts_known known;

    put(store, "a.example", "1", 30000000, now_ms);
    sts_store_peek(store, BYTES("a.example"), later_ms, &known);
    assert_non_null(known.policy);
    sts_policy_release(&known.policy);
    assert_false(sts_store_next_old(store, later_ms + 1000, domain));
    assert_string_equal(kept(store, "a.example", later_ms), "1");
    assert_true(sts_store_next_old(store, later_ms + 1000, domain));
    sts_store_free(&store);
}
