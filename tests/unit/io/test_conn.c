/* test_conn.c - connections over TCP and socketpairs; run on the fake and on the real engine. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/random.h"
#include "io/conn.h"
#include "support/unit.h"
#include "unit/io/known_stream.h"

/* The including file says whether it is the real engine. */
#ifndef REAL_ENGINE
#include "support/engine_fake.h"
#define SEEDS 40
#else
#define SEEDS 2
#endif

enum { WAKES = CONN_CLOSED + 1 };

/* One side under test. */
struct side {
    struct conn conn;
    unsigned wakes[WAKES];
    void (*on_wake)(struct side *side, enum conn_wake reason);
    uint8_t *received;
    size_t received_len;
    struct known_stream stream; /* written by writer() */
    bool is_over;
};

static struct engine *engine;

static void setup(uint64_t seed, unsigned buffer_count)
{
    struct engine_settings settings = {.ring_entries = 64,
                                       .buffer_count = buffer_count,
                                       .buffer_size = 4096};

#ifndef REAL_ENGINE
    fake_seed(seed);
#else
    (void)seed;
#endif
    engine = engine_create(&settings);
    assert_non_null(engine);
}

static void teardown(void)
{
    engine_destroy(&engine);
}

static void run_until(bool (*condition)(void *context), void *context)
{
    for (unsigned i = 0; i < 20000 && !condition(context); i++)
        engine_turn(engine, 1);
    assert_true(condition(context));
}

static bool is_over(void *context)
{
    return ((struct side *)context)->is_over;
}

static bool has_eof(void *context)
{
    return ((struct side *)context)->wakes[CONN_EOF] > 0;
}

static bool has_data(void *context)
{
    return conn_input(&((struct side *)context)->conn).len > 0;
}

static bool has_timeout(void *context)
{
    return ((struct side *)context)->wakes[CONN_TIMEOUT] > 0;
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        engine_turn(engine, 0);
}

static void side_wake(struct conn *conn, enum conn_wake reason)
{
    struct side *side = container_of(conn, struct side, conn);

    assert_false(side->is_over);
    side->wakes[reason]++;
    if (reason == CONN_CLOSED)
        side->is_over = true;
    else if (side->on_wake != NULL)
        side->on_wake(side, reason);
}

/* Two ends of one TCP connection over loopback; both blocking. */
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

static void pair_of(int fds[2])
{
#ifdef REAL_ENGINE
    /* Not AF_UNIX: see engine_receive(). */
    tcp_pair(fds);
#else
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
#endif
}

static void writer(struct side *side, enum conn_wake reason)
{
    if (reason == CONN_DRAINED || reason == CONN_CONNECTED)
        known_stream_write(&side->stream, &side->conn);
}

/* Takes the known stream until its end, then closes. */
static void reader(struct side *side, enum conn_wake reason)
{
    if (reason == CONN_DATA) {
        struct bytes input = conn_input(&side->conn);

        for (size_t i = 0; i < input.len; i++)
            assert_int_equal(input.ptr[i], known_octet(side->received_len + i));
        side->received_len += input.len;
        conn_consume(&side->conn, input.len);
    } else if (reason == CONN_EOF) {
        conn_close(&side->conn);
    }
}

static void echo(struct side *side, enum conn_wake reason)
{
    struct bytes input = conn_input(&side->conn);
    size_t len = MIN(input.len, conn_output_room(&side->conn));

    if (reason == CONN_EOF && input.len == 0) {
        conn_finish(&side->conn);
    } else if (len > 0) {
        assert_true(conn_write(&side->conn, bytes_slice(input, 0, len)));
        conn_consume(&side->conn, len);
    }
}

static void accept_side(struct side *side, int fd, const struct conn_settings *settings,
                        void (*on_wake)(struct side *side, enum conn_wake reason))
{
    *side = (struct side){.on_wake = on_wake};
    conn_accept(&side->conn, engine, fd, side_wake, settings);
    for (unsigned i = 0; i < WAKES; i++)
        assert_int_equal(side->wakes[i], 0); /* not before the loop runs */
}

