/* test_turns.c - whose mail is next: tenants, classes and domains that wait for one site. */
#include "delivery/line/turns.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "queue/flow.h"
#include "support/unit.h"

/* A line with so much in it, as the scheduler sees it; no messages stand in it. */
struct flow_model {
    struct turn turn;
    const struct tenant *tenant;
    enum rank rank;
    uint64_t waiting;
    uint64_t served, turns;
};

struct site_model {
    struct turns_table table;
    struct turns turns;
};

static struct tenant tenant_named(const char *name, unsigned weight)
{
    return (struct tenant){.node = {.key = bytes_of(name)}, .weight = (uint16_t)weight};
}

/* Another one each time. */
static struct tenant tenant_of_weight(unsigned weight)
{
    static unsigned numbers[1024];
    static size_t count;

    check(count < ARRAY_LEN(numbers));
    numbers[count] = (unsigned)count;
    struct bytes name = bytes_range(&numbers[count++], sizeof(*numbers));

    return (struct tenant){.node = {.key = name}, .weight = (uint16_t)weight};
}

static void begin(struct site_model *site)
{
    turns_table_init(&site->table);
    turns_init(&site->turns);
}

static void put(struct site_model *site, struct flow_model *flow, uint64_t recipients)
{
    if (flow->waiting == 0)
        turns_add(&site->turns, &site->table, &flow->turn, flow->tenant, flow->rank);
    flow->waiting += recipients;
}

/* One message of up to so many recipients; NULL: nothing waits. */
static struct flow_model *pull(struct site_model *site, uint64_t recipients)
{
    enum rank rank;
    struct turn *turn = turns_next(&site->turns, &site->table, &rank);

    if (turn == NULL)
        return NULL;
    struct flow_model *flow = container_of(turn, struct flow_model, turn);
    uint64_t count = MIN(recipients, flow->waiting);

    assert_int_equal(rank, flow->rank);
    turns_served(&site->turns, turn, rank, (unsigned)count);
    flow->waiting -= count;
    flow->served += count;
    flow->turns++;
    if (flow->waiting == 0)
        turns_remove(&site->turns, &site->table, turn, rank);
    return flow;
}

static void drain(struct site_model *site)
{
    while (pull(site, 1000) != NULL)
        ;
    assert_true(turns_is_empty(&site->turns));
    assert_int_equal(site->turns.share_count, 0);
    assert_int_equal(site->table.shares.count, 0);
    turns_table_free(&site->table);
}

TEST(domains_of_a_tenant_take_turns)
{
    struct tenant tenant = tenant_of_weight(1);
    struct flow_model flows[3] = {{.tenant = &tenant}, {.tenant = &tenant}, {.tenant = &tenant}};
    struct site_model site;

    begin(&site);
    assert_null(pull(&site, 1));
    for (size_t i = 0; i < 3; i++)
        put(&site, &flows[i], 4);
    for (size_t i = 0; i < 12; i++)
        assert_ptr_equal(pull(&site, 1), &flows[i % 3]);
    assert_null(pull(&site, 1));
    drain(&site);
}

/* The next one waits in front of a million of somebody else's: how many go before it. */
static unsigned slots_until_served(struct site_model *site, struct flow_model *small)
{
    unsigned slots = 1;

    put(site, small, 1);
    while (pull(site, 1) != small)
        slots++;
    return slots;
}

TEST(message_behind_a_million_of_another_tenant_takes_the_next_slot)
{
    enum { TRIES = 1000 };
    struct tenant large = tenant_of_weight(1), small = tenant_of_weight(1);
    struct flow_model many = {.tenant = &large, .rank = RANK_NORMAL};
    struct flow_model one = {.tenant = &small, .rank = RANK_NORMAL};
    struct site_model site;

    begin(&site);
    put(&site, &many, 1000000);
    for (unsigned i = 0; i < TRIES; i++) {
        assert_ptr_equal(pull(&site, 1), &many);
        assert_ptr_equal(pull(&site, 1), &many);
        assert_int_equal(slots_until_served(&site, &one), 1);
    }
    /* One after the other without a pause: its half of the slots, never more than two for one. */
    for (unsigned i = 0; i < TRIES; i++)
        assert_in_range(slots_until_served(&site, &one), 1, 2);
    assert_int_equal(many.waiting, 1000000 - 3 * TRIES);
    many.waiting = 1;
    drain(&site);
}

