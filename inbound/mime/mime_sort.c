/* mime_sort.c - keys of RFC 5256 out of header fields. */
#include "inbound/mime/mime_sort.h"

#include "inbound/mime/mime_address.h"
#include "inbound/mime/mime_charset.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_at(struct bytes text, uint8_t c)
{
    return text.len > 0 && text.ptr[0] == c;
}

static struct bytes skip(struct bytes text, size_t len)
{
    return bytes_slice(text, len, text.len);
}

static struct bytes skip_blank(struct bytes text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = skip(text, 1);
    return text;
}

/* Section 2.1 step 1: decoded, and white space as single spaces. */
static bool decode(struct bytes value, struct buf *out)
{
    struct buf text;
    struct bytes words;
    bool fits, has_space = false;

    buf_init(&text, MIME_SORT_KEY_MAX * 2);
    fits = mime_charset_decode(bytes_slice(value, 0, MIME_SORT_VALUE_MAX), &text);
    words = buf_bytes(&text);
    for (size_t i = 0; i < words.len && fits; i++) {
        bool is_space = is_blank(words.ptr[i]);

        if (!is_space || !has_space)
            fits = buf_append_byte(out, is_space ? ' ' : words.ptr[i]);
        has_space = is_space;
    }
    buf_free(&text);
    return fits;
}

/* --- subjects --------------------------------------------------------------------------------- */

/* "[...]" and spaces at the front. */
static bool take_blob(struct bytes *text)
{
    size_t len = 1;

    if (!is_at(*text, '['))
        return false;
    while (len < text->len && text->ptr[len] != '[' && text->ptr[len] != ']')
        len++;
    if (len == text->len || text->ptr[len] != ']')
        return false;
    *text = skip_blank(skip(*text, len + 1));
    return true;
}

/* "Re:", "Fwd: ", "fw[list]:", perhaps behind blobs. */
static bool take_reply(struct bytes *text)
{
    struct bytes rest = *text;

    while (take_blob(&rest))
        continue;
    if (!bytes_take_nocase(&rest, BYTES("re")) && !bytes_take_nocase(&rest, BYTES("fwd")) &&
        !bytes_take_nocase(&rest, BYTES("fw")))
        return false;
    rest = skip_blank(rest);
    take_blob(&rest);
    if (!is_at(rest, ':'))
        return false;
    *text = skip_blank(skip(rest, 1));
    return true;
}

/* Step 2: "(fwd)" and spaces at the end, so often as they come. */
static bool take_trailers(struct bytes *text)
{
    bool was_there = false;

    for (;;) {
        while (text->len > 0 && is_blank(text->ptr[text->len - 1]))
            text->len--;
        if (!bytes_ends_nocase(*text, BYTES("(fwd)")))
            return was_there;
        text->len -= 5;
        was_there = true;
    }
}

/* Steps 3 to 5: what stands before the subject. */
static bool take_leaders(struct bytes *text)
{
    bool is_reply = false;

    for (;;) {
        struct bytes before = *text, rest;

        *text = skip_blank(*text);
        while (take_reply(text))
            is_reply = true;
        rest = *text;
        if (take_blob(&rest) && rest.len > 0)
            *text = rest;
        if (text->len == before.len)
            return is_reply;
    }
}

/* Step 6. */
static bool take_forward(struct bytes *text)
{
    if (!bytes_starts_nocase(*text, BYTES("[fwd:")) || text->ptr[text->len - 1] != ']')
        return false;
    *text = bytes_slice(*text, 5, text->len - 6);
    return true;
}

bool mime_sort_subject(struct bytes value, struct buf *out, bool *is_reply_out)
{
    struct buf text;
    struct bytes subject;
    bool fits;

    buf_init(&text, MIME_SORT_KEY_MAX * 2);
    fits = decode(value, &text);
    subject = buf_bytes(&text);
    *is_reply_out = false;
    do {
        *is_reply_out |= take_trailers(&subject);
        *is_reply_out |= take_leaders(&subject);
    } while (take_forward(&subject) && (*is_reply_out = true));
    fits = fits && mime_charset_fold(subject, out);
    buf_free(&text);
    return fits;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* The first that is an address, no group. */
static bool first_address(struct mime_address *address)
{
    while (mime_address_next(address))
        if (address->kind == MIME_ADDRESS)
            return true;
    return false;
}

bool mime_sort_mailbox(struct bytes value, struct buf *out)
{
    struct mime_address address;
    bool fits = true;

    mime_address_init(&address, bytes_slice(value, 0, MIME_SORT_VALUE_MAX));
    if (first_address(&address))
        fits = mime_charset_fold(buf_bytes(&address.mailbox), out);
    mime_address_free(&address);
    return fits;
}

bool mime_sort_display(struct bytes value, struct buf *out)
{
    struct mime_address address;
    struct buf text;
    bool fits = true;

    mime_address_init(&address, bytes_slice(value, 0, MIME_SORT_VALUE_MAX));
    buf_init(&text, MIME_SORT_KEY_MAX * 2);
    if (first_address(&address)) {
        if (buf_len(&address.name) > 0)
            fits = decode(buf_bytes(&address.name), &text);
        else
            fits = buf_append(&text, buf_bytes(&address.mailbox)) && buf_append_byte(&text, '@') &&
                   buf_append(&text, buf_bytes(&address.host));
        fits = fits && mime_charset_fold(buf_bytes(&text), out);
    }
    buf_free(&text);
    mime_address_free(&address);
    return fits;
}

/* --- message ids ------------------------------------------------------------------------------ */

/* The text up to ">" without white space, with quotes and escapes undone. */
static bool put_id(struct bytes id, struct buf *out)
{
    bool is_quoted = false;

    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.ptr[i];

        if (c == '"') {
            is_quoted = !is_quoted;
            continue;
        }
        if (c == '\\' && is_quoted && i + 1 < id.len)
            c = id.ptr[++i];
        else if (is_blank(c) && !is_quoted)
            continue;
        if (!buf_append_byte(out, c))
            return false;
    }
    return true;
}

bool mime_sort_take_id(struct bytes *value, struct buf *out)
{
    struct bytes text;

    while (bytes_take_until(value, '<', &text)) {
        size_t before = buf_len(out);
        struct bytes rest = *value, id;

        if (!bytes_take_until(&rest, '>', &id))
            break;
        *value = rest;
        if (put_id(id, out) && buf_len(out) > before)
            return true;
        buf_truncate(out, before);
    }
    return false;
}
