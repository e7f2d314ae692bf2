/* link: real engine */
/*
 * test_egress.c - limits that hold for all engines together. Several threads with engines of their
 * own, so that ThreadSanitizer sees what they share.
 */
#include "delivery/line/egress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "delivery/line/egress_state.h"
#include "support/unit.h"

static const struct egress_mail any_mail = {0};

TEST(egress_rests_longer_each_time_until_a_success)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits limits = {.connections_max = 1};
    struct egress *egress = egress_get(table, BYTES("site"), BYTES("source"), &limits);
    static const int64_t rests_s[] = {30, 60, 120, 240, 480, 960, 1800, 1800};
    int64_t now_ms = 5000;

    for (size_t i = 0; i < ARRAY_LEN(rests_s); i++) {
        egress_failed(egress, now_ms);
        egress_failed(egress, now_ms + 1); /* while it rests: the same failure */
        expect_row(i, egress_resting_until_ms(egress) == now_ms + rests_s[i] * 1000);
        now_ms = egress_resting_until_ms(egress);
    }
    egress_succeeded(egress);
    assert_int_equal(egress_resting_until_ms(egress), 0);
    egress_put(&egress);
    egress_table_free(&table);
}

TEST(egress_get_is_one_object_a_name_and_remembers_failures)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits limits = {.connections_max = 1};
    struct egress *one = egress_get(table, BYTES("site"), BYTES("a"), &limits);
    struct egress *same = egress_get(table, BYTES("site"), BYTES("a"), &limits);
    struct egress *other = egress_get(table, BYTES("site"), BYTES("b"), &limits);

    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, other);
    egress_failed(one, 1000);
    egress_put(&one);
    egress_put(&same);
    egress_put(&other);
    one = egress_get(table, BYTES("site"), BYTES("a"), &limits);
    assert_int_equal(egress_resting_until_ms(one), 31000);
    egress_put(&one);
    egress_table_free(&table);
}

/* What is remembered of one that nobody uses is another's object, and its own again. */
TEST(egress_that_was_gone_rests_and_counts_on)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits limits = {.connections_max = 1};
    struct egress *egress = egress_get(table, BYTES("site"), BYTES("a"), &limits);

    egress_failed(egress, 1000);
    egress_put(&egress);
    assert_int_equal(table->egresses.count, 0);
    assert_int_equal(table->memories.by_key.count, 1);
    egress = egress_get(table, BYTES("site"), BYTES("a"), &limits);
    assert_int_equal(table->memories.by_key.count, 0);
    assert_int_equal(egress_resting_until_ms(egress), 31000);
    egress_failed(egress, 31000); /* the second in a row */
    assert_int_equal(egress_resting_until_ms(egress), 31000 + 60 * 1000);
    egress_succeeded(egress);
    egress_put(&egress);
    assert_int_equal(table->memories.by_key.count, 0);
    egress_table_free(&table);
}

TEST(egress_that_was_gone_has_its_next_share_when_it_was_due)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits limits = {.connections_max = 1, .messages_per_s = 0.1};
    struct egress_sender sender = {0};
    struct egress *egress = egress_get(table, BYTES("site"), BYTES("a"), &limits);

    assert_true(egress_share_take(egress, &sender, &any_mail, 1000));
    egress_put(&egress);
    assert_int_equal(table->memories.by_key.count, 1);
    egress = egress_get(table, BYTES("site"), BYTES("a"), &limits);
    assert_int_equal(atomic_load(&egress->next_us), 11000 * 1000);
    egress_put(&egress);
    limits.messages_per_s = 1; /* what is fast now does not wait as for a slow one */
    egress = egress_get(table, BYTES("site"), BYTES("a"), &limits);
    assert_int_equal(atomic_load(&egress->next_us), 0);
    egress_put(&egress);
    egress_table_free(&table);
}

TEST(egresses_whose_rest_is_over_are_forgotten_once_they_are_many)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits limits = {.connections_max = 1};

    for (int i = 0; i < 25000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "site%d", i);
        struct egress *egress = egress_get(table, bytes_of(name), BYTES("a"), &limits);

        egress_failed(egress, (int64_t)i * 10); /* a rest is 3,000 of these */
        egress_put(&egress);
        assert_in_range(table->memories.by_key.count, 1, 10001);
    }
    assert_int_equal(table->egresses.count, 0);
    egress_table_free(&table);
}

/* --- limits of several engines ---------------------------------------------------------------- */

