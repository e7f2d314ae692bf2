/* test_conn_layer.c - a layer on a connection, and connections that move between engines. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/random.h"
#include "io/conn.h"
#include "support/engine_fake.h"
#include "support/layer_toy.c"
#include "support/unit.h"
#include "unit/io/known_stream.h"

enum { SEEDS = 60, WAKES = CONN_CLOSED + 1, ENGINES = 2 };

struct side {
    struct conn conn;
    unsigned wakes[WAKES];
    void (*on_wake)(struct side *side, enum conn_wake reason);
    struct conn_settings settings;
    bool is_over;
    bool is_freed;              /* its layer */
    struct known_stream stream; /* written by writer() */
    size_t received;
    /* Of one that moves: the engine it is going to, and how often it went. */
    unsigned home, moves;
    bool was_detached;
    struct conn_parcel parcel;
};

static struct engine *engines[ENGINES];

static void setup(uint64_t seed)
{
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 8, .buffer_size = 4096};

    fake_seed(seed);
    for (unsigned i = 0; i < ENGINES; i++) {
        settings.index = i;
        engines[i] = engine_create(&settings);
        assert_non_null(engines[i]);
        fake_clock_runs(engines[i], true);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < ENGINES; i++)
        engine_destroy(&engines[i]);
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        engine_turn(engines[0], 0);
        engine_turn(engines[1], 0);
    }
}

static void run_until_over(struct side *side)
{
    for (unsigned i = 0; i < 200000 && !side->is_over; i++)
        turns(1);
    assert_true(side->is_over);
    assert_int_equal(side->wakes[CONN_CLOSED], 1);
}

static void run_until_woken(struct side *side, enum conn_wake reason)
{
    for (unsigned i = 0; i < 20000 && side->wakes[reason] == 0; i++)
        turns(1);
    assert_int_equal(side->wakes[reason], 1);
}

static void side_wake(struct conn *conn, enum conn_wake reason)
{
    struct side *side = container_of(conn, struct side, conn);

    assert_false(side->is_over);
    side->wakes[reason]++;
    if (reason == CONN_CLOSED)
        side->is_over = true;
    if (reason == CONN_DETACHED) {
        conn_take(conn, &side->parcel);
        side->was_detached = true;
    } else if (side->on_wake != NULL) {
        side->on_wake(side, reason);
    }
}

static void open_side(struct side *side, int fd, const struct conn_settings *settings,
                      void (*on_wake)(struct side *side, enum conn_wake reason))
{
    *side = (struct side){.on_wake = on_wake};
    if (settings != NULL)
        side->settings = *settings;
    conn_accept(&side->conn, engines[0], fd, side_wake, &side->settings);
}

static void secure(struct side *side, bool speaks_first, unsigned turns_owed)
{
    assert_true(
        conn_secure(&side->conn, layer_toy_create(speaks_first, turns_owed, &side->is_freed)));
}

static void pair_of(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void writer(struct side *side, enum conn_wake reason)
{
    if (reason == CONN_DRAINED || reason == CONN_SECURED || reason == CONN_DATA)
        known_stream_write(&side->stream, &side->conn);
}

static void reader(struct side *side, enum conn_wake reason)
{
    if (reason == CONN_DATA) {
        struct bytes input = conn_input(&side->conn);

        for (size_t i = 0; i < input.len; i++)
            assert_int_equal(input.ptr[i], known_octet(side->received + i));
        side->received += input.len;
        conn_consume(&side->conn, input.len);
    } else if (reason == CONN_EOF) {
        conn_finish(&side->conn);
    }
}

/* What the peer, which has no connection of ours, has got so far. */
static size_t receive(int fd, uint8_t *into, size_t size)
{
    ssize_t len = recv(fd, into, size, MSG_DONTWAIT);

    return len > 0 ? (size_t)len : 0;
}

static void expect_frame(int fd, uint8_t tag, struct bytes data)
{
    uint8_t frame[TOY_HEAD + TOY_DATA_MAX], got[sizeof(frame)];
    size_t len = layer_toy_frame(tag, data, frame), have = 0;

    for (unsigned i = 0; i < 2000 && have < len; i++) {
        turns(1);
        have += receive(fd, got + have, len - have);
    }
    assert_int_equal(have, len);
    assert_memory_equal(got, frame, len);
}

static void send_frame(int fd, uint8_t tag, struct bytes data)
{
    uint8_t frame[TOY_HEAD + TOY_DATA_MAX];
    size_t len = layer_toy_frame(tag, data, frame);

    assert_int_equal(write(fd, frame, len), (ssize_t)len);
}

/* --- the layer ------------------------------------------------------------------------------ */

/* Who does not go on before it is read is woken, though the layer makes no input of it. */
TEST(who_waits_for_what_is_unread_is_woken_without_input)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        uint8_t frame[TOY_HEAD + TOY_DATA_MAX];
        size_t len = layer_toy_frame('D', BYTES("hello"), frame);
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        secure(&side, true, 0);
        expect_frame(fds[1], 'H', BYTES_NONE);
        send_frame(fds[1], 'W', BYTES_NONE);
        run_until_woken(&side, CONN_SECURED);
        assert_int_equal(write(fds[1], frame, 2), 2);
        assert_true(conn_waits_for_unread(&side.conn));
        run_until_woken(&side, CONN_DATA);
        assert_int_equal(conn_input(&side.conn).len, 0);
        assert_int_equal(write(fds[1], frame + 2, 2), 2);
        turns(200);
        assert_false(conn_has_unread(&side.conn));
        assert_int_equal(write(fds[1], frame + 4, len - 4), (ssize_t)(len - 4));
        assert_true(conn_waits_for_unread(&side.conn));
        while (conn_input(&side.conn).len < 5)
            turns(1);
        conn_close(&side.conn);
        run_until_over(&side);
        close(fds[1]);
        teardown();
    }
}

