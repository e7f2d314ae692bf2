/* test_encoded_word.c - RFC 2047, as readers see it. */
#include "smtp/encoded_word.h"

#include "support/unit.h"

#define E10 "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" /* 10 bytes */

static const struct {
    struct bytes text;
    struct bytes encoded;
} rows[] = {
    {BYTES(""), BYTES("")},
    {BYTES("a"), BYTES("=?utf-8?B?YQ==?=")},
    {BYTES("ab"), BYTES("=?utf-8?B?YWI=?=")},
    {BYTES("caf\xc3\xa9"), BYTES("=?utf-8?B?Y2Fmw6k=?=")},
    {BYTES("\xff\xfe\x01"), BYTES("=?utf-8?B?//4B?=")},
    /* 38 bytes and a character of two: it does not come apart (RFC 2047 section 5). */
    {BYTES("abcd" E10 E10 E10 "\xc3\xa9\xc3\xa9\xc3\xa9"),
     BYTES("=?utf-8?B?YWJjZMOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6k=?=\r\n"
           " =?utf-8?B?w6k=?=")},
};

TEST(encoded_words_follow_table)
{
    struct buf out;

    buf_init(&out, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&out);
        expect_row(i, encoded_words_write(rows[i].text, &out));
        expect_row(i, bytes_equal(buf_bytes(&out), rows[i].encoded));
    }
    buf_free(&out);
}

TEST(encoded_words_fail_where_the_buffer_ends)
{
    struct buf out;

    buf_init(&out, 12);
    assert_false(encoded_words_write(BYTES("caf\xc3\xa9"), &out));
    buf_free(&out);
}

static const struct {
    struct bytes text, read;
} read_rows[] = {
    {BYTES(""), BYTES("")},
    {BYTES("plain = ?= text "), BYTES("plain = ?= text ")},
    {BYTES("=?utf-8?B?w6k=?="), BYTES("\xc3\xa9")},
    {BYTES("a =?UTF-8?q?=c3=A9_b?= c"), BYTES("a \xc3\xa9 b c")},
    {BYTES("=?utf-8?Q?a?= \t =?utf-8?Q?b?= c =?utf-8?Q?d?="), BYTES("ab c d")},
    {BYTES("=?utf-8?Q?a?= =?x?="), BYTES("a =?x?=")},
    {BYTES("=?utf-8?Q?a?==?utf-8?Q?b?="), BYTES("ab")},
    {BYTES("=?utf-8?Q?a=00b?="), BYTES("a\0b")},
    {BYTES("=?utf-8*en?Q?a?="), BYTES("a")},
    {BYTES("=?iso-8859-1?Q?=E9=80?="), BYTES("\xc3\xa9\xc2\x80")},
    {BYTES("=?ISO-8859-15?Q?=A4=E9?="), BYTES("\xe2\x82\xac\xc3\xa9")},
    {BYTES("=?windows-1252?Q?=80=96?="), BYTES("\xe2\x82\xac\xe2\x80\x93")},
    {BYTES("=?windows-1252?Q?=81?="), BYTES("=?windows-1252?Q?=81?=")},
    {BYTES("=?iso-8859-7?Q?abc?="), BYTES("abc")},
    {BYTES("=?iso-8859-7?Q?a=E1?= b"), BYTES("=?iso-8859-7?Q?a=E1?= b")},
    {BYTES("=?koi8-r?Q?a?="), BYTES("=?koi8-r?Q?a?=")},
    {BYTES("=?utf-8?X?a?="), BYTES("=?utf-8?X?a?=")},
    {BYTES("=?utf-8?Q?a=4?="), BYTES("=?utf-8?Q?a=4?=")},
    {BYTES("=?utf-8?B?!!?="), BYTES("=?utf-8?B?!!?=")},
    {BYTES("=?utf-8?Q?a b?="), BYTES("=?utf-8?Q?a b?=")},
    {BYTES("=?utf-8?Q?a"), BYTES("=?utf-8?Q?a")},
    {BYTES("=?utf-8?Q"), BYTES("=?utf-8?Q")},
    {BYTES("=?"), BYTES("=?")},
};

TEST(encoded_words_are_read_by_table)
{
    struct buf out;

    buf_init(&out, 1024);
    for (size_t i = 0; i < ARRAY_LEN(read_rows); i++) {
        buf_clear(&out);
        expect_row(i, encoded_words_read(read_rows[i].text, &out));
        if (!bytes_equal(buf_bytes(&out), read_rows[i].read))
            fail_msg("row %zu: %.*s", i, BYTES_ARG(buf_bytes(&out)));
    }
    buf_free(&out);
}

TEST(encoded_words_are_read_up_to_the_cap)
{
    struct buf out;

    buf_init(&out, 3);
    assert_false(encoded_words_read(BYTES("=?utf-8?Q?abcd?="), &out));
    assert_true(buf_len(&out) <= 3);
    buf_free(&out);
}
