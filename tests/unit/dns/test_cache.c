/* test_cache.c - what is remembered, and what is told while servers fail; time is a number here. */
#include "dns/cache.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "support/unit.h"

enum { ROOM = 1 << 20 };

static const struct dns_answer *make(enum dns_status status, int64_t expires_ms)
{
    struct dns_record records[] = {{.preference = 7, .name = BYTES("mx.example")}};
    struct dns_answer answer = {
        .status = status,
        .why = status == DNS_FAILED ? "SERVFAIL" : NULL,
        .record_count = status == DNS_OK ? 1 : 0,
        .records = records,
        .expires_ms = expires_ms,
    };

    return dns_answer_copy(&answer);
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

/* What is found, in short: its status, STALE, or NOTHING. */
enum { STALE = 100, NOTHING = -1 };

static int find(struct dns_cache *cache, const char *name, int64_t now_ms)
{
    const struct dns_answer *answer = dns_cache_find(cache, bytes_of(name), DNS_TYPE_MX, now_ms);

    if (answer == NULL)
        return NOTHING;
    int found = answer->is_stale ? STALE : (int)answer->status;

    if (answer->status == DNS_OK)
        assert_true(bytes_equal(answer->records[0].name, BYTES("mx.example")));
    dns_answer_release(&answer);
    return found;
}

TEST(find_gives_answer_until_it_expires)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    assert_int_equal(find(cache, "a.example", 0), NOTHING);
    store(cache, "a.example", DNS_OK, 100, 0);
    assert_int_equal(find(cache, "a.example", 99), DNS_OK);
    assert_int_equal(find(cache, "a.example", 100), NOTHING);
    assert_null(dns_cache_find(cache, BYTES("a.example"), DNS_TYPE_A, 50));
    dns_cache_free(&cache);
    assert_null(cache);
}

TEST(find_remembers_negative_answers)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    store(cache, "a.example", DNS_NXDOMAIN, 100, 0);
    assert_int_equal(find(cache, "a.example", 99), DNS_NXDOMAIN);
    assert_int_equal(find(cache, "a.example", 100), NOTHING);
    dns_cache_free(&cache);
}

TEST(store_failure_gives_old_data_until_too_old)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    store(cache, "a.example", DNS_OK, 100, 0);
    const struct dns_answer *told = learn(cache, "a.example", DNS_FAILED, 230, 200);

    assert_int_equal(told->status, DNS_OK);
    assert_true(told->is_stale);
    assert_int_equal(told->expires_ms, 230);
    assert_string_equal(told->why, "SERVFAIL");
    assert_int_equal(told->records[0].preference, 7);
    dns_answer_release(&told);
    assert_int_equal(find(cache, "a.example", 229), STALE); /* nobody asks again before */
    assert_int_equal(find(cache, "a.example", 230), NOTHING);
    /* The last stretch ends where the data are too old. */
    told = learn(cache, "a.example", DNS_FAILED, 1120, 1090);
    assert_true(told->is_stale);
    assert_int_equal(told->expires_ms, 1100);
    dns_answer_release(&told);
    told = learn(cache, "a.example", DNS_FAILED, 1200, 1100);
    assert_int_equal(told->status, DNS_FAILED);
    assert_string_equal(told->why, "SERVFAIL");
    dns_answer_release(&told);
    assert_int_equal(find(cache, "a.example", 1199), DNS_FAILED);
    dns_cache_free(&cache);
}

TEST(store_failure_keeps_no_negative_answer_alive)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    store(cache, "a.example", DNS_NXDOMAIN, 100, 0);
    const struct dns_answer *told = learn(cache, "a.example", DNS_FAILED, 230, 200);

    assert_int_equal(told->status, DNS_FAILED);
    dns_answer_release(&told);
    dns_cache_free(&cache);
}

/* Two engines asked at the same time, and one of them was answered. */
TEST(store_failure_tells_what_another_engine_learned)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);
    static const enum dns_status facts[] = {DNS_OK, DNS_NXDOMAIN};

    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        store(cache, "a.example", facts[i], 500, 0);
        const struct dns_answer *told = learn(cache, "a.example", DNS_FAILED, 30, 1);

        expect_row(i, told->status == facts[i]);
        expect_row(i, !told->is_stale);
        expect_row(i, told->expires_ms == 500);
        expect_row(i, told->why == NULL);
        dns_answer_release(&told);
        expect_row(i, find(cache, "a.example", 499) == (int)facts[i]);
        expect_row(i, find(cache, "a.example", 500) == NOTHING);
    }
    dns_cache_free(&cache);
}

TEST(store_fact_ends_failure)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    store(cache, "a.example", DNS_FAILED, 30, 0);
    assert_int_equal(find(cache, "a.example", 29), DNS_FAILED);
    store(cache, "a.example", DNS_OK, 500, 30);
    assert_int_equal(find(cache, "a.example", 31), DNS_OK);
    dns_cache_free(&cache);
}

