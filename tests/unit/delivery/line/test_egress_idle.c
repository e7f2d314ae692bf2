/* test_egress_idle.c - connections with nothing to send end for who waits, and nobody polls. */
#include "delivery/line/egress.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support/unit.h"

static const struct egress_mail any_mail = {.rank = RANK_NORMAL};

enum { ENGINES = 4, SITES = 3, PROVIDER_LIMIT = 4, SITE_LIMIT = 2, OPENINGS = 20000 };

static struct egress_table *table;
static struct egress *get(unsigned site)
{
    static const char *const names[SITES] = {"one", "two", "three"};
    const struct egress_limits limits = {.connections_max = SITE_LIMIT};
    const struct egress_limits provider = {.connections_max = PROVIDER_LIMIT};

    return egress_get_of(table, BYTES("provider"), &provider, bytes_of(names[site]),
                         BYTES("source"), &limits);
}

/* --- one engine ------------------------------------------------------------------------------- */

static unsigned rung[PROVIDER_LIMIT];

static void on_rung(void *context)
{
    ++*(unsigned *)context;
}

static void on_woken(struct egress_waiter *waiter)
{
    (void)waiter;
}

TEST(one_holder_is_rung_for_each_that_waits)
{
    struct engine_settings settings = {0};
    struct engine *engine = engine_create(&settings);
    struct egress_waiter waiters[2];
    struct egress_holder *holders[PROVIDER_LIMIT] = {NULL};
    struct egress *egresses[PROVIDER_LIMIT];

    table = egress_table_create(0);
    for (unsigned i = 0; i < PROVIDER_LIMIT; i++) {
        egresses[i] = get(i / 2);
        assert_true(egress_connect_begin(egresses[i], &waiters[0], &any_mail));
        egress_hold(&holders[i], egresses[i], engine, on_rung, &rung[i]);
        if (i > 0)
            egress_idle_begin(holders[i]);
        assert_false(egress_idle_gives_way(egresses[i], NULL));
    }
    struct egress *third = get(2);

    for (unsigned i = 0; i < 2; i++) {
        waiters[i] = (struct egress_waiter){.engine = engine, .woken = on_woken};
        list_node_init(&waiters[i].node);
    }
    waiters[0].own = holders[1];
    assert_false(egress_connect_begin(third, &waiters[0], &any_mail));
    engine_turn(engine, 0);
    assert_int_equal(rung[0] + rung[1] + rung[3], 0); /* busy, its own, and one is enough */
    assert_int_equal(rung[2], 1);
    assert_true(egress_idle_gives_way(egresses[2], NULL));
    assert_false(egress_idle_gives_way(egresses[3], NULL));

    /* The one that is rung is busy when it hears of it: the next is. */
    assert_false(egress_connect_begin(third, &waiters[1], &any_mail));
    egress_idle_end(holders[1]);
    engine_turn(engine, 0);
    engine_turn(engine, 0);
    assert_int_equal(rung[1], 1);
    assert_int_equal(rung[2] + rung[3], 2);
    assert_true(egress_idle_gives_way(egresses[3], NULL));
    assert_false(egress_idle_gives_way(egresses[3], NULL));

    for (unsigned i = 0; i < 2; i++)
        assert_true(egress_waiter_cancel(third, &waiters[i]));
    for (unsigned i = 0; i < PROVIDER_LIMIT; i++) {
        if (i > 1)
            egress_idle_end(holders[i]);
        assert_true(egress_hold_end(&holders[i]));
        egress_connect_end(egresses[i]);
        egress_put(&egresses[i]);
    }
    egress_put(&third);
    egress_table_free(&table);
    engine_destroy(&engine);
}

