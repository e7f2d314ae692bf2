/* test_service.c - who is admitted, and what the listener is told of it. */
#include "support/unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/engine_fake.h"

/* One source a test. */
#include "support/toy_service.c"

struct fixture {
    struct engine *engine;
    struct toy_service toy;
    _Atomic int load;
};

static void setup(struct fixture *f, const struct service_limits *limits)
{
    struct engine_settings settings = {.buffer_count = 16};

    *f = (struct fixture){.load = 7}; /* another service's */
    f->engine = engine_create(&settings);
    assert_non_null(f->engine);
    fake_calm(f->engine);
    toy_init(&f->toy, f->engine, &f->load, limits);
}

static void turns(struct fixture *f)
{
    for (unsigned i = 0; i < 20; i++)
        engine_turn(f->engine, 0);
}

static void teardown(struct fixture *f)
{
    service_abort(&f->toy.service);
    turns(f);
    assert_int_equal(f->load, 7);
    service_end(&f->toy.service);
    engine_destroy(&f->engine);
}

/* The client's end; whether it was admitted. */
static int come(struct fixture *f, const char *from, bool *is_admitted_out)
{
    struct address client;
    int fds[2];

    assert_true(address_parse(bytes_of(from), 0, &client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *is_admitted_out = toy_accept(&f->toy, fds[1], &client) != NULL;
    return fds[0];
}

static void expect_turned_away(int fd)
{
    char answer[8];

    assert_int_equal(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), 1);
    assert_int_equal(answer[0], 'F');
    close(fd);
}

TEST(total_is_bounded_and_refused_ones_are_not_counted)
{
    struct service_limits limits = {.sessions_max = 2};
    struct fixture f;
    bool is_admitted;

    setup(&f, &limits);
    int one = come(&f, "192.0.2.1", &is_admitted);
    assert_true(is_admitted);
    int two = come(&f, "192.0.2.2", &is_admitted);
    assert_true(is_admitted);
    assert_int_equal(f.load, 9);
    int three = come(&f, "192.0.2.3", &is_admitted);
    assert_false(is_admitted);
    assert_int_equal(f.load, 9);
    turns(&f);
    expect_turned_away(three);
    /* It had entered as a client, and left again. */
    struct address client;
    assert_true(address_parse(BYTES("192.0.2.3"), 0, &client));
    struct admission_key key = admission_key_of(&client);
    assert_int_equal(admission_count(&key), 0);
    close(one);
    close(two);
    teardown(&f);
}

/* limits.sessions counts submission and inbound in one. */
TEST(total_of_all_services_is_bounded)
{
    struct service_limits limits = {.sessions_max = 10, .sessions_total_max = 2};
    struct fixture one, other;
    bool is_admitted;

    setup(&one, &limits);
    setup(&other, &limits);
    int first = come(&one, "192.0.2.1", &is_admitted);
    assert_true(is_admitted);
    int second = come(&other, "192.0.2.2", &is_admitted);
    assert_true(is_admitted);
    assert_int_equal(admission_total(), 2);
    int third = come(&one, "192.0.2.3", &is_admitted);
    assert_false(is_admitted);
    turns(&one);
    expect_turned_away(third);
    close(second);
    turns(&other);
    assert_int_equal(admission_total(), 1);
    third = come(&one, "192.0.2.3", &is_admitted);
    assert_true(is_admitted);
    close(first);
    close(third);
    teardown(&other);
    teardown(&one);
    assert_int_equal(admission_total(), 0);
}

TEST(sessions_of_a_client_are_bounded)
{
    struct service_limits limits = {.sessions_max = 10, .sessions_per_client_max = 1};
    struct fixture f;
    bool is_admitted;

    setup(&f, &limits);
    int one = come(&f, "2001:db8::1", &is_admitted);
    assert_true(is_admitted);
    int neighbour = come(&f, "2001:db8::2", &is_admitted); /* of the same network */
    assert_false(is_admitted);
    assert_int_equal(f.load, 8);
    turns(&f);
    expect_turned_away(neighbour);
    int other = come(&f, "2001:db8:0:1::1", &is_admitted);
    assert_true(is_admitted);
    close(one);
    turns(&f);
    int again = come(&f, "2001:db8::2", &is_admitted);
    assert_true(is_admitted);
    close(other);
    close(again);
    teardown(&f);
}

TEST(nobody_is_admitted_to_a_service_that_stops)
{
    struct service_limits limits = {.sessions_max = 10};
    struct fixture f;
    bool is_admitted;

    setup(&f, &limits);
    toy_stop(&f.toy, 1000);
    turns(&f);
    assert_int_equal(f.toy.stopped_count, 1);
    int late = come(&f, "192.0.2.1", &is_admitted);
    assert_false(is_admitted);
    assert_int_equal(f.load, 7);
    turns(&f);
    expect_turned_away(late);
    teardown(&f);
    assert_int_equal(f.toy.stopped_count, 1);
}

/* It holds a descriptor and memory until nothing of it is in flight. */
TEST(closing_session_is_counted_until_it_is_gone)
{
    struct service_limits limits = {.sessions_max = 10};
    struct fixture f;
    bool is_admitted;

    setup(&f, &limits);
    int one = come(&f, "192.0.2.1", &is_admitted);
    assert_true(is_admitted);
    assert_int_equal(send(one, "q", 1, 0), 1);
    turns(&f);
    assert_int_equal(f.toy.ended_count, 1);
    assert_int_equal(f.load, 8);
    close(one);
    turns(&f);
    assert_int_equal(f.load, 7);
    teardown(&f);
}
