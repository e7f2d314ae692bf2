/* test_deflate.c - compression of a connection, alone and above TLS. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/budget.h"
#include "base/random.h"
#include "io/conn.h"
#include "io/conn_layer.h"
#include "io/deflate.h"
#include "io/tls.h"
#include "support/engine_fake.h"
#include "support/tls_peer.c"
#include "support/unit.h"

enum { SEEDS = 24, WAKES = CONN_CLOSED + 1, PLAIN_MAX = 32 << 20 };

/* Our side: what it gets, it says again, once it was told "COMPRESS" and compresses. */
struct side {
    struct conn conn;
    unsigned wakes[WAKES];
    bool waits; /* leaves input unread */
    bool echoes, rests;
    size_t most_unread;
    struct buf got;
};

/* The client: what it says, compressed, and what it is told. */
struct peer {
    int fd;
    z_stream in, out;
    struct buf wire;
    struct buf plain;
    size_t raw_len; /* that came */
};

static struct engine *engine;

static void setup(uint64_t seed)
{
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 8, .buffer_size = 4096};

    fake_seed(seed);
    engine = engine_create(&settings);
    assert_non_null(engine);
    fake_clock_runs(engine, true);
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        engine_turn(engine, 0);
}

static void take_input(struct side *side)
{
    struct conn *conn = &side->conn;
    struct bytes input = conn_input(conn);

    side->most_unread = MAX(side->most_unread, input.len);
    if (side->waits || input.len == 0)
        return;
    if (!conn_is_deflated(conn)) {
        if (!bytes_equal(input, BYTES("COMPRESS")))
            return;
        conn_consume(conn, input.len);
        struct conn_layer *layer = deflate_layer();

        assert_true(conn_write(conn, BYTES("OK")));
        assert_true(conn_stack(conn, layer));
        return;
    }
    assert_true(buf_append(&side->got, input));
    if (side->echoes)
        assert_true(conn_write(conn, input));
    conn_consume(conn, input.len);
    if (side->rests)
        deflate_rest(conn);
}

static void side_wake(struct conn *conn, enum conn_wake reason)
{
    struct side *side = container_of(conn, struct side, conn);

    side->wakes[reason]++;
    if (reason == CONN_DATA || reason == CONN_DRAINED)
        take_input(side);
    if (reason == CONN_EOF)
        conn_finish(conn);
}

static void open_side(struct side *side, int fd, const struct conn_settings *settings)
{
    *side = (struct side){.echoes = true};
    buf_init(&side->got, PLAIN_MAX);
    conn_accept(&side->conn, engine, fd, side_wake, settings);
}

static void close_side(struct side *side, int fd)
{
    if (fd >= 0)
        close(fd);
    for (unsigned i = 0; i < 200000 && side->wakes[CONN_CLOSED] == 0; i++)
        turns(1);
    assert_int_equal(side->wakes[CONN_CLOSED], 1);
    buf_free(&side->got);
}