static unsigned slots_of(struct egress *egress)
{
    struct egress_waiter waiter = {.engine = NULL};
    unsigned count = 0;

    list_node_init(&waiter.node);
    while (egress_connect_begin(egress, &waiter, &any_mail))
        count++;
    assert_true(egress_waiter_cancel(egress, &waiter));
    for (unsigned i = 0; i < count; i++)
        egress_connect_end(egress);
    return count;
}

TEST(egress_has_the_strictest_limits_of_all_engines_and_the_newest_settings)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits narrow = {.connections_max = 2, .messages_per_s = 1};
    struct egress_limits wide = {.connections_max = 5, .messages_per_s = 10};
    struct egress_limits newer = {.connections_max = 4, .generation = 1};
    struct engine_settings settings = {0};
    struct engine *engine = engine_create(&settings);
    struct egress_sender sender = {.engine = engine};
    struct egress *one = egress_get(table, BYTES("site"), BYTES("source"), &wide);

    assert_int_equal(slots_of(one), 5);
    struct egress *other = egress_get(table, BYTES("site"), BYTES("source"), &narrow);

    assert_int_equal(slots_of(one), 2);
    egress_limit(one, &wide);
    assert_int_equal(slots_of(one), 2);
    assert_true(egress_share_take(one, &sender, &any_mail, 1000));
    assert_false(egress_share_take(one, &sender, &any_mail, 1000));
    assert_true(egress_share_drop(&sender));
    egress_limit(other, &newer);
    assert_int_equal(slots_of(one), 4);
    assert_true(egress_share_take(one, &sender, &any_mail, 1000)); /* and no rate */
    assert_true(egress_share_take(one, &sender, &any_mail, 1000));
    egress_limit(one, &narrow); /* an engine that has not heard yet */
    assert_int_equal(slots_of(one), 4);
    egress_put(&one);
    egress_put(&other);
    egress_table_free(&table);
    engine_destroy(&engine);
}

TEST(egress_default_limits_give_way_to_a_rule_whoever_learned_of_it_first)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits standard = {.connections_max = 2, .is_default = true};
    struct egress_limits rule = {.connections_max = 5};
    struct egress *one = egress_get(table, BYTES("site"), BYTES("source"), &standard);

    assert_int_equal(slots_of(one), 2);
    egress_limit(one, &rule); /* looser, by an engine that knows of another domain */
    assert_int_equal(slots_of(one), 5);
    egress_limit(one, &standard);
    assert_int_equal(slots_of(one), 5);
    egress_put(&one);
    egress_table_free(&table);
}

/* --- what the receiver allows ---------------------------------------------------------------- */

static struct egress_table *learning_table;

static struct egress *learning_egress(unsigned connections_max)
{
    struct egress_limits limits = {.connections_max = connections_max};

    learning_table = egress_table_create(0);
    return egress_get(learning_table, BYTES("site"), BYTES("source"), &limits);
}

static void open_some(struct egress *egress, struct egress_waiter *waiter, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(egress_connect_begin(egress, waiter, &any_mail));
}

/* Every connection ends, one that was let in or not. */
static void end_learning(struct egress *egress, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        egress_connect_end(egress);
    egress_put(&egress);
    egress_table_free(&learning_table);
}

TEST(egress_that_is_turned_away_waits_for_all_engines_until_it_may_probe)
{
    struct egress *egress = learning_egress(20);
    struct engine_settings settings = {0};
    struct engine *engine = engine_create(&settings);
    struct egress_waiter waiter = {.engine = engine, .woken = NULL};

    list_node_init(&waiter.node);
    assert_int_equal(egress_probe(egress, 1000), 0);
    assert_int_equal(egress_allowed(egress), 0);
    open_some(egress, &waiter, 2);
    egress_let_in(egress, 1000);
    assert_true(egress_turned_away(egress, &waiter, true, 1001));
    egress_connect_end(egress);
    assert_int_equal(egress_allowed(egress), 1);
    assert_false(egress_connect_begin(egress, &waiter, &any_mail));
    assert_true(egress_has_waiters(egress, false)); /* who was let in gives way */
    assert_int_equal(egress_probe(egress, 6000), 6001);
    assert_true(waiter.is_waiting);
    assert_int_equal(egress_probe(egress, 6001), 11001);
    assert_false(waiter.is_waiting); /* its letter, with a slot, is on the way */
    assert_int_equal(egress_connections(egress), 2);
    /* In vain: the next one is asked after twice the time. */
    assert_true(egress_turned_away(egress, &waiter, true, 6010));
    assert_int_equal(egress_probe(egress, 6010), 16010);
    assert_int_equal(egress_allowed(egress), 1);
    egress_left(egress, 6010);
    end_learning(egress, 2);
    engine_destroy(&engine);
}