TEST(message_behind_others_takes_the_next_slot_however_many_and_heavy_they_are)
{
    enum { OTHERS = 200 };
    static struct tenant tenants[OTHERS];
    static struct flow_model flows[OTHERS];
    struct tenant small = tenant_of_weight(1);
    struct flow_model one = {.tenant = &small, .rank = RANK_BULK};
    struct site_model site;

    begin(&site);
    for (unsigned i = 0; i < OTHERS; i++) {
        tenants[i] = tenant_of_weight(1 + i % 100);
        flows[i] = (struct flow_model){.tenant = &tenants[i], .rank = RANK_HIGH};
        put(&site, &flows[i], 1000000);
    }
    for (unsigned i = 0; i < 20000; i++)
        pull(&site, 1); /* past the round in which all of them are new */
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(slots_until_served(&site, &one), 1);
        for (unsigned j = 0; j < 11000; j++) /* a round */
            pull(&site, 1);
    }
    for (unsigned i = 0; i < OTHERS; i++)
        flows[i].waiting = 1;
    drain(&site);
}

/* Three that always have mail, in messages of so many recipients. */
static void share_out(const unsigned weights[3], const uint64_t sizes[3], unsigned pulls,
                      double parts_out[3])
{
    struct tenant tenants[3];
    struct flow_model flows[3];
    struct site_model site;
    uint64_t sum = 0;

    begin(&site);
    for (size_t i = 0; i < 3; i++) {
        tenants[i] = tenant_of_weight(weights[i]);
        flows[i] = (struct flow_model){.tenant = &tenants[i], .rank = (enum rank)(i % RANK_COUNT)};
        put(&site, &flows[i], UINT32_MAX);
    }
    for (unsigned i = 0; i < pulls; i++) {
        enum rank rank;
        const struct flow_model *next =
            container_of(turns_next(&site.turns, &site.table, &rank), struct flow_model, turn);

        pull(&site, sizes[next - flows]);
    }
    for (size_t i = 0; i < 3; i++) {
        sum += flows[i].served;
        flows[i].waiting = 1;
    }
    for (size_t i = 0; i < 3; i++)
        parts_out[i] = (double)flows[i].served / (double)sum;
    drain(&site);
}

static void expect_parts(const double parts[3], const unsigned weights[3])
{
    unsigned sum = weights[0] + weights[1] + weights[2];

    for (size_t i = 0; i < 3; i++)
        expect_row(i, parts[i] > 0.95 * weights[i] / sum && parts[i] < 1.05 * weights[i] / sum);
}

TEST(tenants_of_weights_1_2_4_get_their_parts)
{
    static const unsigned weights[3] = {1, 2, 4};
    static const uint64_t ones[3] = {1, 1, 1}, mixed[3] = {1, 100, 7};
    double parts[3];

    share_out(weights, ones, 7000, parts);
    expect_parts(parts, weights);
    /* In recipients, whatever the messages' sizes. */
    share_out(weights, mixed, 100000, parts);
    expect_parts(parts, weights);
}

TEST(weight_that_changes_counts_from_the_next_round)
{
    struct tenant a = tenant_of_weight(1), b = tenant_of_weight(1);
    struct flow_model flows[2] = {{.tenant = &a}, {.tenant = &b}};
    struct site_model site;

    begin(&site);
    put(&site, &flows[0], 10000);
    put(&site, &flows[1], 10000);
    for (unsigned i = 0; i < 100; i++)
        pull(&site, 1);
    a.weight = 9;
    for (unsigned i = 0; i < 1000; i++)
        pull(&site, 1);
    assert_in_range(flows[0].served, 50 + 880, 50 + 920);
    assert_int_equal(turns_weigh(&site.turns, &flows[0].turn).own, 9);
    assert_int_equal(turns_weigh(&site.turns, &flows[0].turn).all, 10);
    drain(&site);
}

