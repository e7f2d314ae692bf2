/* test_command.c - command lines and the short arguments. */
#include "smtp/command.h"

#include "support/unit.h"

static const struct {
    struct bytes input;
    size_t max;
    enum smtp_line state;
    struct bytes line;
    size_t left;
} lines[] = {
    {BYTES("NOOP\r\n"), 512, SMTP_LINE_WHOLE, BYTES("NOOP"), 0},
    {BYTES("NOOP\r\nQUIT\r\n"), 512, SMTP_LINE_WHOLE, BYTES("NOOP"), 6},
    {BYTES("\r\n"), 512, SMTP_LINE_WHOLE, BYTES(""), 0},
    {BYTES(""), 512, SMTP_LINE_PARTIAL, {0}, 0},
    {BYTES("NOOP"), 512, SMTP_LINE_PARTIAL, {0}, 4},
    {BYTES("NOOP\r"), 512, SMTP_LINE_PARTIAL, {0}, 5},
    {BYTES("NOOP\n"), 512, SMTP_LINE_BARE_LF, BYTES("NOOP"), 0},
    {BYTES("NOOP\nQUIT\r\n"), 512, SMTP_LINE_BARE_LF, BYTES("NOOP"), 6},
    {BYTES("\n"), 512, SMTP_LINE_BARE_LF, BYTES(""), 0},
    {BYTES("NO\rOP\r\n"), 512, SMTP_LINE_BARE, BYTES("NO\rOP"), 0},
    {BYTES("NOOP\r\r\n"), 512, SMTP_LINE_BARE, BYTES("NOOP\r"), 0},
    {BYTES("NO\0OP\r\n"), 512, SMTP_LINE_BARE, BYTES("NO\0OP"), 0},
    {BYTES("NOOP\r\n"), 6, SMTP_LINE_WHOLE, BYTES("NOOP"), 0}, /* max counts the CRLF */
    {BYTES("NOOP\r\n"), 5, SMTP_LINE_TOO_LONG, {0}, 6},
    {BYTES("NOOP\n"), 5, SMTP_LINE_BARE_LF, BYTES("NOOP"), 0},
    {BYTES("NOOP"), 5, SMTP_LINE_PARTIAL, {0}, 4},
    {BYTES("NOOP "), 5, SMTP_LINE_TOO_LONG, {0}, 5},
};

TEST(line_take_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct bytes input = lines[i].input;
        struct bytes line = BYTES_NONE;
        enum smtp_line taken = smtp_line_take(&input, lines[i].max, &line);

        expect_row(i, taken == lines[i].state);
        expect_row(i, input.len == lines[i].left);
        if (taken == SMTP_LINE_WHOLE || taken == SMTP_LINE_BARE || taken == SMTP_LINE_BARE_LF)
            expect_row(i, bytes_equal(line, lines[i].line));
    }
}

/* Whatever arrives first, a line is taken once its end is there, and then it is the same. */
TEST(line_take_does_not_mind_splits)
{
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (lines[i].state != SMTP_LINE_WHOLE)
            continue;
        size_t whole = lines[i].line.len + 2;
        for (size_t len = 0; len < whole; len++) {
            struct bytes input = bytes_slice(lines[i].input, 0, len);
            struct bytes line;

            expect_row(i, smtp_line_take(&input, lines[i].max, &line) == SMTP_LINE_PARTIAL);
            expect_row(i, input.len == len);
        }
    }
}

