/*
 * test_egress_provider.c - what the sets of hosts of one provider share, and what each of them has
 * by itself: nobody's broken host may stop the others' mail.
 */
#include "delivery/line/egress.h"

#include "support/unit.h"

static const struct egress_mail any_mail = {0};

enum { SETS = 3 };

static struct egress_table *table;
static struct egress *sets[SETS];
static struct egress *provider;
static struct egress_waiter waiters[SETS];
static unsigned open_count[SETS];

/* No engine is there to open letters: who waits is not to get a slot. */
static void never_woken(struct egress_waiter *waiter)
{
    (void)waiter;
    fail();
}

static struct egress *get(const char *site, const char *source, unsigned connections_max,
                          unsigned provider_max)
{
    struct egress_limits limits = {.connections_max = connections_max};
    struct egress_limits provider_limits = {.connections_max = provider_max};

    return egress_get_of(table, BYTES("provider"), &provider_limits, bytes_of(site),
                         bytes_of(source), &limits);
}

static void begin_world(unsigned provider_max)
{
    static const char *const names[SETS] = {"a", "b", "c"};

    table = egress_table_create(0);
    for (unsigned i = 0; i < SETS; i++) {
        sets[i] = get(names[i], "source", EGRESS_CONNECTIONS_ANY, provider_max);
        waiters[i] = (struct egress_waiter){.woken = never_woken};
        list_node_init(&waiters[i].node);
        open_count[i] = 0;
    }
    provider = egress_provider(sets[0]);
}

static bool open_one(unsigned set)
{
    if (!egress_connect_begin(sets[set], &waiters[set], &any_mail))
        return false;
    open_count[set]++;
    return true;
}

static void close_one(unsigned set)
{
    open_count[set]--;
    egress_connect_end(sets[set]);
}

static void let_in(unsigned set, int64_t now_ms)
{
    assert_true(open_one(set));
    egress_let_in(sets[set], now_ms);
}

static void end_world(void)
{
    for (unsigned i = 0; i < SETS; i++)
        (void)egress_waiter_cancel(sets[i], &waiters[i]);
    for (unsigned i = 0; i < SETS; i++)
        while (open_count[i] > 0)
            close_one(i);
    assert_int_equal(egress_connections(provider), 0);
    for (unsigned i = 0; i < SETS; i++)
        egress_put(&sets[i]);
    egress_table_free(&table);
}

TEST(egress_provider_is_one_for_all_its_sets_and_one_a_source)
{
    begin_world(5);
    struct egress *again = get("a", "source", 1, 5);
    struct egress *elsewhere = get("a", "other", 1, 5);
    struct egress_limits limits = {.connections_max = 1};
    struct egress *alone = egress_get(table, BYTES("provider"), BYTES("source"), &limits);

    assert_ptr_equal(again, sets[0]);
    assert_ptr_not_equal(sets[0], sets[1]);
    assert_ptr_equal(egress_provider(sets[1]), provider);
    assert_ptr_not_equal(egress_provider(elsewhere), provider);
    assert_null(egress_provider(alone)); /* a host may be called as the operator calls a provider */
    assert_ptr_not_equal(alone, provider);
    egress_put(&again);
    egress_put(&elsewhere);
    egress_put(&alone);
    end_world();
}

TEST(egress_provider_limits_its_sets_together_and_each_may_be_limited_more)
{
    begin_world(3);
    struct egress_limits one = {.connections_max = 1};

    egress_limit(sets[1], &one);
    assert_true(open_one(0));
    assert_true(open_one(1));
    assert_false(open_one(1)); /* its own limit */
    assert_int_equal(egress_connections(provider), 2);
    assert_true(open_one(0)); /* who waits for that stops nobody else */
    assert_false(open_one(2));
    assert_int_equal(egress_connections(sets[0]), 2);
    assert_int_equal(egress_connections(sets[2]), 0);
    assert_int_equal(egress_connections(provider), 3);
    end_world();
}

TEST(egress_set_with_others_in_teaches_what_its_provider_allows)
{
    begin_world(20);
    let_in(0, 1000);
    let_in(1, 1000);
    assert_true(open_one(0));
    assert_true(egress_turned_away(sets[0], &waiters[0], true, 2000));
    close_one(0);
    assert_int_equal(egress_allowed(provider), 2);
    assert_int_equal(egress_allowed(sets[0]), 0);
    assert_true(egress_is_full_by_receiver(sets[2]));
    assert_false(open_one(2)); /* which never asked */
    assert_int_equal(egress_probe(sets[2], 2001), 2000 + 5000);
    assert_true(egress_waiter_cancel(sets[2], &waiters[2]));
    egress_forget_allowed(sets[2]);
    assert_int_equal(egress_allowed(provider), 0);
    egress_left(sets[0], 3000);
    egress_left(sets[1], 3000);
    end_world();
}

TEST(egress_set_that_alone_is_turned_away_is_so_by_its_own_hosts)
{
    begin_world(20);
    let_in(0, 1000);
    for (int64_t now_ms = 2000; now_ms <= 4000; now_ms += 1000) {
        assert_true(open_one(1));
        assert_true(egress_turned_away(sets[1], &waiters[1], true, now_ms));
        assert_true(egress_is_full_by_receiver(sets[1]));
        close_one(1);
        assert_int_equal(egress_allowed(provider), 0); /* the others go on */
        assert_true(open_one(0));
        egress_let_in(sets[0], now_ms);
        assert_int_equal(egress_probe(sets[1], now_ms + 999), now_ms + 1000);
        (void)egress_probe(sets[1], now_ms + 1000);
    }
    assert_true(open_one(1));
    assert_false(egress_turned_away(sets[1], &waiters[1], true, 5000)); /* a failure */
    assert_int_equal(egress_allowed(provider), 0);
    /* Silence is a failure at once. */
    assert_true(open_one(2));
    assert_false(egress_turned_away(sets[2], &waiters[2], false, 5000));
    /* Let in once, it may be turned away again. */
    egress_let_in(sets[1], 6000);
    egress_left(sets[1], 6001);
    assert_true(egress_turned_away(sets[1], &waiters[1], true, 7000));
    for (unsigned i = 0; i < 4; i++)
        egress_left(sets[0], 8000);
    end_world();
}

