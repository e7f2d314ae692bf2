/* modules: client line */
/* threads: one */
/*
 * test_fair_providers.c - the message rate of a provider: whose mail is next, of all its sites, on
 * one engine and on two.
 *
 * Connections are toys (unit/delivery/toy_carriers.h).
 */
/* The world in which delivery lives is included: one source file a test. */
#include "support/chat.c"
#include "support/engine_fake.h"
#include "unit/delivery/toy_carriers.c"
#include "unit/delivery/world.c"

#include "base/log.h"
#include "delivery/line/destination.h"
#include "delivery/line/state.h"
#include "support/unit.h"

enum { SITES = 100 };

static const char *const patterns[] = {"*.big.example"};
static const struct provider_rule big = {.name = "big", .mx_count = 1, .mx = patterns};

/* One message a second to all of "big". */
static struct egress_rule rules[] = {
    {.match = "",
     .provider = "big",
     .connections = 1000,
     .messages_per_s = 1,
     .idle_s = 3600,
     .messages_per_connection = UINT32_MAX},
    {.match = "*", .connections = 1000, .idle_s = 3600, .messages_per_connection = UINT32_MAX},
};

static struct engine *engine;
static struct world worlds[2];
static size_t world_count;

/* The hosts of d0.example are m0.big.example, and so on. */
static void start(struct world *world, struct egress_table *egresses)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world_init(world, engine, NULL);
    world->settings.egress_rule_count = ARRAY_LEN(rules);
    world->settings.egress_rules = rules;
    world->settings.provider_count = 1;
    world->settings.providers = &big;
    world->settings.connections_max = 10000;
    world->egresses = egresses;
    for (unsigned i = 0; i <= SITES; i++) {
        char line[64];
        int len = snprintf(line, sizeof(line), "d%u.example m%u.big.example/127.0.0.1", i, i);

        assert_true(world_mx(world, bytes_range(line, (size_t)len)));
    }
    world_start(world);
    toy_carriers_use(world);
}

static void begin(size_t count)
{
    engine = toy_engine_create();
    world_count = count;
    start(&worlds[0], NULL);
    if (count > 1)
        start(&worlds[1], worlds[0].egresses);
}

static void end(void)
{
    if (world_count > 1) {
        worlds[1].egresses = NULL;
        assert_true(world_free(&worlds[1]));
    }
    assert_true(world_free(&worlds[0]));
    toy_engine_destroy(&engine);
}

static void submit(struct world *world, unsigned site, const char *tenant, enum mail_class class)
{
    char to[32];
    struct world_message mail = {
        .from = "", .to = to, .content = "x", .tenant = tenant, .class = class};

    snprintf(to, sizeof(to), "r@d%u.example", site);
    world_submit(world, &mail);
    for (unsigned i = 0; i < 4; i++)
        engine_turn(engine, 0);
}

/* A second later. Nothing goes before. */
static char next_second(void)
{
    assert_int_equal(toy_slot(engine), 0);
    fake_advance_ms(engine, 1000);
    return toy_slot(engine);
}

/* Bulk waits at a hundred sites, of each of the engines. */
static void begin_with_bulk(size_t count)
{
    begin(count);
    for (unsigned i = 0; i < SITES; i++)
        for (unsigned at = 0; at < count; at++)
            for (unsigned j = 0; j < 2; j++)
                submit(&worlds[at], i, "bulk", MAIL_BULK);
    assert_int_equal(toy_slot(engine), 'b');
    assert_int_equal(next_second(), 'b');
}

static struct site *site_of(const struct world *world, unsigned number)
{
    char name[48];

    snprintf(name, sizeof(name), "m%u.big.example/127.0.0.1", number);
    list_for_each(node, &world->delivery->all_sites) {
        struct site *site = container_of(node, struct site, in_all);

        if (bytes_equal(site->name, bytes_of(name)))
            return site;
    }
    fail();
    return NULL;
}

static void end_carriers(struct site *site)
{
    struct list_node *node;

    while ((node = list_first(&site->carriers)) != NULL)
        toy_carrier_end(
            container_of(container_of(node, struct carrier, in_site), struct toy_carrier, carrier));
}

TEST(high_mail_for_another_site_of_the_provider_has_the_next_share)
{
    for (size_t count = 1; count <= 2; count++) {
        begin_with_bulk(count);
        for (unsigned i = 0; i < 12; i++) {
            /* Also where it has bulk in line itself. */
            submit(&worlds[count - 1], i % 2 == 0 ? SITES : 7 + i, "high", MAIL_HIGH);
            assert_int_equal(next_second(), 'h');
            assert_int_equal(next_second(), 'b');
        }
        end();
    }
}