TEST(egress_that_never_lets_one_more_in_is_asked_once_a_minute)
{
    struct egress *egress = learning_egress(20);
    struct egress_waiter waiter = {.woken = NULL};
    int64_t now_ms = 1000, wait_ms = 0;

    list_node_init(&waiter.node);
    open_some(egress, &waiter, 1);
    egress_let_in(egress, now_ms);
    for (unsigned i = 0; i < 10; i++) {
        open_some(egress, &waiter, 1);
        assert_true(egress_turned_away(egress, &waiter, true, now_ms));
        egress_connect_end(egress);
        wait_ms = egress_probe(egress, now_ms) - now_ms;
        now_ms += wait_ms;
        (void)egress_probe(egress, now_ms);
    }
    assert_int_equal(wait_ms, 60000);
    egress_left(egress, now_ms);
    end_learning(egress, 1);
}

TEST(egress_that_lets_one_more_in_is_asked_for_the_next_at_once)
{
    struct egress *egress = learning_egress(4);
    struct egress_waiter waiter = {.woken = NULL};

    list_node_init(&waiter.node);
    open_some(egress, &waiter, 2);
    egress_let_in(egress, 1000);
    assert_true(egress_turned_away(egress, &waiter, true, 1000));
    egress_connect_end(egress);
    /* The same one anew says nothing: it was let in before, too. */
    egress_left(egress, 1000);
    egress_let_in(egress, 1000);
    assert_int_equal(egress_allowed(egress), 1);
    assert_int_equal(egress_probe(egress, 7000), 12000);
    assert_int_equal(egress_allowed(egress), 2);
    open_some(egress, &waiter, 1);
    egress_let_in(egress, 7000);
    assert_int_equal(egress_allowed(egress), 3);
    open_some(egress, &waiter, 1);
    egress_let_in(egress, 7001);
    assert_int_equal(egress_allowed(egress), 0); /* all that the configuration lets it have */
    assert_int_equal(egress_probe(egress, 7001), 0);
    for (unsigned i = 0; i < 3; i++)
        egress_left(egress, 7002);
    end_learning(egress, 3);
}

TEST(egress_that_never_let_one_in_has_failed_once_nobody_else_may_be_in)
{
    struct egress *egress = learning_egress(20);
    struct egress_waiter waiter = {.woken = NULL};

    list_node_init(&waiter.node);
    open_some(egress, &waiter, 2);
    assert_true(
        egress_turned_away(egress, &waiter, true, 1000)); /* for the other one's sake, perhaps */
    egress_connect_end(egress);
    assert_false(egress_turned_away(egress, &waiter, true, 1000));
    egress_connect_end(egress);
    open_some(egress, &waiter, 1); /* nothing keeps the next host from being tried */
    assert_false(egress_turned_away(egress, &waiter, false, 1000));
    /* It let one in a moment ago: its count may lag behind. */
    egress_let_in(egress, 2000);
    egress_left(egress, 3000);
    assert_false(egress_turned_away(egress, &waiter, false, 3500));
    assert_true(egress_turned_away(egress, &waiter, true, 12999));
    assert_int_equal(egress_probe(egress, 12999), 13999); /* not one after the other, without end */
    assert_false(egress_turned_away(egress, &waiter, true, 13000));
    end_learning(egress, 1);
}

/* Two wait for the only place; whose turn it is finds that the peer has not counted down yet. */
TEST(egress_that_was_turned_away_from_the_only_place_keeps_its_turn)
{
    struct egress *egress = learning_egress(20);
    struct engine_settings settings = {0};
    struct engine *engine = engine_create(&settings);
    struct egress_waiter first = {.engine = engine}, second = {.engine = engine};

    list_node_init(&first.node);
    list_node_init(&second.node);
    open_some(egress, &first, 1);
    egress_let_in(egress, 1000);
    egress_left(egress, 1000);
    egress_connect_end(egress);
    open_some(egress, &first, 1);
    assert_true(egress_turned_away(egress, &first, true, 1001));
    assert_false(egress_connect_begin(egress, &second, &any_mail));
    assert_false(egress_connect_begin(egress, &first, &any_mail));
    egress_connect_end(egress);
    assert_int_equal(egress_probe(egress, 2001), 7001);
    assert_true(first.is_posted);
    assert_true(second.is_waiting);
    assert_true(egress_waiter_cancel(egress, &second));
    end_learning(egress, 1);
    engine_destroy(&engine);
}