TEST(store_keeps_to_its_bytes_and_drops_the_oldest)
{
    enum { BOUND = 64 * 1024, COUNT = 5000 };
    struct dns_cache *cache = dns_cache_create(BOUND, 1000);
    size_t most = 0;
    char name[32];

    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "x%d.example", i);
        store(cache, name, i % 3 == 0 ? DNS_FAILED : DNS_OK, 100, 0);
        assert_true(dns_cache_bytes(cache) <= BOUND);
        most = MAX(most, dns_cache_count(cache));
        if (i % 10 == 0)
            assert_int_equal(find(cache, name, 1), i % 3 == 0 ? DNS_FAILED : DNS_OK);
        /* One that everybody asks for stays, however many others come. */
        if (i == 0)
            store(cache, "popular.example", DNS_OK, 100, 0);
        assert_int_equal(find(cache, "popular.example", 1), DNS_OK);
    }
    assert_in_range(most, BOUND / 150, BOUND / 60);
    /* The newest are there, the oldest are not. */
    for (int i = COUNT - 100; i < COUNT; i++) {
        snprintf(name, sizeof(name), "x%d.example", i);
        assert_int_not_equal(find(cache, name, 1), NOTHING);
    }
    for (int i = 0; i < COUNT - BOUND / 50; i++) {
        snprintf(name, sizeof(name), "x%d.example", i);
        assert_int_equal(find(cache, name, 1), NOTHING);
    }
    dns_cache_free(&cache);
}

TEST(names_that_are_all_in_use_do_not_pass_the_bound)
{
    enum { BOUND = 16 * 1024, COUNT = 2000 };
    struct dns_cache *cache = dns_cache_create(BOUND, 1000);
    char name[32];

    for (int i = 0; i < COUNT; i++) {
        for (int k = MAX(i - 200, 0); k < i; k++) {
            snprintf(name, sizeof(name), "x%d.example", k);
            (void)find(cache, name, 1);
        }
        snprintf(name, sizeof(name), "x%d.example", i);
        store(cache, name, DNS_OK, 100, 0);
        assert_true(dns_cache_bytes(cache) <= BOUND);
        assert_int_equal(find(cache, name, 1), DNS_OK);
    }
    dns_cache_free(&cache);
}

TEST(one_name_stored_over_and_over_takes_no_more_than_the_bound)
{
    struct dns_cache *cache = dns_cache_create(16 * 1024, 1000);

    for (int i = 0; i < 5000; i++) {
        store(cache, "a.example", DNS_OK, i + 100, i);
        assert_int_equal(find(cache, "a.example", i), DNS_OK);
        assert_int_equal(dns_cache_count(cache), 1);
        assert_true(dns_cache_bytes(cache) <= 16 * 1024);
    }
    dns_cache_free(&cache);
}

TEST(entries_are_as_small_as_documented)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);
    enum { COUNT = 1000 };

    for (int i = 0; i < COUNT; i++) {
        char name[64];

        snprintf(name, sizeof(name), "customer-%d.mail.example", i);
        store(cache, name, DNS_OK, 100, 0);
    }
    assert_int_equal(dns_cache_count(cache), COUNT);
    assert_in_range(dns_cache_bytes(cache) / COUNT, 80, 170); /* the newest block is half empty */
    dns_cache_free(&cache);
}

TEST(answers_outlive_the_cache_for_who_keeps_them)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    store(cache, "a.example", DNS_OK, 100, 0);
    const struct dns_answer *kept = dns_cache_find(cache, BYTES("a.example"), DNS_TYPE_MX, 0);

    dns_cache_free(&cache);
    assert_int_equal(kept->records[0].preference, 7);
    dns_answer_release(&kept);
    assert_null(kept);
}

TEST(flush_forgets_one_name_or_all)
{
    struct dns_cache *cache = dns_cache_create(ROOM, 1000);

    store(cache, "a.example", DNS_OK, 100, 0);
    store(cache, "b.example", DNS_OK, 100, 0);
    dns_cache_flush(cache, BYTES("a.example"));
    assert_int_equal(find(cache, "a.example", 0), NOTHING);
    assert_int_equal(find(cache, "b.example", 0), DNS_OK);
    dns_cache_flush(cache, BYTES_NONE);
    assert_int_equal(find(cache, "b.example", 0), NOTHING);
    assert_int_equal(dns_cache_count(cache), 0);
    assert_int_equal(dns_cache_bytes(cache), 0);
    store(cache, "c.example", DNS_OK, 100, 0);
    assert_int_equal(find(cache, "c.example", 0), DNS_OK);
    dns_cache_free(&cache);
}

/* --- every kind of answer comes out as it went in -------------------------------------------- */

static void assert_same_record(const struct dns_record *r, const struct dns_record *s)
{
    assert_true(bytes_equal(r->name, s->name));
    assert_true(bytes_equal(r->text, s->text));
    assert_int_equal(r->preference, s->preference);
    assert_memory_equal(&r->a, &s->a, sizeof(r->a));
    assert_memory_equal(&r->aaaa, &s->aaaa, sizeof(r->aaaa));
}