TEST(egress_two_sets_that_are_turned_away_speak_for_their_provider)
{
    begin_world(20);
    let_in(0, 1000);
    assert_true(open_one(1));
    assert_true(open_one(2));
    assert_true(egress_turned_away(sets[1], &waiters[1], true, 2000));
    assert_int_equal(egress_allowed(provider), 0);
    assert_true(egress_turned_away(sets[2], &waiters[2], true, 11999));
    assert_int_equal(egress_allowed(provider), 1);
    egress_forget_allowed(sets[0]);
    assert_true(egress_turned_away(sets[1], &waiters[1], true, 21999)); /* too long after it */
    assert_int_equal(egress_allowed(provider), 0);
    egress_left(sets[0], 22000);
    end_world();
}

TEST(egress_turned_out_is_judged_by_the_sets_own_connections)
{
    begin_world(20);
    let_in(0, 1000);
    let_in(0, 1000);
    let_in(1, 1000);
    let_in(1, 1000);
    egress_served(sets[0], 1500);
    assert_false(egress_turned_out(sets[1], 2000)); /* it has served nobody, whatever the others */
    assert_int_equal(egress_allowed(provider), 0);
    assert_true(egress_turned_out(sets[0], 2000));
    assert_int_equal(egress_allowed(provider), 3);
    for (unsigned i = 0; i < 2; i++) {
        egress_left(sets[0], 3000);
        egress_left(sets[1], 3000);
    }
    end_world();
}

TEST(egress_dead_set_does_not_put_its_provider_to_rest)
{
    begin_world(20);
    egress_failed(sets[0], 1000);
    egress_failed(sets[1], 1000); /* nothing answers: the hosts are dead, however many */
    assert_int_equal(egress_resting_until_ms(sets[2]), 0);
    assert_int_equal(egress_resting_until_ms(sets[0]), 31000);
    for (int64_t now_ms = 100000; now_ms < 1000000; now_ms += 100000)
        egress_refused(sets[0], now_ms); /* one set's word, however often */
    assert_int_equal(egress_resting_until_ms(provider), 0);
    assert_int_equal(egress_resting_until_ms(sets[2]), 0);
    end_world();
}

TEST(egress_two_sets_that_refuse_put_their_provider_to_rest)
{
    begin_world(20);
    egress_refused(sets[0], 1000);
    egress_refused(sets[1], 2000);
    assert_int_equal(egress_resting_until_ms(provider), 32000);
    assert_int_equal(egress_resting_until_ms(sets[2]), 32000);
    egress_succeeded(sets[2]);
    assert_int_equal(egress_resting_until_ms(sets[2]), 0);
    assert_int_equal(egress_resting_until_ms(sets[0]), 31000); /* its own */
    end_world();
}

TEST(egress_set_that_was_gone_meanwhile_is_the_same_witness)
{
    begin_world(20);
    for (int64_t now_ms = 1000; now_ms < 1000000; now_ms += 100000) {
        egress_refused(sets[0], now_ms);
        egress_put(&sets[0]);
        struct egress *other = get("other", "source", EGRESS_CONNECTIONS_ANY, 20); /* its place */

        sets[0] = get("a", "source", EGRESS_CONNECTIONS_ANY, 20);
        egress_put(&other);
    }
    assert_int_equal(egress_resting_until_ms(provider), 0);
    end_world();
}

TEST(egress_provider_that_takes_others_is_not_put_to_rest)
{
    begin_world(20);
    let_in(2, 1000);
    egress_refused(sets[0], 900000);
    egress_refused(sets[1], 900000); /* one is in */
    assert_int_equal(egress_resting_until_ms(provider), 0);
    egress_left(sets[2], 900000);
    egress_refused(sets[0], 959999);
    egress_refused(sets[1], 959999); /* a minute has not passed since */
    assert_int_equal(egress_resting_until_ms(provider), 0);
    egress_refused(sets[0], 1000000);
    egress_let_in(sets[2], 1000001); /* what the first one said was its own */
    egress_left(sets[2], 1000002);
    egress_refused(sets[1], 2000000);
    assert_int_equal(egress_resting_until_ms(provider), 0);
    egress_refused(sets[0], 2000001);
    assert_int_equal(egress_resting_until_ms(provider), 2030001);
    end_world();
}

TEST(egress_provider_is_remembered_with_what_it_taught)
{
    begin_world(20);
    let_in(0, 1000);
    assert_true(open_one(0));
    assert_true(egress_turned_away(sets[0], &waiters[0], true, 2000));
    egress_left(sets[0], 2500);
    for (unsigned i = 0; i < SETS; i++)
        while (open_count[i] > 0)
            close_one(i);
    for (unsigned i = 0; i < SETS; i++)
        egress_put(&sets[i]);
    sets[0] = get("d", "source", EGRESS_CONNECTIONS_ANY, 20);
    assert_int_equal(egress_allowed(egress_provider(sets[0])), 1);
    egress_put(&sets[0]);
    egress_table_free(&table);
}
