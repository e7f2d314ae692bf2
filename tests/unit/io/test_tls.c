/* test_tls.c - TLS under a connection: our server against OpenSSL's client, and both of ours. */
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/metric.h"
#include "io/conn.h"
#include "io/conn_layer.h"
#include "io/tls_client.h"
#include "io/tls_tickets.h"
#include "io/turn_budget.h"
#include "support/engine_fake.h"
#include "support/tls_peer.c"
#include "support/unit.h"

enum { SEEDS = 20, WAKES = CONN_CLOSED + 1, ENGINES = 2, PLAIN_MAX = 8 << 20 };

/* Our side. */
struct side {
    struct conn conn;
    unsigned wakes[WAKES];
    bool echoes;
    struct buf got;
    struct conn_parcel parcel;
    char failure[96];
};

static struct engine *engines[ENGINES];
static int64_t clock_ms;

static int64_t now_ms(void)
{
    return clock_ms;
}

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

static void side_wake(struct conn *conn, enum conn_wake reason)
{
    struct side *side = container_of(conn, struct side, conn);

    side->wakes[reason]++;
    if (reason == CONN_DATA) {
        struct bytes input = conn_input(conn);

        assert_true(buf_append(&side->got, input));
        if (side->echoes)
            assert_true(conn_write(conn, input));
        conn_consume(conn, input.len);
    }
    if (reason == CONN_ERROR && conn_tls_failure(conn) != NULL)
        snprintf(side->failure, sizeof(side->failure), "%s", conn_tls_failure(conn));
    if (reason == CONN_EOF)
        conn_finish(conn);
    if (reason == CONN_DETACHED)
        conn_take(conn, &side->parcel);
}

static void open_side(struct side *side, int fd)
{
    *side = (struct side){.echoes = true};
    buf_init(&side->got, PLAIN_MAX);
    conn_accept(&side->conn, engines[0], fd, side_wake, NULL);
}

static void open_server(struct side *side, int fd, struct tls_context *context)
{
    open_side(side, fd);
    assert_true(conn_secure(&side->conn, tls_server_layer(context)));
}

static void run_until_over(struct side *side)
{
    for (unsigned i = 0; i < 200000 && side->wakes[CONN_CLOSED] == 0; i++)
        turns(1);
    assert_int_equal(side->wakes[CONN_CLOSED], 1);
    buf_free(&side->got);
}