TEST(command_parse_follows_table)
{
    static const struct {
        struct bytes line;
        enum smtp_verb verb;
        struct bytes argument;
    } rows[] = {
        {BYTES("EHLO a.example"), SMTP_EHLO, BYTES("a.example")},
        {BYTES("helo a.example"), SMTP_HELO, BYTES("a.example")},
        {BYTES("MAIL FROM:<a@b.example> SIZE=1"), SMTP_MAIL, BYTES("FROM:<a@b.example> SIZE=1")},
        {BYTES("rCpT TO:<a@b>"), SMTP_RCPT, BYTES("TO:<a@b>")},
        {BYTES("DATA"), SMTP_DATA, BYTES("")},
        {BYTES("DATA \t "), SMTP_DATA, BYTES("")}, /* RFC 5321 section 4.1.1 */
        {BYTES("BDAT 1 LAST"), SMTP_BDAT, BYTES("1 LAST")},
        {BYTES("RSET"), SMTP_RSET, BYTES("")},
        {BYTES("NOOP  x"), SMTP_NOOP, BYTES(" x")},
        {BYTES("VRFY x"), SMTP_VRFY, BYTES("x")},
        {BYTES("EXPN x"), SMTP_EXPN, BYTES("x")},
        {BYTES("HELP"), SMTP_HELP, BYTES("")},
        {BYTES("QUIT"), SMTP_QUIT, BYTES("")},
        {BYTES("STARTTLS"), SMTP_STARTTLS, BYTES("")},
        {BYTES("AUTH PLAIN AAA="), SMTP_AUTH, BYTES("PLAIN AAA=")},
        {BYTES(""), SMTP_VERB_UNKNOWN, BYTES("")},
        {BYTES(" EHLO"), SMTP_VERB_UNKNOWN, BYTES("EHLO")},
        {BYTES("EHLOX"), SMTP_VERB_UNKNOWN, BYTES("")},
        {BYTES("EHL"), SMTP_VERB_UNKNOWN, BYTES("")},
        {BYTES("GET / HTTP/1.1"), SMTP_VERB_UNKNOWN, BYTES("/ HTTP/1.1")},
        {BYTES("QUIT\tnow"), SMTP_VERB_UNKNOWN, BYTES("")},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct smtp_command command;

        smtp_command_parse(rows[i].line, &command);
        expect_row(i, command.verb == rows[i].verb);
        expect_row(i, bytes_equal(command.argument, rows[i].argument));
        expect_row(i, bytes_starts_nocase(rows[i].line, command.verb_text));
    }
}

/* RFC 3030 section 2. */
TEST(bdat_parse_follows_table)
{
    static const struct {
        struct bytes argument;
        bool valid;
        uint64_t size;
        bool is_last;
    } rows[] = {
        {BYTES("0"), true, 0, false},
        {BYTES("86 LAST"), true, 86, true},
        {BYTES("86 last"), true, 86, true},
        {BYTES("0 LAST"), true, 0, true},
        {BYTES("18446744073709551615"), true, UINT64_MAX, false},
        {BYTES("18446744073709551616"), false, 0, false},
        {BYTES(""), false, 0, false},
        {BYTES("LAST"), false, 0, false},
        {BYTES("-1"), false, 0, false},
        {BYTES("+1"), false, 0, false},
        {BYTES("1LAST"), false, 0, false},
        {BYTES("1  LAST"), false, 0, false},
        {BYTES("1 LASTX"), false, 0, false},
        {BYTES("0x10"), false, 0, false},
        {BYTES("1 2"), false, 0, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t size = 0;
        bool is_last = false;

        expect_row(i, smtp_bdat_parse(rows[i].argument, &size, &is_last) == rows[i].valid);
        expect_row(i, size == rows[i].size && is_last == rows[i].is_last);
    }
}

/* RFC 5321 section 4.1.1.1, and what real clients send. */
TEST(ehlo_parse_follows_table)
{
    static const struct {
        struct bytes argument;
        bool valid;
        bool is_strict;
    } rows[] = {
        {BYTES("client.example"), true, true},
        {BYTES("[192.0.2.1]"), true, true},
        {BYTES("[IPv6:2001:db8::1]"), true, true},
        {BYTES("localhost"), true, true},
        {BYTES("192.0.2.1"), true, false},
        {BYTES("my_laptop"), true, false},
        {BYTES("[127.0.0.1"), true, false},
        {BYTES("(x)"), true, false},
        {BYTES(""), false, false},
        {BYTES("a b"), false, false},
        {BYTES("a\tb"), false, false},
        {BYTES("b\xc3\xbc"
               "cher.example"),
         false, false}, /* RFC 6531 section 3.7.1 */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes name;
        bool is_strict = false;

        expect_row(i, smtp_ehlo_parse(rows[i].argument, &name, &is_strict) == rows[i].valid);
        expect_row(i, is_strict == rows[i].is_strict);
        expect_row(i, !rows[i].valid || bytes_equal(name, rows[i].argument));
    }
}
