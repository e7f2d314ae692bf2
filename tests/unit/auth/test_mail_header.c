/* test_mail_header.c - fields as they came, at every cut, and the bounds. */
#include "auth/mail_header.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static void feed(struct mail_header *header, struct bytes content, size_t cut, struct buf *body)
{
    struct bytes parts[2] = {bytes_slice(content, 0, cut), bytes_slice(content, cut, content.len)};

    buf_init(body, 1 << 20);
    for (size_t i = 0; i < 2; i++) {
        bool was_in_body = header->in_body;

        if (mail_header_feed(header, &parts[i]) && !was_in_body)
            assert_true(buf_append(body, header->body_start));
        assert_true(buf_append(body, parts[i]));
    }
    bool was_in_body = header->in_body;
    mail_header_finish(header);
    if (!was_in_body)
        assert_true(buf_append(body, header->body_start));
}

/* One text a field, "name|value", and the body behind. */
static const struct {
    const char *content;
    const char *fields[4];
    const char *body;
    bool missing_separator;
} messages[] = {
    {"A: b\r\n\r\nbody\r\n", {"A| b"}, "body\r\n", false},
    {"A:b\r\nB : c\r\n\td\r\n\r\n", {"A|b", "B| c\r\n\td"}, "", false},
    {"A \t:b\r\n\r\n\r\n", {"A|b"}, "\r\n", false},
    {"A: b\r\n \r\n\r\nx", {"A| b\r\n "}, "x", false}, /* white space alone continues a field */
    {"A: b", {"A| b"}, "", false},                     /* no line end at all */
    {"A: b\r\n c", {"A| b\r\n c"}, "", false},
    {"A:\r\nB:\r\n\r\n", {"A|", "B|"}, "", false},
    {"A: b\nc\rd\r\n\r\n", {"A| b\nc\rd"}, "", false}, /* no line ends of ours */
    {"", {NULL}, "", false},
    {"\r\nA: b\r\n", {NULL}, "A: b\r\n", false},
    {"A: b\r\nno field\r\nC: d\r\n", {"A| b"}, "no field\r\nC: d\r\n", true},
    {"A: b\r\nno end", {"A| b"}, "no end", true},
    {" A: b\r\n\r\n", {NULL}, " A: b\r\n\r\n", true}, /* continues nothing */
    {": b\r\n\r\n", {NULL}, ": b\r\n\r\n", true},
    {"\xc3\xa4: b\r\n\r\n", {NULL}, "\xc3\xa4: b\r\n\r\n", true},
    {"From a@b Tue\r\nA: b\r\n\r\nx", {"A| b"}, "x", false},
    {">From a@b Tue\r\nA: b\r\n\r\nx", {"A| b"}, "x", false},
    {"From : b\r\n\r\nx", {"From| b"}, "x", false},
    {"A: b\r\nFrom a@b Tue\r\n\r\nx", {"A| b"}, "From a@b Tue\r\n\r\nx", true},
    {"A: b\r\n\r", {"A| b"}, "\r", true},
};

TEST(feed_gives_the_same_fields_at_every_cut)
{
    for (size_t row = 0; row < ARRAY_LEN(messages); row++) {
        struct bytes content = bytes_of(messages[row].content);

        for (size_t cut = 0; cut <= content.len; cut++) {
            struct mail_header header;
            struct buf body;
            size_t count = 0;

            mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
            feed(&header, content, cut, &body);
            expect_row(row, header.in_body);
            expect_row(row, header.missing_separator == messages[row].missing_separator);
            for (; count < 4 && messages[row].fields[count] != NULL; count++) {
                char text[64];

                expect_row(row, count < header.count);
                snprintf(text, sizeof(text), "%.*s|%.*s", BYTES_ARG(header.fields[count].name),
                         BYTES_ARG(header.fields[count].value));
                expect_row(row, strcmp(text, messages[row].fields[count]) == 0);
                expect_row(row, header.fields[count].raw.ptr == header.fields[count].name.ptr);
            }
            expect_row(row, count == header.count);
            expect_row(row, bytes_equal(buf_bytes(&body), bytes_of(messages[row].body)));
            buf_free(&body);
            mail_header_free(&header);
        }
    }
}

