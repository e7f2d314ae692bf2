/* mime_string.c - quoted strings and literals. */
#include "inbound/mime/mime_string.h"

enum { QUOTED_MAX = 4096 }; /* longer ones are literals, which readers can take in one piece */

static bool can_be_quoted(struct bytes text)
{
    if (text.len > QUOTED_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == 0 || text.ptr[i] > 127)
            return false;
    return true;
}

static bool write_quoted(struct bytes text, struct buf *out)
{
    size_t from = 0;

    if (!buf_append_byte(out, '"'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '"' && text.ptr[i] != '\\')
            continue;
        if (!buf_append(out, bytes_slice(text, from, i - from)) || !buf_append_byte(out, '\\'))
            return false;
        from = i;
    }
    return buf_append(out, bytes_slice(text, from, text.len)) && buf_append_byte(out, '"');
}

static bool write_literal(struct bytes text, struct buf *out)
{
    uint8_t *place;

    if (!buf_printf(out, "{%zu}\r\n", text.len))
        return false;
    place = buf_reserve(out, text.len);
    if (place == NULL)
        return false;
    for (size_t i = 0; i < text.len; i++)
        place[i] = text.ptr[i] == 0 ? 0x80 : text.ptr[i];
    buf_extend(out, text.len);
    return true;
}

bool mime_string_write(struct bytes text, struct buf *out)
{
    return can_be_quoted(text) ? write_quoted(text, out) : write_literal(text, out);
}

bool mime_string_write_or_nil(struct bytes text, struct buf *out)
{
    return text.ptr == NULL ? buf_append(out, BYTES("NIL")) : mime_string_write(text, out);
}
