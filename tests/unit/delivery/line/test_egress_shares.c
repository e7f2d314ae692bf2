/* test_egress_shares.c - shares of the message rate go to the highest class that waits. */
#include "delivery/line/egress.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support/unit.h"

static struct egress_table *table;

static struct egress *setup(double messages_per_s)
{
    struct egress_limits limits = {.connections_max = 10, .messages_per_s = messages_per_s};

    table = egress_table_create(100);
    return egress_get(table, BYTES("site"), BYTES("default"), &limits);
}

static void teardown(struct egress **egress)
{
    egress_put(egress);
    egress_table_free(&table);
}

static int64_t take(struct egress *egress, struct egress_share **share, enum rank rank,
                    int64_t now_ms)
{
    const struct egress_mail mail = {.rank = rank};

    return egress_share_take(egress, share, &mail, now_ms);
}

static void raise_to(struct egress *egress, struct egress_share *share, enum rank rank,
                     int64_t now_ms)
{
    const struct egress_mail mail = {.rank = rank};

    egress_share_raise(egress, share, &mail, now_ms);
}

/* An engine's site with endless mail of one class. */
struct sender {
    struct egress_share *share;
    enum rank rank;
    unsigned sent;
};

/* What is due is sent, and the next share taken; the clock goes to the first that waits. */
static void run(struct egress *egress, struct sender *senders, size_t count, unsigned total)
{
    int64_t now_ms = 1000, last_ms = 0;
    unsigned sent = 0;

    while (sent < total) {
        int64_t next_ms = INT64_MAX;

        for (size_t i = 0; i < count; i++) {
            struct sender *s = &senders[i];
            int64_t wait_ms;

            while ((wait_ms = take(egress, &s->share, s->rank, now_ms)) == 0) {
                assert_true(last_ms == 0 || now_ms - last_ms >= 1000); /* the rate is kept */
                last_ms = now_ms;
                s->sent++;
                sent++;
            }
        }
        for (size_t i = 0; i < count; i++) {
            int64_t at_ms = egress_share_at_ms(egress, senders[i].share, now_ms);

            assert_true(at_ms > now_ms);
            next_ms = MIN(next_ms, at_ms);
        }
        now_ms = next_ms;
    }
    for (size_t i = 0; i < count; i++)
        egress_share_drop(egress, &senders[i].share);
}

TEST(higher_class_takes_the_first_time_of_a_lower_one)
{
    struct egress *egress = setup(1);
    struct egress_share *first = NULL, *bulk = NULL, *normal = NULL, *high = NULL, *same = NULL;

    assert_int_equal(take(egress, &first, RANK_BULK, 1000), 0);
    assert_null(first); /* nobody who goes at once has anything to remember */
    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 1000);
    assert_int_equal(take(egress, &normal, RANK_NORMAL, 1000), 1000);
    assert_int_equal(egress_share_at_ms(egress, bulk, 1000), 3000);
    assert_int_equal(take(egress, &same, RANK_NORMAL, 1000), 2000);
    assert_int_equal(egress_share_at_ms(egress, bulk, 1000), 4000); /* before the bulk, again */
    assert_int_equal(take(egress, &high, RANK_HIGH, 1500), 500);
    assert_int_equal(egress_share_at_ms(egress, normal, 1500), 5000);
    assert_int_equal(take(egress, &high, RANK_HIGH, 2000), 0);
    assert_int_equal(egress_share_at_ms(egress, high, 2000), 0);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 2000), 2000);
    egress_share_drop(egress, &bulk);
    egress_share_drop(egress, &normal);
    egress_share_drop(egress, &high);
    egress_share_drop(egress, &high); /* of no effect */
    egress_share_drop(egress, &same);
    teardown(&egress);
}

TEST(time_that_has_come_is_not_taken_away)
{
    struct egress *egress = setup(1);
    struct egress_share *bulk = NULL, *high = NULL;

    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 0);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 1000);
    assert_int_equal(take(egress, &high, RANK_HIGH, 2000), 1000);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 2001), 0);
    egress_share_drop(egress, &bulk);
    egress_share_drop(egress, &high);
    teardown(&egress);
}

TEST(share_is_raised_when_better_mail_comes)
{
    struct egress *egress = setup(1);
    struct egress_share *one = NULL, *other = NULL;

    raise_to(egress, NULL, RANK_HIGH, 1000); /* nothing to raise */
    assert_int_equal(take(egress, &one, RANK_BULK, 1000), 0);
    assert_int_equal(take(egress, &one, RANK_BULK, 1000), 1000);
    assert_int_equal(take(egress, &other, RANK_BULK, 1000), 2000);
    raise_to(egress, other, RANK_BULK, 1000);
    assert_int_equal(egress_share_at_ms(egress, other, 1000), 3000); /* first come, first served */
    raise_to(egress, other, RANK_NORMAL, 1000);
    assert_int_equal(egress_share_at_ms(egress, other, 1000), 2000);
    assert_int_equal(take(egress, &one, RANK_HIGH, 1000), 1000); /* and back */
    assert_int_equal(egress_share_at_ms(egress, other, 1000), 3000);
    egress_share_drop(egress, &one);
    egress_share_drop(egress, &other);
    teardown(&egress);
}

