/* xtext.c - the printable armour of DSN parameters (RFC 3461 section 4). */
#include "base/utf8.h"
#include "smtp/address.h"

static bool is_xchar(uint8_t c)
{
    return c >= 33 && c <= 126 && c != '+' && c != '=';
}

/* Two digits of a hexchar, upper case as RFC 3461 section 4 says, or -1. */
static int hexchar_value(struct bytes xtext, size_t at)
{
    int high = xtext.len - at < 3 ? -1 : byte_hex_upper_value(xtext.ptr[at + 1]);
    int low = high < 0 ? -1 : byte_hex_upper_value(xtext.ptr[at + 2]);

    return low < 0 ? -1 : high << 4 | low;
}

/* Length of the xchar or hexchar at `at`, 0 when it is neither. */
static size_t xtext_unit(struct bytes xtext, size_t at)
{
    if (is_xchar(xtext.ptr[at]))
        return 1;
    return xtext.ptr[at] == '+' && hexchar_value(xtext, at) >= 0 ? 3 : 0;
}

bool smtp_xtext_is_valid(struct bytes xtext)
{
    size_t at = 0;

    while (at < xtext.len) {
        size_t len = xtext_unit(xtext, at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

bool smtp_xtext_decode(struct arena *arena, struct bytes xtext, struct bytes *out)
{
    if (!smtp_xtext_is_valid(xtext))
        return false;
    uint8_t *text = arena_alloc(arena, xtext.len + 1);
    if (text == NULL)
        return false;
    size_t len = 0;
    for (size_t at = 0; at < xtext.len; len++) {
        size_t unit = xtext_unit(xtext, at);
        check(unit != 0);
        text[len] = xtext.ptr[at];
        if (unit == 3)
            text[len] = (uint8_t)hexchar_value(xtext, at);
        at += unit;
    }
    *out = (struct bytes){text, len};
    return true;
}

bool smtp_xtext_encode(struct bytes text, struct buf *out)
{
    static const uint8_t digits[] = "0123456789ABCDEF";

    size_t len = 0;

    for (size_t i = 0; i < text.len; i++)
        len += is_xchar(text.ptr[i]) ? 1 : 3;
    uint8_t *to = buf_reserve(out, len);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_xchar(c)) {
            *to++ = c;
            continue;
        }
        *to++ = '+';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    buf_extend(out, len);
    return true;
}

/* One character of a UTF-8 address as its code point; validated when the command was parsed. */
static bool put_embedded(struct bytes character, struct buf *out)
{
    uint32_t code = character.ptr[0];

    if (character.len > 1) {
        code &= 0x7fU >> character.len;
        for (size_t i = 1; i < character.len; i++)
            code = code << 6 | (character.ptr[i] & 0x3fU);
    }
    return buf_printf(out, "\\x{%02X}", code);
}

bool smtp_orcpt_encode(struct bytes orcpt, struct buf *out)
{
    size_t before = buf_len(out);
    size_t at = bytes_find(orcpt, ';', 0) + 1;

    if (!bytes_starts_nocase(orcpt, BYTES("utf-8;")))
        return buf_append(out, orcpt);
    bool fits = buf_append(out, bytes_slice(orcpt, 0, at));

    while (fits && at < orcpt.len) {
        struct bytes rest = bytes_slice(orcpt, at, orcpt.len);
        size_t len = utf8_character(rest);
        bool is_embedded = len > 0 || rest.ptr[0] == '+' || rest.ptr[0] == '=';
        struct bytes character = bytes_slice(rest, 0, MAX(len, (size_t)1));

        fits = is_embedded ? put_embedded(character, out) : buf_append(out, character);
        at += character.len;
    }
    if (!fits)
        buf_truncate(out, before);
    return fits;
}
