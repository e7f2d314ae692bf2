/* test_smtp_server.c - what scripts cannot see of a session: sends, gauges, sizes, the drawing.
 * The conversations themselves are in tests/chat/server. */
#include "support/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metric.h"
#include "support/engine_fake.h"

/* One source a test: what the chat runner links is included. */
#include "support/chat.c"
#include "support/chat_stub.c"

struct fixture {
    struct engine *engine;
    struct chat_stub stub;
    struct buf facts;
    int fd; /* the client's end */
    char output[65536];
    size_t output_len;
};

static void setup(struct fixture *fixture)
{
    struct engine_settings settings = {.buffer_count = 16};

    *fixture = (struct fixture){.fd = -1};
    fixture->engine = engine_create(&settings);
    assert_non_null(fixture->engine);
    fake_calm(fixture->engine);
    buf_init(&fixture->facts, 1 << 20);
    chat_stub_init(&fixture->stub, fixture->engine);
    fixture->stub.facts = &fixture->facts;
}

static void connect_client(struct fixture *fixture)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    fixture->fd = fds[0];
    chat_stub_accept(&fixture->stub, fds[1]);
}

static void turns(struct fixture *fixture)
{
    for (unsigned i = 0; i < 20; i++) {
        engine_turn(fixture->engine, 0);
        ssize_t got = recv(fixture->fd, fixture->output + fixture->output_len,
                           sizeof(fixture->output) - fixture->output_len - 1, MSG_DONTWAIT);
        if (got > 0)
            fixture->output_len += (size_t)got;
    }
    fixture->output[fixture->output_len] = '\0';
}