/* Of the same class, as tenants take turns at a site: its share is for who is next now. */
TEST(share_is_raised_for_a_tenant_that_comes_anew)
{
    const struct egress_mail many = {.rank = RANK_NORMAL, .tenant = {.name = BYTES("many")}};
    const struct egress_mail small = {.rank = RANK_NORMAL,
                                      .is_fresh = true,
                                      .tenant = {.name = BYTES("small")}};
    struct egress *egress = setup(1);
    struct egress_share *one = NULL, *other = NULL;

    assert_int_equal(egress_share_take(egress, &one, &many, 1000), 0);
    assert_int_equal(egress_share_take(egress, &one, &many, 1000), 1000);
    assert_int_equal(egress_share_take(egress, &other, &many, 1000), 2000);
    egress_share_raise(egress, other, &many, 1000);
    assert_int_equal(egress_share_at_ms(egress, other, 1000), 3000);
    egress_share_raise(egress, other, &small, 1000);
    assert_int_equal(egress_share_at_ms(egress, other, 1000), 2000);
    assert_int_equal(egress_share_at_ms(egress, one, 1000), 3000);
    egress_share_drop(egress, &one);
    egress_share_drop(egress, &other);
    teardown(&egress);
}

TEST(share_of_another_rate_or_too_late_is_void)
{
    struct egress *egress = setup(1);
    struct egress_share *bulk = NULL, *high = NULL;
    struct egress_limits faster = {.connections_max = 10, .messages_per_s = 2, .generation = 1};

    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 0);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 1000);
    egress_limit(egress, &faster);
    assert_int_equal(egress_share_at_ms(egress, bulk, 1000), 0);
    assert_int_equal(take(egress, &high, RANK_HIGH, 1000), 0);
    assert_int_equal(take(egress, &high, RANK_HIGH, 1000), 500);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 1000);
    /* Both come back much too late: they go one after the other, not at once. */
    assert_int_equal(take(egress, &high, RANK_HIGH, 99000), 0);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 99000), 500);
    egress_share_drop(egress, &bulk);
    egress_share_drop(egress, &high);
    teardown(&egress);
}

TEST(void_share_has_no_time_to_take)
{
    struct egress *egress = setup(1);
    struct egress_share *bulk = NULL, *high = NULL;
    struct egress_limits slower = {.connections_max = 10, .messages_per_s = 0.5, .generation = 1};

    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 0);
    assert_int_equal(take(egress, &bulk, RANK_BULK, 1000), 1000);
    egress_limit(egress, &slower);
    assert_int_equal(take(egress, &high, RANK_HIGH, 1000), 0);
    assert_int_equal(take(egress, &high, RANK_HIGH, 1000), 2000);
    egress_share_drop(egress, &bulk);
    egress_share_drop(egress, &high);
    teardown(&egress);
}

TEST(lower_classes_keep_their_guaranteed_turns)
{
    struct egress *egress = setup(1);
    struct sender senders[] = {{.rank = RANK_BULK}, {.rank = RANK_HIGH}, {.rank = RANK_NORMAL}};
    struct sender two[] = {{.rank = RANK_BULK}, {.rank = RANK_HIGH}};

    run(egress, senders, ARRAY_LEN(senders), 2100);
    assert_in_range(senders[0].sent, 95, 105);
    assert_in_range(senders[1].sent, 1590, 1610);
    assert_in_range(senders[2].sent, 390, 410);
    teardown(&egress);
    egress = setup(1);
    run(egress, two, ARRAY_LEN(two), 2100);
    assert_in_range(two[0].sent, 2100 / 18, 2100 / 16); /* one of seventeen */
    teardown(&egress);
}

TEST(equal_classes_go_in_turn)
{
    struct egress *egress = setup(1);
    struct sender senders[] = {{.rank = RANK_BULK}, {.rank = RANK_BULK}, {.rank = RANK_BULK}};

    run(egress, senders, ARRAY_LEN(senders), 300);
    for (size_t i = 0; i < ARRAY_LEN(senders); i++)
        assert_in_range(senders[i].sent, 99, 101);
    teardown(&egress);
}

/* --- threads ---------------------------------------------------------------------------------- */

static struct egress *shared;
static _Atomic int64_t clock_ms = 1000;
static _Atomic unsigned sent_by_all;

/* Each asks again and again, whether its time has come or not, and its mail changes. */
static void *send_in_a_thread(void *context)
{
    unsigned seed = (unsigned)(uintptr_t)context;
    struct egress_share *share = NULL;

    for (unsigned i = 0; i < 20000; i++) {
        enum rank rank = (enum rank)((i / 7 + seed) % RANK_COUNT);
        int64_t now_ms = atomic_fetch_add(&clock_ms, 1);

        raise_to(shared, share, rank, now_ms);
        if (take(shared, &share, rank, now_ms) == 0)
            atomic_fetch_add(&sent_by_all, 1);
        if (i % 501 == seed)
            egress_share_drop(shared, &share);
    }
    egress_share_drop(shared, &share);
    return NULL;
}

TEST(threads_together_keep_the_rate)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];

    shared = setup(5);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_in_a_thread, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* One every 200 ms; what was dropped is lost, and a share may be used a little late. */
    assert_in_range(sent_by_all, 100, (unsigned)(clock_ms / 200) + 1);
    teardown(&shared);
}
