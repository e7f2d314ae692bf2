/* folder_name.c - IMAP's UTF-7 (RFC 3501 section 5.1.3) read. */
#include "inbound/mailbox/folder_name.h"

#include <string.h>

struct reader {
    uint8_t *out;
    size_t len;
    uint32_t high; /* the first half of a pair of UTF-16; 0: none */
};

static bool put(struct reader *r, uint32_t c)
{
    if (r->len + 4 > MAILBOX_NAME_MAX)
        return false;
    if (c < 0x80) {
        r->out[r->len++] = (uint8_t)c;
        return true;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};

    r->out[r->len++] = (uint8_t)(first[more] | c >> 6 * more);
    while (more-- > 0)
        r->out[r->len++] = (uint8_t)(0x80 | (c >> 6 * more & 0x3f));
    return true;
}

static bool put_unit(struct reader *r, uint32_t unit)
{
    bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

    if (r->high != 0) {
        uint32_t c = 0x10000 + ((r->high - 0xd800) << 10) + (unit - 0xdc00);

        r->high = 0;
        return is_low && put(r, c);
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        r->high = unit;
        return true;
    }
    return !is_low && put(r, unit);
}

/* Between "&" and "-". */
static bool take_shifted(struct reader *r, struct bytes text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    uint32_t bits = 0;
    unsigned count = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr[i] == 0 ? NULL : strchr(digits, text.ptr[i]);

        if (at == NULL)
            return false;
        bits = (bits << 6 | (uint32_t)(at - digits)) & 0x3fffff;
        count += 6;
        if (count < 16)
            continue;
        count -= 16;
        if (!put_unit(r, bits >> count & 0xffff))
            return false;
    }
    return r->high == 0;
}

static bool decode(struct reader *r, struct bytes folder)
{
    for (size_t i = 1; i < folder.len; i++) {
        uint8_t c = folder.ptr[i];

        if (c != '&') {
            if (!put(r, c == '.' ? '/' : c))
                return false;
            continue;
        }
        size_t end = bytes_find(folder, '-', i);

        if (end == folder.len ||
            !(end == i + 1 ? put(r, '&')
                           : take_shifted(r, bytes_slice(folder, i + 1, end - i - 1))))
            return false;
        i = end;
    }
    return true;
}

bool folder_name_decode(struct bytes folder, uint8_t out[static MAILBOX_NAME_MAX], size_t *len_out)
{
    struct reader r = {.out = out};
    char again[MAIL_FOLDER_MAX + 1];

    if (folder.len < 2 || folder.len > MAIL_FOLDER_MAX || folder.ptr[0] != '.' ||
        bytes_has_8bit(folder) || !decode(&r, folder))
        return false;
    /* There is one directory for each name. */
    if (!mail_folder_encode(bytes_range(out, r.len), again) ||
        !bytes_equal(bytes_of(again), folder))
        return false;
    *len_out = r.len;
    return true;
}
