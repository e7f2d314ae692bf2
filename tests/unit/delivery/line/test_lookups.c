/* modules: client line */
/* threads: one */
/* test_lookups.c - a queue whose domains are all due at once: a bounded number is looked up. */
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum { DOMAINS = 5000, LAST = DOMAINS - 10 };

static struct message_id ids[DOMAINS];

static void turns(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        engine_turn(world->engine, 0);
}

static size_t lookups(const struct world *world)
{
    size_t count = 0;

    list_for_each(node, &world->lookups)
        count++;
    return count;
}

static uint64_t unheld(struct world *world)
{
    struct delivery_status status;

    world_status(world, &status);
    return status.unheld;
}

/* One recipient in each domain, and no domain is answered yet. */
static void start(struct world *world)
{
    struct engine_settings settings = {0};

    world_init(world, engine_create(&settings), NULL);
    world->port = 1; /* nobody listens there */
    world_start(world);
    world->lookups_wait = true;
    for (unsigned i = 0; i < DOMAINS; i++) {
        char to[64];
        struct world_message message = {.from = "", .to = to, .content = "x"};

        snprintf(to, sizeof(to), "a@d%u.example", i);
        ids[i] = world_submit(world, &message);
    }
    turns(world, 100);
    assert_int_equal(lookups(world), LOOKUPS_MAX);
    assert_int_equal(unheld(world), 0);
}

static void end(struct world *world)
{
    struct engine *engine = world->engine;

    assert_true(world_free(world));
    engine_destroy(&engine);
}

static void expect_tried(struct world *world, unsigned number)
{
    for (unsigned i = 0; i < 2000 && world_pending(world, ids[number], 0)->attempts == 0; i++)
        turns(world, 1);
    expect_row(number, world_pending(world, ids[number], 0)->attempts == 1);
}

TEST(domains_wait_in_line_and_all_get_their_turn)
{
    struct world world;

    start(&world);
    world_answer_lookups(&world);
    for (unsigned i = 0; i < DOMAINS; i++)
        expect_tried(&world, i);
    end(&world);
}

TEST(domains_whose_mail_is_gone_give_their_turn_on)
{
    struct world world;

    start(&world);
    for (unsigned i = LOOKUPS_MAX; i < LAST; i++)
        assert_true(delivery_cancel(world.delivery, world.shard, world_pending(&world, ids[i], 0),
                                    "operator"));
    turns(&world, 20);
    assert_int_equal(unheld(&world), 0);
    world_answer_lookups(&world);
    for (unsigned i = LAST; i < DOMAINS; i++)
        expect_tried(&world, i);
    end(&world);
}

TEST(domains_keep_their_turns_when_settings_change)
{
    struct world world;

    start(&world);
    delivery_configure(world.delivery, &world.settings);
    turns(&world, 100);
    assert_int_equal(lookups(&world), LOOKUPS_MAX);
    assert_int_equal(unheld(&world), 0);
    world_answer_lookups(&world);
    for (unsigned i = 0; i < DOMAINS; i++)
        expect_tried(&world, i);
    end(&world);
}

static void submit_to(struct world *world, const char *to)
{
    struct world_message message = {.from = "", .to = to, .content = "x"};

    (void)world_submit(world, &message);
    turns(world, 100);
}

/* What is known of a domain stays known over settings that do not concern it. */
TEST(domain_is_looked_up_again_only_by_other_rules_for_that)
{
    struct engine_settings settings = {0};
    struct world world;

    world_init(&world, engine_create(&settings), NULL);
    world.port = 1; /* nobody listens there */
    world_start(&world);
    world.lookups_wait = true;
    submit_to(&world, "a@one.example");
    assert_int_equal(lookups(&world), 1);
    world_answer_lookups(&world);
    turns(&world, 100);
    assert_int_equal(lookups(&world), 0);
    world.lookups_wait = true;

    struct delivery_settings limits = world.settings;
    limits.connections_max++;
    limits.notice_wait_s++;
    delivery_configure(world.delivery, &limits);
    submit_to(&world, "b@one.example");
    assert_int_equal(lookups(&world), 0);

    struct delivery_settings rules = limits;
    rules.mx.use_ipv6 = !rules.mx.use_ipv6;
    delivery_configure(world.delivery, &rules);
    submit_to(&world, "c@one.example");
    assert_int_equal(lookups(&world), 1);
    world_answer_lookups(&world);
    turns(&world, 100);
    end(&world);
}