static void say(struct fixture *fixture, const char *text)
{
    fixture->output_len = 0;
    assert_int_equal(send(fixture->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turns(fixture);
}

static void teardown(struct fixture *fixture)
{
    if (fixture->fd >= 0)
        close(fixture->fd);
    chat_stub_abort(&fixture->stub);
    for (unsigned i = 0; i < 50; i++)
        engine_turn(fixture->engine, 0);
    chat_stub_free(&fixture->stub);
    buf_free(&fixture->facts);
    engine_destroy(&fixture->engine);
}

TEST(server_size_keeps_to_its_budget)
{
    /* lint/struct_sizes: an idle session is this and no buffers. */
    assert_true(sizeof(struct smtp_server) <= 1536 + sizeof(struct conn));
    assert_true(sizeof(struct smtp_server) - sizeof(struct conn) <= 1024);
}

TEST(pipelined_group_is_answered_in_one_send)
{
    struct fixture f;

    setup(&f);
    connect_client(&f);
    turns(&f);
    say(&f, "EHLO c.example\r\n");
    unsigned before = fake_count(f.engine, FAKE_SEND);
    say(&f,
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n");
    assert_int_equal(fake_count(f.engine, FAKE_SEND) - before, 1);
    assert_string_equal(f.output, "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n"
                                  "250 2.1.5 Recipient ok\r\n"
                                  "354 End data with <CR><LF>.<CR><LF>\r\n");
    before = fake_count(f.engine, FAKE_SEND);
    say(&f, "x\r\n.\r\nMAIL FROM:<a@b.example>\r\nRSET\r\n");
    /* The commit is answered at the end of the turn: what waited behind it goes with it. */
    assert_int_equal(fake_count(f.engine, FAKE_SEND) - before, 1);
    teardown(&f);
}

static int64_t sum_of_states(void)
{
    return metric_sum(METRIC_SMTPD_GREET) + metric_sum(METRIC_SMTPD_COMMAND) +
           metric_sum(METRIC_SMTPD_CONTENT) + metric_sum(METRIC_SMTPD_ASKING) +
           metric_sum(METRIC_SMTPD_CLOSING);
}

TEST(gauges_follow_the_states_and_end_at_zero)
{
    struct fixture f;
    int64_t sessions = metric_sum(METRIC_SESSIONS);

    setup(&f);
    f.stub.rules.holds_commits = true;
    connect_client(&f);
    turns(&f);
    assert_int_equal(metric_sum(METRIC_SESSIONS), sessions + 1);
    assert_int_equal(metric_sum(METRIC_SMTPD_COMMAND), 1);
    say(&f, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    assert_int_equal(metric_sum(METRIC_SMTPD_CONTENT), 1);
    say(&f, ".\r\n");
    assert_int_equal(metric_sum(METRIC_SMTPD_ASKING), 1);
    chat_stub_release(&f.stub);
    turns(&f);
    assert_int_equal(metric_sum(METRIC_SMTPD_COMMAND), 1);
    assert_int_equal(sum_of_states(), 1);
    teardown(&f);
    assert_int_equal(sum_of_states(), 0);
    assert_int_equal(metric_sum(METRIC_SESSIONS), sessions);
}

TEST(refusals_are_counted_by_class)
{
    struct fixture f;
    int64_t protocol = metric_sum(METRIC_SMTPD_REFUSED_PROTOCOL);
    int64_t content = metric_sum(METRIC_SMTPD_REFUSED_CONTENT);
    int64_t system = metric_sum(METRIC_SMTPD_REFUSED_SYSTEM);

    setup(&f);
    connect_client(&f);
    say(&f, "EHLO c.example\r\nFROB\r\nMAIL FROM:<a@b.example> SIZE=99999999\r\n"
            "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 2 LAST\r\n\n\n");
    assert_int_equal(metric_sum(METRIC_SMTPD_REFUSED_PROTOCOL), protocol + 1);
    assert_int_equal(metric_sum(METRIC_SMTPD_REFUSED_SYSTEM), system + 1);
    assert_int_equal(metric_sum(METRIC_SMTPD_REFUSED_CONTENT), content + 1);
    teardown(&f);
}

TEST(turned_away_client_is_told_why)
{
    const struct smtp_service smtp = {.hostname = "relay.example", .section = "limits"};
    const struct address client = {0};
    struct fixture f;
    int fds[2];

    setup(&f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    f.fd = fds[0];
    smtp_server_turn_away(&f.stub.serving, &smtp, fds[1], &client, SERVICE_HAS_TOO_MANY,
                          SMTP_TLS_STARTTLS);
    turns(&f);
    assert_string_equal(f.output,
                        "421 4.3.2 relay.example has too many sessions, try again later\r\n");
    teardown(&f);
}

/* Memory of idle sessions: neither input nor output holds a buffer between commands. */
TEST(idle_session_holds_no_buffer)
{
    struct fixture f;

    setup(&f);
    connect_client(&f);
    say(&f, "EHLO c.example\r\nNOOP\r\n");
    list_for_each(node, &f.stub.serving.sessions) {
        const struct smtp_server *server = container_of(node, struct smtp_server, session.node);
        assert_null(server->session.conn.input.ptr);
        assert_null(server->session.conn.filling.ptr);
        assert_null(server->session.conn.sending.ptr);
    }
    teardown(&f);
}

/* 16 KiB of replies at most wait for a peer that does not read. */
TEST(output_is_bounded_when_nobody_reads)
{
    struct fixture f;
    static const char help[] = "HELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\n";
    int small = 1;

    setup(&f);
    f.stub.service.limits.idle_commands_max = 1000000;
    connect_client(&f);
    turns(&f);
    list_for_each(node, &f.stub.serving.sessions) {
        struct smtp_server *server = container_of(node, struct smtp_server, session.node);
        setsockopt(server->session.conn.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    }
    for (unsigned i = 0; i < 20000; i++) {
        if (send(f.fd, help, sizeof(help) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            engine_turn(f.engine, 0);
    }
    list_for_each(node, &f.stub.serving.sessions) {
        struct smtp_server *server = container_of(node, struct smtp_server, session.node);
        assert_int_equal(server->session.state, SERVER_COMMAND);
        assert_true(conn_output_len(&server->session.conn) <= 16384);
        assert_true(conn_input(&server->session.conn).len <= 64 * 1024 + 16 * 16384);
    }
    teardown(&f);
}

static bool can_be_shed(struct fixture *fixture)
{
    struct list_node *first = list_first(&fixture->stub.serving.sessions);

    return smtp_server_can_be_shed(container_of(first, struct smtp_server, session.node));
}

/* The answer to content is to come to its client; one before that is worth less than memory. */
TEST(session_whose_content_is_answered_is_not_shed)
{
    struct fixture f;

    setup(&f);
    f.stub.rules.holds_commits = true;
    f.stub.rules.later = 1U << ASKS_MAIL;
    connect_client(&f);
    say(&f, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n");
    assert_int_equal(metric_sum(METRIC_SMTPD_ASKING), 1);
    assert_true(can_be_shed(&f));
    chat_stub_answer(&f.stub, NULL);
    say(&f, "RCPT TO:<c@d.example>\r\nDATA\r\n");
    assert_true(can_be_shed(&f));
    say(&f, ".\r\n");
    assert_int_equal(metric_sum(METRIC_SMTPD_ASKING), 1);
    assert_false(can_be_shed(&f));
    chat_stub_release(&f.stub);
    turns(&f);
    assert_true(can_be_shed(&f));
    teardown(&f);
}

/* The drawing in smtp_server.h names every state of the enum, and no other. */
static const struct smtp_server *only_session(const struct fixture *f)
{
    const struct list_node *node = f->stub.serving.sessions.head.next;

    return container_of(container_of(node, struct session, node), struct smtp_server, session);
}

/* Who is shed while a commit is under way loses its answer and sends the message again. */
TEST(session_is_shed_but_for_a_commit_and_its_end)
{
    struct fixture f;

    setup(&f);
    f.stub.rules.holds_commits = true;
    connect_client(&f);
    turns(&f);
    assert_true(smtp_server_can_be_shed(only_session(&f)));
    say(&f, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    assert_true(smtp_server_can_be_shed(only_session(&f)));
    say(&f, "x\r\n.\r\n");
    assert_false(smtp_server_can_be_shed(only_session(&f)));
    chat_stub_release(&f.stub);
    turns(&f);
    assert_true(smtp_server_can_be_shed(only_session(&f)));
    say(&f, "QUIT\r\n");
    assert_int_equal(chat_stub_sessions(&f.stub), 1); /* it waits for the client's end */
    assert_false(smtp_server_can_be_shed(only_session(&f)));
    teardown(&f);
}

TEST(drawing_and_enum_name_the_same_states)
{
    static char text[16384];
    FILE *file = fopen("relay/smtpd/smtp_server.h", "r");
    bool drawn[SERVER_STATE_COUNT] = {false};

    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    struct bytes drawing = {(const uint8_t *)text, len};
    size_t start = bytes_find_bytes(drawing, BYTES(" *\n"), 0);
    size_t end = bytes_find_bytes(drawing, BYTES(" *\n"), start + 1);
    drawing = bytes_slice(drawing, start, end - start);
    for (size_t at = 0; at < drawing.len;) {
        size_t word = at;
        while (word < drawing.len && drawing.ptr[word] >= 'A' && drawing.ptr[word] <= 'Z')
            word++;
        struct bytes name = bytes_slice(drawing, at, word - at);
        at = MAX(word, at + 1);
        if (name.len < 4)
            continue;
        bool is_state = false;
        for (unsigned i = 0; i < SERVER_STATE_COUNT; i++) {
            if (bytes_equal_nocase(name, bytes_of(smtp_server_state_name(i)))) {
                drawn[i] = true;
                is_state = true;
            }
        }
        /* Verbs are drawn in capitals as well. */
        if (!is_state && name.len > 4)
            fail_msg("\"%.*s\" is drawn and no state", BYTES_ARG(name));
    }
    for (unsigned i = 0; i < SERVER_STATE_COUNT; i++)
        expect_row(i, drawn[i]);
}