TEST(egress_that_turned_one_out_has_enough_while_it_serves_others)
{
    struct egress *egress = learning_egress(20);
    struct egress_waiter waiter = {.woken = NULL};

    list_node_init(&waiter.node);
    open_some(egress, &waiter, 3);
    for (unsigned i = 0; i < 3; i++)
        egress_let_in(egress, 1000);
    assert_false(egress_turned_out(egress, 1000)); /* it greets all and serves nobody */
    egress_served(egress, 2000);
    assert_true(egress_turned_out(egress, 2001));
    egress_left(egress, 2001);
    assert_int_equal(egress_allowed(egress), 2);
    assert_false(egress_turned_out(egress, 90000)); /* no more */
    egress_served(egress, 90000);
    egress_left(egress, 90000);
    assert_false(egress_turned_out(egress, 90000)); /* the last one */
    egress_left(egress, 90000);
    end_learning(egress, 3);
}

TEST(egress_forgets_what_it_learned_when_it_is_told_to)
{
    struct egress *egress = learning_egress(20);
    struct egress_waiter waiter = {.woken = NULL};

    list_node_init(&waiter.node);
    open_some(egress, &waiter, 2);
    egress_let_in(egress, 1000);
    assert_true(egress_turned_away(egress, &waiter, false, 1000));
    egress_connect_end(egress);
    assert_int_equal(egress_allowed(egress), 1);
    egress_forget_allowed(egress);
    open_some(egress, &waiter, 19);
    egress_left(egress, 1000);
    end_learning(egress, 20);
}

/* --- several engines ------------------------------------------------------------------------- */

enum {
    ENGINES = 4,
    WORKERS = 9, /* of each */
    ROUNDS = 200,
    LIMIT = 3,
    PROVIDER_LIMIT = 4,
    PROCESS_LIMIT = 5,
};

static struct egress_table *shared_table;
static bool have_provider;      /* the first two egresses */
static _Atomic int open_now[3]; /* connections of each egress */
static _Atomic int open_of_provider;
static _Atomic int open_all;
static _Atomic int finished;

struct worker {
    struct egress_waiter waiter;
    struct timeout timeout;
    struct egress *egress;
    unsigned number; /* of the egress */
    unsigned left;
    bool is_done;
};

static void try_to_open(struct worker *worker);

static void opened(struct worker *worker)
{
    int here = atomic_fetch_add(&open_now[worker->number], 1) + 1;
    int all = atomic_fetch_add(&open_all, 1) + 1;
    int of_provider = 0;

    if (have_provider && worker->number < 2)
        of_provider = atomic_fetch_add(&open_of_provider, 1) + 1;
    if (here > LIMIT || of_provider > PROVIDER_LIMIT || all > PROCESS_LIMIT)
        abort();
    engine_timeout(worker->waiter.engine, &worker->timeout, (int64_t)random_below(2));
}

static void on_closed(struct timeout *timeout)
{
    struct worker *worker = container_of(timeout, struct worker, timeout);

    atomic_fetch_sub(&open_now[worker->number], 1);
    atomic_fetch_sub(&open_all, 1);
    if (have_provider && worker->number < 2)
        atomic_fetch_sub(&open_of_provider, 1);
    egress_connect_end(worker->egress);
    if (--worker->left > 0) {
        try_to_open(worker);
        return;
    }
    worker->is_done = true;
    atomic_fetch_add(&finished, 1);
}

static void on_woken(struct egress_waiter *waiter)
{
    struct worker *worker = container_of(waiter, struct worker, waiter);

    /* Now and then it is not needed any more, and the next one must get it. */
    if (random_below(4) == 0) {
        egress_connect_end(worker->egress);
        try_to_open(worker);
        return;
    }
    opened(worker);
}

static void try_to_open(struct worker *worker)
{
    if (egress_connect_begin(worker->egress, &worker->waiter, &any_mail))
        opened(worker);
}

static struct egress *shared_egress(unsigned number)
{
    static const char *const sites[] = {"one", "two", "three"};
    struct egress_limits limits = {.connections_max = LIMIT};
    struct egress_limits provider = {.connections_max = PROVIDER_LIMIT};