TEST(echo_over_tcp_returns_what_was_sent)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        char answer[64];
        int fds[2];

        setup(seed, 16);
        tcp_pair(fds);
        accept_side(&side, fds[0], NULL, echo);
        assert_int_equal(side.conn.peer.any.sa_family, AF_INET);
        assert_int_equal(side.conn.local.any.sa_family, AF_INET);
        assert_int_equal(write(fds[1], "EHLO x\r\n", 8), 8);
        for (unsigned i = 0; i < 1000; i++) {
            engine_turn(engine, 1);
            if (recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT | MSG_PEEK) == 8)
                break;
        }
        assert_int_equal(read(fds[1], answer, sizeof(answer)), 8);
        assert_memory_equal(answer, "EHLO x\r\n", 8);
        shutdown(fds[1], SHUT_WR);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_CLOSED], 1);
        assert_int_equal(read(fds[1], answer, sizeof(answer)), 0);
        close(fds[1]);
        teardown();
    }
}

static bool peer_may_have_all(void *context)
{
    return conn_peer_may_have_all(&((struct side *)context)->conn);
}

/* Asks, and asks again behind each whole answer; nothing that was answered is unconfirmed then. */
static void ask_again(struct side *side, enum conn_wake reason)
{
    struct bytes input = conn_input(&side->conn);

    if (reason != CONN_DATA || input.len < side->stream.written)
        return;
    assert_true(conn_peer_may_have_all(&side->conn));
    conn_consume(&side->conn, input.len);
    if (side->stream.to_write-- == 0) {
        conn_finish(&side->conn);
        return;
    }
    side->stream.written = side->stream.written * 3 % 9973;
    for (size_t i = 0; i < side->stream.written; i++)
        assert_true(conn_write(&side->conn, BYTES("x")));
    assert_false(conn_peer_may_have_all(&side->conn));
}

TEST(an_answer_confirms_what_it_answers)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side asking, answering;
        int fds[2];

        setup(seed, 16);
        tcp_pair(fds);
        accept_side(&answering, fds[0], NULL, echo);
        accept_side(&asking, fds[1], NULL, ask_again);
        asking.stream.to_write = 50;
        asking.stream.written = 1;
        assert_true(conn_write(&asking.conn, BYTES("x")));
        run_until(is_over, &asking);
        assert_int_equal(asking.stream.to_write, (size_t)-1);
        run_until(is_over, &answering);
        teardown();
    }
}

TEST(what_the_peer_has_no_room_for_is_not_confirmed)
{
    enum { LEN = 100 * 1024 };
    static uint8_t zeros[LEN];
    struct side side;
    int fds[2], small = 4096;

    setup(1, 16);
    tcp_pair(fds);
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    accept_side(&side, fds[0], NULL, NULL);
    assert_true(conn_peer_may_have_all(&side.conn));
    assert_true(conn_write(&side.conn, (struct bytes){zeros, LEN}));
    assert_false(conn_peer_may_have_all(&side.conn));
    turns(2000);
    assert_int_equal(conn_output_len(&side.conn), 0); /* all of it is the kernel's */
    assert_false(conn_peer_may_have_all(&side.conn));
    assert_false(conn_peer_may_have(&side.conn, LEN));
    assert_false(conn_peer_may_have(&side.conn, LEN - 1));
    assert_true(conn_peer_may_have(&side.conn, 1)); /* TCP has taken it, though nobody read it */
    for (size_t left = LEN; left > 0;)
        left -= (size_t)read(fds[1], zeros, left);
    run_until(peer_may_have_all, &side);
    conn_close(&side.conn);
    run_until(is_over, &side);
    close(fds[1]);
    teardown();
}