TEST(tenant_that_comes_again_as_soon_as_it_is_served_gets_its_part_and_no_more)
{
    struct tenant tenants[4];
    struct flow_model flows[4];
    struct site_model site;

    begin(&site);
    for (size_t i = 0; i < 4; i++) {
        tenants[i] = tenant_of_weight(1);
        flows[i] = (struct flow_model){.tenant = &tenants[i]};
        put(&site, &flows[i], i == 0 ? 1 : 1000000);
    }
    for (unsigned i = 0; i < 4000; i++) {
        pull(&site, 1);
        if (flows[0].waiting == 0)
            put(&site, &flows[0], 1);
    }
    assert_in_range(flows[0].served, 950, 1050);
    for (size_t i = 1; i < 4; i++)
        assert_in_range(flows[i].served, 950, 1050);
    for (size_t i = 1; i < 4; i++)
        flows[i].waiting = 1;
    drain(&site);
}

TEST(tenant_that_leaves_with_a_debt_pays_it_when_it_comes_again)
{
    struct tenant tenants[2] = {tenant_of_weight(1), tenant_of_weight(1)};
    struct flow_model all = {.tenant = &tenants[0]}, ones = {.tenant = &tenants[1]};
    struct site_model site;

    begin(&site);
    put(&site, &ones, 1000000);
    for (unsigned i = 0; i < 10000; i++) {
        if (all.waiting == 0) /* always one message of a hundred, never two */
            put(&site, &all, 100);
        pull(&site, all.waiting > 0 && i % 2 == 0 ? 1000 : 100);
        ones.waiting = 1000000;
    }
    /* Half of the recipients each, though those of the other go a hundred at a time. */
    assert_true(all.served > 0);
    assert_true(all.served <= ones.served + 1000);
    ones.waiting = 1;
    drain(&site);
}

/* The count may be of long ago, when it was told here last. */
TEST(what_a_tenant_was_sent_elsewhere_is_charged_up_to_a_bound)
{
    struct tenant tenants[2] = {tenant_of_weight(1), tenant_of_weight(1)};
    struct flow_model one = {.tenant = &tenants[0]}, many = {.tenant = &tenants[1]};
    struct site_model site;
    uint64_t total = 1;

    begin(&site);
    put(&site, &many, 10000);
    put(&site, &one, 3);
    assert_ptr_equal(pull(&site, 1), &one);
    turns_served_elsewhere(&one.turn, 1, total);
    assert_ptr_equal(pull(&site, 1), &many);
    assert_ptr_equal(pull(&site, 1), &one);
    total += 1 + 20;
    turns_served_elsewhere(&one.turn, 1, total);
    for (unsigned i = 0; i < 20; i++)
        assert_ptr_equal(pull(&site, 1), &many);
    while (one.waiting > 1)
        pull(&site, 1);
    total += 1 + 1000 * 1000;
    turns_served_elsewhere(&one.turn, 1, total);
    assert_in_range(slots_until_served(&site, &one), 1000, 1003);
    drain(&site);
}

/* A tenant of whom nothing is left is forgotten, and has another place in memory when it comes
 * again. */
TEST(tenant_that_was_gone_meanwhile_is_the_same_one_when_it_comes_again)
{
    struct tenant large = tenant_named("large", 1);
    struct tenant small[] = {tenant_named("small", 1), tenant_named("small", 1)};
    struct flow_model many = {.tenant = &large};
    struct flow_model ones[] = {{.tenant = &small[0]}, {.tenant = &small[1]}};
    struct site_model site;

    begin(&site);
    put(&site, &many, 1000);
    put(&site, &ones[0], 100);
    assert_ptr_equal(pull(&site, 100), &ones[0]);
    small[0].weight = 0; /* not to be looked at any more */
    assert_in_range(slots_until_served(&site, &ones[1]), 99, 101); /* it pays for the hundred */
    drain(&site);
}

TEST(tenant_in_the_place_of_one_that_is_gone_owes_nothing_for_it)
{
    struct tenant large = tenant_named("large", 1), other = tenant_named("debtor", 1);
    struct flow_model many = {.tenant = &large}, one = {.tenant = &other};
    struct site_model site;

    begin(&site);
    put(&site, &many, 1000);
    put(&site, &one, 100);
    assert_ptr_equal(pull(&site, 100), &one);
    other = tenant_named("newcomer", 1);
    assert_int_equal(slots_until_served(&site, &one), 1);
    drain(&site);
}

/* --- classes ---------------------------------------------------------------------------------- */

