/* mail_header.c - lines are kept as they come; each is judged once it is whole. */
#include "auth/mail_header.h"

#include <stdlib.h>
#include <string.h>

/* Of an ordinary message, so that its header is kept without growing. */
enum { FIELDS_CAPACITY_MIN = 32, RAW_CAPACITY_MIN = 2048 };

enum line_kind { LINE_EMPTY, LINE_FIELD, LINE_CONTINUATION, LINE_MAILBOX, LINE_OTHER };

void mail_header_init(struct mail_header *header, size_t size_max, size_t fields_max)
{
    *header = (struct mail_header){.fields_max = fields_max};
    buf_init(&header->raw, size_max);
}

void mail_header_free(struct mail_header *header)
{
    buf_free(&header->raw);
    free(header->fields);
    header->fields = NULL;
    header->count = 0;
    header->fields_capacity = 0;
    header->body_start = BYTES_NONE;
}

static bool is_name_byte(uint8_t c)
{
    return c >= 33 && c <= 126 && c != ':';
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* "name :" at the front, as the field's parts; false: no field. */
static bool read_name(struct bytes line, struct bytes *name_out, size_t *value_at_out)
{
    size_t at = 0;

    while (at < line.len && is_name_byte(line.ptr[at]))
        at++;
    size_t name_len = at;
    while (at < line.len && is_blank(line.ptr[at]))
        at++;
    if (name_len == 0 || at == line.len || line.ptr[at] != ':')
        return false;
    *name_out = bytes_slice(line, 0, name_len);
    *value_at_out = at + 1;
    return true;
}

/* A line of an mbox file before the first field, also quoted once. */
static bool is_mailbox_line(struct bytes line)
{
    bytes_take_nocase(&line, BYTES(">"));
    return line.len >= 5 && memcmp(line.ptr, "From ", 5) == 0;
}

static enum line_kind judge(const struct mail_header *header, struct bytes line)
{
    struct bytes name;
    size_t value_at;

    if (bytes_equal(line, BYTES("\r\n")))
        return LINE_EMPTY;
    if (line.len > 0 && is_blank(line.ptr[0]))
        return header->count > 0 ? LINE_CONTINUATION : LINE_OTHER;
    if (read_name(line, &name, &value_at))
        return LINE_FIELD;
    return header->count == 0 && is_mailbox_line(line) ? LINE_MAILBOX : LINE_OTHER;
}

/* Only where each begins is known until all is there: the buffer moves while it grows. */
static void add_field(struct mail_header *header, size_t start)
{
    if (header->count == header->fields_capacity) {
        size_t capacity = MAX(header->fields_capacity * 2, (size_t)FIELDS_CAPACITY_MIN);

        header->fields = reallocarray(header->fields, capacity, sizeof(*header->fields));
        check(header->fields != NULL);
        header->fields_capacity = capacity;
    }
    header->fields[header->count++] = (struct mail_field){.raw = {NULL, start}};
}

static void fill_field(struct mail_field *field, struct bytes raw)
{
    size_t value_at;

    check(read_name(raw, &field->name, &value_at));
    field->raw = raw;
    field->value = bytes_slice(raw, value_at, raw.len);
    if (field->value.len >= 2 && field->value.ptr[field->value.len - 2] == '\r' &&
        field->value.ptr[field->value.len - 1] == '\n')
        field->value.len -= 2;
}

/* The fields end where raw's byte `end` is. */
static void enter_body(struct mail_header *header, size_t end)
{
    struct bytes raw = buf_bytes(&header->raw);

    header->in_body = true;
    header->has_8bit = bytes_has_8bit(bytes_slice(raw, 0, end));
    for (size_t i = header->count; i > 0; i--) {
        struct mail_field *field = &header->fields[i - 1];
        size_t start = field->raw.len;

        fill_field(field, bytes_slice(raw, start, end - start));
        end = start;
    }
}

/* The bytes [line_start, end) of raw are a line, whole or the last one without its end. */
static void take_line(struct mail_header *header, size_t end)
{
    struct bytes raw = buf_bytes(&header->raw);
    struct bytes line = bytes_slice(raw, header->line_start, end - header->line_start);

    switch (judge(header, line)) {
    case LINE_EMPTY:
        enter_body(header, header->line_start);
        return;
    case LINE_OTHER:
        header->missing_separator = true;
        enter_body(header, header->line_start);
        header->body_start = line;
        return;
    case LINE_FIELD:
        if (header->count == header->fields_max) {
            /* From here on nothing is kept; the line was whole. */
            header->is_cut = true;
            buf_truncate(&header->raw, header->line_start);
            header->line_start = 0;
            return;
        }
        add_field(header, header->line_start);
        break;
    case LINE_MAILBOX:
    case LINE_CONTINUATION:
        break;
    }
    header->line_start = end;
}

/* What of a line of which no more is kept: only its being empty matters. */
static void feed_cut(struct mail_header *header, struct bytes *input)
{
    size_t at = 0;

    while (at < input->len && !header->in_body) {
        uint8_t byte = input->ptr[at++];

        header->line_start++;
        if (byte == '\n' && header->last == '\r') {
            if (header->line_start == 2)
                enter_body(header, buf_len(&header->raw));
            header->line_start = 0;
        }
        header->last = byte;
    }
    *input = bytes_slice(*input, at, input->len);
}

/* `part` does not fit: the field it is of is dropped as a whole, for half of one is another. */
static void cut(struct mail_header *header, struct bytes part)
{
    struct bytes raw = buf_bytes(&header->raw);
    struct bytes line = bytes_slice(raw, header->line_start, raw.len);
    size_t kept = header->line_start;

    if (is_blank(line.len > 0 ? line.ptr[0] : part.ptr[0]) && header->count > 0)
        kept = header->fields[--header->count].raw.len;
    header->is_cut = true;
    header->last = raw.len > 0 ? raw.ptr[raw.len - 1] : 0;
    header->line_start = line.len;
    buf_truncate(&header->raw, kept);
}

bool mail_header_feed(struct mail_header *header, struct bytes *input)
{
    if (header->raw.ptr == NULL)
        (void)!buf_reserve(&header->raw, MIN((size_t)RAW_CAPACITY_MIN, header->raw.len_max));
    while (input->len > 0 && !header->in_body) {
        if (header->is_cut) {
            feed_cut(header, input);
            continue;
        }
        size_t end = bytes_find(*input, '\n', 0);
        struct bytes part = bytes_slice(*input, 0, end + 1);

        if (!buf_append(&header->raw, part)) {
            cut(header, part);
            continue;
        }
        *input = bytes_slice(*input, part.len, input->len);
        struct bytes raw = buf_bytes(&header->raw);
        if (raw.len - header->line_start >= 2 && raw.ptr[raw.len - 1] == '\n' &&
            raw.ptr[raw.len - 2] == '\r')
            take_line(header, raw.len);
    }
    return header->in_body;
}

void mail_header_finish(struct mail_header *header)
{
    size_t len = buf_len(&header->raw);

    if (header->in_body)
        return;
    if (!header->is_cut && len > header->line_start)
        take_line(header, len);
    if (!header->in_body)
        enter_body(header, buf_len(&header->raw));
}

ptrdiff_t mail_header_find(const struct mail_header *header, struct bytes name, size_t below)
{
    check(below <= header->count);
    for (size_t i = below; i > 0; i--)
        if (bytes_equal_nocase(header->fields[i - 1].name, name))
            return (ptrdiff_t)(i - 1);
    return -1;
}

size_t mail_header_count(const struct mail_header *header, struct bytes name)
{
    size_t count = 0;

    for (size_t i = 0; i < header->count; i++)
        count += bytes_equal_nocase(header->fields[i].name, name);
    return count;
}
