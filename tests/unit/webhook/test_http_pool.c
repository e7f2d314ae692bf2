/* test_http_pool.c - who has a place, and who waits for one. What requests do:
 * tests/system/test_webhooks.py. */
/* threads: one */
#include "webhook/http_pool.h"

#include <sys/resource.h>

#include "base/bytes.h"
#include "support/unit.h"

enum { FILES = 64, PLACES = FILES / 8, COUNT = 3 * PLACES };

static struct http_pool *pool;
static struct http_transfer transfers[COUNT];
static size_t called_count;
static struct http_transfer *called[COUNT];

static void on_called(struct http_transfer *transfer)
{
    assert_true(called_count < COUNT);
    called[called_count++] = transfer;
}

static void fixture_make(void)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit few = {.rlim_cur = FILES, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    pool = http_pool_open();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    called_count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        http_transfer_init(&transfers[i]);
        transfers[i].called = on_called;
    }
}

static void fixture_remove(void)
{
    for (size_t i = 0; i < COUNT; i++)
        http_pool_leave(pool, &transfers[i]);
    http_pool_close(&pool);
}

static bool ask(size_t i)
{
    return http_pool_has_place(pool, &transfers[i]);
}

TEST(who_comes_when_all_places_are_taken_is_called_in_order)
{
    fixture_make();
    for (size_t i = 0; i < PLACES; i++)
        assert_true(ask(i));
    for (size_t i = PLACES; i < PLACES + 3; i++)
        assert_false(ask(i));
    assert_false(ask(PLACES)); /* asked twice it waits once */
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 0);
    http_pool_leave(pool, &transfers[PLACES + 1]); /* wants none any more */
    http_pool_leave(pool, &transfers[2]);
    assert_false(ask(2)); /* not before those that wait */
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 1);
    assert_ptr_equal(called[0], &transfers[PLACES]);
    assert_true(ask(PLACES));
    assert_false(ask(PLACES + 2));
    for (size_t i = 3; i < 5; i++)
        http_pool_leave(pool, &transfers[i]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 3);
    assert_ptr_equal(called[1], &transfers[PLACES + 2]);
    assert_ptr_equal(called[2], &transfers[2]);
    fixture_remove();
}

TEST(the_slow_have_half_of_the_places_and_wait_for_each_other)
{
    fixture_make();
    for (size_t i = 0; i < PLACES; i++) {
        transfers[i].is_slow = true;
        assert_true(ask(i) == (i < PLACES / 2));
    }
    for (size_t i = PLACES; i < COUNT; i++)
        assert_true(ask(i) == (i < PLACES + PLACES / 2));
    /* What it comes to counts for the next one. */
    transfers[0].is_slow = false;
    transfers[PLACES].is_slow = true;
    http_pool_leave(pool, &transfers[PLACES]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 1);
    assert_ptr_equal(called[0], &transfers[PLACES + PLACES / 2]);
    http_pool_leave(pool, &transfers[0]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 2);
    assert_ptr_equal(called[1], &transfers[PLACES + PLACES / 2 + 1]); /* the well come first */
    http_pool_leave(pool, called[1]);
    for (size_t i = PLACES + PLACES / 2 + 2; i < COUNT; i++)
        http_pool_leave(pool, &transfers[i]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 3);
    assert_ptr_equal(called[2], &transfers[PLACES / 2]);
    fixture_remove();
}

TEST(so_many_look_for_an_address_at_once)
{
    enum { MANY = 65 };
    static struct http_transfer many[MANY];

    called_count = 0;
    pool = http_pool_open();
    for (size_t i = 0; i < MANY; i++) {
        http_transfer_init(&many[i]);
        many[i].called = on_called;
        assert_true(http_pool_has_place(pool, &many[i]) == (i < MANY - 1));
    }
    http_pool_resolved(pool, &many[7]);
    http_pool_resolved(pool, &many[7]); /* once is enough */
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 1);
    assert_ptr_equal(called[0], &many[MANY - 1]);
    for (size_t i = 0; i < MANY; i++)
        http_pool_leave(pool, &many[i]);
    http_pool_close(&pool);
}

TEST(the_slow_look_for_half_of_the_addresses)
{
    enum { LOOKING = 64, MANY = 2 * LOOKING };
    static struct http_transfer many[MANY];

    called_count = 0;
    pool = http_pool_open();
    for (size_t i = 0; i < MANY; i++) {
        http_transfer_init(&many[i]);
        many[i].called = on_called;
        many[i].is_slow = i < LOOKING;
        assert_true(http_pool_has_place(pool, &many[i]) == (i % LOOKING < LOOKING / 2));
    }
    http_pool_resolved(pool, &many[0]);
    http_pool_leave(pool, &many[LOOKING]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 2);
    for (size_t i = 0; i < MANY; i++)
        http_pool_leave(pool, &many[i]);
    http_pool_close(&pool);
}

TEST(the_slow_are_called_though_others_always_wait)
{
    fixture_make();
    for (size_t i = 0; i < COUNT; i++) {
        transfers[i].is_slow = i == COUNT - 1;
        assert_true(ask(i) == (i < PLACES));
    }
    http_pool_leave(pool, &transfers[0]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 1);
    assert_ptr_equal(called[0], &transfers[COUNT - 1]);
    http_pool_leave(pool, &transfers[1]);
    http_pool_work(pool, 0);
    assert_int_equal(called_count, 2);
    assert_ptr_equal(called[1], &transfers[PLACES]);
    fixture_remove();
}