    if (have_provider && number < 2)
        return egress_get_of(shared_table, BYTES("provider"), &provider, bytes_of(sites[number]),
                             BYTES("source"), &limits);
    return egress_get(shared_table, bytes_of(sites[number]), BYTES("source"), &limits);
}

static void *run_engine(void *argument)
{
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 8};
    struct engine *engine = engine_create(&settings);
    struct worker workers[WORKERS] = {0};

    (void)argument;
    check(engine != NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];

        worker->number = i % 3;
        worker->left = ROUNDS;
        worker->egress = shared_egress(worker->number);
        worker->waiter.engine = engine;
        worker->waiter.woken = on_woken;
        list_node_init(&worker->waiter.node);
        timeout_init(&worker->timeout, on_closed);
        try_to_open(worker);
    }
    while (atomic_load(&finished) < ENGINES * WORKERS)
        engine_turn(engine, 10);
    for (unsigned i = 0; i < WORKERS; i++) {
        check(workers[i].is_done);
        egress_put(&workers[i].egress);
    }
    engine_destroy(&engine);
    return NULL;
}

static void run_engines(bool with_provider)
{
    pthread_t threads[ENGINES];

    have_provider = with_provider;
    atomic_store(&finished, 0);
    shared_table = egress_table_create(PROCESS_LIMIT);
    for (unsigned i = 0; i < ENGINES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_engine, NULL), 0);
    for (unsigned i = 0; i < ENGINES; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&open_all), 0);
    egress_table_free(&shared_table);
}

TEST(egress_slots_are_exact_and_no_wake_is_lost)
{
    const char *why;

    if (engine_probe(&why) != 0)
        skip();
    run_engines(false);
    run_engines(true);
}

/* --- shares of the rate, of several engines --------------------------------------------------- */

enum {
    SENDERS = 6, /* of each engine, for three sites of a provider */
    MESSAGES = 60,
    RATE = 3000,
    SLOW_RATE = 1500, /* of one of the sites */
};

struct endless {
    struct egress_sender sender;
    struct egress *egress;
    struct egress_mail mail;
    unsigned left;
};

static struct egress *rated_egress(unsigned number)
{
    static const char *const names[] = {"a", "b", "c"};
    struct egress_limits provider = {.connections_max = 10, .messages_per_s = RATE};
    struct egress_limits limits = {.connections_max = 10,
                                   .messages_per_s = number == 0 ? SLOW_RATE : 0};

    return egress_get_of(shared_table, BYTES("provider"), &provider, bytes_of(names[number]),
                         BYTES("source"), &limits);
}

/* Now and then it goes away while it waits, or has other mail. */
static void send_what_may_go(struct egress_sender *sender)
{
    static const char *const tenants[] = {"x", "y"};
    struct endless *endless = container_of(sender, struct endless, sender);
    int64_t now_ms = engine_now_ms(sender->engine);

    while (endless->left > 0 &&
           egress_share_take(endless->egress, sender, &endless->mail, now_ms)) {
        (void)egress_charge(endless->egress, NULL, &endless->mail, 1);
        endless->mail.rank = (enum rank)random_below(RANK_COUNT);
        endless->mail.tenant.name = bytes_of(tenants[random_below(2)]);
        if (--endless->left == 0)
            atomic_fetch_add(&finished, 1);
    }
}

static void disturb(struct endless *endless)
{
    switch (random_below(20)) {
    case 0:
        (void)egress_share_drop(&endless->sender);
        break;
    case 1:
        endless->mail.rank = (enum rank)random_below(RANK_COUNT);
        egress_share_change(endless->egress, &endless->sender, &endless->mail);
        break;
    default:
        return;
    }
    send_what_may_go(&endless->sender);
}

static void *run_senders(void *argument)
{
    struct engine_settings settings = {.buffer_count = 16};
    struct engine *engine = engine_create(&settings);
    struct endless senders[SENDERS];

    (void)argument;
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct endless){.sender = {.engine = engine, .woken = send_what_may_go},
                                      .egress = rated_egress(i % 3),
                                      .left = MESSAGES};
        send_what_may_go(&senders[i].sender);
    }
    while (atomic_load(&finished) < ENGINES * SENDERS) {
        engine_turn(engine, 10);
        disturb(&senders[random_below(SENDERS)]);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        while (!egress_share_drop(&senders[i].sender))
            engine_turn(engine, 10);
        egress_put(&senders[i].egress);
    }
    engine_destroy(&engine);
    return NULL;
}

