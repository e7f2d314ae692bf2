/* base64.c - the encoder. */
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
