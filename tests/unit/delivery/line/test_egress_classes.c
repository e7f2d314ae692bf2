/* test_egress_classes.c - slots go to the highest class that waits, of whatever engine. */
#include "delivery/line/egress.h"

#include <string.h>

#include "support/unit.h"

enum { WAITERS = 4 };

static const struct egress_mail any_mail = {.rank = RANK_HIGH}, bulk_mail = {.rank = RANK_BULK};

/* Sites on engines of their own that want a connection to the same. */
static struct {
    struct engine *engine;
    struct egress_table *table;
    struct egress_waiter waiters[WAITERS];
    struct egress *egresses[WAITERS];
    unsigned woken[WAITERS];
} line;

static void count_woken(struct egress_waiter *waiter)
{
    line.woken[waiter - line.waiters]++;
}

static void begin(unsigned of_process, unsigned connections)
{
    struct engine_settings settings = {0};
    struct egress_limits limits = {.connections_max = connections};

    memset(&line, 0, sizeof(line));
    line.engine = engine_create(&settings);
    line.table = egress_table_create(of_process);
    for (unsigned i = 0; i < WAITERS; i++) {
        line.waiters[i] = (struct egress_waiter){.engine = line.engine, .woken = count_woken};
        list_node_init(&line.waiters[i].node);
        line.egresses[i] = egress_get(line.table, BYTES("site"), BYTES("source"), &limits);
    }
}

static void wait_in_line(unsigned number, enum rank rank)
{
    const struct egress_mail mail = {.rank = rank};

    assert_false(egress_connect_begin(line.egresses[number], &line.waiters[number], &mail));
}

/* A connection ends; who gets its slot. */
static unsigned next(void)
{
    unsigned before[WAITERS];

    memcpy(before, line.woken, sizeof(before));
    egress_connect_end(line.egresses[0]);
    engine_turn(line.engine, 0);
    for (unsigned i = 0; i < WAITERS; i++)
        if (line.woken[i] > before[i])
            return i;
    return WAITERS;
}

static void take_slot(void)
{
    assert_true(egress_connect_begin(line.egresses[0], &line.waiters[0], &any_mail));
}

static bool gives_way(enum rank rank, unsigned messages)
{
    struct egress_use use = {0};

    use.messages[rank] = (uint16_t)messages;
    const struct egress_mail mail = {.rank = rank};

    return egress_gives_way(line.egresses[0], NULL, &use, &mail);
}

static void end(void)
{
    for (unsigned i = 0; i < WAITERS; i++)
        assert_true(egress_waiter_cancel(line.egresses[i], &line.waiters[i]));
    while (egress_connections(line.egresses[0]) > 0)
        egress_connect_end(line.egresses[0]);
    for (unsigned i = 0; i < WAITERS; i++)
        egress_put(&line.egresses[i]);
    egress_table_free(&line.table);
    engine_destroy(&line.engine);
}

TEST(slot_goes_to_the_highest_class_that_waits)
{
    begin(0, 1);
    take_slot();
    wait_in_line(0, RANK_BULK);
    wait_in_line(1, RANK_NORMAL);
    wait_in_line(2, RANK_HIGH);
    wait_in_line(3, RANK_HIGH);
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 0);
    assert_int_equal(next(), WAITERS);
    end();
}

TEST(slot_of_the_process_goes_to_the_highest_class_urgent_or_not)
{
    begin(1, 10);
    take_slot();
    for (unsigned i = 0; i < 2; i++)
        line.waiters[i].is_urgent = true;
    wait_in_line(0, RANK_BULK);
    wait_in_line(1, RANK_BULK);
    wait_in_line(2, RANK_BULK);
    wait_in_line(3, RANK_HIGH);
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 0); /* every second one is for the urgent */
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), WAITERS);
    end();
}