TEST(megabytes_reach_a_slow_reader_in_order)
{
    enum { TOTAL = 3 * 1024 * 1024 };

    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct side from, to;
        int fds[2];

        setup(seed, 8); /* few buffers: -ENOBUFS on both engines */
        tcp_pair(fds);
        accept_side(&from, fds[0], &(struct conn_settings){.output_max = 20000}, writer);
        accept_side(&to, fds[1], &(struct conn_settings){.input_max = 8192}, reader);
        from.stream.to_write = TOTAL;
        known_stream_write(&from.stream, &from.conn);
        assert_true(conn_output_len(&from.conn) <= 20000);
        run_until(is_over, &to);
        run_until(is_over, &from);
        assert_int_equal(to.received_len, TOTAL);
        assert_int_equal(from.wakes[CONN_CLOSED], 1);
        assert_int_equal(to.wakes[CONN_ERROR], 0);
        teardown();
    }
}

TEST(writes_of_one_turn_leave_in_one_send)
{
    struct side side;
    char answer[64];
    int fds[2];

    setup(1, 16);
#ifndef REAL_ENGINE
    fake_calm(engine);
#endif
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    accept_side(&side, fds[0], NULL, NULL);
    assert_true(conn_write(&side.conn, BYTES("250-")));
    assert_true(conn_printf(&side.conn, "%s\r\n", "ok"));
    turns(3);
    assert_int_equal(recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT), 8);
    conn_close(&side.conn);
    run_until(is_over, &side);
    close(fds[1]);
    teardown();
}

static struct buf buffer_of(const char *text)
{
    struct buf buf;

    buf_init(&buf, 1000);
    assert_true(buf_append(&buf, bytes_of(text)));
    return buf;
}

TEST(a_buffer_is_taken_over_or_copied_behind_what_was_written)
{
    struct side side;
    char answer[64];
    int fds[2];

    setup(1, 16);
#ifndef REAL_ENGINE
    fake_calm(engine);
#endif
    pair_of(fds);
    accept_side(&side, fds[0], &(struct conn_settings){.output_max = 20}, NULL);
    struct buf first = buffer_of("0123456789"), second = buffer_of("abcdef");
    struct buf third = buffer_of("xyzxyz");
    const uint8_t *memory = first.ptr;

    assert_true(conn_write_buf(&side.conn, &first));
    assert_ptr_equal(side.conn.filling.ptr, memory);
    assert_int_equal(side.conn.counted, side.conn.filling.capacity);
    assert_true(conn_write_buf(&side.conn, &second));
    assert_null(second.ptr);
    assert_false(conn_write_buf(&side.conn, &third)); /* past the cap */
    assert_int_equal(buf_len(&third), 6);
    turns(3);
    assert_int_equal(recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT), 16);
    assert_memory_equal(answer, "0123456789abcdef", 16);
    conn_close(&side.conn);
    assert_false(conn_write_buf(&side.conn, &third));
    buf_free(&third);
    run_until(is_over, &side);
    close(fds[1]);
    teardown();
}

TEST(write_past_the_cap_appends_nothing)
{
    struct side side;
    int fds[2];

    setup(1, 16);
    pair_of(fds);
    accept_side(&side, fds[0], &(struct conn_settings){.output_max = 10}, NULL);
    assert_true(conn_write(&side.conn, BYTES("12345678")));
    assert_false(conn_write(&side.conn, BYTES("123")));
    assert_false(conn_printf(&side.conn, "%s", "123"));
    assert_int_equal(conn_output_len(&side.conn), 8);
    assert_int_equal(conn_output_room(&side.conn), 2);
    conn_close(&side.conn);
    assert_false(conn_write(&side.conn, BYTES("1")));
    assert_int_equal(conn_output_room(&side.conn), 0);
    run_until(is_over, &side);
    close(fds[1]);
    teardown();
}

