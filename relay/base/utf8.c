/* utf8.c - the byte ranges of RFC 3629 section 4. */
#include "base/utf8.h"

/* A lead byte allows a range for the byte behind it; all further ones are 0x80..0xbf. */
static const struct {
    uint8_t lead_min, lead_max, second_min, second_max;
    size_t len;
} sequences[] = {
    {0xc2, 0xc2, 0xa0, 0xbf, 2},                              /* without the C1 controls */
    {0xc3, 0xdf, 0x80, 0xbf, 2},                              /* 0xc0, 0xc1 would be overlong */
    {0xe0, 0xe0, 0xa0, 0xbf, 3},                              /* less would be overlong */
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, /* more would be a surrogate */
    {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, /* less would be overlong */
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}, /* more would be above U+10FFFF */
};

size_t utf8_character(struct bytes b)
{
    if (b.len < 2)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
        if (b.ptr[0] < sequences[i].lead_min || b.ptr[0] > sequences[i].lead_max)
            continue;
        if (b.len < sequences[i].len)
            return 0;
        if (b.ptr[1] < sequences[i].second_min || b.ptr[1] > sequences[i].second_max)
            return 0;
        for (size_t k = 2; k < sequences[i].len; k++)
            if (b.ptr[k] < 0x80 || b.ptr[k] > 0xbf)
                return 0;
        return sequences[i].len;
    }
    return 0;
}

bool utf8_is_printable(struct bytes b)
{
    size_t at = 0;

    while (at < b.len) {
        if (b.ptr[at] >= 32 && b.ptr[at] <= 126) {
            at++;
            continue;
        }
        size_t len = utf8_character(bytes_slice(b, at, b.len - at));
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}