TEST(lower_class_gets_its_slots_while_a_higher_one_always_waits)
{
    unsigned got[2] = {0};

    begin(0, 1);
    take_slot();
    wait_in_line(0, RANK_HIGH);
    wait_in_line(1, RANK_BULK);
    for (unsigned i = 0; i < 1700; i++) {
        unsigned number = next();

        got[number]++;
        wait_in_line(number, number == 0 ? RANK_HIGH : RANK_BULK);
    }
    assert_int_equal(got[0], 1600);
    assert_int_equal(got[1], 100);
    end();
}

/* Over and over, in front of a class that never ends: how many slots it takes. */
TEST(high_message_takes_the_next_slot_whatever_waits_on_other_engines)
{
    enum { TRIES = 1000, PAUSE = 3 };

    begin(0, 1);
    take_slot();
    for (unsigned i = 1; i < WAITERS; i++)
        wait_in_line(i, RANK_BULK);
    for (unsigned i = 0; i < TRIES; i++) {
        wait_in_line(0, RANK_HIGH);
        assert_int_equal(next(), 0);
        for (unsigned j = 0; j < PAUSE; j++) {
            unsigned number = next();

            assert_int_not_equal(number, 0);
            wait_in_line(number, RANK_BULK);
        }
    }
    /* Of the same class: behind those who wait now, one a site and engine. */
    for (unsigned i = 0; i < TRIES; i++) {
        unsigned slots = 1, number;

        wait_in_line(0, RANK_BULK);
        while ((number = next()) != 0) {
            slots++;
            wait_in_line(number, RANK_BULK);
        }
        assert_in_range(slots, 1, WAITERS);
    }
    end();
}

TEST(waiter_goes_ahead_once_a_higher_class_waits_for_it)
{
    begin(0, 1);
    take_slot();
    wait_in_line(0, RANK_BULK);
    wait_in_line(1, RANK_BULK);
    wait_in_line(2, RANK_NORMAL);
    egress_waiter_change(line.egresses[1], &line.waiters[1], &any_mail);
    egress_waiter_change(line.egresses[2], &line.waiters[2], &bulk_mail);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 0);
    assert_int_equal(next(), 2);
    end();
}

TEST(connection_gives_way_to_a_higher_class_one_for_each_that_waits)
{
    begin(0, 2);
    take_slot();
    take_slot();
    assert_false(gives_way(RANK_BULK, 1)); /* nobody waits */
    wait_in_line(0, RANK_BULK);
    assert_false(gives_way(RANK_BULK, 1)); /* nobody of a higher class */
    wait_in_line(1, RANK_HIGH);
    assert_false(gives_way(RANK_HIGH, 1));
    assert_true(gives_way(RANK_BULK, 1));
    assert_false(gives_way(RANK_BULK, 1)); /* one does already */
    wait_in_line(2, RANK_NORMAL);
    assert_true(gives_way(RANK_BULK, 1));
    assert_int_equal(next(), 1);
    wait_in_line(1, RANK_HIGH);
    assert_true(gives_way(RANK_BULK, 1)); /* the first has been granted */
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 0);
    assert_int_equal(next(), WAITERS);
    assert_int_equal(next(), WAITERS);
    end();
}

TEST(connection_gives_way_to_one_that_leaves_the_line_only_once)
{
    begin(0, 1);
    take_slot();
    wait_in_line(1, RANK_HIGH);
    assert_true(gives_way(RANK_BULK, 1));
    assert_true(egress_waiter_cancel(line.egresses[1], &line.waiters[1]));
    assert_false(gives_way(RANK_BULK, 1));
    wait_in_line(2, RANK_HIGH);
    assert_true(gives_way(RANK_BULK, 1));
    assert_int_equal(next(), 2);
    assert_int_equal(next(), WAITERS);
    end();
}