/* The site has the share for it, and there tenants take turns: it had the one before. */
TEST(tenant_that_comes_again_to_a_site_has_its_turn_there_behind_who_waits_meanwhile)
{
    for (size_t count = 1; count <= 2; count++) {
        begin_with_bulk(count);
        submit(&worlds[count - 1], 7, "high", MAIL_HIGH);
        assert_int_equal(next_second(), 'h');
        assert_int_equal(next_second(), 'b'); /* of another site; nothing of "high" is left */
        submit(&worlds[count - 1], 7, "high", MAIL_HIGH);
        assert_int_equal(next_second(), 'b');
        assert_int_equal(next_second(), 'h');
        end();
    }
}

/* Nothing of it asks again. */
TEST(site_in_line_whose_connections_ended_goes_ahead_once_high_mail_comes_to_it)
{
    begin_with_bulk(2);
    end_carriers(site_of(&worlds[1], 50));
    submit(&worlds[1], 50, "high", MAIL_HIGH);
    assert_int_equal(next_second(), 'h');
    end();
}

TEST(mail_of_another_tenant_for_another_site_of_the_provider_has_the_next_share)
{
    for (size_t count = 1; count <= 2; count++) {
        begin_with_bulk(count);
        for (unsigned i = 0; i < 12; i++) {
            submit(&worlds[count - 1], SITES, "small", MAIL_BULK);
            assert_int_equal(next_second(), 's');
            assert_int_equal(next_second(), 'b');
        }
        end();
    }
}

/* --- weights ---------------------------------------------------------------------------------- */

enum { WEIGHTED = 3, WARM = 350, SHARES = 700 };

/* At how many sites a tenant has mail, from which one on. */
struct spread {
    unsigned first, count;
};

/* Of weight 1, 2 and 4. */
static void expect_weights(const struct spread sites[static WEIGHTED], unsigned engines)
{
    static const char *const names[WEIGHTED] = {"a", "b", "c"};
    unsigned got[WEIGHTED] = {0};

    begin(engines);
    for (unsigned i = 0; i < WEIGHTED; i++) {
        for (unsigned at = 0; at < engines; at++)
            tenant_weigh(worlds[at].flows, bytes_of(names[i]), 1U << i);
        for (unsigned j = 0; j < (WARM + SHARES) / 6U << i; j++)
            submit(&worlds[j % engines], sites[i].first + j / engines % sites[i].count, names[i],
                   MAIL_NORMAL);
    }
    assert_int_not_equal(toy_slot(engine), 0);
    for (unsigned i = 0; i < WARM + SHARES; i++) {
        char tenant = next_second();

        assert_in_range(tenant, 'a', 'c');
        got[tenant - 'a'] += i >= WARM;
    }
    for (unsigned i = 0; i < WEIGHTED; i++)
        assert_in_range(got[i] * 100, (SHARES / 7 << i) * 95, (SHARES / 7 << i) * 105);
    end();
}

/* Where a site has mail of several its own turns are in between, too. */
static const struct spread spreads[][WEIGHTED] = {
    {{0, 10}, {10, 10}, {20, 10}}, /* each at sites of its own */
    {{0, 80}, {80, 5}, {85, 2}},   /* the least at most of them */
    {{0, 10}, {0, 10}, {0, 10}},   /* all at all */
    {{0, 8}, {4, 8}, {8, 8}},
};

TEST(tenants_have_their_shares_of_the_rate_over_all_sites_of_the_provider)
{
    for (size_t i = 0; i < ARRAY_LEN(spreads); i++)
        expect_weights(spreads[i], 1);
}

TEST(tenants_have_their_shares_of_the_providers_rate_on_whatever_engines)
{
    for (size_t i = 0; i < ARRAY_LEN(spreads); i++)
        expect_weights(spreads[i], 2);
}

/* --- sites that stop -------------------------------------------------------------------------- */

static size_t waiting_shares(void)
{
    size_t count = 0;

    for (size_t i = 0; i < world_count; i++)
        list_for_each(node, &worlds[i].delivery->all_sites) {
            const struct site *site = container_of(node, struct site, in_all);

            for (const struct site_egress *e = site->egresses; e != NULL; e = e->next)
                count += site_egress_is_throttled(e);
            for (const struct site_egress *e = site->leaving; e != NULL; e = e->next)
                count += site_egress_is_throttled(e);
        }
    return count;
}

