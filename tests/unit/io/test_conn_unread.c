/* test_conn_unread.c - what was sent and nobody has read; on the fake and on the real engine. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "io/conn.h"
#include "support/unit.h"

#ifndef REAL_ENGINE
#include "support/engine_fake.h"
#define SEEDS 80
#else
#define SEEDS 4
#endif

/* A connection, and somebody who looks at it at a moment that has nothing to do with it. */
struct looked_at {
    struct engine *engine;
    struct conn conn;
    struct op look;
    bool has_looked, is_over;
    unsigned told;
    int peer_fd, bell[2];
};

static void on_wake(struct conn *conn, enum conn_wake reason)
{
    struct looked_at *l = container_of(conn, struct looked_at, conn);

    l->is_over = reason == CONN_CLOSED;
    l->told += reason == CONN_DATA;
}

static void look(struct op *op, int result, uint32_t flags)
{
    struct looked_at *l = container_of(op, struct looked_at, look);

    (void)flags;
    assert_true(result > 0);
    l->has_looked = true;
    if (conn_input(&l->conn).len > 0)
        return;
    assert_true(conn_has_unread(&l->conn));
    assert_true(conn_waits_for_unread(&l->conn));
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    close(listening);
}

/* Bytes of the peer come now, in the middle of a turn. */
static void arrive(const struct looked_at *l)
{
    struct pollfd one = {.fd = l->conn.fd, .events = POLLIN};

    assert_int_equal(write(l->peer_fd, "early", 5), 5);
    assert_int_equal(poll(&one, 1, 5000), 1);
}

static void look_before_and_behind(struct op *op, int result, uint32_t flags)
{
    struct looked_at *l = container_of(op, struct looked_at, look);

    (void)flags;
    assert_true(result > 0);
    l->has_looked = true;
    assert_false(conn_has_unread(&l->conn));
    arrive(l);
    assert_true(conn_has_unread(&l->conn));
    assert_true(conn_waits_for_unread(&l->conn));
}

static void begin(struct looked_at *l, uint64_t seed, op_done *look_done)
{
    const struct conn_settings careful = {.is_careful = true};
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 16, .buffer_size = 4096};
    int fds[2];

#ifndef REAL_ENGINE
    fake_seed(seed);
#endif
    *l = (struct looked_at){.engine = engine_create(&settings)};
    assert_non_null(l->engine);
    tcp_pair(fds);
    l->peer_fd = fds[1];
    assert_int_equal(pipe2(l->bell, O_CLOEXEC), 0);
    conn_accept(&l->conn, l->engine, fds[0], on_wake, seed % 2 != 0 ? &careful : NULL);
    op_init(&l->look, look_done);
    engine_poll(l->engine, &l->look, l->bell[0], POLLIN);
}

static void turns(const struct looked_at *l, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        engine_turn(l->engine, 0);
}

static void wait_for_input(const struct looked_at *l)
{
    while (!l->has_looked || conn_input(&l->conn).len < 5)
        engine_turn(l->engine, 1);
    turns(l, 30);
    assert_false(conn_has_unread(&l->conn));
    assert_true(l->told > 0);
}

static void end(struct looked_at *l)
{
    conn_close(&l->conn);
    while (!l->is_over)
        engine_turn(l->engine, 1);
    close(l->peer_fd);
    close(l->bell[0]);
    close(l->bell[1]);
    engine_destroy(&l->engine);
}

/* Be it with the kernel or in a completion that comes behind the one that has somebody look. */
TEST(what_was_sent_is_seen_wherever_it_lies)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct looked_at l;

        begin(&l, seed, look);
        turns(&l, 10);
        assert_int_equal(engine_unread(l.engine, &l.conn.receive), ENGINE_UNREAD_NONE);
        assert_false(conn_has_unread(&l.conn));
        assert_false(conn_waits_for_unread(&l.conn));
        assert_int_equal(write(l.bell[1], "!", 1), 1);
        assert_int_equal(write(l.peer_fd, "early", 5), 5);
        wait_for_input(&l);
        end(&l);
    }
}

TEST(what_comes_in_the_middle_of_a_turn_is_seen)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct looked_at l;

        begin(&l, seed, look_before_and_behind);
        turns(&l, 10);
        assert_int_equal(write(l.bell[1], "!", 1), 1);
        wait_for_input(&l);
        end(&l);
    }
}

/* The kernel was not given it yet. */
TEST(what_comes_before_the_receive_has_begun_is_seen)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct looked_at l;

        begin(&l, seed, look);
        arrive(&l);
        assert_true(conn_has_unread(&l.conn));
        assert_true(conn_waits_for_unread(&l.conn));
        assert_int_equal(write(l.bell[1], "!", 1), 1);
        wait_for_input(&l);
        end(&l);
    }
}

/* Its last completion may wait behind the one that has somebody look. */
TEST(what_comes_behind_a_cancelled_receive_is_seen)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct looked_at l;

        begin(&l, seed, look_before_and_behind);
        turns(&l, 10);
        assert_int_equal(write(l.bell[1], "!", 1), 1);
        conn_pause(&l.conn);
        while (!l.has_looked)
            engine_turn(l.engine, 1);
        conn_resume(&l.conn);
        wait_for_input(&l);
        end(&l);
    }
}
