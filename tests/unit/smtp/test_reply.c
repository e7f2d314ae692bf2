/* test_reply.c - replies as peers send them, in every split. */
#include "smtp/reply.h"

#include <stdlib.h>
#include <string.h>

#include "support/unit.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

static const struct {
    struct bytes input;
    enum smtp_reply_state state;
    unsigned code;
    struct smtp_enhanced enhanced;
    struct bytes text;
} replies[] = {
    {BYTES("250 OK\r\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("OK")},
    {BYTES("250 OK\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("OK")},
    {BYTES("250 OK\r\r\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("OK")},
    {BYTES("250\r\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("")},
    {BYTES("250 \r\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("")},
    {BYTES("250-\r\n250\r\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("\n")},
    {BYTES("250-a\r\n250-\r\n250 b\r\n"), SMTP_REPLY_WHOLE, 250, {0}, BYTES("a\n\nb")},
    {BYTES("354 go ahead\r\n"), SMTP_REPLY_WHOLE, 354, {0}, BYTES("go ahead")},
    {BYTES("599 x\r\n"), SMTP_REPLY_WHOLE, 599, {0}, BYTES("x")},
    {BYTES("550 5.1.1 No such user\r\n"), SMTP_REPLY_WHOLE, 550, {5, 1, 1}, BYTES("No such user")},
    {BYTES("550-5.1.1 No\r\n550 5.1.1 user\r\n"),
     SMTP_REPLY_WHOLE,
     550,
     {5, 1, 1},
     BYTES("No\nuser")}, /* RFC 2034 section 3 */
    {BYTES("550-5.1.1 No\r\n550 5.7.1 user\r\n"),
     SMTP_REPLY_WHOLE,
     550,
     {5, 1, 1},
     BYTES("No\n5.7.1 user")},
    {BYTES("550-Sorry\r\n550 5.7.1 user\r\n"),
     SMTP_REPLY_WHOLE,
     550,
     {5, 7, 1},
     BYTES("Sorry\nuser")},
    {BYTES("250 2.1.0\r\n"), SMTP_REPLY_WHOLE, 250, {2, 1, 0}, BYTES("")},
    /* The class must be the first digit of the code (RFC 2034 section 4). */
    {BYTES("550 4.1.1 x\r\n"), SMTP_REPLY_WHOLE, 550, {0}, BYTES("4.1.1 x")},
    {BYTES("450 5.1.1 x\r\n"), SMTP_REPLY_WHOLE, 450, {0}, BYTES("5.1.1 x")},
    {BYTES("354 2.0.0 x\r\n"), SMTP_REPLY_WHOLE, 354, {0}, BYTES("2.0.0 x")},
    {BYTES("550 5.1.1234 x\r\n"), SMTP_REPLY_WHOLE, 550, {0}, BYTES("5.1.1234 x")},
    {BYTES("550 5.1. x\r\n"), SMTP_REPLY_WHOLE, 550, {0}, BYTES("5.1. x")},
    {BYTES("550 5.1.1x\r\n"), SMTP_REPLY_WHOLE, 550, {0}, BYTES("5.1.1x")},
    {BYTES("550 a\0b\x1b[2Jc\rd\te\x7f\r\n"), SMTP_REPLY_WHOLE, 550, {0}, BYTES("a?b?[2Jc?d\te?")},
    {BYTES("550 \xc3\xa4\xff\r\n"), SMTP_REPLY_WHOLE, 550, {0}, BYTES("\xc3\xa4\xff")},

    {BYTES(""), SMTP_REPLY_PARTIAL, 0, {0}, {0}},
    {BYTES("2"), SMTP_REPLY_PARTIAL, 0, {0}, {0}},
    {BYTES("250-a\r\n"), SMTP_REPLY_PARTIAL, 0, {0}, {0}},
    {BYTES("250-a\r\n250 b\r"), SMTP_REPLY_PARTIAL, 0, {0}, {0}},

    {BYTES("\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("25\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("150 x\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("600 x\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("2500 x\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("250x\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("250\tx\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES(" 250 x\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("+OK POP3\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("\0\0\0\0\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("2\0000 x\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("HTTP/1.1 400 Bad Request\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
    {BYTES("250-a\r\n550 b\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}}, /* RFC 5321 section 4.2.1 */
    {BYTES("250-a\r\nb\r\n"), SMTP_REPLY_BROKEN, 0, {0}, {0}},
};

static enum smtp_reply_state read_from_copy(struct smtp_reply_reader *reader, struct bytes b,
                                            size_t *left_out, struct smtp_reply *reply_out)
{
    uint8_t *copy = malloc(b.len + 1);

    assert_non_null(copy);
    if (b.len > 0)
        memcpy(copy, b.ptr, b.len);
    struct bytes input = {copy, b.len};
    enum smtp_reply_state got = smtp_reply_read(reader, &input, reply_out);
    *left_out = input.len;
    free(copy);
    return got;
}

static void expect_reply(size_t row, enum smtp_reply_state state, const struct smtp_reply *reply)
{
    expect_row(row, state == replies[row].state);
    if (state != SMTP_REPLY_WHOLE)
        return;
    expect_row(row, reply->code == replies[row].code);
    expect_row(row, reply->enhanced.class == replies[row].enhanced.class);
    expect_row(row, reply->enhanced.subject == replies[row].enhanced.subject);
    expect_row(row, reply->enhanced.detail == replies[row].enhanced.detail);
    expect_row(row, bytes_equal(reply->text, replies[row].text));
}

/* The whole, and every split: what the first part left is there again with the second. */
TEST(reply_read_follows_table_in_every_split)
{
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct bytes whole = replies[i].input;

        for (size_t at = 0; at <= whole.len; at++) {
            struct smtp_reply_reader reader;
            struct smtp_reply reply;
            size_t left;

            smtp_reply_reader_init(&reader);
            enum smtp_reply_state got =
                read_from_copy(&reader, bytes_slice(whole, 0, at), &left, &reply);
            if (got == SMTP_REPLY_PARTIAL)
                got = read_from_copy(&reader, bytes_slice(whole, at - left, whole.len), &left,
                                     &reply);
            expect_reply(i, got, &reply);
        }
    }
}

TEST(reply_read_takes_one_reply_a_call)
{
    struct bytes input = BYTES("250-a\r\n250 2.1.0 b\r\n354 c\r\n5");
    struct smtp_reply_reader reader;
    struct smtp_reply reply;

    smtp_reply_reader_init(&reader);
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
    assert_int_equal(reply.code, 250);
    assert_true(bytes_equal(reply.text, BYTES("a\nb")));
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
    assert_int_equal(reply.code, 354);
    assert_int_equal(reply.enhanced.class, 0);
    assert_true(bytes_equal(reply.text, BYTES("c")));
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_PARTIAL);
    assert_int_equal(input.len, 1);
}

TEST(reply_read_stays_broken)
{
    struct bytes input = BYTES("junk\r\n250 OK\r\n");
    struct smtp_reply_reader reader;
    struct smtp_reply reply;

    smtp_reply_reader_init(&reader);
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_BROKEN);
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_BROKEN);
    smtp_reply_reader_init(&reader);
    input = BYTES("250 OK\r\n");
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
}

TEST(reply_read_cuts_text_of_long_line)
{
    struct bytes input = BYTES("250 " THOUSAND HUNDRED "\r\n250 next\r\n");
    struct smtp_reply_reader reader;
    struct smtp_reply reply;

    smtp_reply_reader_init(&reader);
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
    assert_int_equal(reply.text.len, SMTP_REPLY_TEXT_MAX);
    assert_memory_equal(reply.text.ptr, THOUSAND, 1000);
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
    assert_true(bytes_equal(reply.text, BYTES("next")));
}

/* A line of exactly SMTP_REPLY_LINE_MAX with its LF is read, one byte more is broken. */
TEST(reply_read_bounds_line)
{
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    uint8_t line[SMTP_REPLY_LINE_MAX + 1];
    struct bytes input = {line, SMTP_REPLY_LINE_MAX - 1};

    memset(line, 'x', sizeof(line));
    memcpy(line, "250 ", 4);
    smtp_reply_reader_init(&reader);
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_PARTIAL);
    line[SMTP_REPLY_LINE_MAX - 1] = '\n';
    input.len++;
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
    line[SMTP_REPLY_LINE_MAX - 1] = 'x';
    input = (struct bytes){line, SMTP_REPLY_LINE_MAX}; /* no use in waiting for more */
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_BROKEN);
    smtp_reply_reader_init(&reader);
    line[SMTP_REPLY_LINE_MAX] = '\n';
    input = (struct bytes){line, SMTP_REPLY_LINE_MAX + 1};
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_BROKEN);
}

TEST(reply_read_bounds_lines)
{
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    enum smtp_reply_state got = SMTP_REPLY_PARTIAL;
    size_t lines = 0;

    smtp_reply_reader_init(&reader);
    while (got == SMTP_REPLY_PARTIAL) {
        struct bytes input = BYTES("250-x\r\n");
        got = smtp_reply_read(&reader, &input, &reply);
        lines++;
    }
    assert_int_equal(got, SMTP_REPLY_BROKEN);
    assert_int_equal(lines, SMTP_REPLY_LINES_MAX + 1);
}

TEST(enhanced_take_follows_table)
{
    static const struct {
        struct bytes text;
        bool valid;
        struct smtp_enhanced enhanced;
        struct bytes left;
    } rows[] = {
        {BYTES("5.1.1 x"), true, {5, 1, 1}, BYTES("x")},
        {BYTES("4.999.999"), true, {4, 999, 999}, BYTES("")},
        {BYTES("2.0.0\nx"), true, {2, 0, 0}, BYTES("\nx")},
        {BYTES("3.1.1 x"), false, {0}, BYTES("3.1.1 x")},
        {BYTES("5.1"), false, {0}, BYTES("5.1")},
        {BYTES("5..1"), false, {0}, BYTES("5..1")},
        {BYTES("5.1000.1"), false, {0}, BYTES("5.1000.1")},
        {BYTES("55.1.1"), false, {0}, BYTES("55.1.1")},
        {BYTES("5.1.1.1"), false, {0}, BYTES("5.1.1.1")},
        {BYTES("5.99999999999999999999.1"), false, {0}, BYTES("5.99999999999999999999.1")},
        {BYTES(""), false, {0}, BYTES("")},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes text = rows[i].text;
        struct smtp_enhanced enhanced = {0};

        expect_row(i, smtp_enhanced_take(&text, &enhanced) == rows[i].valid);
        expect_row(i, bytes_equal(text, rows[i].left));
        expect_row(i, enhanced.class == rows[i].enhanced.class);
        expect_row(i, enhanced.subject == rows[i].enhanced.subject);
        expect_row(i, enhanced.detail == rows[i].enhanced.detail);
    }
}

/* What a reply, read in one piece, says of the peer's extensions. */
static struct smtp_extensions extensions_of(struct bytes input)
{
    struct smtp_extensions extensions = {0};
    struct smtp_reply_reader reader;
    struct smtp_reply reply;

    smtp_reply_reader_init(&reader);
    reader.extensions = &extensions;
    assert_int_equal(smtp_reply_read(&reader, &input, &reply), SMTP_REPLY_WHOLE);
    return extensions;
}

/* RFC 5321 section 4.1.1.1, RFC 1870 section 3, RFC 9422 section 3. */
TEST(extensions_are_those_we_use)
{
    struct smtp_extensions e = extensions_of(
        BYTES("250-mx.example at your service\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n"
              "250-8BITMIME\r\n250-starttls\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n"
              "250-SMTPUTF8\r\n250-DSN\r\n250-LIMITS RCPTMAX=100 FOO=1 MAILMAX=20 "
              "RCPTDOMAINMAX=1\r\n250-AUTH PLAIN\r\n250-REQUIRETLS\r\n250 X-UNKNOWN\r\n"));

    assert_true(e.pipelining && e.eightbitmime && e.smtputf8 && e.chunking && e.dsn);
    assert_true(e.enhanced_status_codes && e.starttls && e.has_size && e.requiretls);
    assert_int_equal(e.size_max, 35882577);
    assert_int_equal(e.rcpt_max, 100);
    assert_int_equal(e.mail_max, 20);
    assert_int_equal(e.rcpt_domain_max, 1);
}

TEST(extensions_skip_greeting_and_nonsense)
{
    struct smtp_extensions e = extensions_of(BYTES("250 PIPELINING\r\n"));

    assert_false(e.pipelining || e.requiretls);
    e = extensions_of(BYTES("250-hello\r\n250-SIZE\r\n250-DSNX\r\n250-PIPE\r\n250-LIMITS\r\n"
                            "250-LIMITS RCPTMAX= MAILMAX=x RCPTDOMAINMAX\r\n250 \r\n"));
    assert_true(e.has_size);
    assert_int_equal(e.size_max, 0);
    assert_false(e.dsn);
    assert_false(e.pipelining);
    assert_int_equal(e.rcpt_max, 0);
    assert_int_equal(e.mail_max, 0);
    assert_int_equal(e.rcpt_domain_max, 0);
    e = extensions_of(BYTES("250-hello\r\n250 SIZE 18446744073709551616\r\n"));
    assert_true(e.has_size);
    assert_int_equal(e.size_max, 0);
}

/* The text that is kept ends at SMTP_REPLY_TEXT_MAX; a SIZE cut there was a tenth of itself. */
TEST(extensions_behind_a_long_greeting_are_known)
{
    struct smtp_extensions e =
        extensions_of(BYTES("250-mx " THOUSAND "\r\n250-SIZE 52428800\r\n250-x " THOUSAND "\r\n"
                            "250-8BITMIME\r\n250 LIMITS RCPTMAX=100\r\n"));

    assert_int_equal(e.size_max, 52428800);
    assert_true(e.eightbitmime);
    assert_int_equal(e.rcpt_max, 100);
}

TEST(extensions_said_twice_follow_table)
{
    static const struct {
        struct bytes reply;
        uint64_t size_max, rcpt_max;
    } rows[] = {
        {BYTES("250-x\r\n250-SIZE 100\r\n250 SIZE 9\r\n"), 100, 0},
        {BYTES("250-x\r\n250-SIZE 9\r\n250 SIZE 100\r\n"), 100, 0},
        {BYTES("250-x\r\n250-SIZE 9\r\n250 SIZE\r\n"), 0, 0}, /* no fixed limit */
        {BYTES("250-x\r\n250-SIZE 0\r\n250 SIZE 9\r\n"), 0, 0},
        {BYTES("250-x\r\n250-LIMITS RCPTMAX=5\r\n250 LIMITS RCPTMAX=7\r\n"), 0, 5},
        {BYTES("250-x\r\n250-LIMITS RCPTMAX=7\r\n250 LIMITS RCPTMAX=5 RCPTMAX=0\r\n"), 0, 5},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct smtp_extensions e = extensions_of(rows[i].reply);

        expect_row(i, e.size_max == rows[i].size_max);
        expect_row(i, e.rcpt_max == rows[i].rcpt_max);
    }
}

TEST(reply_read_keeps_the_broken_line)
{
    static const struct {
        struct bytes input, line;
    } rows[] = {
        {BYTES("OK, taken\r\n"), BYTES("OK, taken")},
        {BYTES("250-one\r\n550 two\r\n"), BYTES("550 two")},
        {BYTES("600 \x01x\r\n"), BYTES("600 ?x")},
        {BYTES("\r\n"), BYTES("")},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes input = rows[i].input;
        struct smtp_reply_reader reader;
        struct smtp_reply reply;

        smtp_reply_reader_init(&reader);
        expect_row(i, smtp_reply_read(&reader, &input, &reply) == SMTP_REPLY_BROKEN);
        expect_row(i, bytes_equal(smtp_reply_broken_line(&reader), rows[i].line));
    }
}