enum { HELD = 60 };

static void suspend_held(void)
{
    struct suspension held[HELD];
    char domains[HELD][32];

    for (unsigned i = 0; i < HELD; i++) {
        snprintf(domains[i], sizeof(domains[i]), "d%u.example", i);
        held[i] = (struct suspension){.number = i + 1, .domain = domains[i]};
    }
    delivery_suspend(worlds[0].delivery, HELD, held);
}

/* What is in line is held when its turn comes, and that turn is the next one's then. */
TEST(sites_whose_mail_is_suspended_take_no_share_from_others)
{
    begin_with_bulk(1);
    suspend_held();
    for (unsigned i = 0; i < 2 * (SITES - HELD); i++)
        assert_int_equal(next_second(), 'b');
    assert_int_equal(next_second(), 0);
    delivery_suspend(worlds[0].delivery, 0, NULL);
    for (unsigned i = 0; i < 4; i++)
        engine_turn(engine, 0);
    assert_int_equal(toy_slot(engine), 'b');
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(next_second(), 'b');
    end();
}

/* It would take them longer to connect than a share may be given back. */
TEST(suspended_sites_without_a_connection_take_no_share_from_others)
{
    begin_with_bulk(1);
    suspend_held();
    for (unsigned i = 0; i < HELD; i++)
        end_carriers(site_of(&worlds[0], i));
    for (unsigned i = 0; i < 2 * (SITES - HELD); i++) {
        fake_advance_ms(engine, 1000);
        for (unsigned k = 0; k < 3 * HELD; k++)
            engine_turn(engine, 0);
        fake_advance_ms(engine, 200);
        assert_int_equal(toy_slot(engine), 'b');
    }
    assert_int_equal(next_second(), 0);
    end();
}

TEST(sites_that_rest_while_they_wait_take_no_share_from_others)
{
    begin_with_bulk(1);
    for (unsigned i = 0; i < 95; i++) {
        struct site *site = site_of(&worlds[0], i);

        end_carriers(site);
        site_rest(site, engine_now_ms(engine) + 3600 * 1000);
    }
    for (unsigned i = 0; i < 5; i++) /* whoever had the bell */
        assert_int_equal(next_second(), 'b');
    end();
}

/* Its disk is full, or slow; what the other engine has goes meanwhile. */
TEST(engine_without_room_for_outcomes_takes_no_share_from_others)
{
    begin_with_bulk(2);
    worlds[0].outcome_room = 0;
    size_t there = world_unfinished(&worlds[1]);

    for (size_t i = 0; i < there; i++)
        assert_int_equal(next_second(), 'b');
    assert_int_equal(toy_slot(engine), 0);
    assert_int_equal(world_unfinished(&worlds[1]), 0);
    worlds[0].outcome_room = SIZE_MAX;
    fake_advance_ms(engine, 1000);
    for (unsigned i = 0; i < 4; i++)
        engine_turn(engine, 0);
    assert_int_equal(toy_slot(engine), 'b');
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(next_second(), 'b');
    end();
}

/* However much waits there. */
TEST(site_without_a_connection_opens_one_for_its_share)
{
    begin(1);
    for (unsigned i = 0; i < 80; i++)
        submit(&worlds[0], 7, "bulk", MAIL_BULK);
    assert_int_equal(toy_slot(engine), 'b');
    assert_int_equal(toy_slot(engine), 0);
    for (unsigned i = 0; i < 5; i++) {
        end_carriers(site_of(&worlds[0], 7));
        fake_advance_ms(engine, 1000);
        for (unsigned k = 0; k < 4; k++)
            engine_turn(engine, 0);
        assert_int_equal(toy_carriers_count(), 1);
        assert_int_equal(toy_slot(engine), 'b');
        assert_int_equal(toy_slot(engine), 0);
        assert_int_equal(toy_carriers_count(), 1);
    }
    end();
}

/* --- reload ----------------------------------------------------------------------------------- */

static unsigned count_slots(void)
{
    unsigned count = 0;

    while (toy_slot(engine) != 0)
        count++;
    return count;
}

static void configure(const struct delivery_settings *settings)
{
    for (size_t i = 0; i < world_count; i++)
        delivery_configure(worlds[i].delivery, settings);
}

TEST(reload_that_takes_a_provider_away_leaves_nobody_in_its_line)
{
    for (size_t count = 1; count <= 2; count++) {
        begin_with_bulk(count);
        struct delivery_settings without = worlds[0].settings;

        without.provider_count = 0;
        configure(&without);
        assert_int_equal(waiting_shares(), 0); /* also those whose connections carry something */
        assert_int_equal(count_slots(), count * SITES * 2 - 2); /* no rate any more */
        assert_int_equal(waiting_shares(), 0);
        end();
    }
}

