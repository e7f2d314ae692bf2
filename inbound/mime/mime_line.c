/* mime_line.c - LF becomes CRLF. */
#include "inbound/mime/mime_line.h"

#include <string.h>

uint64_t mime_line_bare(struct bytes message)
{
    uint64_t count = 0;

    for (size_t at = bytes_find(message, '\n', 0); at < message.len;
         at = bytes_find(message, '\n', at + 1))
        count += at == 0 || message.ptr[at - 1] != '\r';
    return count;
}

bool mime_line_convert(struct bytes text, bool *in_cr, struct buf *out)
{
    size_t at = 0, lf;

    if (text.len == 0)
        return true;
    bool is_split = *in_cr && text.ptr[0] == '\n';
    size_t room = text.len + (size_t)mime_line_bare(text) - is_split;
    uint8_t *into = buf_reserve(out, room);

    if (into == NULL)
        return false;
    for (; (lf = bytes_find(text, '\n', at)) < text.len; at = lf + 1) {
        bool has_cr = lf > at ? text.ptr[lf - 1] == '\r' : at == 0 && is_split;

        memcpy(into, text.ptr + at, lf - at);
        into += lf - at;
        if (!has_cr)
            *into++ = '\r';
        *into++ = '\n';
    }
    memcpy(into, text.ptr + at, text.len - at);
    buf_extend(out, room);
    *in_cr = text.ptr[text.len - 1] == '\r';
    return true;
}