/* As much as it takes. */
static void write_all(struct side *side)
{
    while (conn_write(&side->conn, BYTES("250 2.0.0 as you wish\r\n")))
        ;
}

static size_t fill(int fd)
{
    char junk[4096] = {0};
    size_t total = 0;
    ssize_t len;

    while ((len = send(fd, junk, sizeof(junk), MSG_DONTWAIT)) > 0)
        total += (size_t)len;
    return total;
}

TEST(unread_input_stops_the_receive_and_consuming_resumes_it)
{
    enum { INPUT_MAX = 8192 };

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        size_t sent = 0, received = 0;
        int fds[2];

        setup(seed, 8);
        pair_of(fds);
        accept_side(&side, fds[0], &(struct conn_settings){.input_max = INPUT_MAX}, NULL);
        for (unsigned i = 0; i < 50; i++) {
            sent += fill(fds[1]);
            turns(1);
            assert_true(conn_input(&side.conn).len < INPUT_MAX + engine_buffers_size(engine));
        }
        assert_true(conn_input(&side.conn).len >= INPUT_MAX);
        assert_true(side.conn.receive_stopped);
        size_t stopped_at = conn_input(&side.conn).len;

        turns(50);
        assert_int_equal(conn_input(&side.conn).len, stopped_at);
        shutdown(fds[1], SHUT_WR);
        for (unsigned i = 0; i < 100000 && received < sent; i++) {
            size_t len = conn_input(&side.conn).len;

            conn_consume(&side.conn, len);
            received += len;
            engine_turn(engine, 0);
        }
        assert_int_equal(received, sent);
        run_until(has_eof, &side);
        conn_close(&side.conn);
        run_until(is_over, &side);
        close(fds[1]);
        teardown();
    }
}

/* Strangers that send and never read, all at once: nothing may come that was not asked for, and the
 * sum is what they are promised together. */
TEST(careful_connections_never_hold_more_than_their_input_max)
{
    enum { MANY = 40, INPUT_MAX = 6000, OUTPUT_MAX = 3000 };
    static const struct conn_settings settings = {.input_max = INPUT_MAX,
                                                  .output_max = OUTPUT_MAX,
                                                  .is_careful = true};

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side *sides = calloc(MANY, sizeof(*sides));
        int fds[MANY][2];
        int64_t before = budget_used();

        setup(seed, 64);
        for (size_t i = 0; i < MANY; i++) {
            pair_of(fds[i]);
            accept_side(&sides[i], fds[i][0], &settings, NULL);
            write_all(&sides[i]);
        }
        for (unsigned turn = 0; turn < 60; turn++) {
            size_t sum = 0;

            for (size_t i = 0; i < MANY; i++) {
                (void)fill(fds[i][1]);
                assert_true(conn_input(&sides[i].conn).len <= INPUT_MAX);
                sum += conn_memory(&sides[i].conn);
            }
            assert_int_equal(budget_used() - before, (int64_t)sum);
            assert_true(sum <= (size_t)MANY * (INPUT_MAX + 2 * OUTPUT_MAX));
            turns(1);
        }
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(conn_input(&sides[i].conn).len, INPUT_MAX);
            conn_consume(&sides[i].conn, INPUT_MAX); /* and more comes */
            run_until(has_data, &sides[i]);
            conn_close(&sides[i].conn);
            run_until(is_over, &sides[i]);
            close(fds[i][1]);
        }
        assert_int_equal(budget_used(), before);
        free(sides);
        teardown();
    }
}