TEST(megabyte_passes_through_two_layers_in_order)
{
    enum { TOTAL = 1024 * 1024 };

    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct side from, to;
        int64_t before = budget_used();
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&from, fds[0], &(struct conn_settings){.output_max = 20000}, writer);
        open_side(&to, fds[1],
                  &(struct conn_settings){.input_max = 8192, .is_careful = seed % 2 == 0}, reader);
        secure(&from, true, 0);
        secure(&to, false, (unsigned)seed % 4);
        from.stream.to_write = TOTAL;
        run_until_over(&to);
        run_until_over(&from);
        assert_int_equal(to.received, TOTAL);
        assert_int_equal(from.wakes[CONN_SECURED], 1);
        assert_int_equal(to.wakes[CONN_SECURED], 1);
        assert_int_equal(to.wakes[CONN_EOF], 1);
        assert_int_equal(to.wakes[CONN_ERROR] + from.wakes[CONN_ERROR], 0);
        assert_true(from.is_freed && to.is_freed);
        assert_int_equal(budget_used(), before);
        teardown();
    }
}

TEST(what_was_written_before_the_layer_goes_out_as_it_is)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        uint8_t got[64];
        size_t have = 0;
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        assert_true(conn_write(&side.conn, BYTES("220 ready\r\n")));
        secure(&side, false, 0);
        assert_false(conn_write(&side.conn, BYTES("250 too early\r\n")));
        assert_false(conn_printf(&side.conn, "250 %s", "too early"));
        assert_int_equal(conn_output_room(&side.conn), 0);
        send_frame(fds[1], 'H', BYTES_NONE); /* no sooner than it may */
        for (unsigned i = 0; i < 500 && have < 11; i++) {
            turns(1);
            have += receive(fds[1], got + have, 11 - have);
        }
        assert_memory_equal(got, "220 ready\r\n", 11);
        expect_frame(fds[1], 'W', BYTES_NONE);
        run_until_woken(&side, CONN_SECURED);
        assert_true(conn_write(&side.conn, BYTES("250 ")));
        assert_true(conn_write(&side.conn, BYTES("ok\r\n")));
        expect_frame(fds[1], 'D', BYTES("250 ok\r\n")); /* one frame: sealed once a turn */
        send_frame(fds[1], 'D', BYTES("NOOP\r\n"));
        run_until_woken(&side, CONN_DATA);
        assert_true(bytes_equal(conn_input(&side.conn), BYTES("NOOP\r\n")));
        conn_finish(&side.conn);
        expect_frame(fds[1], 'E', BYTES_NONE);
        close(fds[1]);
        run_until_over(&side);
        teardown();
    }
}

TEST(plain_input_behind_the_request_refuses_the_layer)
{
    struct side side;
    bool is_freed;
    int fds[2];

    setup(1);
    pair_of(fds);
    open_side(&side, fds[0], NULL, NULL);
    assert_int_equal(write(fds[1], "STARTTLS\r\nRSET\r\n", 16), 16);
    run_until_woken(&side, CONN_DATA);
    while (conn_input(&side.conn).len < 16)
        turns(1);
    conn_consume(&side.conn, 10);
    struct conn_layer *layer = layer_toy_create(false, 0, &is_freed);

    assert_false(conn_secure(&side.conn, layer));
    assert_null(side.conn.layer);
    layer->ops->free(&layer);
    conn_close(&side.conn);
    run_until_over(&side);
    close(fds[1]);
    teardown();
}