TEST(reload_that_makes_a_provider_puts_its_sites_in_one_line)
{
    for (size_t count = 1; count <= 2; count++) {
        begin(count);
        struct delivery_settings with = worlds[0].settings, without = with;
        struct egress_rule slow = rules[1];

        slow.messages_per_s = 0.01; /* of each site */
        without.provider_count = 0;
        without.egress_rules = &slow;
        without.egress_rule_count = 1;
        configure(&without);
        for (unsigned i = 0; i < SITES; i++)
            for (unsigned j = 0; j < 3; j++)
                submit(&worlds[j % count], i, "bulk", MAIL_BULK);
        assert_int_equal(count_slots(), SITES);
        assert_int_equal(waiting_shares(), SITES * count);
        configure(&with);
        assert_int_equal(toy_slot(engine), 'b');
        submit(&worlds[count - 1], SITES, "high", MAIL_HIGH);
        assert_int_equal(next_second(), 'h');
        for (unsigned i = 0; i < 2 * SITES - 1; i++)
            assert_int_equal(next_second(), 'b');
        assert_int_equal(waiting_shares(), 0);
        end();
    }
}

TEST(reload_that_changes_a_providers_rate_is_heeded_by_who_waits)
{
    begin_with_bulk(2);
    struct delivery_settings faster = worlds[0].settings;
    struct egress_rule others[] = {rules[0], rules[1]};

    others[0].messages_per_s = 4;
    faster.egress_rules = others;
    configure(&faster);
    assert_int_equal(count_slots(), 1);
    for (unsigned i = 0; i < 80; i++) {
        fake_advance_ms(engine, 250);
        assert_int_equal(count_slots(), 1);
    }
    end();
}

/* --- whatever happens ------------------------------------------------------------------------- */

enum {
    STORM_SITES = 12,
    STORM_STEPS = 600,
    STORM_WAITING_MAX = 150,
    REST_MS = 5000,
    OPENING_MS = 7000, /* some share that a connection is opened for is void by then */
};

static uint64_t storm_state;

static unsigned below(unsigned count)
{
    storm_state = storm_state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(storm_state >> 33) % count;
}

/* A reload's: the provider with a rate, with another and one of a set's own, without, or none. */
static struct delivery_settings storm_settings[4];
static struct egress_rule storm_rules[ARRAY_LEN(storm_settings)][3];
static const double storm_rates[ARRAY_LEN(storm_settings)] = {1, 5, 0, 0};

static void make_storm_settings(void)
{
    for (size_t i = 0; i < ARRAY_LEN(storm_settings); i++) {
        struct egress_rule *own = memcpy(storm_rules[i], rules, sizeof(rules));

        storm_settings[i] = worlds[0].settings;
        storm_settings[i].egress_rules = own;
        own[0].messages_per_s = storm_rates[i];
        own[0].connections = i == 2 ? 5 : 1000;
        own[2] = own[1];
        own[1].match = "m3.big.example";
        own[1].messages_per_s = i == 1 ? 0.3 : 0;
        own[2].messages_per_s = i == 3 ? 0.5 : 0;
        storm_settings[i].egress_rule_count = 3;
        storm_settings[i].provider_count = i == 3 ? 0 : 1;
    }
}

static bool is_open(const struct toy_carrier *toy)
{
    int64_t open_ms = engine_now_ms(engine) - toy->carrier.opened_ms;

    return !toy->is_leaving &&
           (!toy->carrier.is_opening || open_ms >= toy->carrier.opened_ms % 8 * OPENING_MS / 7);
}

/* What those that are open send until nothing goes any more. */
static unsigned storm_slots(void)
{
    unsigned sent = 0;

    for (unsigned idle_turns = 0; idle_turns < 4; idle_turns++) {
        list_for_each(node, &toy_carriers)
            if (is_open(toy_carrier_of(node)) && toy_carrier_step(toy_carrier_of(node)) != 0) {
                sent++;
                idle_turns = 0;
            }
        engine_turn(engine, 0);
    }
    return sent;
}

/* The provider's rate, as one who counts sees it: what was sent and is not made up for by time. A
 * share may be kept five seconds for a connection that is being opened. */
struct counter {
    double rate, level;
};

