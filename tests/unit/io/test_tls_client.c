/* test_tls_client.c - TLS of connections that we open: whom it believes, what it resumes. */
#include "io/tls_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metric.h"
#include "io/conn.h"
#include "io/tls_authorities.h"
#include "io/tls_tickets.h"
#include "support/engine_fake.h"
#include "support/tls_forge.c"
#include "support/unit.h"

enum { WAKES = CONN_CLOSED + 1, GOT_MAX = 1 << 20, PATH_LEN = 96 };

static struct engine *engine;
static char directory[32];

struct side {
    struct conn conn;
    unsigned wakes[WAKES];
    struct buf got;
    enum tls_fault fault;
    const char *why;
    char failure[96];
};

static void setup(uint64_t seed)
{
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 8, .buffer_size = 4096};

    fake_seed(seed);
    engine = engine_create(&settings);
    assert_non_null(engine);
    fake_clock_runs(engine, true);
}

static int64_t now_ms(void)
{
    return 1;
}

static void on_wake(struct conn *conn, enum conn_wake reason)
{
    struct side *side = container_of(conn, struct side, conn);

    side->wakes[reason]++;
    if (reason == CONN_DATA) {
        struct bytes input = conn_input(conn);

        assert_true(buf_append(&side->got, input));
        conn_consume(conn, input.len);
    }
    if (reason == CONN_SECURED || reason == CONN_ERROR)
        side->fault = conn_tls_fault(conn, &side->why);
    if (reason == CONN_ERROR && conn_tls_failure(conn) != NULL)
        snprintf(side->failure, sizeof(side->failure), "%s", conn_tls_failure(conn));
    if (reason == CONN_EOF)
        conn_finish(conn);
}

static void open_side(struct side *side, int fd)
{
    *side = (struct side){0};
    buf_init(&side->got, GOT_MAX);
    conn_accept(&side->conn, engine, fd, on_wake, NULL);
}

static void run_until_over(struct side *side)
{
    for (unsigned i = 0; i < 20000 && side->wakes[CONN_CLOSED] == 0; i++)
        engine_turn(engine, 0);
    assert_int_equal(side->wakes[CONN_CLOSED], 1);
    buf_free(&side->got);
}

static const char *path_of(const char *name)
{
    static char paths[4][PATH_LEN];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_LEN, "%s/%s", directory, name);
    return path;
}

static void begin_files(void)
{
    snprintf(directory, sizeof(directory), "/tmp/tls_client.XXXXXX");
    assert_non_null(mkdtemp(directory));
}