TEST(raw_fields_are_the_header_without_the_empty_line)
{
    struct bytes content = BYTES("A: b\r\nB:c\r\n d\r\n\r\nbody");
    struct mail_header header;
    struct buf all;

    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    buf_init(&all, 100);
    assert_true(mail_header_feed(&header, &content));
    for (size_t i = 0; i < header.count; i++)
        assert_true(buf_append(&all, header.fields[i].raw));
    assert_true(bytes_equal(buf_bytes(&all), BYTES("A: b\r\nB:c\r\n d\r\n")));
    assert_true(bytes_equal(content, BYTES("body")));
    buf_free(&all);
    mail_header_free(&header);
}

TEST(find_walks_fields_of_a_name_from_the_bottom)
{
    struct bytes content = BYTES("To: 0\r\nCc: 1\r\nTO: 2\r\nto: 3\r\n\r\n");
    struct mail_header header;

    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    assert_true(mail_header_feed(&header, &content));
    assert_int_equal(mail_header_count(&header, BYTES("tO")), 3);
    assert_int_equal(mail_header_find(&header, BYTES("tO"), 4), 3);
    assert_int_equal(mail_header_find(&header, BYTES("tO"), 3), 2);
    assert_int_equal(mail_header_find(&header, BYTES("tO"), 2), 0);
    assert_int_equal(mail_header_find(&header, BYTES("tO"), 0), -1);
    assert_int_equal(mail_header_find(&header, BYTES("Bcc"), 4), -1);
    mail_header_free(&header);
}

/* A field that does not fit is dropped whole, and the body begins where it did. */
TEST(feed_cuts_at_whole_fields_at_every_size)
{
    struct bytes whole = BYTES("A: b\r\nB: 0123456789\r\n\t0123456789\r\nC: d\r\n\r\nA: body\r\n");

    for (size_t size_max = 1; size_max <= whole.len; size_max++) {
        for (size_t cut = 0; cut <= whole.len; cut++) {
            struct mail_header header;
            struct buf body;

            mail_header_init(&header, size_max, MAIL_HEADER_FIELDS_MAX);
            feed(&header, whole, cut, &body);
            assert_true(bytes_equal(buf_bytes(&body), BYTES("A: body\r\n")));
            assert_int_equal(header.is_cut, size_max < 42);
            if (header.count >= 2)
                assert_true(
                    bytes_equal(header.fields[1].value, BYTES(" 0123456789\r\n\t0123456789")));
            assert_true(header.count <= 3);
            buf_free(&body);
            mail_header_free(&header);
        }
    }
}

TEST(feed_keeps_no_more_fields_than_it_may)
{
    struct bytes content = BYTES("A: 1\r\nA: 2\r\nA: 3\r\n more\r\n\r\nbody");
    struct mail_header header;
    struct buf body;

    for (size_t cut = 0; cut <= content.len; cut++) {
        mail_header_init(&header, MAIL_HEADER_SIZE_MAX, 2);
        feed(&header, content, cut, &body);
        assert_int_equal(header.count, 2);
        assert_true(header.is_cut);
        assert_true(bytes_equal(header.fields[1].value, BYTES(" 2")));
        assert_true(bytes_equal(buf_bytes(&body), BYTES("body")));
        buf_free(&body);
        mail_header_free(&header);
    }
}

TEST(cut_headers_end_at_an_empty_line_and_nowhere_else)
{
    struct bytes content = BYTES("A: 0123456789\r\nB\n: x\r\n\n\r\n\r\nbody");
    struct mail_header header;
    struct buf body;

    for (size_t cut = 0; cut <= content.len; cut++) {
        mail_header_init(&header, 10, MAIL_HEADER_FIELDS_MAX);
        feed(&header, content, cut, &body);
        assert_true(header.is_cut && header.count == 0);
        assert_true(bytes_equal(buf_bytes(&body), BYTES("body")));
        buf_free(&body);
        mail_header_free(&header);
    }
}

TEST(has_8bit_is_said_of_the_header_alone)
{
    struct bytes contents[] = {BYTES("A: b\r\n\r\n\xc3\xa4"), BYTES("A: \xc3\xa4\r\n\r\n")};

    for (size_t i = 0; i < 2; i++) {
        struct mail_header header;
        mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
        assert_true(mail_header_feed(&header, &contents[i]));
        assert_int_equal(header.has_8bit, i);
        mail_header_free(&header);
    }
}