TEST(pause_holds_input_back_until_resume)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        int fds[2];

        setup(seed, 8);
        pair_of(fds);
        accept_side(&side, fds[0], NULL, NULL);
        assert_int_equal(write(fds[1], "one", 3), 3);
        run_until(has_data, &side);
        while (conn_input(&side.conn).len < 3)
            turns(1);
        conn_consume(&side.conn, 3);
        conn_pause(&side.conn);
        side.wakes[CONN_DATA] = 0;
        assert_int_equal(write(fds[1], "two", 3), 3);
        close(fds[1]);
        turns(50);
        assert_int_equal(side.wakes[CONN_DATA], 0);
        assert_int_equal(side.wakes[CONN_EOF], 0);
        conn_resume(&side.conn);
        conn_pause(&side.conn);
        conn_resume(&side.conn);
        run_until(has_eof, &side);
        assert_true(side.wakes[CONN_DATA] > 0);
        assert_int_equal(conn_input(&side.conn).len, 3);
        assert_memory_equal(conn_input(&side.conn).ptr, "two", 3);
        conn_close(&side.conn);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_EOF], 1);
        teardown();
    }
}

TEST(close_with_ops_in_flight_reports_closed_once)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        /* On the heap, freed at once: what completes too late would be seen. */
        struct side *side = malloc(sizeof(*side));
        char junk[2000] = {0};
        int fds[2];

        assert_non_null(side);
        setup(seed, 8);
        pair_of(fds);
        fill(fds[0]); /* the send stays in flight */
        accept_side(side, fds[0], NULL, echo);
        assert_true(conn_write(&side->conn, (struct bytes){(uint8_t *)junk, sizeof(junk)}));
        assert_int_equal(write(fds[1], "late", 4), 4);
        turns(seed % 4);
        conn_close(&side->conn);
        conn_close(&side->conn);
        for (unsigned i = 0; i < WAKES; i++)
            side->wakes[i] = 0;
        run_until(is_over, side);
        for (unsigned i = 0; i < CONN_CLOSED; i++)
            assert_int_equal(side->wakes[i], 0);
        assert_int_equal(side->wakes[CONN_CLOSED], 1);
        free(side);
        turns(20);
        close(fds[1]);
        teardown();
    }
}

static void close_on_data(struct side *side, enum conn_wake reason)
{
    if (reason == CONN_DATA)
        conn_close(&side->conn);
}

TEST(close_inside_wake_delivers_nothing_else)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        int fds[2];

        setup(seed, 8);
        pair_of(fds);
        fill(fds[1]);
        accept_side(&side, fds[0], NULL, close_on_data);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_DATA], 1);
        assert_int_equal(side.wakes[CONN_CLOSED], 1);
        assert_int_equal(side.wakes[CONN_EOF] + side.wakes[CONN_ERROR], 0);
        close(fds[1]);
        teardown();
    }
}

TEST(half_close_still_lets_the_answer_out)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        char answer[8];
        int fds[2];

        setup(seed, 8);
        tcp_pair(fds);
        accept_side(&side, fds[0], NULL, NULL);
        assert_int_equal(write(fds[1], "QUIT", 4), 4);
        shutdown(fds[1], SHUT_WR);
        run_until(has_eof, &side);
        assert_int_equal(conn_input(&side.conn).len, 4);
        assert_true(conn_is_open(&side.conn));
        assert_true(conn_write(&side.conn, BYTES("221")));
        conn_finish(&side.conn);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_EOF], 1);
        assert_int_equal(read(fds[1], answer, sizeof(answer)), 3);
        assert_int_equal(read(fds[1], answer, sizeof(answer)), 0);
        close(fds[1]);
        teardown();
    }
}

TEST(finish_with_unread_input_does_not_reset_the_last_reply)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        char answer[64];
        int fds[2];

        setup(seed, 8);
        tcp_pair(fds);
        accept_side(&side, fds[0], &(struct conn_settings){.input_max = 1}, NULL);
        assert_int_equal(write(fds[1], "GET / HTTP/1.1\r\n", 16), 16);
        run_until(has_data, &side);
        assert_int_equal(write(fds[1], "Host: x\r\n\r\n", 11), 11);
        assert_true(conn_write(&side.conn, BYTES("554 no\r\n")));
        conn_finish(&side.conn);
        turns(30);
        assert_false(side.is_over); /* waits for the peer's FIN */
        assert_int_equal(read(fds[1], answer, sizeof(answer)), 8);
        assert_int_equal(read(fds[1], answer, sizeof(answer)), 0);
        close(fds[1]);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_ERROR], 0);
        teardown();
    }
}

