/* test_eight.c - eight bytes at once against each by itself. */
#include "support/unit.h"

#include <string.h>

#include "base/bytes.h"
#include "base/eight.h"

static bool is_printable(uint8_t c)
{
    return c >= ' ' && c < 0x7f;
}

static bool is_quotable(uint8_t c)
{
    return is_printable(c) && c != '"' && c != '\\';
}

static bool is_solid(uint8_t c)
{
    return is_printable(c) && c != ' ';
}

/* Each byte at each place, its neighbours plain: all questions have an exact answer. */
TEST(one_odd_byte_is_seen_wherever_it_stands)
{
    static const uint8_t plain[] = {' ', '!', '#', 'a', '[', ']', '~'};

    for (size_t p = 0; p < ARRAY_LEN(plain); p++)
        for (unsigned c = 0; c < 256; c++)
            for (size_t at = 0; at < 8; at++) {
                uint8_t text[8];

                memset(text, plain[p], sizeof(text));
                text[at] = (uint8_t)c;
                uint64_t eight = eight_load(text);

                expect_row(c, eight_is_ascii(eight) == (c < 0x80));
                expect_row(c, eight_is_printable(eight) == is_printable((uint8_t)c));
                expect_row(c, eight_is_quotable(eight) == is_quotable((uint8_t)c));
                expect_row(c,
                           eight_is_solid(eight) == (is_solid(plain[p]) && is_solid((uint8_t)c)));
            }
}

/* With several a byte may borrow from its neighbour or carry into it: none of it hides one. */
TEST(two_odd_bytes_do_not_hide_each_other)
{
    for (unsigned c = 0; c < 256; c++)
        for (unsigned other = 0; other < 256; other++) {
            uint8_t text[8] = {'a', (uint8_t)c, (uint8_t)other, 'b', (uint8_t)other, 'c', 'd', 'e'};
            uint64_t eight = eight_load(text);

            expect_row(c, eight_is_ascii(eight) == (c < 0x80 && other < 0x80));
            expect_row(c, eight_is_printable(eight) ==
                              (is_printable((uint8_t)c) && is_printable((uint8_t)other)));
            expect_row(c, eight_is_quotable(eight) ==
                              (is_quotable((uint8_t)c) && is_quotable((uint8_t)other)));
            expect_row(c,
                       eight_is_solid(eight) == (is_solid((uint8_t)c) && is_solid((uint8_t)other)));
        }
}