TEST(idle_connection_does_not_end_for_its_own_site)
{
    struct egress_waiter waiters[3];
    struct egress *egresses[PROVIDER_LIMIT];

    table = egress_table_create(0);
    for (unsigned i = 0; i < PROVIDER_LIMIT; i++) {
        egresses[i] = get(i / 2);
        assert_true(egress_connect_begin(egresses[i], &waiters[0], &any_mail));
    }
    struct egress *third = get(2);

    for (unsigned i = 0; i < 2; i++) {
        waiters[i] = (struct egress_waiter){.woken = on_woken};
        list_node_init(&waiters[i].node);
        assert_false(egress_connect_begin(third, &waiters[i], &any_mail));
        /* The first is its own, and stays in line; one ends for the other. */
        assert_int_equal(egress_idle_gives_way(egresses[0], &waiters[0]), i == 1);
        assert_false(egress_idle_gives_way(egresses[0], &waiters[0]));
    }
    assert_true(egress_idle_gives_way(egresses[0], NULL));
    for (unsigned i = 0; i < 2; i++)
        assert_true(egress_waiter_cancel(third, &waiters[i]));
    for (unsigned i = 0; i < PROVIDER_LIMIT; i++) {
        egress_connect_end(egresses[i]);
        egress_put(&egresses[i]);
    }
    egress_put(&third);
    egress_table_free(&table);
}

/* --- several engines -------------------------------------------------------------------------- */

static _Atomic unsigned openings;
static _Atomic int open_all;

struct worker {
    struct egress_waiter waiter;
    struct egress_holder *holder;
    struct egress *egress;
    bool is_open, is_waiting;
};

static void try_to_open(struct worker *worker);

static void close_one(struct worker *worker)
{
    egress_idle_end(worker->holder);
    (void)egress_hold_end(&worker->holder);
    worker->is_open = false;
    atomic_fetch_sub(&open_all, 1);
    egress_connect_end(worker->egress);
}

/* It is idle, and ends for who waits; then it wants another one. */
static void look(struct worker *worker)
{
    if (!worker->is_open || !egress_idle_gives_way(worker->egress, NULL))
        return;
    close_one(worker);
    try_to_open(worker);
}

static void on_worker_rung(void *context)
{
    struct worker *worker = context;

    if (!worker->is_open)
        (void)egress_hold_end(&worker->holder);
    look(worker);
}

static void opened(struct worker *worker)
{
    check(atomic_fetch_add(&open_all, 1) < PROVIDER_LIMIT);
    atomic_fetch_add(&openings, 1);
    worker->is_open = true;
    egress_hold(&worker->holder, worker->egress, worker->waiter.engine, on_worker_rung, worker);
    egress_idle_begin(worker->holder);
    look(worker);
}

static void on_worker_woken(struct egress_waiter *waiter)
{
    struct worker *worker = container_of(waiter, struct worker, waiter);

    worker->is_waiting = false;
    opened(worker);
}

static void try_to_open(struct worker *worker)
{
    worker->waiter.own = worker->holder;
    if (egress_connect_begin(worker->egress, &worker->waiter, &any_mail))
        opened(worker);
    else
        worker->is_waiting = true;
}

static bool has_ended(struct worker *worker)
{
    if (worker->is_waiting && egress_waiter_cancel(worker->egress, &worker->waiter))
        worker->is_waiting = false;
    if (worker->is_open)
        close_one(worker);
    return !worker->is_waiting && worker->holder == NULL;
}

static void *run_engine(void *argument)
{
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 8};
    struct engine *engine = engine_create(&settings);
    struct worker workers[SITES] = {0};

    (void)argument;
    check(engine != NULL);
    for (unsigned i = 0; i < SITES; i++) {
        workers[i].egress = get(i);
        workers[i].waiter.engine = engine;
        workers[i].waiter.woken = on_worker_woken;
        list_node_init(&workers[i].waiter.node);
        try_to_open(&workers[i]);
    }
    while (atomic_load(&openings) < OPENINGS)
        engine_turn(engine, 10);
    for (unsigned i = 0; i < SITES; i++) {
        while (!has_ended(&workers[i]))
            engine_turn(engine, 1);
        egress_put(&workers[i].egress);
    }
    engine_destroy(&engine);
    return NULL;
}

/* Three times as many want a connection as there may be, and each keeps it until it is told. */
TEST(idle_connections_end_for_who_waits_on_other_engines_and_no_wake_is_lost)
{
    pthread_t threads[ENGINES];
    const char *why;

    if (engine_probe(&why) != 0)
        skip();
    table = egress_table_create(0);
    for (unsigned i = 0; i < ENGINES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_engine, NULL), 0);
    for (unsigned i = 0; i < ENGINES; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&open_all), 0);
    egress_table_free(&table);
}
