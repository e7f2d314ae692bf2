/* test_session.c - the driver, with a protocol of single bytes: turns, budgets, ends. */
#include "support/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "support/engine_fake.h"

/* One source a test. */
#include "support/toy_service.c"

enum { CLIENTS = 2 };

struct fixture {
    struct engine *engine;
    struct toy_service toy;
    _Atomic int load;
    struct toy_session *sessions[CLIENTS];
    int fds[CLIENTS]; /* the clients' ends */
    char output[CLIENTS][4096];
    size_t output_len[CLIENTS];
};

static void setup(struct fixture *f)
{
    struct engine_settings settings = {.buffer_count = 16};
    struct service_limits limits = {.sessions_max = 10};
    struct address nobody = {0};

    *f = (struct fixture){0};
    f->engine = engine_create(&settings);
    assert_non_null(f->engine);
    fake_calm(f->engine);
    toy_init(&f->toy, f->engine, &f->load, &limits);
    for (unsigned i = 0; i < CLIENTS; i++) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        f->fds[i] = fds[0];
        f->sessions[i] = toy_accept(&f->toy, fds[1], &nobody);
    }
}

static void turn(struct fixture *f)
{
    engine_turn(f->engine, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (f->fds[i] < 0)
            continue;
        ssize_t got = recv(f->fds[i], f->output[i] + f->output_len[i],
                           sizeof(f->output[i]) - f->output_len[i] - 1, MSG_DONTWAIT);
        if (got > 0)
            f->output_len[i] += (size_t)got;
    }
}

static void turns(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        turn(f);
}