static void count_sent(struct counter *counter, int64_t after_ms)
{
    unsigned sent = storm_slots();

    if (counter->rate == 0)
        return;
    counter->level = MAX(counter->level - counter->rate * (double)after_ms / 1000, 0.0) + sent;
    assert_true(counter->level <= 2.5 + 5 * counter->rate);
}

/* Of those that stay without their connections; NULL: there is none. */
static struct site *any_site(const struct world *world)
{
    unsigned skip = below(STORM_SITES);
    struct site *site = NULL;

    list_for_each(node, &world->delivery->all_sites) {
        if (container_of(node, struct site, in_all)->destination_count > 0)
            site = container_of(node, struct site, in_all);
        if (skip-- == 0)
            break;
    }
    return site;
}

static void suspend_some(struct world *world)
{
    struct suspension held[STORM_SITES];
    char domains[STORM_SITES][32];
    unsigned count = below(2) * below(STORM_SITES);

    for (unsigned i = 0; i < count; i++) {
        snprintf(domains[i], sizeof(domains[i]), "d%u.example", below(STORM_SITES));
        held[i] = (struct suspension){.number = i + 1, .domain = domains[i]};
    }
    delivery_suspend(world->delivery, count, held);
}

static void rest_site(struct site *site)
{
    if (site == NULL || site->state == SITE_FAILING || site->state == SITE_RESTING)
        return;
    end_carriers(site);
    site_rest(site, engine_now_ms(engine) + 1 + below(REST_MS));
}

static void storm_step(struct counter *counter)
{
    static const char *const tenants[] = {"a", "b", "c", "d", "e"};
    unsigned at = below(2), setting;
    int64_t after_ms = 0;
    struct site *site;

    switch (below(16)) {
    case 0:
        if ((site = any_site(&worlds[at])) != NULL)
            end_carriers(site);
        break;
    case 1:
        if (below(4) == 0)
            rest_site(any_site(&worlds[at]));
        else if (below(4) == 0)
            worlds[at].outcome_room = below(3) == 0 ? 0 : SIZE_MAX;
        else if (below(4) == 0)
            fake_step_wall_ms(engine, (int64_t)below(20 * 60 * 1000) - 10 * 60 * 1000);
        break;
    case 2:
        suspend_some(&worlds[at]);
        break;
    case 3:
        if (below(5) != 0)
            break;
        setting = below(ARRAY_LEN(storm_settings));
        delivery_configure(worlds[at].delivery, &storm_settings[setting]);
        (void)storm_slots(); /* the other engine hears of it a moment later */
        delivery_configure(worlds[1 - at].delivery, &storm_settings[setting]);
        *counter = (struct counter){.rate = storm_rates[setting]};
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        if (world_unfinished(&worlds[at]) < STORM_WAITING_MAX)
            submit(&worlds[at], below(STORM_SITES), tenants[below(ARRAY_LEN(tenants))],
                   (enum mail_class)below(MAIL_CLASSES));
        break;
    default:
        after_ms = below(600);
        fake_advance_ms(engine, after_ms);
    }
    count_sent(counter, after_ms);
}

static size_t unfinished(void)
{
    return world_unfinished(&worlds[0]) + world_unfinished(&worlds[1]);
}

/* What is left goes at the rate, and none of it is forgotten. */
static void expect_rest_goes(void)
{
    struct counter counter = {.rate = storm_rates[1]};

    for (unsigned at = 0; at < 2; at++) {
        delivery_suspend(worlds[at].delivery, 0, NULL);
        worlds[at].outcome_room = SIZE_MAX;
    }
    configure(&storm_settings[1]);
    fake_advance_ms(engine, 2 * REST_MS);
    count_sent(&counter, 2 * REST_MS);
    size_t steps = unfinished() * 10 + 100; /* at a set's own rate, if all of it is that one's */

    for (size_t i = 0; unfinished() > 0; i++) {
        assert_true(i < steps);
        fake_advance_ms(engine, 1000);
        count_sent(&counter, 1000);
    }
    assert_int_equal(waiting_shares(), 0);
}

TEST(rate_holds_and_nothing_is_forgotten_whatever_happens)
{
    for (unsigned seed = 1; seed <= 30; seed++) {
        struct counter counter = {.rate = storm_rates[0]};

        print_message("seed %u\n", seed);
        storm_state = seed;
        fake_seed(seed);
        begin(2);
        make_storm_settings();
        configure(&storm_settings[0]);
        for (unsigned i = 0; i < STORM_STEPS; i++)
            storm_step(&counter);
        expect_rest_goes();
        end();
    }
}