TEST(layer_that_cannot_go_on_says_so_to_the_peer_and_the_owner)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        secure(&side, false, 0);
        send_frame(fds[1], seed % 2 == 0 ? 'D' : '?', BYTES("GET / HTTP/1.1\r\n"));
        expect_frame(fds[1], 'A', BYTES_NONE);
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_int_equal(side.conn.error, -EPROTO);
        close(fds[1]);
        run_until_over(&side);
        assert_int_equal(side.wakes[CONN_DATA] + side.wakes[CONN_SECURED], 0);
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_true(side.is_freed);
        teardown();
    }
}

static void closer(struct side *side, enum conn_wake reason)
{
    if (reason == CONN_ERROR)
        conn_close(&side->conn);
}

/* What it sealed before stands in `wire`: a send of that, begun behind the close, would hold the
 * connection for as long as the peer does not read. */
TEST(owner_that_closes_when_sealing_fails_is_not_held_by_a_send)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static const uint8_t zeros[1500];
        struct side side;
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, closer);
        secure(&side, false, 0);
        send_frame(fds[1], 'H', BYTES_NONE);
        expect_frame(fds[1], 'W', BYTES_NONE);
        while (send(fds[0], zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
            ;
        side.conn.layer->wire.len_max = TOY_HEAD + TOY_DATA_MAX; /* room for the first of two */
        assert_true(conn_write(&side.conn, (struct bytes){zeros, sizeof(zeros)}));
        run_until_over(&side);
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_true(side.is_freed);
        close(fds[1]);
        teardown();
    }
}

TEST(end_said_by_the_layer_is_the_end_of_input)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        uint8_t rest[64];
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        secure(&side, false, 0);
        send_frame(fds[1], 'H', BYTES_NONE);
        send_frame(fds[1], 'D', BYTES("QUIT\r\n"));
        send_frame(fds[1], 'E', BYTES_NONE);
        send_frame(fds[1], 'D', BYTES("DATA\r\n"));
        run_until_woken(&side, CONN_EOF);
        turns(20);
        assert_true(bytes_equal(conn_input(&side.conn), BYTES("QUIT\r\n")));
        assert_true(conn_write(&side.conn, BYTES("221 bye\r\n")));
        conn_finish(&side.conn);
        expect_frame(fds[1], 'W', BYTES_NONE);
        expect_frame(fds[1], 'D', BYTES("221 bye\r\n"));
        expect_frame(fds[1], 'E', BYTES_NONE);
        run_until_over(&side); /* the peer did not close: it had said that it was done */
        assert_int_equal(side.wakes[CONN_EOF], 1);
        assert_int_equal(receive(fds[1], rest, sizeof(rest)), 0);
        close(fds[1]);
        teardown();
    }
}

TEST(handshake_that_ends_while_paused_is_told_after_the_resume)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        secure(&side, false, 3);
        send_frame(fds[1], 'H', BYTES_NONE);
        for (unsigned i = 0; i < 200 && !((struct layer_toy *)side.conn.layer)->is_greeted; i++)
            turns(1);
        conn_pause(&side.conn);
        turns(50);
        assert_true(side.conn.layer->is_secured);
        assert_int_equal(side.wakes[CONN_SECURED], 0);
        conn_resume(&side.conn);
        run_until_woken(&side, CONN_SECURED);
        conn_close(&side.conn);
        run_until_over(&side);
        close(fds[1]);
        teardown();
    }
}

TEST(turn_that_a_layer_owes_lets_others_go_first)
{
    enum { OWED = 50 };
    struct side slow, quick;
    int fds[2], others[2];

    setup(1);
    fake_calm(engines[0]);
    pair_of(fds);
    pair_of(others);
    open_side(&slow, fds[0], NULL, NULL);
    open_side(&quick, others[0], NULL, NULL);
    secure(&slow, false, OWED);
    secure(&quick, false, 0);
    send_frame(fds[1], 'H', BYTES_NONE);
    turns(5);
    send_frame(others[1], 'H', BYTES_NONE);
    turns(5);
    assert_int_equal(quick.wakes[CONN_SECURED], 1);
    assert_int_equal(slow.wakes[CONN_SECURED], 0);
    turns(OWED);
    assert_int_equal(slow.wakes[CONN_SECURED], 1);
    conn_close(&slow.conn);
    conn_close(&quick.conn);
    run_until_over(&slow);
    run_until_over(&quick);
    close(fds[1]);
    close(others[1]);
    teardown();
}