static void pair_of(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* At most `len` bytes of what the peer has to say go to the server. */
static void push(struct tls_peer *peer, int fd, size_t len)
{
    struct bytes wire = bytes_slice(buf_bytes(&peer->wire), 0, len);
    ssize_t sent = send(fd, wire.ptr, wire.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent > 0)
        buf_consume(&peer->wire, (size_t)sent);
}

/* And at most so many come back. */
static void pull(struct tls_peer *peer, int fd, size_t len, struct buf *plain)
{
    uint8_t raw[65536];
    ssize_t got = recv(fd, raw, MIN(len, sizeof(raw)), MSG_DONTWAIT);

    if (got > 0)
        tls_peer_feed(peer, bytes_range(raw, (size_t)got), plain);
}

/* Both, in pieces of `cut`, until it has come to something. */
static void shake_hands(struct tls_peer *peer, int fd, size_t cut, struct buf *plain)
{
    for (unsigned i = 0; i < 40000 && !peer->is_secured && !peer->has_failed; i++) {
        push(peer, fd, cut);
        turns(1);
        pull(peer, fd, cut, plain);
    }
}

static void talk(struct tls_peer *peer, int fd, size_t cut, struct buf *plain, size_t until)
{
    for (unsigned i = 0; i < 100000 && (buf_len(plain) < until || buf_len(&peer->wire) > 0); i++) {
        push(peer, fd, cut);
        turns(1);
        pull(peer, fd, cut, plain);
    }
}

static struct tls_context *context_of(const char *host, struct tls_tickets *tickets)
{
    struct tls_certificate *certificate = tls_test_certificate(host);
    struct tls_context *context = tls_server_context(&certificate, 1, tickets);

    assert_non_null(context);
    tls_certificate_release(&certificate);
    return context;
}

static SSL_CTX *client_ctx(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    check(SSL_CTX_set_min_proto_version(ctx, version) == 1);
    check(SSL_CTX_set_max_proto_version(ctx, version) == 1);
    return ctx;
}

/* --- a session ------------------------------------------------------------------------------- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

TEST(records_cut_at_every_byte_say_what_they_would_whole)
{
    struct tls_context *context = context_of("mx.example", NULL);

    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            size_t cut = seed <= 4 ? 1 : seed * 7;
            SSL_CTX *ctx = client_ctx(versions[v]);
            int64_t before = budget_used();
            struct tls_peer peer;
            struct buf plain;
            struct side side;
            int fds[2];

            setup(seed);
            buf_init(&plain, PLAIN_MAX);
            pair_of(fds);
            open_server(&side, fds[0], context);
            tls_peer_begin(&peer, ctx, NULL, "mx.example");
            shake_hands(&peer, fds[1], cut, &plain);
            assert_true(peer.is_secured);
            tls_peer_write(&peer, BYTES("EHLO "));
            tls_peer_write(&peer, BYTES("client.example\r\n"));
            talk(&peer, fds[1], cut, &plain, 21);
            assert_true(bytes_equal(buf_bytes(&plain), BYTES("EHLO client.example\r\n")));
            assert_int_equal(side.wakes[CONN_SECURED], 1);
            tls_peer_end(&peer);
            for (unsigned i = 0; i < 4000 && side.wakes[CONN_CLOSED] == 0; i++) {
                push(&peer, fds[1], cut);
                turns(1);
                pull(&peer, fds[1], cut, &plain);
            }
            /* Its close_notify is the end, and ours answers it. */
            assert_int_equal(side.wakes[CONN_EOF], 1);
            assert_int_equal(side.wakes[CONN_ERROR], 0);
            run_until_over(&side);
            pull(&peer, fds[1], 4096, &plain);
            assert_true(peer.is_ended);
            close(fds[1]);
            tls_peer_free(&peer);
            buf_free(&plain);
            SSL_CTX_free(ctx);
            assert_int_equal(budget_used(), before);
            teardown();
        }
    }
    tls_context_release(&context);
}

TEST(megabytes_pass_both_ways)
{
    enum { TOTAL = 3 << 20, CHUNK = 50000 };
    struct tls_context *context = context_of("mx.example", NULL);

    for (uint64_t seed = 1; seed <= 4; seed++) {
        uint8_t *sent = malloc(TOTAL);
        struct tls_peer peer;
        struct buf plain;
        struct side side;
        int fds[2];

        setup(seed);
        for (size_t i = 0; i < TOTAL; i++)
            sent[i] = (uint8_t)(i * 131 + i / 251);
        buf_init(&plain, PLAIN_MAX);
        pair_of(fds);
        open_server(&side, fds[0], context);
        tls_peer_begin(&peer, NULL, NULL, NULL);
        shake_hands(&peer, fds[1], 65536, &plain);
        for (size_t at = 0; at < TOTAL; at += CHUNK) {
            struct bytes chunk = bytes_slice((struct bytes){sent, TOTAL}, at, CHUNK);

            tls_peer_write(&peer, chunk);
            talk(&peer, fds[1], 65536, &plain, at + chunk.len);
        }
        assert_int_equal(buf_len(&plain), TOTAL);
        assert_memory_equal(buf_bytes(&plain).ptr, sent, TOTAL);
        conn_finish(&side.conn);
        close(fds[1]);
        run_until_over(&side);
        tls_peer_free(&peer);
        buf_free(&plain);
        free(sent);
        teardown();
    }
    tls_context_release(&context);
}