static void end_files(void)
{
    static const char *const names[] = {"ca.pem", "chain.pem", "key.pem"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(path_of(names[i]));
    assert_int_equal(rmdir(directory), 0);
}

/* A server that shows `leaf` and, where it is not NULL, who is between it and the root. */
static struct tls_context *server_of(const struct forge *leaf, const struct forge *between,
                                     struct tls_tickets *tickets)
{
    enum tls_part part;
    char why[TLS_WHY_MAX];

    (void)unlink(path_of("chain.pem"));
    (void)unlink(path_of("key.pem"));
    forge_write(leaf, path_of("chain.pem"), false);
    if (between != NULL)
        forge_write(between, path_of("chain.pem"), false);
    forge_write(leaf, path_of("key.pem"), true);
    struct tls_certificate *certificate =
        tls_certificate_load(path_of("chain.pem"), path_of("key.pem"), &part, why);
    assert_non_null(certificate);
    struct tls_context *context = tls_server_context(&certificate, 1, tickets);
    assert_non_null(context);
    tls_certificate_release(&certificate);
    return context;
}

static struct tls_context *client_of(const char *path)
{
    char why[TLS_WHY_MAX];
    struct tls_authorities *authorities = tls_authorities_load(path, why);

    assert_non_null(authorities);
    struct tls_context *context = tls_client_context(authorities, NULL);
    assert_non_null(context);
    tls_authorities_release(&authorities);
    return context;
}

struct visit {
    enum tls_fault fault;
    const char *why;
    bool is_secured, is_resumed, server_saw_failure;
    char server_name[64];
    struct tls_session *session;
};

/* One connection, in which the client says a line and the server answers it. */
static struct visit visit(struct tls_context *servers, struct tls_context *clients,
                          const struct tls_client_setup *setup_of)
{
    struct side server, client;
    struct tls_facts facts;
    struct visit visit = {0};
    int fds[2];

    setup(1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_side(&server, fds[0]);
    assert_true(conn_secure(&server.conn, tls_server_layer(servers)));
    open_side(&client, fds[1]);
    struct conn_layer *layer = tls_client_layer(clients, setup_of);
    assert_non_null(layer);
    assert_true(conn_secure(&client.conn, layer));
    for (unsigned i = 0; i < 5000; i++) {
        engine_turn(engine, 0);
        if (client.wakes[CONN_ERROR] + client.wakes[CONN_EOF] > 0)
            break;
        if (client.wakes[CONN_SECURED] == 1 && conn_output_room(&client.conn) > 0 &&
            client.conn.written == 0)
            assert_true(conn_write(&client.conn, BYTES("EHLO\r\n")));
        if (buf_len(&server.got) == 6 && server.conn.written == 0)
            assert_true(conn_write(&server.conn, BYTES("250\r\n")));
        if (buf_len(&client.got) == 5)
            break;
    }
    visit.is_secured = client.wakes[CONN_SECURED] == 1 && buf_len(&client.got) == 5;
    visit.fault = client.fault;
    visit.why = client.why;
    visit.session = conn_tls_take_session(&client.conn);
    if (conn_tls_facts(&server.conn, &facts))
        snprintf(visit.server_name, sizeof(visit.server_name), "%.*s",
                 BYTES_ARG(facts.server_name));
    visit.is_resumed = conn_tls_facts(&client.conn, &facts) && facts.is_resumed;
    if (visit.is_secured)
        conn_close(&client.conn); /* without a word: the session is none the worse */
    run_until_over(&client);
    run_until_over(&server);
    visit.server_saw_failure = server.failure[0] != '\0';
    engine_destroy(&engine);
    return visit;
}

/* --- whom it believes ------------------------------------------------------------------------- */

enum shown { RIGHT, EXPIRED, SELF_SIGNED, FOREIGN, REVOKED, REVOKED_BETWEEN, BY_ADDRESS };

static const struct {
    const char *of, *asked;
    enum shown shown;
    enum tls_fault fault;
} cases[] = {
    {"the right one", "mx.example", RIGHT, TLS_FAULT_NONE},
    {"in another case", "MX.Example", RIGHT, TLS_FAULT_NONE},
    {"another name", "mx.other.example", RIGHT, TLS_FAULT_NAME},
    {"a part of its name", "example", RIGHT, TLS_FAULT_NAME},
    {"what the subject says only", "forged 3", RIGHT, TLS_FAULT_NAME},
    {"expired", "mx.example", EXPIRED, TLS_FAULT_EXPIRED},
    {"self-signed", "mx.example", SELF_SIGNED, TLS_FAULT_UNTRUSTED},
    {"another authority's", "mx.example", FOREIGN, TLS_FAULT_UNTRUSTED},
    {"revoked", "mx.example", REVOKED, TLS_FAULT_UNTRUSTED},
    {"of whom the root revoked", "mx.example", REVOKED_BETWEEN, TLS_FAULT_UNTRUSTED},
    {"an address", "192.0.2.1", BY_ADDRESS, TLS_FAULT_NONE},
    {"another address", "192.0.2.2", BY_ADDRESS, TLS_FAULT_NAME},
};

TEST(peer_is_who_its_certificate_says_or_is_refused)
{
    begin_files();
    struct forge root = forge_make(NULL, NULL, 10), other = forge_make(NULL, NULL, 10);
    struct forge between = forge_make(&root, NULL, 10), bad = forge_make(&root, NULL, 10);
    struct forge leaves[] = {
        [RIGHT] = forge_make(&between, "DNS:mx.example", 10),
        [EXPIRED] = forge_make(&between, "DNS:mx.example", -2),
        [SELF_SIGNED] = forge_make(NULL, "DNS:mx.example", 10),
        [FOREIGN] = forge_make(&other, "DNS:mx.example", 10),
        [REVOKED] = forge_make(&between, "DNS:mx.example", 10),
        [REVOKED_BETWEEN] = forge_make(&bad, "DNS:mx.example", 10),
        [BY_ADDRESS] = forge_make(&root, "IP:192.0.2.1", 10),
    };

    forge_write(&root, path_of("ca.pem"), false);
    forge_revoke(&root, &bad);
    forge_revoke(&between, &leaves[REVOKED]);
    forge_write_revoked(&root, path_of("ca.pem"));
    forge_write_revoked(&between, path_of("ca.pem"));
    struct tls_context *clients = client_of(path_of("ca.pem"));

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes name = bytes_of(cases[i].asked);
        struct tls_client_setup setup_of = {.server_name = name, .name_count = 1, .names = &name};
        const struct forge *above = cases[i].shown == REVOKED_BETWEEN ? &bad : &between;
        struct tls_context *servers = server_of(&leaves[cases[i].shown], above, NULL);

        for (int must = 0; must < 2; must++) {
            setup_of.must_verify = must != 0;
            struct visit v = visit(servers, clients, &setup_of);

            if (v.fault != cases[i].fault || v.is_secured != (!must || !cases[i].fault))
                print_message("%s\n", cases[i].of);
            assert_int_equal(v.fault, cases[i].fault);
            assert_int_equal(v.is_secured, !must || cases[i].fault == TLS_FAULT_NONE);
            assert_int_equal(v.why != NULL, cases[i].fault != TLS_FAULT_NONE);
            /* It is told by an alert. */
            assert_int_equal(v.server_saw_failure, !v.is_secured);
            tls_session_release(&v.session);
        }
        tls_context_release(&servers);
    }
    tls_context_release(&clients);
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
        forge_free(&leaves[i]);
    forge_free(&root);
    forge_free(&other);
    forge_free(&between);
    forge_free(&bad);
    end_files();
}

TEST(one_of_several_names_is_enough_and_sni_is_a_name)
{
    begin_files();
    struct forge root = forge_make(NULL, NULL, 10);
    struct forge leaf = forge_make(&root, "DNS:mx.example", 10);
    struct bytes names[] = {BYTES("a.example"), BYTES("mx.example")};
    struct bytes address = BYTES("192.0.2.1");
    struct tls_client_setup setup_of = {.server_name = BYTES("ask.example"),
                                        .must_verify = true,
                                        .name_count = 2,
                                        .names = names};

    forge_write(&root, path_of("ca.pem"), false);
    struct tls_context *clients = client_of(path_of("ca.pem"));
    struct tls_context *servers = server_of(&leaf, NULL, NULL);
    struct visit v = visit(servers, clients, &setup_of);

    assert_true(v.is_secured);
    assert_string_equal(v.server_name, "ask.example");
    tls_session_release(&v.session);
    setup_of = (struct tls_client_setup){.server_name = address};
    v = visit(servers, clients, &setup_of);
    assert_true(v.is_secured);
    assert_string_equal(v.server_name, "");
    assert_int_equal(v.fault, TLS_FAULT_UNVERIFIED);
    tls_session_release(&v.session);
    /* What OpenSSL cannot be told is no layer. */
    names[1] = BYTES("a\0b");
    setup_of = (struct tls_client_setup){.must_verify = true, .name_count = 2, .names = names};
    assert_null(tls_client_layer(clients, &setup_of));
    names[1] = address; /* beside a name */
    assert_null(tls_client_layer(clients, &setup_of));
    tls_context_release(&clients);
    tls_context_release(&servers);
    forge_free(&root);
    forge_free(&leaf);
    end_files();
}

/* --- TLSA records ----------------------------------------------------------------------------- */

TEST(tlsa_records_decide_in_place_of_authorities)
{
    begin_files();
    struct forge root = forge_make(NULL, NULL, 10), other = forge_make(NULL, NULL, 10);
    struct forge leaf = forge_make(&root, "DNS:mx.example", 10);
    struct forge old = forge_make(&root, "DNS:elsewhere.example", -2);
    struct bytes name = BYTES("mx.example"), wrong = BYTES("mx.other.example");
    uint8_t of_leaf[32], of_old[32], of_root[32], of_other[32], whole[32];

    forge_write(&other, path_of("ca.pem"), false);
    forge_digest(&leaf, 1, of_leaf);
    forge_digest(&old, 1, of_old);
    forge_digest(&root, 1, of_root);
    forge_digest(&other, 1, of_other);
    forge_digest(&leaf, 0, whole);
    const struct {
        const char *of;
        const struct forge *leaf;
        struct bytes name;
        struct tls_record record;
        enum tls_fault fault;
    } rows[] = {
        {"its key", &leaf, name, {3, 1, 1, {of_leaf, 32}}, TLS_FAULT_NONE},
        {"all of it", &leaf, name, {3, 0, 1, {whole, 32}}, TLS_FAULT_NONE},
        {"its key, for others, expired", &old, name, {3, 1, 1, {of_old, 32}}, TLS_FAULT_NONE},
        {"another key", &leaf, name, {3, 1, 1, {of_other, 32}}, TLS_FAULT_NO_RECORD},
        {"whom it is below", &leaf, name, {2, 1, 1, {of_root, 32}}, TLS_FAULT_NONE},
        {"the same, for others", &leaf, wrong, {2, 1, 1, {of_root, 32}}, TLS_FAULT_NAME},
        {"whom it is not below", &leaf, name, {2, 1, 1, {of_other, 32}}, TLS_FAULT_NO_RECORD},
    };
    struct tls_context *clients = client_of(path_of("ca.pem"));

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_context *servers = server_of(rows[i].leaf, &root, NULL);
        struct tls_client_setup setup_of = {.server_name = rows[i].name,
                                            .must_verify = true,
                                            .name_count = 1,
                                            .names = &rows[i].name,
                                            .record_count = 1,
                                            .records = &rows[i].record};
        struct visit v = visit(servers, clients, &setup_of);

        if (v.fault != rows[i].fault)
            print_message("%s: %s\n", rows[i].of, v.why != NULL ? v.why : "good");
        assert_int_equal(v.fault, rows[i].fault);
        assert_int_equal(v.is_secured, rows[i].fault == TLS_FAULT_NONE);
        tls_session_release(&v.session);
        tls_context_release(&servers);
    }
    /* A digest of a wrong length is no record; then nobody may decide in its place. */
    struct tls_record bad = {3, 1, 1, {of_leaf, 31}};
    struct tls_client_setup setup_of = {
        .must_verify = true, .name_count = 1, .names = &name, .record_count = 1, .records = &bad};

    assert_null(tls_client_layer(clients, &setup_of));
    tls_context_release(&clients);
    forge_free(&root);
    forge_free(&other);
    forge_free(&leaf);
    forge_free(&old);
    end_files();
}