static void say(struct fixture *f, unsigned client, const char *text)
{
    assert_int_equal(send(f->fds[client], text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void teardown(struct fixture *f)
{
    service_abort(&f->toy.service);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (f->fds[i] >= 0)
            close(f->fds[i]);
    turns(f, 20);
    assert_int_equal(f->load, 0);
    assert_int_equal(f->toy.closed_count, CLIENTS);
    assert_int_equal(f->toy.ended_count, CLIENTS);
    service_end(&f->toy.service);
    engine_destroy(&f->engine);
}

/* Into the first turns of its long work. */
static void begin_work(struct fixture *f)
{
    say(f, 0, "w");
    turns(f, 5);
    assert_int_equal(f->sessions[0]->session.state, TOY_WORK);
}

TEST(step_of_a_thousand_turns_lets_others_go_on)
{
    struct fixture f;
    unsigned answered = 0;
    unsigned count = 0;

    setup(&f);
    say(&f, 0, "w");
    while (f.output_len[0] == 0) {
        uint64_t before = f.sessions[0]->steps;

        if (count % 10 == 0)
            say(&f, 1, "e");
        turn(&f);
        /* One step a turn; the first two and the last two meet. */
        assert_true(f.sessions[0]->steps - before <= 3);
        assert_true(++count < 1200);
        if (f.output_len[0] == 0)
            answered = (unsigned)f.output_len[1];
    }
    assert_true(count >= 1000);
    assert_true(answered >= 98); /* long before the work was done */
    assert_string_equal(f.output[0], "w");
    teardown(&f);
}

/* A turn that has LATER to do does not wait for anything. */
TEST(later_does_not_wait)
{
    struct fixture f;

    setup(&f);
    say(&f, 0, "w");
    turns(&f, 5);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t before = f.sessions[0]->steps;

        engine_turn(f.engine, -1); /* for ever, if there is nothing to do */
        assert_int_equal(f.sessions[0]->steps - before, 1);
    }
    teardown(&f);
}

/* Nothing but the next turn leads on: input that arrives meanwhile does not. */
TEST(wakes_do_not_run_what_goes_on_later)
{
    struct fixture f;

    setup(&f);
    begin_work(&f);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t before = f.sessions[0]->steps;

        say(&f, 0, "e");
        session_run(&f.sessions[0]->session); /* as a service does that has an answer */
        turn(&f);
        assert_int_equal(f.sessions[0]->steps - before, 1);
    }
    teardown(&f);
}

TEST(turn_has_a_budget_of_steps)
{
    struct fixture f;
    char many[201];

    setup(&f);
    memset(many, 'e', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    turns(&f, 2);
    say(&f, 0, many);
    unsigned count = 0;
    while (f.output_len[0] < sizeof(many) - 1) {
        uint64_t before = f.sessions[0]->steps;

        say(&f, 1, "e");
        turn(&f);
        assert_true(f.sessions[0]->steps - before <= TOY_STEPS_MAX);
        assert_true(++count < 100);
    }
    assert_true(count >= 20);
    assert_true(f.output_len[1] >= count - 3);
    teardown(&f);
}

TEST(session_aborted_in_later_is_freed_once)
{
    struct fixture f;

    setup(&f);
    begin_work(&f);
    session_abort(&f.sessions[0]->session);
    session_abort(&f.sessions[0]->session);
    /* It may be freed at the end of this very turn: nothing of it may wait for the next one's. */
    assert_false(list_is_linked(&f.sessions[0]->session.later_end.node));
    turns(&f, 20);
    assert_int_equal(f.toy.closed_count, 1);
    assert_int_equal(f.toy.ended_count, 1);
    assert_int_equal(f.load, 1);
    teardown(&f);
}

TEST(session_finished_in_later_takes_no_step_any_more)
{
    struct fixture f;

    setup(&f);
    begin_work(&f);
    session_finish(&f.sessions[0]->session);
    uint64_t before = f.sessions[0]->steps;
    turns(&f, 10); /* it waits for the client's end */
    assert_int_equal(f.toy.closed_count, 0);
    assert_int_equal(f.sessions[0]->steps, before);
    close(f.fds[0]);
    f.fds[0] = -1;
    turns(&f, 10);
    assert_int_equal(f.toy.closed_count, 1);
    teardown(&f);
}

TEST(connection_that_breaks_in_later_ends_the_work)
{
    struct fixture f;

    setup(&f);
    turns(&f, 2);
    say(&f, 0, "w");
    turns(&f, 5);
    fake_fail(f.engine, FAKE_RECEIVE, 1, ECONNRESET);
    say(&f, 0, "e");
    turns(&f, 20);
    assert_int_equal(f.toy.closed_count, 1);
    fake_clear_faults(f.engine);
    teardown(&f);
}

/* LATER is no progress: all turns of one work have one deadline. */
TEST(deadline_fires_in_later)
{
    struct fixture f;

    setup(&f);
    f.toy.work_turns = UINT64_MAX;
    begin_work(&f);
    for (unsigned i = 0; i < TOY_DEADLINE_S - 1; i++) {
        fake_advance_ms(f.engine, 1000);
        turns(&f, 3);
        say(&f, 1, "e"); /* the other one's is renewed */
    }
    assert_int_equal(f.output_len[0], 0);
    fake_advance_ms(f.engine, 1000);
    turns(&f, 5);
    assert_string_equal(f.output[0], "T");
    assert_int_equal(f.toy.ended_count, 1);
    close(f.fds[0]);
    f.fds[0] = -1;
    turns(&f, 10);
    assert_int_equal(f.toy.closed_count, 1);
    teardown(&f);
}

/* A protocol may answer a deadline by going on: it is armed again, LATER goes on. */
TEST(deadline_that_ends_nothing_is_armed_again)
{
    struct fixture f;

    setup(&f);
    f.toy.ends_are_refused = true;
    f.toy.work_turns = UINT64_MAX;
    begin_work(&f);
    fake_advance_ms(f.engine, TOY_DEADLINE_S * 1000);
    turns(&f, 5);
    assert_int_equal(f.toy.ended_count, 0);
    uint64_t before = f.sessions[0]->steps;
    turns(&f, 5);
    assert_int_equal(f.sessions[0]->steps - before, 5);
    f.toy.ends_are_refused = false;
    fake_advance_ms(f.engine, TOY_DEADLINE_S * 1000);
    turns(&f, 5);
    assert_int_equal(f.toy.ended_count, CLIENTS);
    assert_string_equal(f.output[0], "T");
    teardown(&f);
}

TEST(stop_in_later_waits_for_the_boundary)
{
    struct fixture f;

    setup(&f);
    f.toy.work_turns = 50;
    begin_work(&f);
    say(&f, 0, "ee"); /* behind the boundary: not taken any more */
    toy_stop(&f.toy, 60000);
    turns(&f, 10);
    assert_string_equal(f.output[1], "S"); /* the idle one at once */
    assert_int_equal(f.output_len[0], 0);
    turns(&f, 60);
    assert_string_equal(f.output[0], "wS");
    assert_int_equal(f.toy.stopped_count, 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(f.fds[i]);
    f.fds[0] = f.fds[1] = -1;
    turns(&f, 10);
    assert_int_equal(f.toy.stopped_count, 1);
    teardown(&f);
}

TEST(stop_deadline_ends_what_is_in_later)
{
    struct fixture f;

    setup(&f);
    f.toy.work_turns = UINT64_MAX;
    f.toy.is_busy = true;
    begin_work(&f);
    toy_stop(&f.toy, 5000);
    turns(&f, 10);
    fake_advance_ms(f.engine, 4999);
    turns(&f, 10);
    assert_int_equal(f.toy.closed_count, 0);
    fake_advance_ms(f.engine, 1);
    turns(&f, 10);
    assert_int_equal(f.toy.closed_count, CLIENTS);
    assert_int_equal(f.output_len[0], 0);
    assert_int_equal(f.toy.stopped_count, 0); /* something else is under way */
    f.toy.is_busy = false;
    service_look_if_stopped(&f.toy.service);
    service_look_if_stopped(&f.toy.service);
    turns(&f, 2);
    assert_int_equal(f.toy.stopped_count, 1);
    teardown(&f);
}

static void configure_second(struct fixture *f, uint64_t memory_max)
{
    struct service_limits limits = {.sessions_max = 10, .memory_max = memory_max};

    service_configure(&f->toy.service, &limits, &f->toy.generations[1].generation);
}

TEST(sessions_keep_the_settings_they_began_under)
{
    struct fixture f;
    struct address nobody = {0};
    int fds[2];

    setup(&f);
    configure_second(&f, 0);
    assert_ptr_equal(f.sessions[0]->session.generation, &f.toy.generations[0].generation);
    say(&f, 0, "q");
    close(f.fds[1]);
    f.fds[1] = -1;
    turns(&f, 10);
    assert_int_equal(f.toy.generations[0].unused_count, 0); /* one drains still */
    close(f.fds[0]);
    f.fds[0] = -1;
    turns(&f, 10);
    assert_int_equal(f.toy.generations[0].unused_count, 1);
    assert_int_equal(f.toy.closed_count, CLIENTS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    f.toy.closed_count = f.toy.ended_count = CLIENTS - 1; /* one more is to come */
    const struct toy_session *session = toy_accept(&f.toy, fds[1], &nobody);
    assert_ptr_equal(session->session.generation, &f.toy.generations[1].generation);
    close(fds[0]);
    teardown(&f);
    assert_int_equal(f.toy.generations[1].unused_count, 1);
}

/* Two looks, which pressure takes: what each service's greediest hold, then who is to go. */
static void look_twice(struct fixture *f)
{
    turns(f, 5);
    fake_advance_ms(f->engine, 20);
    turns(f, 5);
}

TEST(pressure_ends_the_greediest_alone)
{
    struct fixture f;
    enum { EXCESS = 1 << 20 };

    setup(&f);
    turns(&f, 2);
    f.sessions[0]->held = 10 * RELIEF_MEMORY_MIN;
    f.sessions[1]->held = 3 * RELIEF_MEMORY_MIN;
    uint64_t used = (uint64_t)budget_used();
    configure_second(&f, used + EXCESS);
    turns(&f, 5);
    assert_int_equal(f.toy.ended_count, 0);
    assert_true(!pressure_is_high(&f.toy.service.pressure));
    budget_add(EXCESS);
    assert_true(pressure_is_high(&f.toy.service.pressure));
    budget_add(EXCESS);
    look_twice(&f);
    assert_int_equal(f.toy.ended_count, 1);
    assert_string_equal(f.output[0], "M");
    assert_int_equal(f.output_len[1], 0);
    budget_add(-2 * EXCESS);
    teardown(&f);
}

/* Those of the other one hold little, whatever is gained by each. */
TEST(pressure_ends_the_greediest_of_all_services)
{
    struct fixture f, other = {0};
    struct service_limits limits = {.sessions_max = 10};
    struct address nobody = {0};
    int fds[2];

    setup(&f);
    other = (struct fixture){.engine = f.engine};
    toy_init(&other.toy, f.engine, &other.load, &limits);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct toy_session *greedy = toy_accept(&other.toy, fds[1], &nobody);
    turns(&f, 2);
    f.sessions[0]->held = f.sessions[1]->held = 3 * RELIEF_MEMORY_MIN;
    greedy->held = 100 * RELIEF_MEMORY_MIN;
    uint64_t used = (uint64_t)budget_used();
    configure_second(&f, used);
    configure_second(&other, used);
    budget_add(100 * RELIEF_MEMORY_MIN);
    look_twice(&f);
    assert_int_equal(f.toy.ended_count, 0);
    assert_int_equal(other.toy.ended_count, 1);
    budget_add(-100 * RELIEF_MEMORY_MIN);
    /* What it held is nobody's any more. */
    turns(&f, 5);
    f.toy.service.pressure.memory_max = (uint64_t)budget_used();
    budget_add(RELIEF_MEMORY_MIN);
    fake_advance_ms(f.engine, 20);
    look_twice(&f);
    assert_int_equal(f.toy.ended_count, 1);
    budget_add(-RELIEF_MEMORY_MIN);
    service_abort(&other.toy.service);
    close(fds[0]);
    turns(&f, 20);
    service_end(&other.toy.service);
    teardown(&f);
}

TEST(pressure_ends_no_more_than_it_takes)
{
    struct fixture f;
    enum { EXCESS = 2 * RELIEF_MEMORY_MIN };

    setup(&f);
    turns(&f, 2);
    f.sessions[0]->held = f.sessions[1]->held = 10 * RELIEF_MEMORY_MIN;
    configure_second(&f, (uint64_t)budget_used());
    budget_add(EXCESS);
    look_twice(&f);
    assert_int_equal(f.toy.ended_count, 1); /* it holds more than that */
    budget_add(-EXCESS);
    teardown(&f);
}

/* Nobody takes what it would be told: its memory is given back at once. */
TEST(shed_session_that_does_not_read_is_closed_at_once)
{
    struct fixture f;

    setup(&f);
    turns(&f, 2);
    assert_true(conn_write(&f.sessions[0]->session.conn, BYTES("x")));
    session_shed(&f.sessions[0]->session);
    session_shed(&f.sessions[1]->session);
    turns(&f, 10);
    assert_int_equal(f.toy.closed_count, 1);
    assert_int_equal(f.output_len[0], 0);
    assert_string_equal(f.output[1], "M"); /* and drains */
    teardown(&f);
}
