/* modules: client line */
/* test_outcomes.c - the rules that a reload gives on, and when there is room for all who wait. */
#include "delivery/outcome/outcomes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "delivery/line/state.h"
#include "delivery/outcome/state.h"
#include "support/chat.c"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum {
    ROOM = 10,
    GATHERINGS_MAX = 64, /* gathering.c */
};

static void start(struct world *world)
{
    struct engine_settings settings = {0};

    world_init(world, engine_create(&settings), NULL);
    world->port = 1; /* nobody listens there */
    assert_true(world_mx(world, BYTES("gone.example nxdomain")));
    world_start(world);
}

static void end(struct world *world)
{
    struct engine *engine = world->engine;

    assert_true(world_free(world));
    engine_destroy(&engine);
}

TEST(a_reload_gives_its_retry_rules_to_the_outcomes)
{
    struct world world;
    struct delivery_settings again;
    struct retry_rule rule = {
        .match = "*", .first_s = 77, .factor = 2, .max_s = 14400, .max_age_s = 259200};

    start(&world);
    assert_int_equal(outcomes_retry_rule(world.delivery->outcomes, BYTES("gone.example"))->first_s,
                     300);
    again = world.settings;
    again.retries = &rule;
    delivery_configure(world.delivery, &again);
    assert_int_equal(outcomes_retry_rule(world.delivery->outcomes, BYTES("gone.example"))->first_s,
                     77);
    end(&world);
}

TEST(there_is_ample_room_only_up_to_half_of_it)
{
    struct world world;

    start(&world);
    struct outcomes *outcomes = world.delivery->outcomes;

    world.outcome_room = 0;
    assert_false(outcomes_have_ample_room(outcomes));
    world.outcome_room = ROOM;
    assert_true(outcomes_have_ample_room(outcomes));
    outcomes_count_in(outcomes, ROOM / 2);
    assert_true(outcomes_have_ample_room(outcomes));
    outcomes_count_in(outcomes, 1);
    assert_false(outcomes_have_ample_room(outcomes));
    assert_true(outcomes_may_begin(outcomes)); /* for one, but not for all */
    outcomes_count_out(outcomes, ROOM / 2 + 1);
    assert_true(outcomes_have_ample_room(outcomes));
    end(&world);
}

/* What cannot be loaded settles nothing that would wake those who found no room: half of it free
 * does, and not the next look a second later, since this clock stands still. */
TEST(bounces_beyond_what_may_be_loaded_at_once_go_on_in_the_same_moment)
{
    struct world world;
    struct world_message mail = {.from = "", .to = "a@gone.example", .content = "x"};

    start(&world);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world.load_error = EAGAIN;
    world.load_errors_stay = true;
    for (unsigned i = 0; i < 2 * CLEARINGS_FULL; i++)
        world_submit(&world, &mail);
    for (unsigned i = 0; i < 200; i++)
        engine_turn(world.engine, 0);
    assert_false(delivery_is_starved(world.delivery)); /* all were tried, and put off */
    end(&world);
}

/* Takes connections, since the kernel does, and says nothing on them. */
static int listen_silently(uint16_t *port_out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port_out = ntohs(address.sin_port);
    return fd;
}

/* They wait for siblings that a silent host holds up. */
TEST(failures_of_a_bounded_number_of_messages_wait)
{
    struct world world;
    struct world_message mail = {.from = "a@send.example",
                                 .to = "b@gone.example,c@silent.example",
                                 .content = "x"};
    struct engine_settings settings = {0};

    world_init(&world, engine_create(&settings), NULL);
    int fd = listen_silently(&world.port);
    world.settings.notice_wait_s = 3600;
    assert_true(world_mx(&world, BYTES("gone.example nxdomain")));
    world_start(&world);
    for (unsigned i = 0; i < GATHERINGS_MAX + 10; i++)
        world_submit(&world, &mail);
    for (unsigned i = 0; i < 200; i++)
        engine_turn(world.engine, 0);
    assert_int_equal(world.delivery->outcomes->gathering_count, GATHERINGS_MAX);
    /* The oldest of them were told of alone. */
    assert_int_equal(world_unfinished(&world), 2 * (GATHERINGS_MAX + 10) - 10);
    end(&world);
    close(fd);
}