TEST(reset_by_peer_reports_one_error_and_closes)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct linger now = {.l_onoff = 1};
        struct side side;
        int fds[2];

        setup(seed, 8);
        tcp_pair(fds);
        accept_side(&side, fds[0], NULL, NULL);
        turns(2);
        setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(fds[1]);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_int_equal(side.conn.error, -ECONNRESET);
        assert_int_equal(side.wakes[CONN_CLOSED], 1);
        teardown();
    }
}

TEST(deadline_fires_once_and_not_early)
{
    struct side side;
    int fds[2];

    setup(1, 8);
    pair_of(fds);
    accept_side(&side, fds[0], NULL, NULL);
    int64_t armed_ms = engine_now_ms(engine);

    conn_deadline(&side.conn, 5);
    conn_deadline(&side.conn, 40);
#ifndef REAL_ENGINE
    fake_advance_ms(engine, 39);
    turns(20);
    assert_int_equal(side.wakes[CONN_TIMEOUT], 0);
    fake_advance_ms(engine, 1);
#endif
    run_until(has_timeout, &side);
    assert_true(engine_now_ms(engine) - armed_ms >= 40);
    turns(5);
    assert_int_equal(side.wakes[CONN_TIMEOUT], 1);
    conn_deadline(&side.conn, 10);
    conn_deadline(&side.conn, 0);
#ifndef REAL_ENGINE
    fake_advance_ms(engine, 100);
    turns(5);
#else
    for (unsigned i = 0; i < 30; i++)
        engine_turn(engine, 1);
#endif
    assert_int_equal(side.wakes[CONN_TIMEOUT], 1);
    conn_close(&side.conn);
    run_until(is_over, &side);
    close(fds[1]);
    teardown();
}

static struct address loopback(uint16_t port)
{
    struct address address;

    assert_true(address_parse(BYTES("127.0.0.1"), port, &address));
    return address;
}

/* A port nobody listens on. */
static uint16_t closed_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

TEST(connect_refused_is_an_error_then_closed)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct address peer = loopback(closed_port());
        struct side side = {0};

        setup(seed, 8);
        conn_connect(&side.conn, engine, &peer, NULL, side_wake, NULL);
        assert_int_equal(side.wakes[CONN_ERROR], 0);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_int_equal(side.conn.error, -ECONNREFUSED);
        assert_int_equal(side.wakes[CONN_CONNECTED], 0);
        teardown();
    }
}

TEST(connect_that_cannot_start_fails_later)
{
    struct address peer = loopback(25), source;
    struct side side = {0};

    assert_true(address_parse(BYTES("192.0.2.1"), 0, &source)); /* not ours */
    setup(1, 8);
    conn_connect(&side.conn, engine, &peer, &source, side_wake, NULL);
    assert_int_equal(side.wakes[CONN_ERROR], 0);
    run_until(is_over, &side);
    assert_int_equal(side.wakes[CONN_ERROR], 1);
    assert_int_equal(side.conn.error, -EADDRNOTAVAIL);
    assert_int_equal(side.wakes[CONN_CLOSED], 1);
    teardown();
}