static void peer_open(struct peer *peer, int fd)
{
    *peer = (struct peer){.fd = fd};
    assert_int_equal(inflateInit2(&peer->in, -15), Z_OK);
    assert_int_equal(deflateInit2(&peer->out, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    buf_init(&peer->wire, PLAIN_MAX);
    buf_init(&peer->plain, PLAIN_MAX);
}

static void peer_close(struct peer *peer)
{
    (void)inflateEnd(&peer->in);
    (void)deflateEnd(&peer->out);
    buf_free(&peer->wire);
    buf_free(&peer->plain);
}

static void peer_say(struct peer *peer, struct bytes text, int flush)
{
    size_t len = text.len + 1024;
    uint8_t *to = buf_reserve(&peer->wire, len);

    assert_non_null(to);
    peer->out.next_in = (Bytef *)(uintptr_t)text.ptr;
    peer->out.avail_in = (uInt)text.len;
    peer->out.next_out = to;
    peer->out.avail_out = (uInt)len;
    (void)deflate(&peer->out, flush);
    assert_int_equal(peer->out.avail_in, 0);
    buf_extend(&peer->wire, len - peer->out.avail_out);
}

static void peer_hear(struct peer *peer, struct bytes raw)
{
    int result = Z_OK;

    peer->raw_len += raw.len;
    peer->in.next_in = (Bytef *)(uintptr_t)raw.ptr;
    peer->in.avail_in = (uInt)raw.len;
    do {
        uint8_t piece[4096];

        peer->in.next_out = piece;
        peer->in.avail_out = sizeof(piece);
        result = inflate(&peer->in, Z_SYNC_FLUSH);
        assert_true(result == Z_OK || result == Z_BUF_ERROR);
        assert_true(
            buf_append(&peer->plain, bytes_range(piece, sizeof(piece) - peer->in.avail_out)));
    } while (peer->in.avail_out == 0);
}

static void push(struct peer *peer, size_t cut)
{
    struct bytes wire = bytes_slice(buf_bytes(&peer->wire), 0, cut);
    ssize_t sent = send(peer->fd, wire.ptr, wire.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent > 0)
        buf_consume(&peer->wire, (size_t)sent);
}

static size_t receive(int fd, uint8_t *into, size_t size)
{
    ssize_t got = recv(fd, into, size, MSG_DONTWAIT);

    return got > 0 ? (size_t)got : 0;
}

static void pull(struct peer *peer, size_t cut)
{
    uint8_t raw[65536];
    size_t got = receive(peer->fd, raw, MIN(cut, sizeof(raw)));

    if (got > 0)
        peer_hear(peer, bytes_range(raw, got));
}

static void begin(struct side *side, struct peer *peer, const struct conn_settings *settings)
{
    int fds[2];
    char answer[3];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_side(side, fds[0], settings);
    peer_open(peer, fds[1]);
    assert_int_equal(send(fds[1], "COMPRESS", 8, MSG_NOSIGNAL), 8);
    for (unsigned i = 0; i < 1000 && !conn_is_deflated(&side->conn); i++)
        turns(1);
    turns(20);
    assert_int_equal(recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT), 2);
    assert_memory_equal(answer, "OK", 2); /* as it is */
}

static void make_text(struct buf *text, size_t len, uint64_t seed)
{
    random_seed(seed);
    while (buf_len(text) < len)
        assert_true(buf_printf(text, "* %u FETCH (FLAGS (\\Seen) UID %u)\r\n",
                               (unsigned)random_below(1000), (unsigned)random_below(1u << 30)));
}

TEST(pieces_cut_at_every_byte_say_what_they_would_whole)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        size_t cut = seed <= 6 ? 1 : seed * 5;
        int64_t before = budget_used();
        struct buf text;
        struct side side;
        struct peer peer;

        setup(seed);
        buf_init(&text, PLAIN_MAX);
        make_text(&text, seed <= 6 ? 3000 : 40000, seed);
        begin(&side, &peer, NULL);
        side.rests = seed % 2 == 0;
        for (size_t at = 0; at < buf_len(&text); at += 1000) {
            struct bytes said = bytes_slice(buf_bytes(&text), at, 1000);

            peer_say(&peer, said, Z_SYNC_FLUSH);
            /* It is answered before more is said: nothing is kept back. */
            for (unsigned i = 0; i < 40000 && buf_len(&peer.plain) < at + said.len; i++) {
                push(&peer, cut);
                turns(1);
                pull(&peer, cut);
            }
            assert_int_equal(buf_len(&peer.plain), at + said.len);
        }
        assert_true(bytes_equal(buf_bytes(&peer.plain), buf_bytes(&text)));
        assert_true(bytes_equal(buf_bytes(&side.got), buf_bytes(&text)));
        if (seed > 6 && !side.rests) {
            assert_true(peer.raw_len < buf_len(&text) / 2);
            assert_true(budget_used() - before <= DEFLATE_BYTES_MAX);
        }
        close_side(&side, peer.fd);
        peer_close(&peer);
        buf_free(&text);
        engine_destroy(&engine);
        assert_int_equal(budget_used(), before);
    }
}

TEST(rest_gives_memory_back_and_the_peer_reads_on)
{
    struct side side;
    struct peer peer;

    setup(1);
    int64_t before = budget_used();
    begin(&side, &peer, NULL);
    for (unsigned round = 1; round <= 5; round++) {
        peer_say(&peer, BYTES("again and again and again"), Z_SYNC_FLUSH);
        for (unsigned i = 0; i < 1000 && buf_len(&peer.plain) < round * 25; i++) {
            push(&peer, 100);
            turns(1);
            pull(&peer, 100);
        }
        assert_int_equal(buf_len(&peer.plain), round * 25);
        int64_t awake = budget_used() - before;

        deflate_rest(&side.conn);
        assert_true(awake - (budget_used() - before) > 60 * 1024);
        assert_true(budget_used() - before < 48 * 1024);
    }
    close_side(&side, peer.fd);
    peer_close(&peer);
    engine_destroy(&engine);
}

