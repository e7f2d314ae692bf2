/* report_fields.c - groups of fields, one step at a time. */
#include "inbound/report/report_fields.h"

#include <string.h>

bool report_take_line(struct bytes *text, struct bytes *line_out)
{
    if (text->len == 0)
        return false;
    size_t end = bytes_find(*text, '\n', 0);
    struct bytes line = bytes_slice(*text, 0, end);

    *text = bytes_slice(*text, end + 1, text->len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    *line_out = line;
    return true;
}

static bool begins_blank(struct bytes text)
{
    return text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t');
}

/* The lines of a value put together, each fold one space. */
static bool join(struct bytes first, struct bytes *text, struct arena *arena, struct bytes *out)
{
    struct bytes rest = *text, line;
    size_t len = first.len;

    while (begins_blank(rest) && report_take_line(&rest, &line))
        len += 1 + bytes_trim(line).len;
    uint8_t *joined = arena_alloc(arena, len + 1);

    if (joined == NULL)
        return false;
    uint8_t *at = joined;
    bytes_put(first, &at);
    while (begins_blank(*text) && report_take_line(text, &line)) {
        *at++ = ' ';
        bytes_put(bytes_trim(line), &at);
    }
    *out = bytes_trim(bytes_range(joined, (size_t)(at - joined)));
    return true;
}

enum report_step report_field_next(struct bytes *text, struct arena *arena,
                                   struct report_field *out)
{
    struct bytes line;

    while (report_take_line(text, &line)) {
        if (bytes_trim(line).len == 0)
            return REPORT_GROUP_END;
        size_t colon = bytes_find(line, ':', 0);
        if (colon == line.len || colon == 0 || begins_blank(line))
            continue;
        out->name = bytes_trim(bytes_slice(line, 0, colon));
        struct bytes value = bytes_trim(bytes_slice(line, colon + 1, line.len));
        return join(value, text, arena, &out->value) ? REPORT_FIELD : REPORT_NO_ROOM;
    }
    return REPORT_OVER;
}

struct bytes report_field_typed(struct bytes value)
{
    size_t end = bytes_find(value, ';', 0);

    return end == value.len ? value : bytes_trim(bytes_slice(value, end + 1, value.len));
}

struct bytes report_field_path(struct bytes value)
{
    value = bytes_trim(value);
    if (value.len >= 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
        return bytes_slice(value, 1, value.len - 2);
    return value;
}