static void assert_same(const struct dns_answer *a, const struct dns_answer *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->is_secure, b->is_secure);
    assert_int_equal(a->expires_ms, b->expires_ms);
    assert_int_equal(a->cut_count, b->cut_count);
    assert_int_equal(a->odd_count, b->odd_count);
    assert_true(bytes_equal(a->canonical, b->canonical));
    assert_int_equal(a->record_count, b->record_count);
    assert_true((a->odd_records == NULL) == (b->odd_records == NULL));
    for (size_t i = 0; i < a->record_count; i++)
        assert_same_record(&a->records[i], &b->records[i]);
    for (size_t i = 0; a->odd_records != NULL && i < a->odd_count; i++)
        assert_same_record(&a->odd_records[i], &b->odd_records[i]);
}

static void assert_kept(enum dns_type type, const struct dns_answer *answer)
{
    struct dns_cache *cache = dns_cache_create(16 << 20, 1000);
    const struct dns_answer *told = dns_cache_store(cache, BYTES("asked.example"), type, answer, 0);
    const struct dns_answer *found = dns_cache_find(cache, BYTES("asked.example"), type, 1);

    assert_non_null(found);
    assert_same(found, answer);
    dns_answer_release(&told);
    dns_answer_release(&found);
    dns_cache_free(&cache);
}

static void assert_records_kept(enum dns_type type, struct dns_record record, size_t count)
{
    static struct dns_record records[DNS_RECORDS_MAX];
    const struct bytes canonicals[] = {BYTES_NONE, BYTES("asked.example"), BYTES("other.example")};

    for (size_t i = 0; i < count; i++) {
        records[i] = record;
        if (type == DNS_TYPE_MX)
            records[i].preference = (uint16_t)(65535 - i);
    }
    for (size_t i = 0; i < ARRAY_LEN(canonicals); i++) {
        struct dns_answer answer = {
            .references = 1,
            .status = DNS_OK,
            .canonical = canonicals[i],
            .is_secure = i != 1,
            .expires_ms = 5000,
            .record_count = count,
            .records = records,
            .cut_count = 5757,
            .odd_count = i,
            .odd_records = i == 2 && count >= i ? records : NULL,
        };
        const struct dns_answer *copy = dns_answer_copy(&answer);

        assert_kept(type, copy);
        dns_answer_release(&copy);
    }
}

TEST(every_type_comes_out_as_it_went_in)
{
    static uint8_t text[65535];
    static char name[DNS_NAME_MAX + 1];
    static const size_t counts[] = {0, 1, 2, DNS_RECORDS_MAX};

    memset(text, 0xe9, sizeof(text));
    memset(name, 'n', DNS_NAME_MAX);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        size_t n = counts[i];

        assert_records_kept(DNS_TYPE_A, (struct dns_record){.a = {0x01020304}}, n);
        assert_records_kept(DNS_TYPE_AAAA, (struct dns_record){.aaaa = {{{1, 2, [15] = 255}}}}, n);
        assert_records_kept(DNS_TYPE_MX, (struct dns_record){.name = bytes_of(name)}, n);
        assert_records_kept(DNS_TYPE_MX, (struct dns_record){.name = BYTES("")}, n); /* null MX */
        assert_records_kept(DNS_TYPE_CNAME, (struct dns_record){.name = BYTES("c.example")}, n);
        assert_records_kept(DNS_TYPE_PTR, (struct dns_record){.name = BYTES("p.example")}, n);
        assert_records_kept(DNS_TYPE_TXT, (struct dns_record){.text = BYTES("")}, n);
        assert_records_kept(DNS_TYPE_TXT,
                            (struct dns_record){.text = bytes_range(text, sizeof(text))}, n);
        assert_records_kept(DNS_TYPE_TLSA, (struct dns_record){.text = BYTES("\x03\x01\x01")}, n);
        assert_records_kept(DNS_TYPE_SOA, (struct dns_record){.text = BYTES("soa")}, n);
    }
}

/* --- engines share it ------------------------------------------------------------------------ */

enum { THREADS = 3, STEPS = 3000, NAMES = 40 };

static void *work(void *context)
{
    struct dns_cache *cache = context;

    for (int i = 0; i < STEPS; i++) {
        const struct dns_answer *answer;
        char name[32];

        snprintf(name, sizeof(name), "n%d.example", i * 7 % NAMES);
        answer = make(i % 5 == 0 ? DNS_FAILED : DNS_OK, i + 10);
        const struct dns_answer *told =
            dns_cache_store(cache, bytes_of(name), DNS_TYPE_MX, answer, i);

        dns_answer_release(&told);
        dns_answer_release(&answer);
        (void)find(cache, name, i);
        if (i % 500 == 0)
            dns_cache_flush(cache, i % 1000 == 0 ? BYTES_NONE : bytes_of(name));
    }
    return NULL;
}

TEST(threads_share_what_is_known)
{
    struct dns_cache *cache = dns_cache_create(3000, 1000); /* so small that entries always go */
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, cache), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(dns_cache_bytes(cache) <= 3000);
    dns_cache_flush(cache, BYTES_NONE);
    assert_int_equal(dns_cache_bytes(cache), 0);
    dns_cache_free(&cache);
}
