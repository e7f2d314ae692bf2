/* test_utf8.c - strict UTF-8 against a decoder that goes the long way round. */
#include "base/utf8.h"

#include <string.h>

#include "support/unit.h"

/* The character as RFC 3629 section 3 encodes it; its length. */
static size_t encode(uint32_t c, uint8_t out[static 4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)((0xf0 << (4 - len)) | c);
    return len;
}

TEST(utf8_character_takes_every_code_point)
{
    for (uint32_t c = 0; c <= 0x1fffff; c++) {
        uint8_t text[4];
        size_t len = encode(c, text);
        bool valid = c >= 0xa0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

        assert_int_equal(utf8_character(bytes_range(text, len)), valid ? len : 0);
        if (valid)
            assert_int_equal(utf8_character(bytes_range(text, len - 1)), 0);
    }
}

/* Of all two and three byte texts exactly those that encode() makes are characters. */
TEST(utf8_character_rejects_overlong_and_broken)
{
    for (uint32_t text = 0; text < 1 << 24; text++) {
        uint8_t b[3] = {(uint8_t)(text >> 16), (uint8_t)(text >> 8), (uint8_t)text};
        size_t len = utf8_character(bytes_range(b, 3));

        if (len == 0)
            continue;
        uint32_t c = b[0] & (0x7f >> len);
        for (size_t i = 1; i < len; i++)
            c = c << 6 | (b[i] & 0x3f);
        uint8_t again[4];
        assert_int_equal(encode(c, again), len);
        assert_memory_equal(again, b, len);
    }
}

TEST(utf8_is_printable_follows_table)
{
    static const struct {
        struct bytes text;
        bool valid;
    } rows[] = {
        {BYTES(""), true},
        {BYTES("plain ~"), true},
        {BYTES("\xf0\x9f\x93\xa8 mail"), true},
        {BYTES("\xc2\x80"), false}, /* C1 control */
        {BYTES("\xc2\x9f"), false},
        {BYTES("\t"), false},
        {BYTES("\x7f"), false},
        {BYTES("a\0"), false},
        {BYTES("\xc0\x80"), false},
        {BYTES("\xed\xa0\x80"), false},         /* a surrogate */
        {BYTES("\xf4\x90\x80\x80"), false},     /* above U+10FFFF */
        {BYTES("\xf8\x88\x80\x80\x80"), false}, /* five bytes */
        {BYTES("\xe2\x82"), false},
        {BYTES("\x80"), false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, utf8_is_printable(rows[i].text) == rows[i].valid);
}
