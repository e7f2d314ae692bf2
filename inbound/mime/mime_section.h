/*
 * mime_section.h - what BODY[...] names (RFC 9051 section 6.4.5): a slice of the message, or text
 * made of its header's fields.
 *
 * Whole messages and their headers need no tree: mime_field_section() and the bytes themselves.
 * Pure functions, any thread.
 */
#pragma once

#include "inbound/mime/mime_message.h"

enum mime_section_kind {
    MIME_SECTION_WHOLE,      /* BODY[], BODY[1.2] */
    MIME_SECTION_HEADER,     /* BODY[HEADER], BODY[1.HEADER] */
    MIME_SECTION_FIELDS,     /* HEADER.FIELDS (names) */
    MIME_SECTION_FIELDS_NOT, /* HEADER.FIELDS.NOT (names) */
    MIME_SECTION_TEXT,       /* BODY[TEXT], BODY[1.TEXT] */
    MIME_SECTION_MIME,       /* BODY[1.MIME] */
};

struct mime_section {
    enum mime_section_kind kind;
    const uint32_t *path;
    size_t depth;
    const struct bytes *names; /* of FIELDS and FIELDS_NOT */
    size_t name_count;
};

/*
 * The slice; false: the message has no such section (FETCH says NIL), as HEADER or TEXT of a part
 * that is no message. Of FIELDS and FIELDS_NOT it is the header that mime_section_fields() is to
 * be made of.
 */
must_use bool mime_section_find(const struct mime_message *message,
                                const struct mime_section *section, struct bytes *out);
/* The fields of a header that are named, or that are not, as they stand, and the empty line if the
 * header has it. False: `out` is full, with a part appended. */
must_use bool mime_section_fields(struct bytes header, const struct mime_section *section,
                                  struct buf *out);