TEST(as_much_as_an_owner_may_say_at_once_is_sealed)
{
    const struct conn_settings settings = {.output_max = CONN_LAYER_OUTPUT_MAX};
    struct tls_context *context = context_of("mx.example", NULL);

    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        SSL_CTX *ctx = client_ctx(versions[v]);
        struct tls_peer peer;
        struct buf plain, said;
        struct side side;
        int fds[2];

        setup(1);
        buf_init(&plain, PLAIN_MAX);
        buf_init(&said, CONN_LAYER_OUTPUT_MAX);
        pair_of(fds);
        open_server(&side, fds[0], context);
        tls_peer_begin(&peer, ctx, NULL, NULL);
        shake_hands(&peer, fds[1], 65536, &plain);
        tls_peer_write(&peer, BYTES("more"));
        talk(&peer, fds[1], 65536, &plain, 4);
        turns(10);
        conn_trust(&side.conn, &settings);
        memset(buf_reserve(&said, CONN_LAYER_OUTPUT_MAX), 'x', CONN_LAYER_OUTPUT_MAX);
        buf_extend(&said, CONN_LAYER_OUTPUT_MAX);
        assert_true(conn_write_buf(&side.conn, &said));
        talk(&peer, fds[1], 65536, &plain, 4 + CONN_LAYER_OUTPUT_MAX);
        assert_int_equal(buf_len(&plain), 4 + CONN_LAYER_OUTPUT_MAX);
        assert_int_equal(side.wakes[CONN_ERROR], 0);
        conn_finish(&side.conn);
        close(fds[1]);
        run_until_over(&side);
        tls_peer_free(&peer);
        buf_free(&plain);
        SSL_CTX_free(ctx);
        teardown();
    }
    tls_context_release(&context);
}

TEST(both_sides_of_ours_agree_and_know_the_same)
{
    struct tls_context *context = context_of("mx.example", NULL);
    struct tls_context *clients = tls_client_context(NULL, NULL);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint8_t a[TLS_BINDING_MAX], b[TLS_BINDING_MAX];
        struct tls_facts facts, theirs;
        struct side server, client;
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_server(&server, fds[0], context);
        open_side(&client, fds[1]);
        client.echoes = false;
        assert_false(conn_is_under_tls(&client.conn));
        assert_int_equal(conn_tls_binding(&client.conn, TLS_BINDING_EXPORTER, a), 0);
        const struct tls_client_setup setup_of = {.server_name = BYTES("MX.example")};
        assert_true(conn_secure(&client.conn, tls_client_layer(clients, &setup_of)));
        assert_false(conn_tls_facts(&client.conn, &facts));
        for (unsigned i = 0; i < 5000 && client.wakes[CONN_SECURED] == 0; i++)
            turns(1);
        assert_true(conn_write(&client.conn, BYTES("hello")));
        for (unsigned i = 0; i < 5000 && client.wakes[CONN_DATA] == 0; i++)
            turns(1);
        assert_true(bytes_equal(buf_bytes(&client.got), BYTES("hello")));
        assert_true(conn_is_under_tls(&server.conn) && conn_is_under_tls(&client.conn));
        assert_true(conn_tls_facts(&server.conn, &facts));
        assert_true(conn_tls_facts(&client.conn, &theirs));
        assert_string_equal(facts.version, "TLSv1.3");
        assert_string_equal(facts.cipher, theirs.cipher);
        assert_true(bytes_starts_nocase(bytes_of(facts.cipher), BYTES("TLS_")));
        assert_true(bytes_equal_nocase(facts.server_name, BYTES("mx.example")));
        assert_false(facts.is_resumed);
        assert_int_equal(conn_tls_binding(&server.conn, TLS_BINDING_EXPORTER, a), 32);
        assert_int_equal(conn_tls_binding(&client.conn, TLS_BINDING_EXPORTER, b), 32);
        assert_memory_equal(a, b, 32);
        assert_int_equal(conn_tls_binding(&server.conn, TLS_BINDING_SERVER_END, a), 32);
        assert_int_equal(conn_tls_binding(&client.conn, TLS_BINDING_SERVER_END, b), 32);
        assert_memory_equal(a, b, 32);
        conn_finish(&client.conn);
        run_until_over(&server);
        run_until_over(&client);
        assert_int_equal(server.wakes[CONN_ERROR] + client.wakes[CONN_ERROR], 0);
        teardown();
    }
    tls_context_release(&context);
    tls_context_release(&clients);
}

