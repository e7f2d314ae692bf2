/* test_intake.c - a message from its envelope to the spool: fields told apart, fields added, the
 * verdicts. What sessions make of it is shown by tests/chat/server. */
#include "intake/intake.h"

#include <errno.h>

#include "queue/space.h"
#include "queue/tail.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT_SIZE = 1 << 20 };

struct fixture {
    struct world world;
    struct space space;
    struct header_table fields;
    struct slab slab;
    struct intake_home home;
    struct intake *intake;
    unsigned gone_count, resume_count, done_count;
    struct verdict verdict;
    char id[MESSAGE_ID_TEXT_MAX];
    int tag, from;
};

static void on_gone(struct intake_home *home)
{
    container_of(home, struct fixture, home)->gone_count++;
}

static void on_resume(void *context)
{
    ((struct fixture *)context)->resume_count++;
}

static void on_done(void *context, struct verdict verdict, const char *id)
{
    struct fixture *f = context;

    f->done_count++;
    f->verdict = verdict;
    snprintf(f->id, sizeof(f->id), "%s", id != NULL ? id : "");
}

static void fixture_open(struct fixture *f)
{
    static const struct header_rule tag = {BYTES("X-Tag"), true, 2, 16};
    static const struct header_rule from = {BYTES("From"), false, 1, 64};

    memset(f, 0, sizeof(*f));
    world_init_in_memory(&f->world, SEGMENT_SIZE);
    f->world.space = &f->space;
    assert_int_equal(world_open(&f->world), 0);
    intake_fields_init(&f->fields);
    f->tag = header_table_add(&f->fields, &tag);
    f->from = header_table_add(&f->fields, &from);
    assert_true(f->tag >= INTAKE_FIELDS && f->from == f->tag + 1);
    slab_init(&f->slab, intake_size(&f->fields), 2);
    f->home = (struct intake_home){
        .engine = f->world.engine,
        .shard = f->world.shard,
        .intakes = &f->slab,
        .fields = &f->fields,
        .messages = METRIC_SUBMISSION_MESSAGES,
        .recipients = METRIC_SUBMISSION_RECIPIENTS,
        .bytes = METRIC_SUBMISSION_BYTES,
        .gone = on_gone,
    };
}

static void fixture_close(struct fixture *f)
{
    assert_int_equal(f->home.count, 0);
    world_close(&f->world);
    slab_free_all(&f->slab);
    world_free(&f->world);
}

static struct verdict start(struct fixture *f, const char *mail_argument, struct intake **out)
{
    const struct intake_client client = {
        .ip = BYTES("192.0.2.9"),
        .ehlo = BYTES("client.example"),
        .service = BYTES("test"),
        .hostname = BYTES("mta.example"),
        .is_esmtp = true,
        .session = 1204,
        .connected_ms = 1795489799001,
    };
    const struct intake_answer answer = {f, on_resume, on_done};
    struct smtp_refusal why;
    struct smtp_mail mail;

    assert_true(smtp_mail_parse(bytes_of(mail_argument), &mail, &why));
    return intake_open(&f->home, &mail, &client, &answer, out);
}

static struct verdict add_recipient(struct intake *intake, const char *argument)
{
    struct smtp_refusal why;
    struct smtp_rcpt rcpt;

    assert_true(smtp_rcpt_parse(bytes_of(argument), &rcpt, &why));
    return intake_add_recipient(intake, &rcpt);
}

static void start_with_recipient(struct fixture *f, const char *mail_argument)
{
    assert_int_equal(start(f, mail_argument, &f->intake).code, 0);
    assert_int_equal(add_recipient(f->intake, "TO:<r@there.example>").code, 0);
}

static void give(struct fixture *f, const char *content)
{
    intake_content(f->intake, bytes_of(content));
}

