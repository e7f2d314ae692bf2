/* test_mime_text.c - strings, fields, line ends, envelopes and dates. */
#include "inbound/mime/mime_date.h"
#include "inbound/mime/mime_envelope.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_line.h"
#include "inbound/mime/mime_string.h"

#include "support/unit.h"

static void check_text(size_t row, struct buf *found, struct bytes expected)
{
    if (!bytes_equal(buf_bytes(found), expected))
        fail_msg("row %zu: %.*s", row, BYTES_ARG(buf_bytes(found)));
    buf_clear(found);
}

TEST(strings_are_quoted_where_they_can_be)
{
    static const struct {
        struct bytes text, string;
    } rows[] = {
        {BYTES(""), BYTES("\"\"")},
        {BYTES("a b"), BYTES("\"a b\"")},
        {BYTES("\\a\"b\\"), BYTES("\"\\\\a\\\"b\\\\\"")},
        {BYTES("\xc3\xa9"), BYTES("{2}\r\n\xc3\xa9")},
        {BYTES("a\r\nb"), BYTES("{4}\r\na\r\nb")},
        {BYTES("a\0b"), BYTES("{3}\r\na\x80"
                              "b")},
    };
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(mime_string_write(rows[i].text, &out));
        check_text(i, &out, rows[i].string);
    }
    assert_true(mime_string_write_or_nil(BYTES_NONE, &out));
    check_text(0, &out, BYTES("NIL"));
    buf_free(&out);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_init(&out, rows[i].string.len - 1);
        assert_false(mime_string_write(rows[i].text, &out));
        buf_free(&out);
    }
}

TEST(long_strings_are_literals)
{
    uint8_t text[5000];
    struct buf out;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = 'x';
    buf_init(&out, 6000);
    assert_true(mime_string_write(bytes_range(text, sizeof(text)), &out));
    assert_true(bytes_starts_nocase(buf_bytes(&out), BYTES("{5000}\r\nxx")));
    buf_free(&out);
}

TEST(values_are_unfolded)
{
    static const struct {
        struct bytes value, text;
    } rows[] = {
        {BYTES(" a"), BYTES("a")},        {BYTES("  a \r\n b\t\r\n "), BYTES("a  b")},
        {BYTES("a\n\tb"), BYTES("a\tb")}, {BYTES("a\rb\r\r\n c"), BYTES("a b  c")},
        {BYTES("a\0b"), BYTES("a b")},    {BYTES("\r\n \r\n"), BYTES("")},
        {BYTES(""), BYTES("")},
    };
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(mime_field_unfold(rows[i].value, &out));
        check_text(i, &out, rows[i].text);
    }
    buf_free(&out);
    buf_init(&out, 1);
    assert_false(mime_field_unfold(BYTES("a\r\n b"), &out));
    buf_free(&out);
}

TEST(fields_end_with_the_section)
{
    struct bytes text = BYTES("From x\nnothing here\n: none\nA : 1\n 2\nB:\n\nC: 3\n");
    struct bytes section = mime_field_section(text), rest = section;
    struct mime_field field;

    assert_int_equal(section.len, text.len - 5);
    assert_true(mime_field_next(&rest, &field));
    assert_true(bytes_equal(field.name, BYTES("A")) && bytes_equal(field.value, BYTES(" 1\n 2")));
    assert_true(mime_field_next(&rest, &field));
    assert_true(bytes_equal(field.raw, BYTES("B:\n")) && field.value.len == 0);
    assert_false(mime_field_next(&rest, &field));
    assert_false(mime_field_find(text, BYTES("C"), &field));
    assert_true(mime_field_find(text, BYTES("b"), &field));
    assert_int_equal(mime_field_section(BYTES("")).len, 0);
    assert_int_equal(mime_field_section(BYTES("A: 1")).len, 4);
    assert_int_equal(mime_field_section(BYTES("\r\nA: 1")).len, 2);
}

/* In pieces of every length. */
TEST(line_ends_become_crlf)
{
    struct bytes text = BYTES("\na\r\nb\n\r\r\n\nc"), expected = BYTES("\r\na\r\nb\r\n\r\r\n\r\nc");
    struct buf out;

    assert_int_equal(mime_line_bare(text), 3);
    assert_int_equal(mime_line_bare(expected), 0);
    buf_init(&out, expected.len);
    for (size_t size = 1; size <= text.len; size++) {
        bool in_cr = false;

        for (size_t at = 0; at < text.len; at += size)
            assert_true(mime_line_convert(bytes_slice(text, at, size), &in_cr, &out));
        check_text(size, &out, expected);
    }
    buf_free(&out);
}

#define NILS " NIL NIL NIL NIL)"

