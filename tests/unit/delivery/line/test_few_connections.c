/* modules: client line */
/* threads: one */
/*
 * test_few_connections.c - a provider with a rate and fewer connections than sites, on two engines.
 *
 * Connections are toys (unit/delivery/toy_carriers.h): one takes some time to open, and what is
 * idle looks once a second whether it is to end, as those with a peer do.
 */
/* The world in which delivery lives is included: one source file a test. */
#include "support/chat.c"
#include "support/engine_fake.h"
#include "unit/delivery/toy_carriers.c"
#include "unit/delivery/world.c"

#include "base/log.h"
#include "delivery/line/state.h"
#include "support/unit.h"

enum { SITES = 40, CONNECTIONS = 10, RATE = 5, EACH = 10, STEP_MS = 50, OPENING_MS = 100 };

static const char *const patterns[] = {"*.big.example"};
static const struct provider_rule big = {.name = "big", .mx_count = 1, .mx = patterns};

static struct egress_rule rules[] = {
    {.match = "",
     .provider = "big",
     .connections = CONNECTIONS,
     .messages_per_s = RATE,
     .idle_s = 5,
     .messages_per_connection = UINT32_MAX},
    {.match = "*", .connections = 1000, .idle_s = 5, .messages_per_connection = UINT32_MAX},
};

static struct engine *engine;
static struct world worlds[2];

/* The hosts of d0.example are m0.big.example, and so on. */
static void start(struct world *world, struct egress_table *egresses)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world_init(world, engine, NULL);
    world->settings.egress_rule_count = ARRAY_LEN(rules);
    world->settings.egress_rules = rules;
    world->settings.provider_count = 1;
    world->settings.providers = &big;
    world->egresses = egresses;
    for (unsigned i = 0; i < SITES; i++) {
        char line[64];
        int len = snprintf(line, sizeof(line), "d%u.example m%u.big.example/127.0.0.1", i, i);

        assert_true(world_mx(world, bytes_range(line, (size_t)len)));
    }
    world_start(world);
    toy_carriers_use(world);
}

static void begin(void)
{
    engine = toy_engine_create();
    start(&worlds[0], NULL);
    start(&worlds[1], worlds[0].egresses);
}

static void end(void)
{
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    assert_true(world_free(&worlds[0]));
    toy_engine_destroy(&engine);
}

static void turns(void)
{
    for (unsigned i = 0; i < 4; i++)
        engine_turn(engine, 0);
}

static void submit(unsigned number, const char *tenant, enum mail_class class)
{
    char to[32];
    struct world_message mail = {
        .from = "", .to = to, .content = "x", .tenant = tenant, .class = class};

    snprintf(to, sizeof(to), "r@d%u.example", number);
    world_submit(&worlds[number % 2], &mail);
    turns();
}

static bool is_to_step(struct toy_carrier *toy, bool is_second)
{
    if (toy->is_leaving)
        return false;
    if (toy->carrier.is_opening)
        return engine_now_ms(engine) - toy->carrier.opened_ms >= OPENING_MS;
    return is_second || !carrier_is_idle(&toy->carrier);
}

/* What is sent in that time; `of`: messages of this tenant. */
static unsigned run(int64_t duration_ms, char of, unsigned *of_out)
{
    unsigned sent = 0;

    for (int64_t at_ms = 0; at_ms < duration_ms; at_ms += STEP_MS) {
        fake_advance_ms(engine, STEP_MS);
        for (unsigned i = 0; i < 20; i++) {
            engine_turn(engine, 0);
            list_for_each(node, &toy_carriers) {
                struct toy_carrier *toy = toy_carrier_of(node);

                if (!is_to_step(toy, i == 0 && at_ms % 1000 == 0))
                    continue;
                char tenant = toy_carrier_step(toy);

                sent += tenant != 0;
                *of_out += tenant == of;
            }
        }
        assert_true(toy_carriers_count() <= CONNECTIONS);
    }
    return sent;
}

TEST(rate_is_kept_where_sites_are_more_than_connections)
{
    unsigned sent = 0, none = 0;

    begin();
    for (unsigned i = 0; i < SITES * EACH; i++)
        submit(i % SITES, "many", MAIL_NORMAL);
    for (unsigned i = 0; i < 30; i++) {
        unsigned now = run(2000, 0, &none);

        print_message("%u ", now);
        assert_true(now <= 2 * RATE + 1);
        if (i > 1)
            assert_true(now >= 2 * RATE - 2);
        sent += now;
    }
    print_message("\n");
    assert_in_range(sent, 60 * RATE - 10, 60 * RATE + 1);
    end();
}

/* Each sends to 20 of the sites; one has ten times as much there. */
TEST(tenants_have_their_shares_where_sites_are_more_than_connections)
{
    unsigned few = 0, sent;

    begin();
    for (unsigned i = 0; i < SITES * EACH; i++)
        submit(i % SITES, i % SITES < SITES / 2 ? "few" : "many", MAIL_NORMAL);
    for (unsigned i = 0; i < SITES * EACH; i++)
        submit(SITES / 2 + i % (SITES / 2), "many", MAIL_NORMAL);
    (void)run(4000, 0, &few);
    few = 0;
    sent = run(60000, 'f', &few);
    assert_true(sent >= 60 * RATE - 10);
    assert_in_range(few, sent * 45 / 100, sent * 55 / 100);
    end();
}

TEST(high_mail_for_a_site_without_a_connection_goes_soon)
{
    unsigned high = 0;

    begin();
    for (unsigned i = 0; i < (SITES - 1) * EACH; i++)
        submit(i % (SITES - 1), "bulk", MAIL_BULK);
    (void)run(4000, 0, &high);
    for (unsigned i = 0; i < 10; i++) {
        high = 0;
        submit(SITES - 1, "high", MAIL_HIGH);
        (void)run(1000, 'h', &high);
        assert_int_equal(high, 1);
    }
    end();
}