/* Ends and commits it, and waits for the answer. */
static void end(struct fixture *f, unsigned received_max)
{
    intake_content_end(f->intake, false);
    intake_commit(f->intake, received_max);
    for (unsigned i = 0; i < 1000 && f->done_count == 0; i++)
        world_turns(&f->world, 1);
    assert_int_equal(f->done_count, 1);
    intake_let_go(&f->intake);
    assert_null(f->intake);
    assert_int_equal(f->gone_count, 1);
}

/* What delivery would send. */
static struct message *stored(struct fixture *f)
{
    for (unsigned i = 0; i < 1000 && f->world.due_count == 0; i++)
        world_turns(&f->world, 1);
    assert_int_equal(f->world.due_count, 1);
    return stub_message(pending_stub(f->world.due[0]));
}

static void expect_field(struct fixture *f, int row, unsigned occurrence, const char *expected)
{
    struct header_value value = {0};

    if (expected == NULL) {
        assert_false(intake_field_value(f->intake, (unsigned)row, occurrence, &value));
        return;
    }
    assert_true(intake_field_value(f->intake, (unsigned)row, occurrence, &value));
    assert_true(bytes_equal(value.text, bytes_of(expected)));
}

TEST(intake_tells_fields_once_the_header_is_complete)
{
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    give(&f, "X-Tag: one\r\nFrom: a\r\n b\r\nx-tag : two\r\nX-Tag: three\r\n");
    assert_false(intake_header_is_complete(f.intake));
    give(&f, "\r\nX-Tag: body\r\n");
    assert_true(intake_header_is_complete(f.intake));
    assert_int_equal(intake_field_count(f.intake, (unsigned)f.tag), 3);
    expect_field(&f, f.tag, 0, "one");
    expect_field(&f, f.tag, 1, "two");
    expect_field(&f, f.from, 0, "a b");
    expect_field(&f, INTAKE_MESSAGE_ID, 0, NULL);
    give(&f, "more\r\n");
    end(&f, 50);
    assert_int_equal(f.verdict.code, 0);
    assert_true(bytes_equal(stored(&f)->content.memory,
                            BYTES("From: a\r\n b\r\n\r\nX-Tag: body\r\nmore\r\n")));
    fixture_close(&f);
}

TEST(intake_keeps_which_session_handed_it_in)
{
    struct fixture f;
    struct bytes name = BYTES_NONE;
    int64_t connected_ms = 0;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    give(&f, "From: a\r\n\r\n");
    end(&f, 50);
    assert_true(tail_session(stored(&f)->tail, &connected_ms, &name));
    assert_true(connected_ms == 1795489799001 && bytes_equal(name, BYTES("0.1204")));
    fixture_close(&f);
}

TEST(intake_header_without_body_is_complete_at_the_end)
{
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<>");
    give(&f, "From: a\r\n");
    assert_false(intake_header_is_complete(f.intake));
    intake_content_end(f.intake, false);
    assert_true(intake_header_is_complete(f.intake));
    expect_field(&f, f.from, 0, "a");
    intake_let_go(&f.intake);
    assert_int_equal(f.gone_count, 1);
    fixture_close(&f);
    assert_int_equal(f.done_count, 0);
}

/* As one field stands in front of another: text of the prefix from its start. */
static void expect_prefix(const struct message *message, const char *start)
{
    assert_true(bytes_starts_nocase(message->prefix, bytes_of(start)));
    assert_true(bytes_ends_nocase(message->prefix, BYTES("\r\n")));
}