/* --- deadlines ------------------------------------------------------------------------------ */

/* The owner is freed when the connection is over: a deadline left behind would be found there. */
TEST(deadline_ends_with_the_connection)
{
    struct side *side = calloc(1, sizeof(*side));
    int fds[2];

    assert_non_null(side);
    setup(1);
    fake_clock_runs(engines[0], false);
    pair_of(fds);
    open_side(side, fds[0], NULL, NULL);
    conn_deadline(&side->conn, 1000);
    conn_close(&side->conn);
    run_until_over(side);
    free(side);
    fake_advance_ms(engines[0], 2000);
    turns(3);
    close(fds[1]);
    teardown();
}

/* --- moving --------------------------------------------------------------------------------- */

/* Lets one that is detached go on, on its other engine. */
static void attach_again(struct side *side)
{
    side->was_detached = false;
    side->home ^= 1;
    side->moves++;
    conn_attach(&side->conn, engines[side->home], &side->parcel, side_wake, &side->settings);
    assert_int_equal(side->parcel.fd, -1);
}

static void echo(struct side *side, enum conn_wake reason)
{
    struct bytes input = conn_input(&side->conn);
    size_t len = MIN(input.len, conn_output_room(&side->conn));

    if (len > 0) {
        assert_true(conn_write(&side->conn, bytes_slice(input, 0, len)));
        conn_consume(&side->conn, len);
    }
    if (side->conn.eof && conn_input(&side->conn).len == 0)
        conn_finish(&side->conn);
    (void)reason;
}

/* Writes a known stream and takes it back. */
static void there_and_back(struct side *side, enum conn_wake reason)
{
    reader(side, reason);
    if (side->stream.to_write > 0 && reason != CONN_EOF) {
        size_t room = MIN(MIN(conn_output_room(&side->conn), side->stream.to_write), (size_t)1500);
        uint8_t chunk[1500];

        for (size_t i = 0; i < room; i++)
            chunk[i] = known_octet(side->stream.written + i);
        assert_true(room == 0 || conn_write(&side->conn, (struct bytes){chunk, room}));
        side->stream.written += room;
        side->stream.to_write -= room;
    } else if (side->received == side->stream.written && reason == CONN_DATA) {
        conn_finish(&side->conn);
    }
}

static void move_at_random(struct side *side)
{
    if (side->was_detached)
        attach_again(side);
    else if (!side->is_over && random_below(7) == 0)
        conn_detach(&side->conn);
}

TEST(connection_that_moves_all_the_time_loses_no_byte)
{
    enum { TOTAL = 200000 };

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        int64_t before = budget_used();
        struct side client, server;
        int fds[2];

        random_seed(seed);
        setup(seed);
        pair_of(fds);
        open_side(&client, fds[0], &(struct conn_settings){.output_max = 30000}, there_and_back);
        open_side(&server, fds[1],
                  &(struct conn_settings){.input_max = 5000,
                                          .output_max = 9000,
                                          .is_careful = seed % 3 == 0},
                  echo);
        client.stream.to_write = TOTAL;
        if (seed % 2 == 0) {
            secure(&client, true, 0);
            secure(&server, false, 2);
        } else {
            assert_true(conn_write(&client.conn, (struct bytes){(uint8_t[]){known_octet(0)}, 1}));
            client.stream.written = 1;
            client.stream.to_write--;
        }
        for (unsigned i = 0; i < 200000 && !(client.is_over && server.is_over); i++) {
            turns(1);
            move_at_random(&server);
        }
        assert_true(client.is_over && server.is_over);
        assert_int_equal(client.received, TOTAL);
        assert_int_equal(client.wakes[CONN_ERROR] + server.wakes[CONN_ERROR], 0);
        assert_int_equal(server.wakes[CONN_CLOSED], 1);
        assert_true(server.moves > 2);
        assert_int_equal(server.wakes[CONN_DETACHED], server.moves);
        assert_int_equal(budget_used(), before);
        teardown();
    }
}