TEST(egress_shares_of_several_engines_keep_the_rate_and_no_wake_is_lost)
{
    const char *why;
    pthread_t threads[ENGINES];

    if (engine_probe(&why) != 0)
        skip();
    int64_t began_ms = clock_monotonic_ms();

    atomic_store(&finished, 0);
    shared_table = egress_table_create(PROCESS_LIMIT);
    for (unsigned i = 0; i < ENGINES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_senders, NULL), 0);
    for (unsigned i = 0; i < ENGINES; i++)
        pthread_join(threads[i], NULL);
    /* At once may go what is of 100 ms. */
    assert_true(clock_monotonic_ms() - began_ms >=
                ENGINES * SENDERS * MESSAGES * 1000 / RATE - 110);
    egress_table_free(&shared_table);
}

static void never_woken(struct egress_waiter *waiter)
{
    (void)waiter;
    abort();
}

TEST(egress_waiter_cancel_forgets_a_registration)
{
    struct egress_table *table = egress_table_create(0);
    struct egress_limits limits = {.connections_max = 1};
    struct egress *egress = egress_get(table, BYTES("site"), BYTES("source"), &limits);
    struct egress_waiter first = {.woken = never_woken};
    struct egress_waiter second = {.woken = never_woken};

    list_node_init(&first.node);
    list_node_init(&second.node);
    assert_true(egress_connect_begin(egress, &first, &any_mail));
    assert_false(egress_connect_begin(egress, &second, &any_mail));
    assert_false(egress_connect_begin(egress, &second, &any_mail)); /* once */
    assert_true(egress_has_waiters(egress, false));
    assert_false(egress_has_waiters(egress, true)); /* the only one that waits is the caller */
    assert_true(egress_waiter_cancel(egress, &second));
    assert_false(egress_has_waiters(egress, false));
    egress_connect_end(egress);
    assert_int_equal(egress_connections(egress), 0);
    egress_put(&egress);
    egress_table_free(&table);
}

struct lined_up {
    struct egress_waiter waiter;
    unsigned *count;
    unsigned place; /* in which it was woken, from 1 */
};

static void note_place(struct egress_waiter *waiter)
{
    struct lined_up *lined_up = container_of(waiter, struct lined_up, waiter);

    lined_up->place = ++*lined_up->count;
}

/* Fifty sites wait for the process's only slot; the one that takes mail gets the first or the
 * second that comes free, and those before it are not forgotten. */
TEST(egress_urgent_waiter_gets_every_second_slot_of_the_process)
{
    enum { COUNT = 50 };
    struct egress_table *table = egress_table_create(1);
    struct egress_limits limits = {.connections_max = 5};
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 16});
    struct egress *egresses[COUNT + 3];
    struct lined_up lined_up[COUNT + 3] = {0};
    unsigned count = 0;

    assert_non_null(engine);
    for (unsigned i = 0; i < COUNT + 3; i++) {
        char site[16];

        snprintf(site, sizeof(site), "site%u", i);
        egresses[i] = egress_get(table, bytes_of(site), BYTES("source"), &limits);
        lined_up[i].count = &count;
        lined_up[i].waiter =
            (struct egress_waiter){.engine = engine, .woken = note_place, .is_urgent = i > COUNT};
        list_node_init(&lined_up[i].waiter.node);
        assert_int_equal(egress_connect_begin(egresses[i], &lined_up[i].waiter, &any_mail), i == 0);
    }
    egress_connect_end(egresses[0]);
    for (unsigned given = 0; given < COUNT + 2; given++) {
        while (count == given)
            engine_turn(engine, 10);
        for (unsigned i = 0; i < COUNT + 3; i++)
            if (lined_up[i].place == given + 1)
                egress_connect_end(egresses[i]);
    }
    expect_row(0, lined_up[COUNT + 1].place <= 2);
    expect_row(1, lined_up[COUNT + 2].place <= 4);
    for (unsigned i = 2; i <= COUNT; i++) /* the others: in the order in which they came */
        expect_row(i, lined_up[i].place > lined_up[i - 1].place);
    for (unsigned i = 0; i < COUNT + 3; i++)
        egress_put(&egresses[i]);
    egress_table_free(&table);
    engine_destroy(&engine);
}