/* By OpenSSL's client, which has its own opinion of what RFC 9266 section 2 asks for. */
TEST(exporter_binding_is_the_one_of_other_clients)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    struct tls_context *context = context_of("mx.example", NULL);
    uint8_t binding[TLS_BINDING_MAX], theirs[32];
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    tls_peer_begin(&peer, NULL, NULL, NULL);
    shake_hands(&peer, fds[1], 65536, &plain);
    tls_peer_write(&peer, BYTES("NOOP\r\n"));
    talk(&peer, fds[1], 65536, &plain, 6);
    assert_int_equal(conn_tls_binding(&side.conn, TLS_BINDING_EXPORTER, binding), 32);
    assert_int_equal(SSL_export_keying_material(peer.ssl, theirs, sizeof(theirs), label,
                                                strlen(label), (const uint8_t *)"", 0, 1),
                     1);
    assert_memory_equal(binding, theirs, 32);
    close(fds[1]);
    run_until_over(&side);
    tls_peer_free(&peer);
    buf_free(&plain);
    teardown();
    tls_context_release(&context);
}

TEST(tls_1_2_has_the_certificates_binding_alone)
{
    struct tls_context *context = context_of("mx.example", NULL);
    SSL_CTX *ctx = client_ctx(TLS1_2_VERSION);
    uint8_t binding[TLS_BINDING_MAX], digest[EVP_MAX_MD_SIZE];
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    unsigned len;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    tls_peer_begin(&peer, ctx, NULL, NULL);
    shake_hands(&peer, fds[1], 65536, &plain);
    assert_int_equal(conn_tls_binding(&side.conn, TLS_BINDING_EXPORTER, binding), 0);
    assert_int_equal(conn_tls_binding(&side.conn, TLS_BINDING_SERVER_END, binding), 32);
    /* ecdsa-with-SHA256 */
    assert_int_equal(X509_digest(SSL_get0_peer_certificate(peer.ssl), EVP_sha256(), digest, &len),
                     1);
    assert_int_equal(len, 32);
    assert_memory_equal(binding, digest, 32);
    close(fds[1]);
    run_until_over(&side);
    tls_peer_free(&peer);
    buf_free(&plain);
    SSL_CTX_free(ctx);
    teardown();
    tls_context_release(&context);
}

/* --- what goes wrong ------------------------------------------------------------------------- */

static void expect_failure(struct tls_context *context, struct bytes said, enum metric metric,
                           uint64_t seed)
{
    int64_t before = metric_sum(metric);
    struct side side;
    uint8_t alert[64];
    int fds[2];

    setup(seed);
    pair_of(fds);
    open_server(&side, fds[0], context);
    assert_int_equal(send(fds[1], said.ptr, said.len, 0), (ssize_t)said.len);
    for (unsigned i = 0; i < 500 && side.wakes[CONN_ERROR] == 0; i++)
        turns(1);
    assert_int_equal(side.wakes[CONN_ERROR], 1);
    assert_int_equal(side.wakes[CONN_SECURED], 0);
    assert_int_equal(side.conn.error, -EPROTO);
    assert_true(strlen(side.failure) > 0);
    turns(20);
    /* The peer is told by an alert (RFC 8446 section 6.2), if it speaks TLS. */
    ssize_t len = recv(fds[1], alert, sizeof(alert), MSG_DONTWAIT);
    if (metric == METRIC_TLS_FAILED_NOT_TLS) {
        assert_int_equal(len, 0);
    } else {
        assert_true(len >= 7);
        assert_int_equal(alert[0], 21);
    }
    close(fds[1]);
    run_until_over(&side);
    assert_int_equal(metric_sum(metric), before + 1);
    teardown();
}

TEST(what_is_no_tls_is_told_so_and_counted)
{
    struct tls_context *context = context_of("mx.example", NULL);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        expect_failure(context, BYTES("EHLO plain.example\r\n"), METRIC_TLS_FAILED_NOT_TLS, seed);
        expect_failure(context, BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                       METRIC_TLS_FAILED_NOT_TLS, seed);
        expect_failure(context, BYTES("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
                       METRIC_TLS_FAILED_OTHER, seed);
    }
    tls_context_release(&context);
}

