/* quoted_printable.c - the encoder. */
#include "smtp/quoted_printable.h"

enum { LINE_MAX_LEN = 76, UNIT_MAX = 3 };

static bool is_line_end(struct bytes text, size_t at)
{
    return at + 1 < text.len && text.ptr[at] == '\r' && text.ptr[at + 1] == '\n';
}

/* Rules 2 and 3: white space stands for itself unless a line would end in it. */
static bool is_literal(struct bytes text, size_t at)
{
    uint8_t c = text.ptr[at];

    if (c == ' ' || c == '\t')
        return at + 1 < text.len && !is_line_end(text, at + 1);
    return c > ' ' && c < 0x7f && c != '=';
}

bool quoted_printable_encode(struct bytes text, struct buf *out)
{
    size_t column = 0;
    size_t at = 0;

    while (at < text.len) {
        if (is_line_end(text, at)) {
            if (!buf_append(out, BYTES("\r\n")))
                return false;
            column = 0;
            at += 2;
            continue;
        }
        bool is_plain = is_literal(text, at);
        size_t len = is_plain ? 1 : UNIT_MAX;

        if (column + len > LINE_MAX_LEN - 1) { /* rule 5: one column for the "=" */
            if (!buf_append(out, BYTES("=\r\n")))
                return false;
            column = 0;
        }
        if (is_plain ? !buf_append_byte(out, text.ptr[at])
                     : !buf_printf(out, "=%02X", text.ptr[at]))
            return false;
        column += len;
        at++;
    }
    return true;
}