/* --- resumption ------------------------------------------------------------------------------- */

TEST(session_is_resumed_and_as_good_as_it_was)
{
    begin_files();
    struct forge root = forge_make(NULL, NULL, 10);
    struct forge leaf = forge_make(&root, "DNS:mx.example", 10);
    struct forge stranger = forge_make(NULL, "DNS:mx.example", 10);
    struct tls_tickets *tickets = tls_tickets_create(now_ms), *others = tls_tickets_create(now_ms);
    struct bytes name = BYTES("mx.example");
    struct tls_client_setup setup_of = {.server_name = name,
                                        .must_verify = true,
                                        .name_count = 1,
                                        .names = &name};

    forge_write(&root, path_of("ca.pem"), false);
    struct tls_context *clients = client_of(path_of("ca.pem"));
    struct tls_context *again = client_of(path_of("ca.pem"));
    struct tls_context *servers = server_of(&leaf, NULL, tickets);
    struct tls_context *strangers = server_of(&stranger, NULL, others);
    int64_t resumed = metric_sum(METRIC_TLS_OUT_RESUMED);
    struct visit first = visit(servers, clients, &setup_of);

    assert_true(first.is_secured && !first.is_resumed);
    assert_non_null(first.session);
    setup_of.session = first.session;
    for (unsigned i = 0; i < 3; i++) { /* any number of times, by another context too */
        struct visit v = visit(servers, i == 1 ? again : clients, &setup_of);

        assert_true(v.is_secured && v.is_resumed);
        assert_int_equal(v.fault, TLS_FAULT_NONE);
        tls_session_release(&v.session);
    }
    assert_int_equal(metric_sum(METRIC_TLS_OUT_RESUMED) - resumed, 3);
    /* Who cannot open the ticket has to show a certificate, and that is looked at. */
    struct visit v = visit(strangers, clients, &setup_of);
    assert_false(v.is_secured);
    assert_int_equal(v.fault, TLS_FAULT_UNTRUSTED);
    assert_null(v.session);
    tls_session_release(&first.session);
    tls_context_release(&clients);
    tls_context_release(&again);
    tls_context_release(&servers);
    tls_context_release(&strangers);
    tls_tickets_free(&tickets);
    tls_tickets_free(&others);
    forge_free(&root);
    forge_free(&leaf);
    forge_free(&stranger);
    end_files();
}

