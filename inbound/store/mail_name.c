/* mail_name.c - names made safe, and read back. */
#include "inbound/store/mail_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_plain(uint8_t c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || byte_is_digit(c) || (c != 0 && strchr("-_+=,", c) != NULL) ||
           (c == '.' && !is_first);
}

bool mail_name_encode(struct bytes text, char out[static MAIL_NAME_MAX + 1])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool plain = is_plain(c, i == 0);

        if (len + (plain ? 1 : 3) > MAIL_NAME_MAX)
            return false;
        if (plain) {
            out[len++] = (char)c;
            continue;
        }
        out[len++] = '%';
        out[len++] = digits[c >> 4];
        out[len++] = digits[c & 15];
    }
    out[len] = '\0';
    return len > 0;
}

bool mail_name_decode(struct bytes name, uint8_t out[static MAIL_NAME_MAX], size_t *len_out)
{
    size_t len = 0, i = 0;

    if (name.len == 0 || name.len > MAIL_NAME_MAX)
        return false;
    while (i < name.len) {
        uint8_t c = name.ptr[i];

        if (c != '%') {
            if (!is_plain(c, len == 0))
                return false;
            i++;
        } else {
            int high = i + 2 < name.len ? byte_hex_upper_value(name.ptr[i + 1]) : -1;
            int low = high < 0 ? -1 : byte_hex_upper_value(name.ptr[i + 2]);

            if (low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            if (is_plain(c, len == 0)) /* there is one name for each text */
                return false;
            i += 3;
        }
        out[len++] = c;
    }
    *len_out = len;
    return true;
}

/* --- folders ---------------------------------------------------------------------------------- */

struct folder_writer {
    char *out;
    size_t len;
    bool is_full;
    bool is_shifted; /* within "&...-" */
    uint32_t bits;
    unsigned bit_count;
};

static void put(struct folder_writer *w, char c)
{
    if (w->len < MAIL_FOLDER_MAX)
        w->out[w->len++] = c;
    else
        w->is_full = true;
}

static void put_bits(struct folder_writer *w, uint32_t value, unsigned count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

    w->bits = w->bits << count | value;
    w->bit_count += count;
    while (w->bit_count >= 6) {
        w->bit_count -= 6;
        put(w, digits[w->bits >> w->bit_count & 63]);
    }
}

static void end_shift(struct folder_writer *w)
{
    if (!w->is_shifted)
        return;
    if (w->bit_count > 0)
        put_bits(w, 0, 6 - w->bit_count);
    put(w, '-');
    w->is_shifted = false;
}

static void put_wide(struct folder_writer *w, uint32_t c)
{
    if (!w->is_shifted) {
        put(w, '&');
        w->is_shifted = true;
        w->bits = w->bit_count = 0;
    }
    if (c >= 0x10000) { /* as UTF-16 */
        put_bits(w, 0xd800 + ((c - 0x10000) >> 10), 16);
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    put_bits(w, c, 16);
}

/* One character of UTF-8 off the front; false: it is none. */
static bool take_character(struct bytes *text, uint32_t *c_out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text->ptr[0];
    size_t len = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t c = first < 0x80 ? first : first & (0xffU >> (len + 1));

    if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || len > text->len)
        return false;
    for (size_t i = 1; i < len; i++) {
        if ((text->ptr[i] & 0xc0) != 0x80)
            return false;
        c = c << 6 | (text->ptr[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    *c_out = c;
    *text = bytes_slice(*text, len, text->len);
    return true;
}

bool mail_folder_encode(struct bytes mailbox, char out[static MAIL_FOLDER_MAX + 1])
{
    struct folder_writer w = {.out = out};
    bool is_part_empty = true;
    uint32_t c;

    out[0] = '\0';
    if (mailbox.len == 0 || bytes_equal_nocase(mailbox, BYTES("INBOX")))
        return true;
    put(&w, '.');
    while (mailbox.len > 0) {
        if (!take_character(&mailbox, &c) || c < 0x20 || c == '.' || (c >= 0x7f && c < 0xa0))
            return false;
        if (c >= 0x80) {
            put_wide(&w, c);
            is_part_empty = false;
            continue;
        }
        end_shift(&w);
        if (c == '/') {
            if (is_part_empty)
                return false;
            is_part_empty = true;
            put(&w, '.');
            continue;
        }
        put(&w, (char)c);
        if (c == '&')
            put(&w, '-');
        is_part_empty = false;
    }
    end_shift(&w);
    out[w.len] = '\0';
    return !is_part_empty && !w.is_full;
}

/* --- messages --------------------------------------------------------------------------------- */

void mail_file_name_format(const struct mail_file_name *name, char out[static MAIL_NAME_MAX + 1])
{
    enum { HOST_MAX = 120 };
    char host[HOST_MAX + 1];
    size_t len = 0;

    for (; name->host[len] != '\0' && len < HOST_MAX; len++) {
        uint8_t c = (uint8_t)name->host[len];

        host[len] = byte_is_alnum(c) || c == '-' || c == '.' ? (char)c : '_';
    }
    host[len] = '\0';
    int printed =
        snprintf(out, MAIL_NAME_MAX + 1,
                 "%" PRId64 ".R%04x%016" PRIx64 "N%" PRIx32 ".%s,S=%" PRIu64 ",W=%" PRIu64,
                 name->time_s, name->node, name->message, name->recipient, host, name->size,
                 name->size);

    check(printed > 0 && printed <= MAIL_NAME_MAX);
}

bool mail_file_name_size(struct bytes name, uint64_t *size_out)
{
    size_t at = bytes_find_bytes(name, BYTES(",S="), 0);
    uint64_t size;

    if (at == name.len)
        return false;
    struct bytes rest = bytes_slice(name, at + 3, name.len);

    if (!bytes_take_u64(&rest, &size) || (rest.len > 0 && rest.ptr[0] != ',' && rest.ptr[0] != ':'))
        return false;
    *size_out = size;
    return true;
}
