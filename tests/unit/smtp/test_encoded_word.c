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
