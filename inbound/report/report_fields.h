/*
 * report_fields.h - fields as machines write them into a report (RFC 3464 section 2.1, RFC 5965
 * section 3): groups of "Name: value", apart by blank lines, lines ended by LF or CRLF.
 *
 * Pure functions, any thread. What is no field is passed over, since who writes reports is not to
 * be educated by us.
 */
#pragma once

#include "base/arena.h"

struct report_field {
    struct bytes name;  /* in the case it came in */
    struct bytes value; /* unfolded and trimmed, in the arena */
};

enum report_step {
    REPORT_FIELD,
    REPORT_GROUP_END, /* a blank line */
    REPORT_OVER,
    REPORT_NO_ROOM, /* the arena is full */
};

/* Takes one step off *text; *out is set on REPORT_FIELD. */
must_use enum report_step report_field_next(struct bytes *text, struct arena *arena,
                                            struct report_field *out);
/* "rfc822; user@example.org" and "dns; mx.example.org": what stands behind the type. */
struct bytes report_field_typed(struct bytes value);
/* Without the angle brackets around it. */
struct bytes report_field_path(struct bytes value);
/* One line without its end off the front of *text; false at the end of the text. */
bool report_take_line(struct bytes *text, struct bytes *line_out);