TEST(intake_puts_fields_of_the_service_first)
{
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    assert_int_equal(intake_add_field(f.intake, BYTES("A"), BYTES("1;\r\n\tx=2")), 0);
    give(&f, "Message-ID: <1@here.example>\r\nDate: today\r\n\r\nbody\r\n");
    assert_int_equal(intake_add_field(f.intake, BYTES("B"), BYTES("3")), 0);
    intake_content_end(f.intake, false);
    assert_int_equal(intake_add_field(f.intake, BYTES("C"), BYTES("4")), 0);
    intake_commit(f.intake, 50);
    for (unsigned i = 0; i < 1000 && f.done_count == 0; i++)
        world_turns(&f.world, 1);
    intake_let_go(&f.intake);
    const struct message *message = stored(&f);
    expect_prefix(message, "A: 1;\r\n\tx=2\r\nB: 3\r\nC: 4\r\nReceived: from client.example");
    assert_int_equal(bytes_find_bytes(message->prefix, BYTES("\nMessage-ID:"), 0),
                     message->prefix.len);
    assert_int_equal(bytes_find_bytes(message->prefix, BYTES("\nDate:"), 0), message->prefix.len);
    assert_true(bytes_equal(message->header_message_id, BYTES("<1@here.example>")));
    fixture_close(&f);
}

TEST(intake_adds_message_id_and_date_where_missing)
{
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    give(&f, "From: a\r\n\r\n");
    end(&f, 50);
    const struct message *message = stored(&f);
    char id[128];

    snprintf(id, sizeof(id), "<%s@mta.example>", f.id);
    expect_prefix(message, "Received: ");
    assert_true(bytes_equal(message->header_message_id, bytes_of(id)));
    snprintf(id, sizeof(id), "\r\nMessage-ID: <%s@mta.example>\r\nDate: ", f.id);
    assert_true(bytes_find_bytes(message->prefix, bytes_of(id), 0) < message->prefix.len);
    fixture_close(&f);
}

