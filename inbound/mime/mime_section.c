/* mime_section.c - slices by their names. */
#include "inbound/mime/mime_section.h"

bool mime_section_find(const struct mime_message *message, const struct mime_section *section,
                       struct bytes *out)
{
    const struct mime_part *part = mime_message_part(message, section->path, section->depth);
    const struct mime_part *inner; /* the message whose header and text are asked for */

    if (part == NULL)
        return false;
    inner = section->depth == 0 ? part : part->kind == MIME_MESSAGE ? part->children : NULL;
    switch (section->kind) {
    case MIME_SECTION_WHOLE:
        *out = section->depth == 0 ? message->bytes : part->body;
        return true;
    case MIME_SECTION_MIME:
        if (section->depth > 0)
            *out = part->header;
        return section->depth > 0;
    case MIME_SECTION_HEADER:
    case MIME_SECTION_FIELDS:
    case MIME_SECTION_FIELDS_NOT:
        if (inner != NULL)
            *out = inner->header;
        return inner != NULL;
    case MIME_SECTION_TEXT:
        if (inner != NULL)
            *out = inner->body;
        return inner != NULL;
    }
    return false;
}

static bool is_named(struct bytes name, const struct mime_section *section)
{
    for (size_t i = 0; i < section->name_count; i++)
        if (bytes_equal_nocase(name, section->names[i]))
            return true;
    return false;
}

static bool ends_in_empty_line(struct bytes header)
{
    if (header.len == 0 || header.ptr[header.len - 1] != '\n')
        return false;
    header.len--;
    if (header.len > 0 && header.ptr[header.len - 1] == '\r')
        header.len--;
    return header.len == 0 || header.ptr[header.len - 1] == '\n';
}

bool mime_section_fields(struct bytes header, const struct mime_section *section, struct buf *out)
{
    struct mime_field field;
    bool is_not = section->kind == MIME_SECTION_FIELDS_NOT;
    bool has_empty_line = ends_in_empty_line(header);

    while (mime_field_next(&header, &field))
        if (is_named(field.name, section) != is_not && !buf_append(out, field.raw))
            return false;
    return !has_empty_line || buf_append(out, BYTES("\r\n"));
}