static const struct {
    const char *header, *envelope;
} envelopes[] = {
    {"", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
    {"Date: d\nSubject:\nMessage-ID: <m>\nIn-Reply-To: <r>\n\n",
     "(\"d\" \"\" NIL NIL NIL NIL NIL NIL \"<r>\" \"<m>\")"},
    {"Subject: one\nSubject: two\n", "(NIL \"one\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
    {"From: a@b\nSender: \nReply-To: c@d\n",
     "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) NIL" NILS},
};

TEST(envelopes_of_headers)
{
    struct buf out;

    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(envelopes); i++) {
        assert_true(mime_envelope_write(bytes_of(envelopes[i].header), &out));
        check_text(i, &out, bytes_of(envelopes[i].envelope));
    }
    buf_free(&out);
    for (size_t len = 0; len < 30; len++) {
        buf_init(&out, len);
        assert_false(mime_envelope_write(BYTES("From: a@b\r\n"), &out));
        buf_free(&out);
    }
}

static const struct {
    const char *value, *list;
} lists[] = {
    {"", "NIL"},
    {" , ,", "NIL"},
    {"(only a comment)", "NIL"},
    {"a@b", "((NIL NIL \"a\" \"b\"))"},
    {"a@b (A. Name)", "((\"A. Name\" NIL \"a\" \"b\"))"},
    {"A  B <a@b> (c)", "((\"A B\" NIL \"a\" \"b\"))"},
    {"\"A, \\\"B\\\"\" <a@b>, c@d", "((\"A, \\\"B\\\"\" NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
    {"=?utf-8?q?=C3=84?= <a@b>", "((\"=?utf-8?q?=C3=84?=\" NIL \"a\" \"b\"))"},
    {"J. Smith <\"a b\"@[192.0.2.1]>", "((\"J. Smith\" NIL \"a b\" \"[192.0.2.1]\"))"},
    {"a . b @ c . d", "((NIL NIL \"a.b\" \"c.d\"))"},
    {"<@x,@y.z:a@b>", "((NIL \"@x,@y.z\" \"a\" \"b\"))"},
    {"<@x>", "((NIL NIL \"\" \"x\"))"},
    {"<>", "((NIL NIL \"\" \"\"))"},
    {"root", "((NIL NIL \"root\" \"\"))"},
    {"two words", "((\"two words\" NIL \"\" \"\"))"},
    {"<a@b> junk, c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
    {"<a@b, c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
    {"\"not ended <a@b>", "((\"not ended <a@b>\" NIL \"\" \"\"))"},
    {"G: a@b, C <c@d>; e@f", "((NIL NIL \"G\" NIL)(NIL NIL \"a\" \"b\")(\"C\" NIL \"c\" \"d\")"
                             "(NIL NIL NIL NIL)(NIL NIL \"e\" \"f\"))"},
    {"undisclosed recipients:;", "((NIL NIL \"undisclosed recipients\" NIL)(NIL NIL NIL NIL))"},
    {"G: a@b", "((NIL NIL \"G\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))"},
    {"G: H: a@b;", "((NIL NIL \"G\" NIL)(NIL NIL \"H:a\" \"b\")(NIL NIL NIL NIL))"},
    {"; a@b;", "((NIL NIL \"a\" \"b\"))"},
    {"a@b;c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
    {"a(b(c)d\\))e@f", "((\"b(c)d)\" NIL \"ae\" \"f\"))"},
};

TEST(address_lists_of_every_kind)
{
    struct buf header, expected, out;

    buf_init(&header, 1000);
    buf_init(&expected, 1000);
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        assert_true(buf_printf(&header, "Cc: %s\r\n\r\n", lists[i].value));
        assert_true(
            buf_printf(&expected, "(NIL NIL NIL NIL NIL NIL %s NIL NIL NIL)", lists[i].list));
        assert_true(mime_envelope_write(buf_bytes(&header), &out));
        check_text(i, &out, buf_bytes(&expected));
        buf_clear(&header);
        buf_clear(&expected);
    }
    buf_free(&header);
    buf_free(&expected);
    buf_free(&out);
}

TEST(address_lists_have_a_bound)
{
    struct buf header, out;
    struct bytes end = BYTES("(NIL NIL NIL NIL)) NIL NIL NIL)"), found;

    buf_init(&header, 1 << 20);
    buf_init(&out, 1 << 20);
    assert_true(buf_append(&header, BYTES("Cc: G: ")));
    for (int i = 0; i < MIME_ADDRESSES_MAX * 2; i++)
        assert_true(buf_append(&header, BYTES("a@b,")));
    assert_true(mime_envelope_write(buf_bytes(&header), &out));
    found = buf_bytes(&out);
    assert_in_range(found.len, MIME_ADDRESSES_MAX * 17, MIME_ADDRESSES_MAX * 17 + 100);
    assert_true(bytes_ends_nocase(found, end));
    buf_free(&header);
    buf_free(&out);
}

static const struct {
    const char *value;
    bool is_date;
    int64_t unix_s;
    int32_t zone_s;
} dates[] = {
    {" Thu, 13 Feb 1997 15:30:00 -0500 (EST)", true, 855865800, -18000},
    {"13 Feb 1997 15:30 GMT", true, 855847800, 0},
    {"Sat,\r\n 28-Nov-2026 19:38:50 +0130", true, 1795889330, 5400},
    {"Thu Jan  1 00:00:01 1970", true, 1, 0},
    {"1 Jan 70 00:00:00 PST", true, 28800, -28800},
    {"29 Feb 2000 00:00:00 +0000", true, 951782400, 0},
    {"31 Dec 1969 23:59:59 +0000", true, -1, 0},
    {"1 January 2026", true, 1767225600, 0},
    {"1 Jan 2026 25:00:00 +0000", true, 1767225600, 0}, /* section 2.2 of RFC 5256: no time */
    {"1 Jan 2026 10:00:00 +9999", true, 1767261600, 0},
    {"1 Jan 026 10:00:00 UT", true, -1388498400, 0},
    {"29 Feb 2001 00:00:00 +0000", false, 0, 0},
    {"0 Jan 2026 00:00:00", false, 0, 0},
    {"31 Foo 2026", false, 0, 0},
    {"Mon", false, 0, 0},
    {"", false, 0, 0},
    {"99999999999999999999 Jan 2026", false, 0, 0},
    {"((((", false, 0, 0},
};

TEST(dates_of_every_kind)
{
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct mime_date date = {0};
        bool is_date = mime_date_read(bytes_of(dates[i].value), &date);

        if (is_date != dates[i].is_date || date.unix_s != dates[i].unix_s ||
            date.zone_s != dates[i].zone_s)
            fail_msg("%s: %d %lld %d", dates[i].value, is_date, (long long)date.unix_s,
                     (int)date.zone_s);
    }
}