TEST(intake_add_field_takes_one_field_only)
{
    static const struct {
        struct bytes name, value;
        int result, result_utf8;
    } rows[] = {
        {BYTES("A"), BYTES("b"), 0, 0},
        {BYTES("A"), BYTES("b\r\n c\r\n\td"), 0, 0},
        {BYTES("A"), BYTES("b\tc ~!"), 0, 0},
        {BYTES(""), BYTES("b"), -EINVAL, -EINVAL},
        {BYTES("A "), BYTES("b"), -EINVAL, -EINVAL},
        {BYTES("A:"), BYTES("b"), -EINVAL, -EINVAL},
        {BYTES("A\r\nB"), BYTES("b"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES(""), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\r\n"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\r\nBcc: c"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\r\n\r\nbody"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\r\n \r\n c"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\r\n "), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("\r\n b"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\nc"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\n c"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\rc"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\r"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\0c"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\x7f"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("b\x1f"), -EINVAL, -EINVAL},
        {BYTES("A"), BYTES("\xc3\xa4"), -EINVAL, 0},
        {BYTES("A\xc3\xa4"), BYTES("b"), -EINVAL, -EINVAL},
    };
    struct intake *utf8 = NULL;
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    assert_int_equal(start(&f, "FROM:<s@here.example> SMTPUTF8", &utf8).code, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        expect_row(i, intake_add_field(f.intake, rows[i].name, rows[i].value) == rows[i].result);
        expect_row(i, intake_add_field(utf8, rows[i].name, rows[i].value) == rows[i].result_utf8);
    }
    intake_let_go(&f.intake);
    intake_let_go(&utf8);
    fixture_close(&f);
}

TEST(intake_add_field_is_bounded)
{
    static uint8_t value[INTAKE_FIELDS_MAX];
    struct fixture f;

    memset(value, 'x', sizeof(value));
    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    size_t before = intake_memory(f.intake);
    struct bytes most = bytes_range(value, INTAKE_FIELDS_MAX - 5); /* "A: " and CRLF */
    struct bytes more = bytes_range(value, INTAKE_FIELDS_MAX - 4);

    assert_int_equal(intake_add_field(f.intake, BYTES("A"), more), -ENOBUFS);
    assert_int_equal(intake_add_field(f.intake, BYTES("A"), most), 0);
    assert_int_equal(intake_add_field(f.intake, BYTES("A"), BYTES("b")), -ENOBUFS);
    assert_true(intake_memory(f.intake) >= before + INTAKE_FIELDS_MAX);
    give(&f, "\r\n");
    end(&f, 50);
    assert_int_equal(f.verdict.code, 0);
    assert_true(stored(&f)->prefix.len > INTAKE_FIELDS_MAX);
    fixture_close(&f);
}

TEST(intake_marks_what_needs_smtputf8_for_an_added_field)
{
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example> SMTPUTF8");
    assert_int_equal(intake_add_field(f.intake, BYTES("A"), BYTES("\xc3\xa4")), 0);
    give(&f, "From: a\r\n\r\n");
    end(&f, 50);
    const struct message *message = stored(&f);
    assert_true(message->needs_smtputf8);
    assert_false(message->has_ascii_header);
    assert_int_equal(message->body, SMTP_BODY_8BITMIME);
    fixture_close(&f);
}

static void expect_verdict(struct verdict verdict, unsigned code, const char *enhanced,
                           const char *rule)
{
    assert_int_equal(verdict.code, code);
    assert_string_equal(verdict.enhanced, enhanced);
    assert_string_equal(verdict.rule, rule);
    assert_true(verdict.close == (code == 421));
}

static void expect_refused(const char *content, unsigned received_max, unsigned code,
                           const char *enhanced, const char *rule)
{
    int64_t before = metric_sum(METRIC_SUBMISSION_MESSAGES);
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    give(&f, content);
    end(&f, received_max);
    expect_verdict(f.verdict, code, enhanced, rule);
    world_turns(&f.world, 20);
    assert_int_equal(f.world.due_count, 0);
    assert_int_equal(metric_sum(METRIC_SUBMISSION_MESSAGES), before);
    fixture_close(&f);
}

TEST(intake_refuses_loops_and_headers_that_are_none)
{
    expect_refused("Received: a\r\nReceived: b\r\n\r\n", 1, 554, "5.4.6", "limits.received");
    expect_refused("A: b\r\nno field\r\n", 1, 554, "5.6.0", "header");
    expect_refused("A: b\r\nno field", 1, 554, "5.6.0", "header");
}

TEST(intake_allows_as_many_received_as_it_is_told)
{
    int64_t before = metric_sum(METRIC_SUBMISSION_MESSAGES);
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    give(&f, "Received: a\r\nReceived: b\r\n\r\n");
    end(&f, 2);
    assert_int_equal(f.verdict.code, 0);
    assert_int_equal(metric_sum(METRIC_SUBMISSION_MESSAGES), before + 1);
    fixture_close(&f);
}

TEST(intake_open_refuses_without_memory)
{
    struct intake *second = NULL, *third = NULL;
    struct fixture f;

    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    assert_int_equal(start(&f, "FROM:<s@here.example>", &second).code, 0);
    expect_verdict(start(&f, "FROM:<s@here.example>", &third), 452, "4.3.0", "limits.memory");
    assert_null(third);
    assert_int_equal(f.home.count, 2);
    expect_verdict(add_recipient(second, "TO:<r@a\xe2\x80\xa8.example>"), 553, "5.1.2", "syntax");
    intake_let_go(&f.intake);
    intake_let_go(&second);
    fixture_close(&f);
}

TEST(intake_open_refuses_with_a_full_spool)
{
    struct fixture f;

    fixture_open(&f);
    atomic_store(&f.space.is_low, true);
    expect_verdict(start(&f, "FROM:<s@here.example>", &f.intake), 452, "4.3.1", "spool-full");
    assert_null(f.intake);
    assert_int_equal(f.home.count, 0);
    atomic_store(&f.space.is_low, false);
    assert_int_equal(start(&f, "FROM:<s@here.example>", &f.intake).code, 0);
    intake_let_go(&f.intake);
    fixture_close(&f);
}

TEST(intake_open_says_when_sinks_of_events_are_what_is_full)
{
    struct fixture f;

    fixture_open(&f);
    atomic_store(&f.space.sinks_are_full, true);
    expect_verdict(start(&f, "FROM:<s@here.example>", &f.intake), 452, "4.3.1",
                   "events.sink_budget");
    atomic_store(&f.space.is_low, true);
    expect_verdict(start(&f, "FROM:<s@here.example>", &f.intake), 452, "4.3.1", "spool-full");
    atomic_store(&f.space.is_low, false);
    atomic_store(&f.space.sinks_are_full, false);
    assert_int_equal(start(&f, "FROM:<s@here.example>", &f.intake).code, 0);
    intake_let_go(&f.intake);
    fixture_close(&f);
}

/* Between the end of the content and the commit: what is being written goes on, nobody is told to
 * send more. */
TEST(intake_commits_large_content_when_asked)
{
    enum { PIECE = 1000, PIECES = 400 };
    static uint8_t body[PIECE];
    struct fixture f;

    memset(body, 'x', sizeof(body));
    fixture_open(&f);
    start_with_recipient(&f, "FROM:<s@here.example>");
    give(&f, "From: a\r\n\r\n");
    for (unsigned i = 0; i < PIECES; i++) {
        while (intake_room(f.intake) < PIECE)
            world_turns(&f.world, 1);
        intake_content(f.intake, bytes_range(body, PIECE));
    }
    unsigned resumed = f.resume_count;
    intake_content_end(f.intake, false);
    world_turns(&f.world, 50);
    assert_int_equal(f.resume_count, resumed);
    assert_int_equal(f.done_count, 0);
    intake_commit(f.intake, 50);
    for (unsigned i = 0; i < 1000 && f.done_count == 0; i++)
        world_turns(&f.world, 1);
    assert_int_equal(f.verdict.code, 0);
    assert_int_equal(f.world.due_count, 1);
    intake_let_go(&f.intake);
    assert_int_equal(stored(&f)->content.size, 11 + PIECE * PIECES);
    assert_true(stored(&f)->content.extent_count > 1);
    fixture_close(&f);
}

/* RFC 8689 sections 3 and 4.1. */
TEST(intake_keeps_what_is_asked_of_tls)
{
    static const struct {
        const char *mail, *header;
        enum mail_tls expected;
    } rows[] = {
        {"FROM:<s@here.example>", "", MAIL_TLS_ANY},
        {"FROM:<s@here.example> REQUIRETLS", "", MAIL_TLS_REQUIRED},
        {"FROM:<s@here.example> REQUIRETLS", "TLS-Required: No\r\n", MAIL_TLS_REQUIRED},
        {"FROM:<s@here.example>", "TLS-Required: No\r\n", MAIL_TLS_OPTIONAL},
        {"FROM:<s@here.example>", "tls-required:\r\n no\r\n", MAIL_TLS_OPTIONAL},
        {"FROM:<s@here.example>", "TLS-Required: Nope\r\n", MAIL_TLS_ANY},
        {"FROM:<s@here.example>", "TLS-Required: Yes\r\n", MAIL_TLS_ANY},
        {"FROM:<s@here.example>", "TLS-Required:\r\n", MAIL_TLS_ANY},
        {"FROM:<s@here.example>", "TLS-Required: No No No No No No No\r\n", MAIL_TLS_ANY},
        {"FROM:<s@here.example>", "TLS-Required: No\r\nTLS-Required: No\r\n", MAIL_TLS_ANY},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;

        fixture_open(&f);
        start_with_recipient(&f, rows[i].mail);
        give(&f, rows[i].header);
        give(&f, "From: a\r\n\r\ntext\r\n");
        end(&f, 50);
        const struct message *message = stored(&f);
        expect_row(i, message->tls == rows[i].expected);
        expect_row(i, tail_tls(message->tail, 2) == (unsigned)rows[i].expected);
        expect_row(i, bytes_starts_nocase(message->content.memory, bytes_of(rows[i].header)));
        fixture_close(&f);
    }
}