/* 8 MiB of nothing, in some 8 KiB. */
TEST(what_inflates_without_end_waits_for_its_reader)
{
    static const struct conn_settings settings[] = {
        {.input_max = 20000},
        {.input_max = 20000, .is_careful = true},
    };
    size_t len = 8 << 20;
    uint8_t *zeros = calloc(1, len);

    assert_non_null(zeros);
    for (size_t k = 0; k < ARRAY_LEN(settings); k++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            struct side side;
            struct peer peer;

            setup(seed);
            int64_t before = budget_used();
            begin(&side, &peer, &settings[k]);
            side.echoes = false;
            side.waits = true;
            peer_say(&peer, bytes_range(zeros, len), Z_SYNC_FLUSH);
            peer_say(&peer, BYTES("the end"), Z_SYNC_FLUSH);
            for (unsigned i = 0; i < 4000; i++) {
                push(&peer, 65536);
                turns(1);
            }
            assert_int_equal(buf_len(&peer.wire), 0);
            shutdown(peer.fd, SHUT_WR); /* which is not told before what is held */
            turns(100);
            assert_int_equal(side.wakes[CONN_EOF], 0);
            assert_int_equal(side.most_unread, 20000);
            assert_true(budget_used() - before < 2 * DEFLATE_BYTES_MAX);
            side.waits = false;
            take_input(&side);
            for (unsigned i = 0; i < 100000 && side.wakes[CONN_EOF] == 0; i++)
                turns(1);
            assert_int_equal(buf_len(&side.got), len + 7);
            assert_true(bytes_equal(bytes_slice(buf_bytes(&side.got), len, 7), BYTES("the end")));
            assert_true(side.most_unread <= 20000);
            close_side(&side, peer.fd);
            peer_close(&peer);
            engine_destroy(&engine);
        }
    free(zeros);
}

TEST(paused_owner_finds_what_was_held)
{
    static const struct conn_settings settings = {.input_max = 4096};
    struct side side;
    struct peer peer;
    struct buf text;

    setup(3);
    buf_init(&text, PLAIN_MAX);
    make_text(&text, 100000, 3);
    begin(&side, &peer, &settings);
    side.echoes = false;
    peer_say(&peer, buf_bytes(&text), Z_SYNC_FLUSH);
    for (unsigned round = 0; round < 2000 && buf_len(&side.got) < buf_len(&text); round++) {
        conn_pause(&side.conn);
        side.waits = true;
        push(&peer, 65536);
        turns(3);
        take_input(&side);
        side.waits = false;
        take_input(&side);
        turns(3);
        conn_resume(&side.conn);
        turns(3);
    }
    assert_true(bytes_equal(buf_bytes(&side.got), buf_bytes(&text)));
    buf_free(&text);
    close_side(&side, peer.fd);
    peer_close(&peer);
    engine_destroy(&engine);
}

TEST(what_is_no_deflate_ends_the_connection)
{
    static const char *const wrongs[] = {"\x07", "a NOOP\r\n a NOOP\r\n", "\xff\xff\xff\xff"};

    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct side side;
        struct peer peer;

        setup(i + 1);
        begin(&side, &peer, NULL);
        assert_true(buf_append(&peer.wire, bytes_of(wrongs[i])));
        for (unsigned k = 0; k < 1000 && side.wakes[CONN_ERROR] == 0; k++) {
            push(&peer, 1);
            turns(1);
        }
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_int_equal(side.conn.error, -EPROTO);
        close_side(&side, peer.fd);
        peer_close(&peer);
        engine_destroy(&engine);
    }
}

TEST(last_block_is_the_end_of_input)
{
    struct side side;
    struct peer peer;

    setup(1);
    begin(&side, &peer, NULL);
    peer_say(&peer, BYTES("LOGOUT"), Z_FINISH);
    assert_true(buf_append(&peer.wire, BYTES("and what is not to be read")));
    for (unsigned k = 0; k < 1000 && side.wakes[CONN_EOF] == 0; k++) {
        push(&peer, 3);
        turns(1);
    }
    assert_int_equal(side.wakes[CONN_EOF], 1);
    assert_true(bytes_equal(buf_bytes(&side.got), BYTES("LOGOUT")));
    close_side(&side, peer.fd);
    peer_close(&peer);
    engine_destroy(&engine);
}

