/* mime_field.c - a header section's fields where they lie. */
#include "inbound/mime/mime_field.h"

/* The line at `from`, with its line end; empty at the end of the text. */
static struct bytes line_at(struct bytes text, size_t from)
{
    size_t lf = bytes_find(text, '\n', from);

    return bytes_slice(text, from, lf - from + 1);
}

static bool is_empty_line(struct bytes line)
{
    return bytes_equal(line, BYTES("\r\n")) || bytes_equal(line, BYTES("\n"));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct bytes without_line_end(struct bytes line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

struct bytes mime_field_section(struct bytes text)
{
    size_t at = 0;

    while (at < text.len) {
        struct bytes line = line_at(text, at);

        at += line.len;
        if (is_empty_line(line))
            break;
    }
    return bytes_slice(text, 0, at);
}

/* A name of printable ASCII, perhaps spaces, a colon: its length, and where the colon is. */
static bool find_colon(struct bytes line, size_t *name_len_out, size_t *colon_out)
{
    size_t len = 0, colon;

    while (len < line.len && line.ptr[len] > ' ' && line.ptr[len] < 127 && line.ptr[len] != ':')
        len++;
    colon = len;
    while (colon < line.len && is_space(line.ptr[colon]))
        colon++;
    if (len == 0 || colon == line.len || line.ptr[colon] != ':')
        return false;
    *name_len_out = len;
    *colon_out = colon;
    return true;
}

bool mime_field_next(struct bytes *section, struct mime_field *out)
{
    while (section->len > 0) {
        struct bytes line = line_at(*section, 0);
        size_t len = line.len, name_len, colon;

        if (is_empty_line(line))
            break;
        if (!find_colon(line, &name_len, &colon)) {
            *section = bytes_slice(*section, len, section->len);
            continue;
        }
        while (len < section->len && is_space(section->ptr[len])) /* a line that goes on */
            len += line_at(*section, len).len;
        out->raw = bytes_slice(*section, 0, len);
        out->name = bytes_slice(out->raw, 0, name_len);
        out->value = without_line_end(bytes_slice(out->raw, colon + 1, len));
        *section = bytes_slice(*section, len, section->len);
        return true;
    }
    *section = bytes_slice(*section, section->len, 0);
    return false;
}

bool mime_field_find(struct bytes section, struct bytes name, struct mime_field *out)
{
    struct mime_field field;

    while (mime_field_next(&section, &field))
        if (bytes_equal_nocase(field.name, name)) {
            *out = field;
            return true;
        }
    return false;
}

/* How many bytes at `at` are the line end of a fold; 0: none. */
static size_t fold_at(struct bytes value, size_t at)
{
    size_t len = 0;

    if (at < value.len && value.ptr[at] == '\r')
        len++;
    if (at + len >= value.len || value.ptr[at + len] != '\n')
        return 0;
    len++;
    return at + len < value.len && is_space(value.ptr[at + len]) ? len : 0;
}

static bool is_blank(uint8_t c)
{
    return is_space(c) || c == '\r' || c == '\n';
}

bool mime_field_unfold(struct bytes value, struct buf *out)
{
    size_t from = 0;

    while (value.len > 0 && is_blank(value.ptr[0]))
        value = bytes_slice(value, 1, value.len);
    while (value.len > 0 && is_blank(value.ptr[value.len - 1]))
        value.len--;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        size_t fold;

        if (c != '\r' && c != '\n' && c != 0)
            continue;
        fold = fold_at(value, i);
        if (!buf_append(out, bytes_slice(value, from, i - from)))
            return false;
        if (fold == 0 && !buf_append_byte(out, ' '))
            return false;
        from = i + (fold == 0 ? 1 : fold);
        i = from - 1;
    }
    return buf_append(out, bytes_slice(value, from, value.len));
}
