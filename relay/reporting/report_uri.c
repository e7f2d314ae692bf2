/* report_uri.c - lists of URIs, taken apart. */
#include "reporting/report_uri.h"

#include <string.h>

/* Per cent signs undone (RFC 6068 section 2). False: not an address that mail can be sent to. */
static bool decode_address(struct bytes text, struct report_uri *out)
{
    size_t len = 0, at_count = 0;

    for (size_t i = 0; i < text.len; i++) {
        int c = text.ptr[i];

        if (c == '%') {
            int high = i + 2 < text.len ? byte_hex_value(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? byte_hex_value(text.ptr[i + 2]) : -1;

            if (low < 0)
                return false;
            c = high << 4 | low;
            i += 2;
        }
        if (c <= ' ' || c >= 127 || strchr("<>\"\\,;:()[]", c) != NULL ||
            len + 1 == sizeof(out->text))
            return false;
        at_count += c == '@';
        out->text[len++] = (char)c;
    }
    out->text[len] = '\0';
    out->len = len;
    return at_count == 1 && out->text[0] != '@' && len > 0 && out->text[len - 1] != '@';
}

/* "10m" behind the "!"; false: it is no size. */
static bool read_size(struct bytes text, uint64_t *size_out)
{
    unsigned shift = 0;
    uint64_t number;

    if (text.len == 0)
        return false;
    switch (byte_lower(text.ptr[text.len - 1])) {
    case 'k':
        shift = 10;
        break;
    case 'm':
        shift = 20;
        break;
    case 'g':
        shift = 30;
        break;
    case 't':
        shift = 40;
        break;
    }
    if (shift > 0)
        text.len--;
    if (!bytes_to_u64(text, &number))
        return false;
    *size_out = number <= UINT64_MAX >> shift ? number << shift : UINT64_MAX;
    return true;
}

static bool read_mailto(struct bytes text, struct report_uri *out)
{
    size_t mark = text.len;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '!')
            mark = i;
    if (mark < text.len && !read_size(bytes_slice(text, mark + 1, text.len), &out->size_max))
        return false;
    text.len = mark;
    text.len = bytes_find(text, '?', 0); /* header fields, which nobody asked for */
    return decode_address(text, out);
}

static bool read_url(struct bytes text, struct report_uri *out)
{
    if (text.len <= 8 || text.len >= sizeof(out->text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 127)
            return false;
    memcpy(out->text, text.ptr, text.len);
    out->text[text.len] = '\0';
    out->len = text.len;
    out->is_post = true;
    return true;
}

static bool read_uri(struct bytes text, bool may_post, struct report_uri *out)
{
    struct bytes rest = text;

    *out = (struct report_uri){.size_max = UINT64_MAX};
    if (bytes_take_nocase(&rest, BYTES("mailto:")))
        return read_mailto(rest, out);
    return may_post && bytes_starts_nocase(text, BYTES("https://")) && read_url(text, out);
}

void report_uris_read(struct bytes list, bool may_post, struct report_uris *out)
{
    struct bytes item;

    out->count = 0;
    while (list.len > 0 && out->count < REPORT_URIS_MAX) {
        size_t end = bytes_find(list, ',', 0);

        item = bytes_trim(bytes_slice(list, 0, end));
        list = bytes_slice(list, end + 1, list.len);
        out->count += read_uri(item, may_post, &out->uris[out->count]);
    }
}

bool report_tls_record(struct bytes text, struct bytes *rua_out)
{
    bool is_first = true;

    *rua_out = BYTES_NONE;
    while (text.len > 0) {
        size_t end = bytes_find(text, ';', 0);
        struct bytes part = bytes_trim(bytes_slice(text, 0, end));
        size_t equals = bytes_find(part, '=', 0);
        struct bytes name = bytes_trim(bytes_slice(part, 0, equals));
        struct bytes value = bytes_trim(bytes_slice(part, equals + 1, part.len));

        text = bytes_slice(text, end + 1, text.len);
        if (is_first && !(bytes_equal(name, BYTES("v")) && bytes_equal(value, BYTES("TLSRPTv1"))))
            return false;
        is_first = false;
        if (rua_out->len == 0 && bytes_equal(name, BYTES("rua")))
            *rua_out = value;
    }
    return rua_out->len > 0;
}

struct bytes report_uri_domain(const struct report_uri *uri)
{
    struct bytes text = bytes_range(uri->text, uri->len);
    size_t at = bytes_find(text, '@', 0);

    return bytes_slice(text, at + 1, text.len);
}