TEST(unread_input_refuses_the_layer)
{
    struct side side;
    struct conn_layer *layer;
    int fds[2];

    setup(1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_side(&side, fds[0], NULL);
    side.waits = true;
    assert_int_equal(send(fds[1], "more", 4, MSG_NOSIGNAL), 4);
    turns(50);
    layer = deflate_layer();
    assert_false(conn_stack(&side.conn, layer));
    deflate_layer_free(&layer);
    assert_false(conn_is_deflated(&side.conn));
    close_side(&side, fds[1]);
    engine_destroy(&engine);
}

/* Nothing of it can be said in less. */
TEST(as_much_as_an_owner_may_say_at_once_goes_out)
{
    const struct conn_settings settings = {.output_max = CONN_LAYER_OUTPUT_MAX};
    struct buf said;
    struct side side;
    struct peer peer;

    setup(1);
    begin(&side, &peer, &settings);
    buf_init(&said, CONN_LAYER_OUTPUT_MAX);
    random_seed(1);
    while (buf_room(&said) > 0)
        assert_true(buf_append_byte(&said, (uint8_t)random_below(256)));
    assert_true(conn_write(&side.conn, buf_bytes(&said)));
    for (unsigned i = 0; i < 20000 && buf_len(&peer.plain) < buf_len(&said); i++) {
        turns(1);
        pull(&peer, 65536);
    }
    assert_true(bytes_equal(buf_bytes(&peer.plain), buf_bytes(&said)));
    assert_int_equal(side.wakes[CONN_ERROR], 0);
    close_side(&side, peer.fd);
    peer_close(&peer);
    buf_free(&said);
    engine_destroy(&engine);
}

/* --- above TLS -------------------------------------------------------------------------------- */

static void exchange_by_tls(struct tls_peer *tls, struct peer *peer, struct buf *plain, size_t cut)
{
    struct bytes wire = bytes_slice(buf_bytes(&tls->wire), 0, cut);
    ssize_t sent = send(peer->fd, wire.ptr, wire.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    uint8_t raw[65536];

    if (sent > 0)
        buf_consume(&tls->wire, (size_t)sent);
    turns(1);
    size_t got = receive(peer->fd, raw, MIN(cut, sizeof(raw)));

    if (got > 0)
        tls_peer_feed(tls, bytes_range(raw, got), plain);
}

TEST(tls_lies_under_it)
{
    struct tls_certificate *certificate = tls_test_certificate("mx.example");
    struct tls_context *context = tls_server_context(&certificate, 1, NULL);

    tls_certificate_release(&certificate);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        size_t cut = seed <= 4 ? 1 : seed * 31;
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        struct tls_peer tls;
        struct peer peer;
        struct buf plain, text;
        struct side side;
        struct tls_facts facts;
        int fds[2];

        setup(seed);
        int64_t before = budget_used();
        buf_init(&plain, PLAIN_MAX);
        buf_init(&text, PLAIN_MAX);
        make_text(&text, 5000, seed);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        open_side(&side, fds[0], NULL);
        assert_true(conn_secure(&side.conn, tls_server_layer(context)));
        peer_open(&peer, fds[1]);
        tls_peer_begin(&tls, ctx, NULL, "mx.example");
        for (unsigned i = 0; i < 100000 && !tls.is_secured; i++)
            exchange_by_tls(&tls, &peer, &plain, cut);
        assert_true(tls.is_secured);
        tls_peer_write(&tls, BYTES("COMPRESS"));
        for (unsigned i = 0; i < 100000 && buf_len(&plain) < 2; i++)
            exchange_by_tls(&tls, &peer, &plain, cut);
        assert_true(bytes_equal(buf_bytes(&plain), BYTES("OK")));
        buf_clear(&plain);
        assert_true(conn_is_under_tls(&side.conn));
        assert_true(conn_tls_facts(&side.conn, &facts) && !facts.is_compressed);
        peer_say(&peer, buf_bytes(&text), Z_SYNC_FLUSH);
        tls_peer_write(&tls, buf_bytes(&peer.wire));
        for (unsigned i = 0; i < 200000 && buf_len(&peer.plain) < buf_len(&text); i++) {
            exchange_by_tls(&tls, &peer, &plain, cut);
            peer_hear(&peer, buf_bytes(&plain));
            buf_clear(&plain);
        }
        assert_true(bytes_equal(buf_bytes(&peer.plain), buf_bytes(&text)));
        conn_finish(&side.conn); /* and TLS says that it is the end */
        for (unsigned i = 0; i < 200000 && !tls.is_ended; i++)
            exchange_by_tls(&tls, &peer, &plain, cut);
        assert_true(tls.is_ended);
        tls_peer_free(&tls);
        close_side(&side, fds[1]);
        peer_close(&peer);
        buf_free(&plain);
        buf_free(&text);
        SSL_CTX_free(ctx);
        engine_destroy(&engine);
        assert_int_equal(budget_used(), before);
    }
    tls_context_release(&context);
}