static void expect_refused(struct tls_context *context, SSL_CTX *ctx, enum metric metric)
{
    int64_t before = metric_sum(metric);
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    tls_peer_begin(&peer, ctx, NULL, NULL);
    shake_hands(&peer, fds[1], 65536, &plain);
    assert_true(peer.has_failed);
    close(fds[1]);
    run_until_over(&side);
    assert_int_equal(side.wakes[CONN_SECURED], 0);
    assert_int_equal(metric_sum(metric), before + 1);
    tls_peer_free(&peer);
    buf_free(&plain);
    SSL_CTX_free(ctx);
    teardown();
}

TEST(old_versions_and_weak_ciphers_are_refused)
{
    static const char *const weak[] = {"AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA",
                                       "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256"};
    struct tls_context *context = context_of("mx.example", NULL);
    SSL_CTX *old = client_ctx(TLS1_1_VERSION);

    SSL_CTX_set_security_level(old, 0);
    check(SSL_CTX_set_cipher_list(old, "ALL:@SECLEVEL=0") == 1);
    expect_refused(context, old, METRIC_TLS_FAILED_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(weak); i++) {
        SSL_CTX *ctx = client_ctx(TLS1_2_VERSION);

        check(SSL_CTX_set_cipher_list(ctx, weak[i]) == 1);
        expect_refused(context, ctx, METRIC_TLS_FAILED_CIPHER);
    }
    tls_context_release(&context);
}

TEST(certificate_that_the_client_refuses_is_counted_as_that)
{
    struct tls_context *context = context_of("mx.example", NULL);
    SSL_CTX *ctx = client_ctx(TLS1_2_VERSION);
    int64_t before = metric_sum(METRIC_TLS_FAILED_CERTIFICATE);
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    setup(3);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    tls_peer_begin(&peer, ctx, NULL, NULL);
    shake_hands(&peer, fds[1], 65536, &plain);
    assert_true(peer.has_failed);
    push(&peer, fds[1], 4096);
    close(fds[1]);
    run_until_over(&side);
    assert_int_equal(side.wakes[CONN_ERROR], 1);
    assert_int_equal(metric_sum(METRIC_TLS_FAILED_CERTIFICATE), before + 1);
    tls_peer_free(&peer);
    buf_free(&plain);
    SSL_CTX_free(ctx);
    teardown();
    tls_context_release(&context);
}

TEST(client_that_goes_away_in_the_handshake_leaves_nothing)
{
    struct tls_context *context = context_of("mx.example", NULL);
    int64_t before = metric_sum(METRIC_TLS_FAILED_GONE);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tls_peer peer;
        struct side side;
        int fds[2];

        setup(seed);
        pair_of(fds);
        open_server(&side, fds[0], context);
        tls_peer_begin(&peer, NULL, NULL, NULL);
        push(&peer, fds[1], seed * 13);
        turns((unsigned)seed % 5);
        close(fds[1]);
        run_until_over(&side);
        assert_int_equal(side.wakes[CONN_SECURED], 0);
        tls_peer_free(&peer);
        teardown();
    }
    assert_int_equal(metric_sum(METRIC_TLS_FAILED_GONE), before + SEEDS);
    tls_context_release(&context);
}

TEST(record_that_was_tampered_with_ends_the_connection)
{
    struct tls_context *context = context_of("mx.example", NULL);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tls_peer peer;
        struct buf plain;
        struct side side;
        int fds[2];

        setup(seed);
        buf_init(&plain, PLAIN_MAX);
        pair_of(fds);
        open_server(&side, fds[0], context);
        tls_peer_begin(&peer, NULL, NULL, NULL);
        shake_hands(&peer, fds[1], 65536, &plain);
        talk(&peer, fds[1], 65536, &plain, 0);
        turns(50);
        tls_peer_write(&peer, BYTES("MAIL FROM:<a@b.example>\r\n"));
        ((uint8_t *)(uintptr_t)buf_bytes(&peer.wire).ptr)[5 + seed] ^= 1;
        push(&peer, fds[1], 65536);
        for (unsigned i = 0; i < 500 && side.wakes[CONN_ERROR] == 0; i++)
            turns(1);
        assert_int_equal(side.wakes[CONN_ERROR], 1);
        assert_int_equal(side.wakes[CONN_DATA], 0);
        close(fds[1]);
        run_until_over(&side);
        tls_peer_free(&peer);
        buf_free(&plain);
        teardown();
    }
    tls_context_release(&context);
}