TEST(neither_class_starves_the_other_however_long_they_wait)
{
    struct tenant tenant = tenant_of_weight(1);
    struct flow_model high = {.tenant = &tenant, .rank = RANK_HIGH};
    struct flow_model bulk = {.tenant = &tenant, .rank = RANK_BULK};
    struct site_model site;

    begin(&site);
    put(&site, &bulk, 1000000);
    put(&site, &high, 1000000);
    assert_int_equal(turns_best(&site.turns), RANK_HIGH);
    assert_int_equal(turns_best_of_tenant(&site.turns, &bulk.turn), RANK_HIGH);
    for (unsigned i = 0; i < 17000; i++)
        pull(&site, 1);
    assert_int_equal(high.served, 16000);
    assert_int_equal(bulk.served, 1000);
    bulk.waiting = high.waiting = 1;
    drain(&site);
}

TEST(high_behind_a_million_of_its_own_tenants_bulk_takes_the_next_slot)
{
    struct tenant tenant = tenant_of_weight(1), other = tenant_of_weight(1);
    struct flow_model high = {.tenant = &tenant, .rank = RANK_HIGH};
    struct flow_model bulk = {.tenant = &tenant, .rank = RANK_BULK};
    struct site_model site;
    (void)other;

    begin(&site);
    put(&site, &bulk, 1000000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_ptr_equal(pull(&site, 1), &bulk);
        assert_int_equal(slots_until_served(&site, &high), 1);
    }
    bulk.waiting = 1;
    drain(&site);
}

/* --- what comes back, what goes --------------------------------------------------------------- */

TEST(what_was_not_sent_is_not_charged)
{
    struct tenant tenants[2] = {tenant_of_weight(10), tenant_of_weight(10)};
    struct flow_model flows[2] = {{.tenant = &tenants[0]}, {.tenant = &tenants[1]}};
    struct site_model site;

    begin(&site);
    put(&site, &flows[0], 1000000);
    put(&site, &flows[1], 1000000);
    for (unsigned i = 0; i < 2000; i++) {
        struct flow_model *flow = pull(&site, 10);

        if (flow != &flows[0])
            continue;
        flow->waiting += 5; /* half of the first tenant's are not sent */
        flow->served -= 5;
        turns_give_back(&flow->turn, flow->rank, 5);
    }
    assert_true(flows[0].served > flows[1].served * 95 / 100);
    assert_true(flows[0].served < flows[1].served * 105 / 100);
    flows[0].waiting = flows[1].waiting = 1;
    drain(&site);
}

TEST(giving_back_makes_nobody_richer_than_a_round)
{
    struct tenant tenants[2] = {tenant_of_weight(1), tenant_of_weight(1)};
    struct flow_model flows[2] = {{.tenant = &tenants[0]}, {.tenant = &tenants[1]}};
    struct site_model site;

    begin(&site);
    put(&site, &flows[0], 1000);
    put(&site, &flows[1], 1000);
    pull(&site, 1);
    turns_give_back(&flows[0].turn, flows[0].rank, 1000);
    for (unsigned i = 0; i < 100; i++)
        pull(&site, 1);
    assert_in_range(flows[0].served, 50, 53);
    drain(&site);
}

TEST(line_that_leaves_takes_no_turn_and_its_tenant_is_forgotten_with_the_round)
{
    struct tenant tenants[3] = {tenant_of_weight(1), tenant_of_weight(1), tenant_of_weight(1)};
    struct flow_model flows[3] = {{.tenant = &tenants[0]},
                                  {.tenant = &tenants[1]},
                                  {.tenant = &tenants[2]}};
    struct site_model site;

    begin(&site);
    for (size_t i = 0; i < 3; i++)
        put(&site, &flows[i], 100);
    assert_int_equal(site.table.shares.count, 3);
    turns_remove(&site.turns, &site.table, &flows[1].turn, flows[1].rank);
    flows[1].waiting = 0;
    for (unsigned i = 0; i < 10; i++)
        assert_ptr_not_equal(pull(&site, 1), &flows[1]);
    assert_int_equal(site.turns.share_count, 2);
    assert_int_equal(site.table.shares.count, 2);
    drain(&site);
}