TEST(connect_from_a_source_sends_what_was_written_before)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct address peer = loopback(0), source = loopback(0);
        struct side side = {0};
        char got[8];
        int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len = sizeof(peer);

        assert_int_equal(bind(listening, &peer.any, address_len(&peer)), 0);
        assert_int_equal(listen(listening, 1), 0);
        assert_int_equal(getsockname(listening, &peer.any, &len), 0);
        setup(seed, 8);
        conn_connect(&side.conn, engine, &peer, &source, side_wake, NULL);
        assert_true(conn_write(&side.conn, BYTES("EHLO")));
        conn_deadline(&side.conn, 30000);
        turns(200);
        assert_int_equal(side.wakes[CONN_CONNECTED], 1);
        assert_true(address_equal(&side.conn.local, &source));
        int accepted = accept(listening, NULL, NULL);

        assert_int_equal(recv(accepted, got, sizeof(got), MSG_WAITALL | MSG_DONTWAIT), 4);
        close(accepted);
        run_until(has_eof, &side);
        conn_finish(&side.conn);
        run_until(is_over, &side);
        close(listening);
        teardown();
    }
}

TEST(close_while_connecting_reports_closed_only)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        /* A full backlog leaves connects unanswered. */
        struct address peer = loopback(0);
        struct side sides[6] = {0};
        int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len = sizeof(peer);

        assert_int_equal(bind(listening, &peer.any, address_len(&peer)), 0);
        assert_int_equal(listen(listening, 0), 0);
        assert_int_equal(getsockname(listening, &peer.any, &len), 0);
        setup(seed, 8);
        for (size_t i = 0; i < ARRAY_LEN(sides); i++)
            conn_connect(&sides[i].conn, engine, &peer, NULL, side_wake, NULL);
        turns(10);
        for (size_t i = 0; i < ARRAY_LEN(sides); i++)
            conn_close(&sides[i].conn);
        for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
            run_until(is_over, &sides[i]);
            assert_int_equal(sides[i].wakes[CONN_ERROR], 0);
            assert_int_equal(sides[i].wakes[CONN_CLOSED], 1);
        }
        close(listening);
        teardown();
    }
}

TEST(idle_connection_holds_no_buffers)
{
    struct side side;
    char answer[8];
    int fds[2];

    setup(1, 8);
    pair_of(fds);
    accept_side(&side, fds[0], NULL, echo);
    assert_int_equal(write(fds[1], "NOOP\r\n", 6), 6);
    turns(100);
    assert_int_equal(recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT), 6);
    assert_null(side.conn.input.ptr);
    assert_null(side.conn.filling.ptr);
    assert_null(side.conn.sending.ptr);
    conn_close(&side.conn);
    run_until(is_over, &side);
    close(fds[1]);
    teardown();
}

TEST(finish_is_bounded_when_the_peer_never_reads)
{
#ifndef REAL_ENGINE
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        int fds[2];

        setup(seed, 8);
        pair_of(fds);
        fill(fds[0]);
        accept_side(&side, fds[0], NULL, NULL);
        assert_true(conn_write(&side.conn, BYTES("421 bye\r\n")));
        conn_finish(&side.conn);
        conn_deadline(&side.conn, 1000000); /* does not lengthen it */
        fake_advance_ms(engine, 4999);
        turns(50);
        assert_false(side.is_over);
        fake_advance_ms(engine, 1);
        run_until(is_over, &side);
        assert_int_equal(side.wakes[CONN_TIMEOUT], 0);
        close(fds[1]);
        teardown();
    }
#else
    skip();
#endif
}

/* --- at random ------------------------------------------------------------------------------ */

enum { PAIRS = 6, ACTIONS = 400 };