TEST(renegotiation_is_refused)
{
    struct tls_context *context = context_of("mx.example", NULL);
    SSL_CTX *ctx = client_ctx(TLS1_2_VERSION);
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    tls_peer_begin(&peer, ctx, NULL, NULL);
    shake_hands(&peer, fds[1], 65536, &plain);
    assert_int_equal(SSL_renegotiate(peer.ssl), 1);
    shake(&peer);
    int64_t before = metric_sum(METRIC_TLS_HANDSHAKES_12);
    for (unsigned i = 0; i < 300; i++) {
        push(&peer, fds[1], 4096);
        turns(1);
        pull(&peer, fds[1], 4096, &plain);
    }
    assert_int_equal(metric_sum(METRIC_TLS_HANDSHAKES_12), before);
    assert_true(SSL_num_renegotiations(peer.ssl) == 0 || peer.has_failed);
    close(fds[1]);
    run_until_over(&side);
    tls_peer_free(&peer);
    buf_free(&plain);
    SSL_CTX_free(ctx);
    teardown();
    tls_context_release(&context);
}

/* Each key update that asks for one is answered: who does not read the answers is cut off. */
TEST(peer_that_asks_for_keys_and_does_not_read_has_an_end)
{
    enum { UPDATES = 40000, MEMORY_MAX = 1 << 20 };
    struct tls_context *context = context_of("mx.example", NULL);
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    side.echoes = false;
    tls_peer_begin(&peer, NULL, NULL, NULL);
    shake_hands(&peer, fds[1], 65536, &plain);
    for (unsigned i = 0; i < UPDATES && side.wakes[CONN_CLOSED] == 0; i++) {
        assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(peer.ssl), 1);
        tls_peer_write(&peer, BYTES_NONE);
        push(&peer, fds[1], 65536);
        turns(1);
        assert_true(side.wakes[CONN_CLOSED] != 0 || conn_memory(&side.conn) < MEMORY_MAX);
    }
    close(fds[1]);
    run_until_over(&side);
    tls_peer_free(&peer);
    buf_free(&plain);
    teardown();
    tls_context_release(&context);
}

/* --- tickets, names --------------------------------------------------------------------------- */

static SSL_SESSION *ticket;

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

/* One session with a server of this context; whether it was resumed. */
static bool visit(struct tls_context *context, SSL_CTX *ctx, SSL_SESSION *session)
{
    struct tls_facts facts;
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    /* A copy: OpenSSL's client uses a session once, where it is given a newer one. */
    SSL_SESSION *copy = session != NULL ? SSL_SESSION_dup(session) : NULL;
    tls_peer_begin(&peer, ctx, copy, NULL);
    SSL_SESSION_free(copy);
    shake_hands(&peer, fds[1], 65536, &plain);
    assert_true(peer.is_secured);
    tls_peer_write(&peer, BYTES("NOOP\r\n"));
    talk(&peer, fds[1], 65536, &plain, 6); /* the ticket comes before the answer */
    assert_true(conn_tls_facts(&side.conn, &facts));
    assert_int_equal(facts.is_resumed, SSL_session_reused(peer.ssl));
    tls_peer_end(&peer);
    talk(&peer, fds[1], 65536, &plain, 6);
    run_until_over(&side);
    close(fds[1]);
    bool was_resumed = SSL_session_reused(peer.ssl);
    tls_peer_free(&peer);
    buf_free(&plain);
    teardown();
    return was_resumed;
}

