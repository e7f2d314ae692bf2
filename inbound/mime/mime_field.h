/*
 * mime_field.h - the fields of a header section, leniently, one after the other, where they lie.
 *
 * Lines end in CRLF or in LF. The section ends behind its empty line, or with the text. A line that
 * is no field (no name before a colon, no continuation) is passed over, as an mbox's first line is;
 * it belongs to the section all the same, for clients count its bytes.
 *
 * Slices are of the text that was given and live as long. Pure functions, any thread.
 */
#pragma once

#include "base/buf.h"

struct mime_field {
    struct bytes raw;   /* name, colon, value with its folds, and the line end, if there is one */
    struct bytes name;  /* in the case it came in, without spaces before the colon */
    struct bytes value; /* behind the colon, with its folds, without the line end behind it */
};

/* The header section at the front of `text`, with its empty line; all of it where none comes. */
struct bytes mime_field_section(struct bytes text);
/* Takes the next field off *section; false at its end. */
must_use bool mime_field_next(struct bytes *section, struct mime_field *out);
/* The first field of that name (any case); false: none. */
must_use bool mime_field_find(struct bytes section, struct bytes name, struct mime_field *out);

/*
 * The value as ENVELOPE gives it: folds undone (the line end goes, the white space stays, RFC 5322
 * section 2.2.3), trimmed at both ends, encoded words as they stand. NUL, CR and LF inside become
 * spaces. False: `out` is full, with a part appended.
 */
must_use bool mime_field_unfold(struct bytes value, struct buf *out);