/* --- authorities ------------------------------------------------------------------------------ */

TEST(file_of_authorities_is_read_or_told_of)
{
    char why[TLS_WHY_MAX] = "";
    struct tls_authorities *authorities = tls_authorities_load("/nowhere/ca.pem", why);

    assert_null(authorities);
    assert_non_null(strstr(why, "/nowhere/ca.pem: No such file"));
    begin_files();
    FILE *file = fopen(path_of("ca.pem"), "we");
    assert_non_null(file);
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", file);
    fclose(file);
    assert_null(tls_authorities_load(path_of("ca.pem"), why));
    assert_non_null(strstr(why, "ca.pem: cannot be read"));
    file = fopen(path_of("ca.pem"), "we");
    assert_non_null(file);
    fputs("nothing\n", file);
    fclose(file);
    assert_null(tls_authorities_load(path_of("ca.pem"), why));
    assert_non_null(strstr(why, "ca.pem: holds no certificate"));
    (void)unlink(path_of("ca.pem"));
    struct forge root = forge_make(NULL, NULL, 10), other = forge_make(NULL, NULL, 10);
    forge_write(&root, path_of("ca.pem"), false);
    forge_write(&other, path_of("ca.pem"), false);
    authorities = tls_authorities_load(path_of("ca.pem"), why);
    assert_non_null(authorities);
    assert_int_equal(tls_authorities_count(authorities), 2);
    tls_authorities_release(&authorities);
    authorities = tls_authorities_load(NULL, why);
    assert_non_null(authorities);
    tls_authorities_release(&authorities);
    forge_free(&root);
    forge_free(&other);
    end_files();
}
