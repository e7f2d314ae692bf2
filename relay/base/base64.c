/* base64.c - the encoder and the decoder. */
#include "base/base64.h"

bool base64_write(struct bytes b, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = (b.len + 2) / 3 * 4;
    uint8_t *to = buf_reserve(out, len);

    if (to == NULL)
        return false;
    for (size_t at = 0; at < b.len; at += 3) {
        struct bytes three = bytes_slice(b, at, 3);
        uint32_t bits = (uint32_t)three.ptr[0] << 16;

        bits |= three.len > 1 ? (uint32_t)three.ptr[1] << 8 : 0;
        bits |= three.len > 2 ? three.ptr[2] : 0;
        *to++ = (uint8_t)digits[bits >> 18];
        *to++ = (uint8_t)digits[bits >> 12 & 63];
        *to++ = (uint8_t)(three.len > 1 ? digits[bits >> 6 & 63] : '=');
        *to++ = (uint8_t)(three.len > 2 ? digits[bits & 63] : '=');
    }
    buf_extend(out, len);
    return true;
}

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (byte_is_digit(c))
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* The last four characters may be "xx==" or "xxx=". */
static size_t padding_of(struct bytes text)
{
    if (text.len == 0 || text.ptr[text.len - 1] != '=')
        return 0;
    return text.ptr[text.len - 2] == '=' ? 2 : 1;
}

bool base64_read(struct bytes text, struct buf *out)
{
    size_t before = buf_len(out);

    if (text.len % 4 != 0)
        return false;
    if (text.len == 0)
        return true;
    size_t padding = padding_of(text);
    size_t len = text.len / 4 * 3 - padding;
    uint8_t *to = buf_reserve(out, len);
    if (to == NULL)
        return false;
    uint32_t bits = 0; /* not written yet, in the low end */
    unsigned bit_count = 0;
    for (size_t i = 0; i < text.len - padding; i++) {
        int value = value_of(text.ptr[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        *to++ = (uint8_t)(bits >> bit_count);
    }
    if ((bits & ((1U << bit_count) - 1)) != 0)
        return false;
    buf_extend(out, len);
    check(buf_len(out) == before + len);
    return true;
}
