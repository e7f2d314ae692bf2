/*
 * mime_param.h - structured fields of MIME: Content-Type (RFC 2045 section 5.1),
 * Content-Disposition (RFC 2183), Content-Language and the like, leniently.
 *
 * Parameters of RFC 2231 stay as they stand ("name*0*" is the name): BODYSTRUCTURE gives them so,
 * and clients put them together. Comments and folds are left out, quoted strings decoded.
 *
 * What is read lies in an arena of the caller's; NULL or false where that is full or the field is
 * not of its form. Any thread.
 */
#pragma once

#include "base/arena.h"

enum { MIME_PARAMS_MAX = 1000 }; /* of a field; what comes behind is left out */

struct mime_param {
    struct bytes name; /* in the case it came in */
    struct bytes value;
    struct mime_param *next;
};

struct mime_type {
    struct bytes type; /* "text", in the case it came in */
    struct bytes subtype;
    struct mime_param *params;
};

struct mime_disposition {
    struct bytes kind; /* "attachment" */
    struct mime_param *params;
};

must_use bool mime_type_read(struct bytes value, struct arena *arena, struct mime_type *out);
must_use bool mime_disposition_read(struct bytes value, struct arena *arena,
                                    struct mime_disposition *out);
/* The first of that name (any case), NULL if there is none. */
const struct mime_param *mime_param_find(const struct mime_param *params, struct bytes name);
