#include "inbound/receive/proxy_header.h"

#include <string.h>

#include "support/unit.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static const struct {
    struct bytes input;
    const char *client; /* NULL: none is said */
    size_t left;
} good[] = {
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\nEHLO x\r\n"), "192.0.2.1", 8},
    {BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n"), "2001:db8::1", 0},
    {BYTES("PROXY UNKNOWN\r\n"), NULL, 0},
    {BYTES("PROXY UNKNOWN ffff:: anything 1 2\r\nx"), NULL, 1},
    {BYTES(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19"
              "EHLO"),
     "192.0.2.1", 4},
    {BYTES(V2 "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19\x04\0\0"), "192.0.2.1", 0},
    {BYTES(V2 "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
              "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\x19"),
     "2001:db8::1", 0},
    {BYTES(V2 "\x20\0\0\0"), NULL, 0},
    {BYTES(V2 "\x21\0\0\0"), NULL, 0},
};

TEST(proxy_header_is_taken_whole_and_not_before)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct proxy_header header;
        struct bytes input = good[i].input;
        char text[ADDRESS_TEXT_MAX];

        for (size_t len = 0; len < input.len - good[i].left; len++) {
            struct bytes part = bytes_slice(input, 0, len);

            expect_row(i, proxy_header_take(&part, &header) == PROXY_MORE);
            expect_row(i, part.len == len);
        }
        expect_row(i, proxy_header_take(&input, &header) == PROXY_DONE);
        expect_row(i, input.len == good[i].left);
        expect_row(i, header.is_local == (good[i].client == NULL));
        if (good[i].client == NULL)
            continue;
        address_format(&header.client, text);
        assert_string_equal(text, good[i].client);
    }
}

static const struct bytes bad[] = {
    BYTES("EHLO x\r\n"),
    BYTES("PROXX"),
    BYTES("proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n"),
    BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"),
    BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"),
    BYTES("PROXY TCP4 192.0.2.1  198.51.100.1 1 2\r\n"),
    BYTES("PROXY TCP4 192.0.2.1:25 198.51.100.1 1 2\r\n"),
    BYTES("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
    BYTES("PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n"),
    BYTES("PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n"),
    BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n"),
    BYTES("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"),
    BYTES("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n"),
    BYTES("PROXY \r\n"),
    BYTES("\r\n\r\n\1"),
    BYTES(V2 "\x11\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19"), /* version 1 in 2's form */
    BYTES(V2 "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19"), /* an unknown command */
    BYTES(V2 "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0"),     /* too short */
    BYTES(V2 "\x21\x21\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19"),
    BYTES(V2 "\x21\x11\xff\xff"), /* longer than anybody needs */
};

TEST(proxy_header_that_is_none_is_refused)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct proxy_header header;
        struct bytes input = bad[i];

        expect_row(i, proxy_header_take(&input, &header) == PROXY_BAD);
        expect_row(i, input.len == bad[i].len);
    }
}

TEST(proxy_header_line_is_bounded)
{
    uint8_t line[PROXY_LINE_MAX + 1];
    struct proxy_header header;
    struct bytes input;

    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    input = bytes_range(line, PROXY_LINE_MAX);
    assert_int_equal(proxy_header_take(&input, &header), PROXY_BAD);
    memcpy(line + PROXY_LINE_MAX - 2, "\r\n", 2);
    assert_int_equal(proxy_header_take(&input, &header), PROXY_DONE);
}