/* Random arrivals and pulls, against what must hold whatever happens. */
TEST(nobody_who_always_waits_is_passed_over_for_long)
{
    enum { FLOWS = 60, TENANTS = 12, STEPS = 200000, SIZE_MAX_ = 20 };
    struct tenant tenants[TENANTS];
    struct flow_model flows[FLOWS] = {0};
    uint64_t last[FLOWS] = {0};
    struct site_model site;
    uint64_t seed = 12345;

    begin(&site);
    for (unsigned i = 0; i < TENANTS; i++)
        tenants[i] = tenant_of_weight(1 + i % 4);
    for (unsigned i = 0; i < FLOWS; i++)
        flows[i] = (struct flow_model){.tenant = &tenants[i % TENANTS],
                                       .rank = (enum rank)(i / TENANTS % RANK_COUNT)};
    for (uint64_t step = 1; step <= STEPS; step++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        struct flow_model *flow = &flows[(seed >> 33) % FLOWS];

        if (flow->waiting == 0)
            last[flow - flows] = step;
        if (flow->waiting < 1000)
            put(&site, flow, 1 + (seed >> 50) % SIZE_MAX_);
        flow = pull(&site, SIZE_MAX_);
        assert_non_null(flow);
        /* 30 of weight in a round, five lines of a tenant, 21 turns among classes, messages of 20:
         * what the worst of them could wait if each of these was against it. */
        assert_true(step - last[flow - flows] < 30 * 21 * 5 * SIZE_MAX_);
        last[flow - flows] = step;
    }
    for (unsigned i = 0; i < FLOWS; i++)
        expect_row(i, flows[i].turns > 0);
    drain(&site);
}

/* --- many ------------------------------------------------------------------------------------- */

#ifndef FLOWS
#define FLOWS 100000 /* a million takes the sanitizers long */
#endif

/* One recipient each, of so many tenants: octets of all shares, and whether a second round comes
 * before all had their turn. */
static void serve_many(size_t tenant_count, size_t *octets_out, double *turn_ns_out)
{
    struct tenant *tenants = calloc(tenant_count, sizeof(*tenants));
    struct flow_model *flows = calloc(FLOWS, sizeof(*flows));
    uint32_t *names = calloc(tenant_count, sizeof(*names));
    size_t before = mallinfo2().uordblks;
    struct site_model site;

    check(tenants != NULL && flows != NULL && names != NULL);
    begin(&site);
    for (size_t i = 0; i < tenant_count; i++) {
        names[i] = (uint32_t)i;
        tenants[i] =
            (struct tenant){.node = {.key = bytes_range(&names[i], sizeof(*names))}, .weight = 1};
    }
    for (size_t i = 0; i < FLOWS; i++) {
        flows[i] = (struct flow_model){.tenant = &tenants[i % tenant_count],
                                       .rank = (enum rank)(i / tenant_count % RANK_COUNT)};
        put(&site, &flows[i], 1);
    }
    *octets_out = mallinfo2().uordblks - before;
    int64_t began_us = clock_monotonic_us();

    for (size_t i = 0; i < FLOWS; i++) {
        struct flow_model *flow = pull(&site, 1);

        assert_int_equal(flow->served, 1);
        if (i < tenant_count) /* each tenant once before any has a second turn */
            assert_true(flow - flows < (ptrdiff_t)(tenant_count * RANK_COUNT));
    }
    *turn_ns_out = (double)(clock_monotonic_us() - began_us) * 1000 / FLOWS;
    assert_null(pull(&site, 1));
    drain(&site);
    free(names);
    free(flows);
    free(tenants);
}

TEST(many_flows_of_one_recipient_each_cost_no_more_than_their_lines_and_tenants)
{
    size_t octets;
    double turn_ns;

    serve_many(1, &octets, &turn_ns);
    printf("%u flows of 1 tenant: %zu octets, %.0f ns a turn\n", (unsigned)FLOWS, octets, turn_ns);
    assert_in_range(octets, 0, 4096);
    serve_many(FLOWS / 10, &octets, &turn_ns);
    printf("%u flows of %u tenants: %zu octets, %.0f ns a turn\n", (unsigned)FLOWS,
           (unsigned)FLOWS / 10, octets, turn_ns);
    serve_many(FLOWS, &octets, &turn_ns);
    printf("%u flows of %u tenants: %zu octets, %.0f ns a turn\n", (unsigned)FLOWS, (unsigned)FLOWS,
           octets, turn_ns);
}
