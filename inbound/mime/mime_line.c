/* mime_line.c - LF becomes CRLF. */
#include "inbound/mime/mime_line.h"

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
    size_t at = 0;

    while (at < text.len) {
        size_t lf = bytes_find(text, '\n', at);
        struct bytes line = bytes_slice(text, at, lf - at);
        bool has_cr = line.len > 0 ? line.ptr[line.len - 1] == '\r' : at == 0 && *in_cr;

        if (!buf_append(out, line))
            return false;
        if (lf == text.len)
            break;
        if (!buf_append(out, has_cr ? BYTES("\n") : BYTES("\r\n")))
            return false;
        at = lf + 1;
    }
    if (text.len > 0)
        *in_cr = text.ptr[text.len - 1] == '\r';
    return true;
}
