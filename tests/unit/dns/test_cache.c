/* test_cache.c - what is remembered, and what is told while servers fail; time is a number here. */
#include "dns/cache.h"

#include <stdio.h>

#include "support/unit.h"

static const struct dns_answer *make(enum dns_status status, int64_t expires_ms)
{
    struct dns_record records[] = {{.preference = 7, .name = BYTES("mx.example")}};
    struct dns_packet packet = {
        .status = status,
        .why = status == DNS_FAILED ? "SERVFAIL" : NULL,
        .record_count = status == DNS_OK ? 1 : 0,
        .records = records,
    };

    return dns_answer_from_packet(&packet, expires_ms);
}

/* Stores a new answer and gives back what is to be told. */
static const struct dns_answer *learn(struct dns_cache *cache, const char *name,
                                      enum dns_status status, int64_t expires_ms, int64_t now_ms)
{
    const struct dns_answer *answer = make(status, expires_ms);
    const struct dns_answer *told =
        dns_cache_store(cache, bytes_of(name), DNS_TYPE_MX, answer, now_ms);

    dns_answer_release(&answer);
    return told;
}

static void store(struct dns_cache *cache, const char *name, enum dns_status status,
                  int64_t expires_ms, int64_t now_ms)
{
    const struct dns_answer *told = learn(cache, name, status, expires_ms, now_ms);

    dns_answer_release(&told);
}

static const struct dns_answer *find(struct dns_cache *cache, const char *name, int64_t now_ms)
{
    return dns_cache_find(cache, bytes_of(name), DNS_TYPE_MX, now_ms);
}

TEST(find_gives_answer_until_it_expires)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 10, 1000);
    assert_null(find(&cache, "a.example", 0));
    store(&cache, "a.example", DNS_OK, 100, 0);
    assert_int_equal(find(&cache, "a.example", 99)->status, DNS_OK);
    assert_true(bytes_equal(find(&cache, "a.example", 99)->records[0].name, BYTES("mx.example")));
    assert_null(find(&cache, "a.example", 100));
    assert_null(dns_cache_find(&cache, BYTES("a.example"), DNS_TYPE_A, 50));
    dns_cache_free(&cache);
}

TEST(find_remembers_negative_answers)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 10, 1000);
    store(&cache, "a.example", DNS_NXDOMAIN, 100, 0);
    assert_int_equal(find(&cache, "a.example", 99)->status, DNS_NXDOMAIN);
    assert_null(find(&cache, "a.example", 100));
    dns_cache_free(&cache);
}

TEST(store_failure_gives_old_data_until_too_old)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 10, 1000);
    store(&cache, "a.example", DNS_OK, 100, 0);
    const struct dns_answer *told = learn(&cache, "a.example", DNS_FAILED, 230, 200);

    assert_int_equal(told->status, DNS_OK);
    assert_true(told->is_stale);
    assert_int_equal(told->expires_ms, 230);
    assert_string_equal(told->why, "SERVFAIL");
    assert_int_equal(told->records[0].preference, 7);
    dns_answer_release(&told);
    assert_true(find(&cache, "a.example", 229)->is_stale); /* nobody asks again before */
    assert_null(find(&cache, "a.example", 230));
    /* The last stretch ends where the data are too old. */
    told = learn(&cache, "a.example", DNS_FAILED, 1120, 1090);
    assert_true(told->is_stale);
    assert_int_equal(told->expires_ms, 1100);
    dns_answer_release(&told);
    told = learn(&cache, "a.example", DNS_FAILED, 1200, 1100);
    assert_int_equal(told->status, DNS_FAILED);
    dns_answer_release(&told);
    assert_int_equal(find(&cache, "a.example", 1199)->status, DNS_FAILED);
    dns_cache_free(&cache);
}

TEST(store_failure_keeps_no_negative_answer_alive)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 10, 1000);
    store(&cache, "a.example", DNS_NXDOMAIN, 100, 0);
    const struct dns_answer *told = learn(&cache, "a.example", DNS_FAILED, 230, 200);

    assert_int_equal(told->status, DNS_FAILED);
    dns_answer_release(&told);
    dns_cache_free(&cache);
}

TEST(store_fact_ends_failure)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 10, 1000);
    store(&cache, "a.example", DNS_FAILED, 30, 0);
    assert_int_equal(find(&cache, "a.example", 29)->status, DNS_FAILED);
    store(&cache, "a.example", DNS_OK, 500, 30);
    assert_int_equal(find(&cache, "a.example", 31)->status, DNS_OK);
    assert_false(find(&cache, "a.example", 31)->is_stale);
    dns_cache_free(&cache);
}

TEST(store_drops_least_recently_used)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 3, 1000);
    store(&cache, "a.example", DNS_OK, 100, 0);
    store(&cache, "b.example", DNS_OK, 100, 0);
    store(&cache, "c.example", DNS_OK, 100, 0);
    assert_non_null(find(&cache, "a.example", 1));
    store(&cache, "d.example", DNS_OK, 100, 0);
    assert_int_equal(cache.entries.count, 3);
    assert_null(find(&cache, "b.example", 1));
    assert_non_null(find(&cache, "a.example", 1));
    assert_non_null(find(&cache, "d.example", 1));
    for (int i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "x%d.example", i);
        store(&cache, name, DNS_OK, 100, 0);
        assert_int_equal(cache.entries.count, 3);
    }
    dns_cache_free(&cache);
}

TEST(answers_outlive_the_cache_for_who_keeps_them)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 1, 1000);
    store(&cache, "a.example", DNS_OK, 100, 0);
    const struct dns_answer *kept = dns_answer_keep(find(&cache, "a.example", 0));

    store(&cache, "b.example", DNS_OK, 100, 0);
    dns_cache_free(&cache);
    assert_int_equal(kept->records[0].preference, 7);
    dns_answer_release(&kept);
    assert_null(kept);
}

TEST(flush_forgets_one_name_or_all)
{
    struct dns_cache cache;

    dns_cache_init(&cache, 10, 1000);
    store(&cache, "a.example", DNS_OK, 100, 0);
    store(&cache, "b.example", DNS_OK, 100, 0);
    dns_cache_flush(&cache, BYTES("a.example"));
    assert_null(find(&cache, "a.example", 0));
    assert_non_null(find(&cache, "b.example", 0));
    dns_cache_flush(&cache, BYTES_NONE);
    assert_null(find(&cache, "b.example", 0));
    assert_int_equal(cache.entries.count, 0);
    dns_cache_free(&cache);
}