TEST(ticket_resumes_on_another_engines_context_until_its_key_is_gone)
{
    struct tls_tickets *tickets = tls_tickets_create(now_ms);
    struct tls_certificate *certificate = tls_test_certificate("mx.example");
    struct tls_context *one = tls_server_context(&certificate, 1, tickets);
    struct tls_context *other = tls_server_context(&certificate, 1, tickets);

    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        SSL_CTX *ctx = client_ctx(versions[v]);

        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, keep_ticket);
        assert_false(visit(one, ctx, NULL));
        assert_non_null(ticket);
        SSL_SESSION *first = ticket;
        ticket = NULL;
        assert_true(visit(other, ctx, first));
        /* Its key seals no more, but still opens. */
        clock_ms += TLS_TICKETS_LIFE_MS;
        assert_true(visit(one, ctx, first));
        clock_ms += TLS_TICKETS_LIFE_MS;
        assert_false(visit(other, ctx, first));
        SSL_SESSION_free(first);
        /* Nobody came for longer than two keys live. */
        first = ticket;
        ticket = NULL;
        clock_ms += 2 * (int64_t)TLS_TICKETS_LIFE_MS;
        assert_false(visit(other, ctx, first));
        SSL_SESSION_free(first);
        SSL_SESSION_free(ticket);
        ticket = NULL;
        SSL_CTX_free(ctx);
    }
    tls_context_release(&one);
    tls_context_release(&other);
    tls_certificate_release(&certificate);
    tls_tickets_free(&tickets);
}

TEST(name_that_the_client_asks_for_chooses_the_certificate)
{
    static const struct {
        const char *host, *shown;
    } rows[] = {
        {NULL, "a.example"},
        {"a.example", "a.example"},
        {"b.example", "b.example"},
        {"B.EXAMPLE", "b.example"},
        {"x.c.example", "x.c.example"},
        {"c.example", "a.example"},
        {"x.y.c.example", "a.example"},
        {"other", "a.example"},
    };
    struct tls_certificate *certificates[] = {
        tls_test_certificate("a.example"),
        tls_test_certificate("b.example"),
        tls_test_certificate("*.c.example"),
    };
    struct tls_context *context = tls_server_context(certificates, ARRAY_LEN(certificates), NULL);

    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            SSL_CTX *ctx = client_ctx(versions[v]);
            struct tls_peer peer;
            struct buf plain;
            struct side side;
            int fds[2];

            setup(1);
            buf_init(&plain, PLAIN_MAX);
            pair_of(fds);
            open_server(&side, fds[0], context);
            tls_peer_begin(&peer, ctx, NULL, rows[i].host);
            shake_hands(&peer, fds[1], 65536, &plain);
            assert_true(peer.is_secured);
            expect_row(i, X509_check_host(SSL_get0_peer_certificate(peer.ssl), rows[i].shown,
                                          strlen(rows[i].shown), 0, NULL) == 1);
            close(fds[1]);
            run_until_over(&side);
            tls_peer_free(&peer);
            buf_free(&plain);
            SSL_CTX_free(ctx);
            teardown();
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(certificates); i++)
        tls_certificate_release(&certificates[i]);
    tls_context_release(&context);
}

/* --- turns, engines --------------------------------------------------------------------------- */

/* Nothing of it counts against the time: the budget is used up by the test itself. */
static void use_up(struct engine *engine)
{
    assert_true(turn_budget_begin(engine, true));
    usleep((TURN_BUDGET_US + 1000));
    turn_budget_end(engine);
}

TEST(handshake_waits_while_the_turn_has_no_time_left)
{
    struct tls_context *context = context_of("mx.example", NULL);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tls_peer peer;
        struct buf plain;
        struct side side;
        int fds[2];

        setup(seed);
        fake_calm(engines[0]);
        buf_init(&plain, PLAIN_MAX);
        pair_of(fds);
        open_server(&side, fds[0], context);
        turns(5);
        tls_peer_begin(&peer, NULL, NULL, NULL);
        for (unsigned i = 0; i < 4; i++) {
            use_up(engines[0]);
            push(&peer, fds[1], 100);
            engine_turn(engines[0], 0);
            pull(&peer, fds[1], 4096, &plain);
            assert_int_equal(conn_output_len(&side.conn), 0); /* no ServerHello yet */
        }
        assert_true(side.conn.layer->owes_turn);
        shake_hands(&peer, fds[1], 65536, &plain);
        assert_true(peer.is_secured);
        tls_peer_write(&peer, BYTES("NOOP\r\n"));
        talk(&peer, fds[1], 65536, &plain, 6);
        assert_true(bytes_equal(buf_bytes(&plain), BYTES("NOOP\r\n")));
        close(fds[1]);
        run_until_over(&side);
        tls_peer_free(&peer);
        buf_free(&plain);
        teardown();
    }
    tls_context_release(&context);
}