TEST(end_and_error_that_come_while_moving_are_told_after)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        int fds[2];

        setup(seed);
        fake_clock_runs(engines[0], false);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        assert_int_equal(write(fds[1], "last", 4), 4);
        close(fds[1]);
        conn_deadline(&side.conn, 1000);
        conn_detach(&side.conn);
        assert_false(conn_is_open(&side.conn));
        assert_false(conn_write(&side.conn, BYTES("x")));
        conn_deadline(&side.conn, 1); /* of no effect: nobody could be told */
        run_until_woken(&side, CONN_DETACHED);
        assert_int_equal(side.wakes[CONN_DATA] + side.wakes[CONN_EOF] + side.wakes[CONN_TIMEOUT],
                         0);
        if (seed % 2 == 0)
            side.parcel.error = -ECONNRESET; /* as a receive under way would have left it */
        attach_again(&side);
        if (seed % 2 == 0) {
            run_until_woken(&side, CONN_ERROR);
            assert_int_equal(side.conn.error, -ECONNRESET);
        } else {
            run_until_woken(&side, CONN_EOF);
            assert_true(bytes_equal(conn_input(&side.conn), BYTES("last")));
            fake_advance_ms(engines[0], 2000); /* of the deadline, which stayed behind */
            turns(3);
            assert_int_equal(side.wakes[CONN_TIMEOUT], 0);
            conn_close(&side.conn);
        }
        run_until_over(&side);
        teardown();
    }
}

TEST(handshake_that_ended_unseen_is_told_after_the_move)
{
    struct side side;
    int fds[2];

    setup(1);
    pair_of(fds);
    open_side(&side, fds[0], NULL, NULL);
    secure(&side, false, 3);
    send_frame(fds[1], 'H', BYTES_NONE);
    for (unsigned i = 0; i < 200 && !((struct layer_toy *)side.conn.layer)->is_greeted; i++)
        turns(1);
    conn_pause(&side.conn);
    turns(50);
    conn_detach(&side.conn);
    run_until_woken(&side, CONN_DETACHED);
    assert_int_equal(side.wakes[CONN_SECURED], 0);
    attach_again(&side);
    run_until_woken(&side, CONN_SECURED);
    conn_close(&side.conn);
    run_until_over(&side);
    close(fds[1]);
    teardown();
}

TEST(failed_receive_while_detaching_is_told_after_the_move)
{
    struct side side;
    int fds[2];

    setup(1);
    fake_calm(engines[0]);
    pair_of(fds);
    open_side(&side, fds[0], NULL, NULL);
    turns(2);
    assert_int_equal(write(fds[1], "x", 1), 1);
    fake_fail(engines[0], FAKE_RECEIVE, 1, ECONNRESET);
    conn_detach(&side.conn);
    run_until_woken(&side, CONN_DETACHED);
    assert_int_equal(side.wakes[CONN_ERROR], 0);
    if (side.parcel.error != 0) { /* the cancel may have won */
        attach_again(&side);
        run_until_woken(&side, CONN_ERROR);
        run_until_over(&side);
    } else {
        conn_parcel_discard(&side.parcel);
    }
    close(fds[1]);
    teardown();
}

TEST(close_and_finish_overtake_a_detach)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        uint8_t got[8];
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_side(&side, fds[0], NULL, NULL);
        assert_true(conn_write(&side.conn, BYTES("221 bye\r\n")));
        turns((unsigned)seed % 3);
        conn_detach(&side.conn);
        if (seed % 2 == 0) {
            conn_close(&side.conn);
        } else {
            conn_finish(&side.conn);
            shutdown(fds[1], SHUT_WR);
        }
        run_until_over(&side);
        assert_int_equal(side.wakes[CONN_DETACHED], 0);
        if (seed % 2 != 0) {
            assert_int_equal(receive(fds[1], got, sizeof(got)), sizeof(got));
            assert_memory_equal(got, "221 bye\r", sizeof(got));
        }
        close(fds[1]);
        teardown();
    }
}

TEST(discarded_parcel_closes_and_gives_everything_back)
{
    struct side side;
    int64_t before = budget_used();
    uint8_t byte;
    int fds[2];

    setup(1);
    pair_of(fds);
    open_side(&side, fds[0], NULL, NULL);
    secure(&side, false, 0);
    send_frame(fds[1], 'H', BYTES_NONE);
    run_until_woken(&side, CONN_SECURED);
    send_frame(fds[1], 'D', BYTES("unread"));
    run_until_woken(&side, CONN_DATA);
    assert_true(conn_write(&side.conn, BYTES("unsent")));
    conn_detach(&side.conn);
    run_until_woken(&side, CONN_DETACHED);
    assert_int_equal(buf_len(&side.parcel.input), 6);
    assert_true(budget_used() > before);
    conn_parcel_discard(&side.parcel);
    conn_parcel_discard(&side.parcel); /* of no effect */
    assert_true(side.is_freed);
    assert_int_equal(budget_used(), before);
    while (recv(fds[1], &byte, 1, 0) == 1)
        ;
    assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
    close(fds[1]);
    teardown();
}
