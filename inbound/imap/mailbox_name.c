/* mailbox_name.c - modified UTF-7, and patterns. */
#include "inbound/imap/mailbox_name.h"

#include "base/utf8.h"
#include "inbound/imap/scan.h"

enum { INBOX_LEN = 5 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool mailbox_name_is_inbox(struct bytes name)
{
    return bytes_equal_nocase(name, BYTES("INBOX"));
}

/* --- UTF-7 ------------------------------------------------------------------------------------ */

static int value_of(uint8_t c)
{
    for (int i = 0; i < 64; i++)
        if ((uint8_t)alphabet[i] == c)
            return i;
    return -1;
}

static bool put_utf8(struct buf *out, uint32_t code)
{
    uint8_t b[4];
    size_t len;

    if (code < 0x80) {
        b[0] = (uint8_t)code;
        len = 1;
    } else if (code < 0x800) {
        b[0] = (uint8_t)(0xc0 | code >> 6);
        b[1] = (uint8_t)(0x80 | (code & 0x3f));
        len = 2;
    } else if (code < 0x10000) {
        b[0] = (uint8_t)(0xe0 | code >> 12);
        b[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        b[2] = (uint8_t)(0x80 | (code & 0x3f));
        len = 3;
    } else {
        b[0] = (uint8_t)(0xf0 | code >> 18);
        b[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        b[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        b[3] = (uint8_t)(0x80 | (code & 0x3f));
        len = 4;
    }
    return buf_append(out, bytes_range(b, len));
}

struct utf16 {
    uint32_t high; /* the first half of a pair that waits for its second; 0: none */
};

static bool put_unit(struct utf16 *utf16, struct buf *out, uint32_t unit)
{
    if (utf16->high != 0) {
        uint32_t code = 0x10000 + ((utf16->high - 0xd800) << 10) + (unit - 0xdc00);

        utf16->high = 0;
        return unit >= 0xdc00 && unit <= 0xdfff && put_utf8(out, code);
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        utf16->high = unit;
        return true;
    }
    /* What ASCII can say is not said in base64. */
    return (unit < 0xdc00 || unit > 0xdfff) && (unit < 0x20 || unit > 0x7e) && put_utf8(out, unit);
}

/* Behind "&", up to "-". */
static bool read_shifted(struct bytes *text, struct buf *out)
{
    struct utf16 utf16 = {0};
    struct bytes run;
    uint32_t bits = 0;
    unsigned bit_count = 0;

    if (!bytes_take_until(text, '-', &run))
        return false;
    if (run.len == 0)
        return buf_append_byte(out, '&');
    for (size_t i = 0; i < run.len; i++) {
        int value = value_of(run.ptr[i]);

        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        bit_count += 6;
        if (bit_count >= 16) {
            bit_count -= 16;
            if (!put_unit(&utf16, out, bits >> bit_count & 0xffff))
                return false;
        }
    }
    /* Nothing but zeros is left, less than one more digit, and no half of a pair. */
    return utf16.high == 0 && bit_count < 6 && (bits & ((1U << bit_count) - 1)) == 0 &&
           !(text->len > 1 && text->ptr[0] == '&' && text->ptr[1] != '-');
}

static bool read_utf7(struct bytes text, struct buf *out)
{
    while (text.len > 0) {
        uint8_t c = text.ptr[0];
        bool is_good = false;

        text = bytes_slice(text, 1, text.len);
        if (c == '&')
            is_good = read_shifted(&text, out);
        else if (c >= 0x20 && c <= 0x7e)
            is_good = buf_append_byte(out, c);
        if (!is_good)
            return false;
    }
    return true;
}

/* What is below the inbox is, whatever its case. */
static bool put_below_inbox(struct arena *arena, struct bytes *name)
{
    return !bytes_starts_nocase(*name, BYTES("INBOX/")) ||
           arena_printf(arena, name, "INBOX%.*s",
                        BYTES_ARG(bytes_slice(*name, INBOX_LEN, name->len)));
}

bool mailbox_name_read(struct arena *arena, struct bytes text, bool is_utf8, struct bytes *name_out)
{
    struct buf out;
    bool is_good;

    if (text.len > IMAP_NAME_MAX)
        return false;
    if (mailbox_name_is_inbox(text)) {
        *name_out = BYTES("INBOX");
        return true;
    }
    if (is_utf8) {
        *name_out = text;
        return utf8_is_printable(text) && put_below_inbox(arena, name_out);
    }
    buf_init(&out, IMAP_NAME_MAX * 3);
    is_good = read_utf7(text, &out) && utf8_is_printable(buf_bytes(&out)) &&
              arena_copy(arena, buf_bytes(&out), name_out) && put_below_inbox(arena, name_out);
    buf_free(&out);
    return is_good;
}

/* Takes one character of UTF-8 that is good. */
static uint32_t take_character(struct bytes *text)
{
    size_t len = text->ptr[0] < 128 ? 1 : utf8_character(*text);
    uint32_t code = 0xfffd;

    if (len == 1)
        code = text->ptr[0];
    else if (len == 2)
        code = (text->ptr[0] & 0x1fU) << 6 | (text->ptr[1] & 0x3fU);
    else if (len == 3)
        code = (text->ptr[0] & 0x0fU) << 12 | (text->ptr[1] & 0x3fU) << 6 | (text->ptr[2] & 0x3fU);
    else if (len == 4)
        code = (text->ptr[0] & 0x07U) << 18 | (text->ptr[1] & 0x3fU) << 12 |
               (text->ptr[2] & 0x3fU) << 6 | (text->ptr[3] & 0x3fU);
    *text = bytes_slice(*text, MAX(len, (size_t)1), text->len);
    return code;
}

struct shifted {
    struct buf *out;
    uint32_t bits;
    unsigned bit_count;
    bool is_open;
};

static bool put_bits(struct shifted *shifted, uint32_t unit)
{
    bool fits = true;

    shifted->bits = shifted->bits << 16 | unit;
    shifted->bit_count += 16;
    while (shifted->bit_count >= 6 && fits) {
        shifted->bit_count -= 6;
        fits = buf_append_byte(shifted->out,
                               (uint8_t)alphabet[shifted->bits >> shifted->bit_count & 0x3f]);
    }
    return fits;
}

static bool put_wide(struct shifted *shifted, uint32_t code)
{
    bool fits = true;

    if (!shifted->is_open)
        fits = buf_append_byte(shifted->out, '&');
    shifted->is_open = true;
    if (code < 0x10000)
        return fits && put_bits(shifted, code);
    code -= 0x10000;
    return fits && put_bits(shifted, 0xd800 + (code >> 10)) &&
           put_bits(shifted, 0xdc00 + (code & 0x3ff));
}

static bool close_shifted(struct shifted *shifted)
{
    bool fits = true;

    if (!shifted->is_open)
        return true;
    if (shifted->bit_count > 0)
        fits = buf_append_byte(shifted->out,
                               (uint8_t)alphabet[shifted->bits << (6 - shifted->bit_count) & 0x3f]);
    *shifted = (struct shifted){.out = shifted->out};
    return fits && buf_append_byte(shifted->out, '-');
}

static bool write_utf7(struct bytes name, struct buf *out)
{
    struct shifted shifted = {.out = out};
    bool fits = true;

    while (name.len > 0 && fits) {
        uint32_t code = take_character(&name);

        if (code < 0x20 || code > 0x7e) {
            fits = put_wide(&shifted, code);
            continue;
        }
        fits = close_shifted(&shifted) && buf_append_byte(out, (uint8_t)code) &&
               (code != '&' || buf_append_byte(out, '-'));
    }
    return fits && close_shifted(&shifted);
}

/* RFC 9051 section 9: in rev2, and after ENABLE UTF8=ACCEPT, quoted strings have UTF-8. */
static bool put_quoted_utf8(struct buf *out, struct bytes name)
{
    bool fits = buf_append_byte(out, '"');

    for (size_t i = 0; i < name.len && fits; i++) {
        if (name.ptr[i] == '"' || name.ptr[i] == '\\')
            fits = buf_append_byte(out, '\\');
        fits = fits && buf_append_byte(out, name.ptr[i]);
    }
    return fits && buf_append_byte(out, '"');
}

bool mailbox_name_put(struct buf *out, struct bytes name, bool is_utf8)
{
    struct buf text;
    bool fits;

    if (!bytes_has_8bit(name) && bytes_find(name, '&', 0) == name.len)
        return imap_put_astring(out, name);
    if (is_utf8)
        return put_quoted_utf8(out, name);
    buf_init(&text, IMAP_NAME_MAX * 4);
    fits = write_utf7(name, &text) && imap_put_astring(out, buf_bytes(&text));
    buf_free(&text);
    return fits;
}

/* --- patterns --------------------------------------------------------------------------------- */

static bool is_inbox_or_below(struct bytes name)
{
    return mailbox_name_is_inbox(bytes_slice(name, 0, INBOX_LEN)) &&
           (name.len == INBOX_LEN || name.ptr[INBOX_LEN] == '/');
}

static bool is_same(uint8_t of_name, uint8_t of_pattern, bool is_of_inbox)
{
    return is_of_inbox ? byte_lower(of_name) == byte_lower(of_pattern) : of_name == of_pattern;
}

/* The last "*" and the last "%" are what may have to take more; a "%" behind a "*" gives way to
 * it. Each is tried at each place once. */
bool mailbox_name_matches(struct bytes name, struct bytes pattern)
{
    bool is_inbox = is_inbox_or_below(name);
    size_t n = 0, p = 0;
    size_t star_p = SIZE_MAX, star_n = 0, percent_p = SIZE_MAX, percent_n = 0;

    for (;;) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star_p = ++p;
            star_n = n;
            percent_p = SIZE_MAX;
            continue;
        }
        if (p < pattern.len && pattern.ptr[p] == '%') {
            percent_p = ++p;
            percent_n = n;
            continue;
        }
        if (n == name.len && p == pattern.len)
            return true;
        if (n < name.len && p < pattern.len &&
            is_same(name.ptr[n], pattern.ptr[p], is_inbox && n < INBOX_LEN)) {
            n++;
            p++;
            continue;
        }
        if (percent_p != SIZE_MAX && percent_n < name.len && name.ptr[percent_n] != '/') {
            n = ++percent_n;
            p = percent_p;
            continue;
        }
        if (star_p == SIZE_MAX || star_n >= name.len)
            return false;
        percent_p = SIZE_MAX;
        n = ++star_n;
        p = star_p;
    }
}