/* It may send its first commands right behind its Finished, which may have to wait. */
TEST(what_is_sent_behind_a_handshake_that_waits_is_read_after_it)
{
    struct tls_context *context = context_of("mx.example", NULL);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tls_peer peer;
        struct buf plain;
        struct side side;
        int fds[2];

        setup(seed);
        buf_init(&plain, PLAIN_MAX);
        pair_of(fds);
        open_server(&side, fds[0], context);
        tls_peer_begin(&peer, NULL, NULL, NULL);
        for (unsigned i = 0; i < 5000 && !peer.is_secured; i++) {
            push(&peer, fds[1], 65536);
            turns(1);
            pull(&peer, fds[1], 65536, &plain);
        }
        tls_peer_write(&peer, BYTES("EHLO x\r\nNOOP\r\n"));
        for (unsigned i = 0; i < 5; i++) {
            use_up(engines[0]);
            push(&peer, fds[1], 40);
            engine_turn(engines[0], 0);
        }
        talk(&peer, fds[1], 65536, &plain, 14);
        assert_true(bytes_equal(buf_bytes(&plain), BYTES("EHLO x\r\nNOOP\r\n")));
        close(fds[1]);
        run_until_over(&side);
        tls_peer_free(&peer);
        buf_free(&plain);
        teardown();
    }
    tls_context_release(&context);
}

TEST(session_moves_to_another_engine_with_its_keys)
{
    struct tls_context *context = context_of("mx.example", NULL);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct side side;
        struct tls_peer peer;
        struct buf plain;
        int fds[2];

        setup(seed);
        buf_init(&plain, PLAIN_MAX);
        pair_of(fds);
        open_server(&side, fds[0], context);
        tls_peer_begin(&peer, NULL, NULL, NULL);
        shake_hands(&peer, fds[1], 65536, &plain);
        for (unsigned i = 0; i < 6; i++) {
            tls_peer_write(&peer, BYTES("NOOP\r\n"));
            push(&peer, fds[1], 11 + (size_t)seed);
            turns(i);
            conn_detach(&side.conn);
            for (unsigned k = 0; k < 100 && side.wakes[CONN_DETACHED] == i; k++)
                turns(1);
            assert_int_equal(side.wakes[CONN_DETACHED], i + 1);
            conn_attach(&side.conn, engines[i % 2 == 0], &side.parcel, side_wake, NULL);
            talk(&peer, fds[1], 65536, &plain, 6 * ((size_t)i + 1));
            assert_int_equal(buf_len(&plain), 6 * (i + 1));
        }
        conn_finish(&side.conn);
        close(fds[1]);
        run_until_over(&side);
        tls_peer_free(&peer);
        buf_free(&plain);
        teardown();
    }
    tls_context_release(&context);
}

/* A reload drops the context that the program has; sessions keep theirs. */
TEST(context_lives_as_long_as_its_sessions)
{
    struct tls_context *context = context_of("mx.example", NULL);
    struct tls_peer peer;
    struct buf plain;
    struct side side;
    int fds[2];

    setup(1);
    buf_init(&plain, PLAIN_MAX);
    pair_of(fds);
    open_server(&side, fds[0], context);
    tls_context_release(&context);
    tls_peer_begin(&peer, NULL, NULL, "mx.example");
    shake_hands(&peer, fds[1], 65536, &plain);
    assert_true(peer.is_secured);
    close(fds[1]);
    run_until_over(&side);
    tls_peer_free(&peer);
    buf_free(&plain);
    teardown();
}