/* Bytes of a known stream, whatever piece of it arrives. */
static void check_prefix(struct side *side, size_t len)
{
    struct bytes input = conn_input(&side->conn);

    assert_true(len <= input.len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(input.ptr[i], known_octet(side->received_len + i));
    side->received_len += len;
    conn_consume(&side->conn, len);
}

static void write_some(struct side *side, size_t len)
{
    uint8_t chunk[3000];

    check(len <= sizeof(chunk));
    for (size_t i = 0; i < len; i++)
        chunk[i] = known_octet(side->stream.written + i);
    if (conn_write(&side->conn, (struct bytes){chunk, len}))
        side->stream.written += len;
}

static void act(struct side *side)
{
    if (side->is_over)
        return;
    switch (random_below(12)) {
    case 0:
        conn_pause(&side->conn);
        break;
    case 1:
    case 2:
        conn_resume(&side->conn);
        break;
    case 3:
        if (random_below(20) == 0)
            conn_close(&side->conn);
        break;
    case 4:
        if (random_below(20) == 0)
            conn_finish(&side->conn);
        break;
    case 5:
        conn_deadline(&side->conn, (int64_t)random_below(3));
        break;
    case 6:
    case 7:
    case 8:
        write_some(side, random_below(3000));
        break;
    default:
        if (conn_is_open(&side->conn))
            check_prefix(side, random_below(conn_input(&side->conn).len + 1));
        break;
    }
}

static void random_wake(struct side *side, enum conn_wake reason)
{
    assert_true(side->conn.state == CONN_OPEN);
    assert_true(reason != CONN_CONNECTED);
    if (random_below(2) == 0)
        act(side);
}

TEST(random_lives_end_closed_once_with_every_byte_in_order)
{
    for (uint64_t seed = 1; seed <= SEEDS * 5; seed++) {
        struct conn_settings settings = {.input_max = 5000,
                                         .output_max = 9000,
                                         .is_careful = seed % 2 == 0};
        int64_t before = budget_used();
        struct side *sides = calloc(PAIRS * 2, sizeof(*sides));

        random_seed(seed);
        setup(seed, 8);
        for (size_t i = 0; i < PAIRS; i++) {
            int fds[2];

            tcp_pair(fds);
            accept_side(&sides[2 * i], fds[0], &settings, random_wake);
            accept_side(&sides[2 * i + 1], fds[1], &settings, random_wake);
        }
        for (unsigned i = 0; i < ACTIONS; i++) {
            act(&sides[random_below(PAIRS * 2)]);
            if (random_below(3) == 0)
                engine_turn(engine, 0);
        }
        for (size_t i = 0; i < PAIRS * 2; i++) {
            if (!sides[i].is_over)
                conn_close(&sides[i].conn);
        }
        for (size_t i = 0; i < PAIRS * 2; i++) {
            struct side *other = &sides[i ^ 1];

            run_until(is_over, &sides[i]);
            assert_int_equal(sides[i].wakes[CONN_CLOSED], 1);
            assert_true(sides[i].received_len <= other->stream.written);
            assert_true(sides[i].wakes[CONN_ERROR] <= 1);
            assert_true(sides[i].wakes[CONN_EOF] <= 1);
        }
        assert_int_equal(budget_used(), before);
        free(sides);
        teardown();
    }
}

#ifndef REAL_ENGINE
TEST(failing_calls_report_one_error_and_close)
{
    static const struct {
        enum fake_call call;
        int error;
        bool survives;
    } faults[] = {
        {FAKE_SEND, EPIPE, false},        {FAKE_SEND, ENOMEM, false},
        {FAKE_RECEIVE, ETIMEDOUT, false}, {FAKE_RECEIVE, ENOBUFS, true},
        {FAKE_RECEIVE, ECANCELED, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct side side;
        int fds[2];

        setup(i + 1, 8);
        pair_of(fds);
        accept_side(&side, fds[0], NULL, echo);
        fake_fail(engine, faults[i].call, 1, faults[i].error);
        assert_int_equal(write(fds[1], "x", 1), 1);
        turns(100);
        expect_row(i, side.wakes[CONN_ERROR] == !faults[i].survives);
        expect_row(i, side.is_over == !faults[i].survives);
        expect_row(i, faults[i].survives || side.conn.error == -faults[i].error);
        conn_close(&side.conn);
        run_until(is_over, &side);
        expect_row(i, side.wakes[CONN_CLOSED] == 1);
        close(fds[1]);
        teardown();
    }
}
#endif
