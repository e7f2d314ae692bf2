/* mime_words.c - encoded words of header fields (RFC 2047) as UTF-8. */
#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_charset.h"
#include "inbound/mime/mime_field.h"

struct words {
    struct buf *out;
    struct mime_charset *charset; /* of the words so far, NULL: the last was none */
    struct bytes charset_name;
};

struct word {
    struct bytes charset, text;
    enum mime_encoding encoding;
};

/* Ends a run of encoded words. */
static bool end_run(struct words *words)
{
    bool fits =
        words->charset == NULL || mime_charset_feed(words->charset, BYTES_NONE, true, words->out);

    mime_charset_close(&words->charset);
    return fits;
}

static bool put_plain(struct words *words, struct bytes text)
{
    struct mime_charset *utf8;
    bool fits;

    if (text.len == 0)
        return true;
    if (!end_run(words))
        return false;
    utf8 = mime_charset_open(BYTES_NONE);
    fits = mime_charset_feed(utf8, text, true, words->out);
    mime_charset_close(&utf8);
    return fits;
}

/* "=?charset*language?encoding?text?=" at the front: its length, or 0. */
static size_t read_word(struct bytes text, struct word *out)
{
    struct bytes rest = bytes_slice(text, 2, text.len);
    struct bytes name, encoding;
    size_t star;

    if (!bytes_starts_nocase(text, BYTES("=?")) || !bytes_take_until(&rest, '?', &name) ||
        !bytes_take_until(&rest, '?', &encoding) || !bytes_take_until(&rest, '?', &out->text) ||
        rest.len == 0 || rest.ptr[0] != '=' || name.len == 0 || encoding.len != 1)
        return 0;
    if (bytes_find(out->text, ' ', 0) < out->text.len || bytes_find(name, ' ', 0) < name.len)
        return 0;
    star = bytes_find(name, '*', 0); /* RFC 2231 section 5 */
    out->charset = bytes_slice(name, 0, star);
    out->encoding = byte_lower(encoding.ptr[0]) == 'b'   ? MIME_BASE64
                    : byte_lower(encoding.ptr[0]) == 'q' ? MIME_QUOTED_PRINTABLE
                                                         : MIME_UNKNOWN;
    if (out->encoding == MIME_UNKNOWN)
        return 0;
    return (size_t)(rest.ptr + 1 - text.ptr);
}

/* "_" is a space in the Q encoding (RFC 2047 section 4.2), whatever the charset has there. */
static bool put_decoded(struct words *words, const struct word *word)
{
    struct mime_part part = {.encoding = word->encoding};
    struct bytes text = word->text;

    while (text.len > 0) {
        size_t len = word->encoding == MIME_BASE64 ? text.len : bytes_find(text, '_', 0);
        struct mime_binary binary;
        uint8_t piece[1024];
        size_t got;

        part.body = bytes_slice(text, 0, len);
        mime_binary_begin(&binary, &part);
        while ((got = mime_binary_read(&binary, piece, sizeof(piece))) > 0)
            if (!mime_charset_feed(words->charset, bytes_range(piece, got), false, words->out))
                return false;
        if (len < text.len && !mime_charset_feed(words->charset, BYTES(" "), false, words->out))
            return false;
        text = bytes_slice(text, len + 1, text.len);
    }
    return true;
}

/* A character may be parted over words of the same charset, against the rules; so they go on. */
static bool put_word(struct words *words, const struct word *word, struct bytes raw)
{
    if (words->charset == NULL || !bytes_equal_nocase(words->charset_name, word->charset)) {
        if (!end_run(words))
            return false;
        words->charset = mime_charset_open(word->charset);
        words->charset_name = word->charset;
    }
    return words->charset == NULL ? put_plain(words, raw) : put_decoded(words, word);
}

static bool is_blank(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t')
            return false;
    return true;
}

static bool put_all(struct words *words, struct bytes text)
{
    size_t plain = 0, at = 0;

    while ((at = bytes_find(text, '=', at)) < text.len) {
        struct word word;
        size_t len = read_word(bytes_slice(text, at, text.len), &word);
        struct bytes before = bytes_slice(text, plain, at - plain);

        if (len == 0) {
            at++;
            continue;
        }
        if (!(words->charset != NULL && is_blank(before)) && !put_plain(words, before))
            return false;
        if (!put_word(words, &word, bytes_slice(text, at, len)))
            return false;
        at += len;
        plain = at;
    }
    return put_plain(words, bytes_slice(text, plain, text.len)) && end_run(words);
}

bool mime_charset_decode(struct bytes value, struct buf *out)
{
    struct words words = {.out = out};
    struct buf text;
    bool fits;

    if (!bytes_has_8bit(value) && bytes_find_bytes(value, BYTES("=?"), 0) == value.len)
        return mime_field_unfold(value, out);
    buf_init(&text, value.len + 1);
    fits = mime_field_unfold(value, &text) && put_all(&words, buf_bytes(&text));
    mime_charset_close(&words.charset);
    buf_free(&text);
    return fits;
}