TEST(connection_with_its_guaranteed_turns_does_not_give_way)
{
    struct egress_use use = {0};

    begin(0, 1);
    take_slot();
    wait_in_line(0, RANK_HIGH);
    wait_in_line(1, RANK_BULK);
    use.messages[RANK_HIGH] = 100; /* on one connection, while bulk waited */
    egress_used(line.egresses[0], &use);
    assert_int_equal(use.messages[RANK_HIGH], 0);
    assert_int_equal(next(), 1);
    unsigned messages = 1;

    while (!gives_way(RANK_BULK, 1))
        messages++;
    assert_in_range(messages, 5, 7); /* a hundred and one high ones are worth six of bulk */
    assert_int_equal(next(), 0);
    assert_int_equal(next(), WAITERS);
    end();
}

/* Two send their next only once the last is gone, so that they come anew every time. */
TEST(tenants_that_come_anew_again_and_again_leave_others_their_slots)
{
    struct egress_mail mails[3] = {
        {.rank = RANK_NORMAL, .tenant = {BYTES("many"), 1}},
        {.rank = RANK_NORMAL, .tenant = {BYTES("one"), 1}, .is_fresh = true},
        {.rank = RANK_NORMAL, .tenant = {BYTES("other"), 1}, .is_fresh = true},
    };
    unsigned got[3] = {0};

    begin(0, 1);
    take_slot();
    for (unsigned i = 0; i < 3; i++)
        assert_false(egress_connect_begin(line.egresses[i], &line.waiters[i], &mails[i]));
    for (unsigned i = 0; i < 3000; i++) {
        unsigned number = next();

        got[number]++;
        (void)egress_charge(line.egresses[number], NULL, &mails[number], 1);
        assert_false(
            egress_connect_begin(line.egresses[number], &line.waiters[number], &mails[number]));
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(got[i], 900, 1100);
    end();
}

static const struct egress_mail many_mail = {.rank = RANK_NORMAL, .tenant = {BYTES("many"), 1}};
static const struct egress_mail new_mail = {.rank = RANK_NORMAL,
                                            .tenant = {BYTES("one"), 1},
                                            .is_fresh = true};

/* The other one's, while "many" waits. */
static void charge_new(unsigned recipients)
{
    assert_false(egress_connect_begin(line.egresses[2], &line.waiters[2], &many_mail));
    (void)egress_charge(line.egresses[0], NULL, &new_mail, recipients);
    assert_true(egress_waiter_cancel(line.egresses[2], &line.waiters[2]));
}

TEST(connection_gives_way_to_a_tenant_that_comes_anew_unless_that_had_more)
{
    for (unsigned had = 0; had < 2; had++) {
        struct egress_use use = {0};

        begin(0, 1);
        take_slot();
        if (had > 0)
            charge_new(50);
        assert_false(egress_connect_begin(line.egresses[1], &line.waiters[1], &new_mail));
        assert_int_equal(egress_gives_way(line.egresses[0], NULL, &use, &many_mail), had == 0);
        end();
    }
}

static unsigned crowd_woken, mid_woken;

static void count_mid(struct egress_waiter *waiter)
{
    (void)waiter;
    mid_woken++;
}

static void count_crowd(struct egress_waiter *waiter)
{
    (void)waiter;
    crowd_woken++;
}

/* Of "many", as one with mail for thousands of a provider's sites; those of "mid" between them. */
static void wait_as_crowd(struct egress_waiter *crowd, unsigned count, unsigned mid_first,
                          unsigned mid_end)
{
    const struct egress_mail mid_mail = {.rank = RANK_NORMAL, .tenant = {BYTES("mid"), 1}};

    crowd_woken = mid_woken = 0;
    for (unsigned i = 0; i < count; i++) {
        bool is_mid = i >= mid_first && i < mid_end;

        crowd[i] = (struct egress_waiter){.engine = line.engine,
                                          .woken = is_mid ? count_mid : count_crowd};
        list_node_init(&crowd[i].node);
        assert_false(
            egress_connect_begin(line.egresses[0], &crowd[i], is_mid ? &mid_mail : &many_mail));
    }
}

static void leave_as_crowd(struct egress_waiter *crowd, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(egress_waiter_cancel(line.egresses[0], &crowd[i]));
}

/* Who is the last in line again and again does not go before those that have waited longer. */
TEST(tenants_behind_many_sites_of_another_get_on)
{
    enum { CROWD = 120, MID_FIRST = 80, MID_END = 100 };
    static struct egress_waiter crowd[CROWD];
    const struct egress_mail low_mail = {.rank = RANK_NORMAL, .tenant = {BYTES("low"), 1}};

    begin(0, 1);
    take_slot();
    wait_as_crowd(crowd, CROWD, MID_FIRST, MID_END);
    (void)egress_charge(line.egresses[0], NULL, &many_mail, 100);
    for (unsigned i = 0; i < 40; i++) {
        assert_false(egress_connect_begin(line.egresses[1], &line.waiters[1], &low_mail));
        if (next() == 1)
            (void)egress_charge(line.egresses[0], NULL, &low_mail, 1);
    }
    assert_true(mid_woken > 10);
    leave_as_crowd(crowd, CROWD);
    end();
}

TEST(tenant_that_comes_anew_has_the_next_slot_however_many_of_another_wait)
{
    enum { CROWD = 300 };
    static struct egress_waiter crowd[CROWD];

    begin(0, 1);
    take_slot();
    wait_as_crowd(crowd, CROWD, 0, 0);
    for (unsigned i = 0; i < 20; i++) {
        struct egress_use use = {0};

        assert_false(egress_gives_way(line.egresses[0], NULL, &use, &many_mail));
        assert_false(egress_connect_begin(line.egresses[1], &line.waiters[1], &new_mail));
        assert_true(egress_gives_way(line.egresses[0], NULL, &use, &many_mail));
        assert_int_equal(next(), 1);
        (void)egress_charge(line.egresses[0], NULL, &new_mail, 1);
        assert_int_equal(next(), WAITERS); /* one of the others */
        assert_int_equal(crowd_woken, i + 1);
        (void)egress_charge(line.egresses[0], NULL, &many_mail, 1);
    }
    leave_as_crowd(crowd, CROWD);
    end();
}

/* Some time after nobody else waited: two hundred recipients. */
TEST(tenant_that_had_more_than_others_is_forgiven)
{
    for (unsigned later = 199; later <= 200; later++) {
        begin(0, 1);
        take_slot();
        charge_new(50);
        for (unsigned i = 0; i < later; i++)
            (void)egress_charge(line.egresses[0], NULL, &new_mail, 1);
        assert_false(egress_connect_begin(line.egresses[2], &line.waiters[2], &many_mail));
        assert_false(egress_connect_begin(line.egresses[1], &line.waiters[1], &new_mail));
        assert_int_equal(next(), later < 200 ? 2 : 1);
        end();
    }
}

TEST(connection_of_a_provider_gives_way_to_another_site_of_it)
{
    struct egress_limits one = {.connections_max = 1};
    struct egress_limits any = {.connections_max = EGRESS_CONNECTIONS_ANY};

    begin(0, 1);
    struct egress *a =
        egress_get_of(line.table, BYTES("provider"), &one, BYTES("a"), BYTES("source"), &any);
    struct egress *b =
        egress_get_of(line.table, BYTES("provider"), &one, BYTES("b"), BYTES("source"), &any);
    struct egress_use use = {.messages = {[RANK_BULK] = 1}};

    assert_true(egress_connect_begin(a, &line.waiters[0], &any_mail));
    assert_false(egress_gives_way(a, NULL, &use, &bulk_mail));
    assert_int_equal(use.messages[RANK_BULK], 1);
    assert_false(egress_connect_begin(b, &line.waiters[1], &any_mail));
    assert_true(egress_gives_way(a, NULL, &use, &bulk_mail));
    assert_int_equal(use.messages[RANK_BULK], 0);
    egress_used(a, &use);
    egress_connect_end(a);
    engine_turn(line.engine, 0);
    assert_int_equal(line.woken[1], 1);
    egress_connect_end(b);
    egress_put(&a);
    egress_put(&b);
    end();
}
