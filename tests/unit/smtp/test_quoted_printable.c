/* test_quoted_printable.c - RFC 2045 section 6.7. */
#include "smtp/quoted_printable.h"

#include "support/unit.h"

#define TEN "0123456789"

static const struct {
    struct bytes text;
    struct bytes encoded;
} rows[] = {
    {BYTES(""), BYTES("")},
    {BYTES("plain text.\r\n"), BYTES("plain text.\r\n")},
    {BYTES("a=b\r\n"), BYTES("a=3Db\r\n")},
    {BYTES("caf\xc3\xa9\r\n"), BYTES("caf=C3=A9\r\n")},
    {BYTES("\x00\x7f"), BYTES("=00=7F")},
    {BYTES("a\tb \r\n\t\r\n"), BYTES("a\tb=20\r\n=09\r\n")}, /* rule 3: not at a line's end ... */
    {BYTES("end "), BYTES("end=20")},                        /* ... nor at the text's */
    {BYTES("a\rb\nc"), BYTES("a=0Db=0Ac")},
    {BYTES("a\r"), BYTES("a=0D")},
    {BYTES(TEN TEN TEN TEN TEN TEN TEN "12345\r\n"),
     BYTES(TEN TEN TEN TEN TEN TEN TEN "12345\r\n")}, /* 75 */
    {BYTES(TEN TEN TEN TEN TEN TEN TEN "123456"), BYTES(TEN TEN TEN TEN TEN TEN TEN "12345=\r\n6")},
    {BYTES(TEN TEN TEN TEN TEN TEN TEN "123\xff"),
     BYTES(TEN TEN TEN TEN TEN TEN TEN "123=\r\n=FF")}, /* never inside of a unit */
};

TEST(quoted_printable_follows_table)
{
    struct buf out;

    buf_init(&out, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&out);
        expect_row(i, quoted_printable_encode(rows[i].text, &out));
        expect_row(i, bytes_equal(buf_bytes(&out), rows[i].encoded));
    }
    buf_free(&out);
}

TEST(quoted_printable_fails_where_the_buffer_ends)
{
    struct buf out;

    buf_init(&out, 4);
    assert_false(quoted_printable_encode(BYTES("\xff\xff"), &out));
    buf_free(&out);
}
