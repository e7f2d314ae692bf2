/* encoded_word_read.c - the decoder. */
#include "smtp/encoded_word.h"

#include "base/base64.h"

enum charset {
    CHARSET_NONE, /* none that we know */
    CHARSET_UTF8,
    CHARSET_ASCII,  /* and the ASCII part of the others of ISO 8859 */
    CHARSET_LATIN1, /* ISO 8859-1 */
    CHARSET_LATIN9, /* ISO 8859-15 */
    CHARSET_1252,   /* Windows */
};

static enum charset charset_of(struct bytes name)
{
    static const struct {
        const char *name;
        enum charset charset;
    } charsets[] = {
        {"utf-8", CHARSET_UTF8},         {"utf8", CHARSET_UTF8},
        {"us-ascii", CHARSET_ASCII},     {"ascii", CHARSET_ASCII},
        {"iso-8859-1", CHARSET_LATIN1},  {"latin1", CHARSET_LATIN1},
        {"iso-8859-15", CHARSET_LATIN9}, {"windows-1252", CHARSET_1252},
        {"cp1252", CHARSET_1252},
    };
    struct bytes plain = bytes_slice(name, 0, bytes_find(name, '*', 0)); /* RFC 2231 section 5 */

    for (size_t i = 0; i < ARRAY_LEN(charsets); i++)
        if (bytes_equal_nocase(bytes_of(charsets[i].name), plain))
            return charsets[i].charset;
    return bytes_starts_nocase(plain, BYTES("iso-8859-")) ? CHARSET_ASCII : CHARSET_NONE;
}

/* 0: the charset has no such character. */
static uint32_t character_of(enum charset charset, uint8_t byte)
{
    static const uint16_t of_1252[32] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020,
                                         0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
                                         0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d,
                                         0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
                                         0x0153, 0,      0x017e, 0x0178};
    static const struct {
        uint8_t byte;
        uint16_t character;
    } of_latin9[] = {{0xa4, 0x20ac}, {0xa6, 0x0160}, {0xa8, 0x0161}, {0xb4, 0x017d},
                     {0xb8, 0x017e}, {0xbc, 0x0152}, {0xbd, 0x0153}, {0xbe, 0x0178}};

    if (charset == CHARSET_ASCII)
        return 0;
    if (charset == CHARSET_1252 && byte < 0xa0)
        return of_1252[byte - 0x80];
    for (size_t i = 0; charset == CHARSET_LATIN9 && i < ARRAY_LEN(of_latin9); i++)
        if (of_latin9[i].byte == byte)
            return of_latin9[i].character;
    return byte;
}

static bool put_character(uint32_t c, struct buf *out)
{
    if (c < 0x800)
        return buf_append_byte(out, (uint8_t)(0xc0 | c >> 6)) &&
               buf_append_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
    return buf_append_byte(out, (uint8_t)(0xe0 | c >> 12)) &&
           buf_append_byte(out, (uint8_t)(0x80 | (c >> 6 & 0x3f))) &&
           buf_append_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
}

/* False: some byte is no character, or `out` is full. */
static bool put_text(enum charset charset, struct bytes text, struct buf *out)
{
    if (charset == CHARSET_UTF8) /* characters may be split between words: not looked at */
        return buf_append(out, text);
    for (size_t i = 0; i < text.len; i++) {
        uint32_t c = text.ptr[i] < 0x80 ? 0 : character_of(charset, text.ptr[i]);

        if (text.ptr[i] < 0x80 ? !buf_append_byte(out, text.ptr[i])
                               : c == 0 || !put_character(c, out))
            return false;
    }
    return true;
}

/* "Q" of RFC 2047 section 4.2. */
static bool read_q(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];

        if (byte == '=') {
            int high = text.len - i < 3 ? -1 : byte_hex_value(text.ptr[i + 1]);
            int low = high < 0 ? -1 : byte_hex_value(text.ptr[i + 2]);

            if (low < 0)
                return false;
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (byte == '_') {
            byte = ' ';
        }
        if (!buf_append_byte(out, byte))
            return false;
    }
    return true;
}

/* "=?charset?encoding?text?=" off the front. */
static bool take_parts(struct bytes *text, struct bytes *charset, uint8_t *encoding,
                       struct bytes *content)
{
    struct bytes rest = *text, name;
    size_t end = 0;

    if (!bytes_take_nocase(&rest, BYTES("=?")))
        return false;
    while (end < rest.len && rest.ptr[end] > ' ' && rest.ptr[end] != '?')
        end++;
    if (end + 2 >= rest.len || rest.ptr[end] != '?' || rest.ptr[end + 2] != '?')
        return false;
    *charset = bytes_slice(rest, 0, end);
    *encoding = byte_lower(rest.ptr[end + 1]);
    rest = bytes_slice(rest, end + 3, rest.len);
    end = 0;
    while (end < rest.len && rest.ptr[end] > ' ' && rest.ptr[end] != '?')
        end++;
    name = bytes_slice(rest, end, rest.len);
    if (!bytes_take_nocase(&name, BYTES("?=")))
        return false;
    *content = bytes_slice(rest, 0, end);
    *text = name;
    return true;
}

/* Off the front of *text, with its characters to `out`. */
static bool take_word(struct bytes *text, struct buf *scratch, struct buf *out)
{
    struct bytes rest = *text, charset, content;
    uint8_t encoding;

    if (!take_parts(&rest, &charset, &encoding, &content))
        return false;
    enum charset known = charset_of(charset);
    size_t before = buf_len(out);

    buf_clear(scratch);
    if (known == CHARSET_NONE || (encoding != 'q' && encoding != 'b') ||
        !(encoding == 'q' ? read_q(content, scratch) : base64_read(content, scratch)))
        return false;
    if (!put_text(known, buf_bytes(scratch), out)) {
        buf_truncate(out, before);
        return false;
    }
    *text = rest;
    return true;
}

bool encoded_words_read(struct bytes text, struct buf *out)
{
    bool is_behind_word = false, ok = true;
    struct buf scratch;

    buf_init(&scratch, text.len);
    while (ok && text.len > 0) {
        size_t blank = 0, before = buf_len(out);

        while (blank < text.len && (text.ptr[blank] == ' ' || text.ptr[blank] == '\t'))
            blank++;
        struct bytes spaces = bytes_slice(text, 0, blank);

        text = bytes_slice(text, blank, text.len);
        /* What stands between two words is not part of the text (RFC 2047 section 6.2). */
        if ((is_behind_word || buf_append(out, spaces)) && take_word(&text, &scratch, out)) {
            is_behind_word = true;
            continue;
        }
        is_behind_word = false;
        buf_truncate(out, before);
        ok = buf_append(out, spaces) && (text.len == 0 || buf_append_byte(out, text.ptr[0]));
        text = bytes_slice(text, 1, text.len);
    }
    buf_free(&scratch);
    return ok;
}
