/*
 * canonical.h - the forms in which signatures see a message (RFC 6376 section 3.4).
 *
 * Bodies are given in any pieces, and the same octets come out however they were cut. Only CRLF
 * ends a line; a CR or an LF alone is content. Bounded memory, also for a million empty lines.
 * What comes out is put in runs that point into the input or into the object: use them at once.
 * Any thread, one at a time an object.
 */
#pragma once

#include "auth/mail_header.h"

enum canonical_form { CANONICAL_SIMPLE, CANONICAL_RELAXED };

struct canonical_sink {
    void (*put)(void *context, struct bytes run);
    void *context;
};

struct canonical_body {
    uint64_t size; /* octets put so far; of the whole body after canonical_body_finish() */
    /* private */
    enum canonical_form form;
    struct canonical_sink sink;
    uint64_t empty_lines; /* line ends held back: these at the end count once, or not at all */
    bool cr_pending;
    bool space_pending;
    uint16_t staged_len;
    uint8_t staged[512];
};

void canonical_body_init(struct canonical_body *body, enum canonical_form form,
                         struct canonical_sink sink);
void canonical_body_feed(struct canonical_body *body, struct bytes b);
void canonical_body_finish(struct canonical_body *body);

/*
 * Puts a field. `without` is a part of its value that is left out (the span of a signature's b=),
 * or BYTES_NONE. The CRLF that ends a field is put with_crlf, also where the last one of a message
 * came without.
 */
void canonical_field_put(enum canonical_form form, const struct mail_field *field,
                         struct bytes without, bool with_crlf, struct canonical_sink sink);

/* "simple", "relaxed"; false for anything else. */
must_use bool canonical_form_parse(struct bytes name, enum canonical_form *form_out);
const char *canonical_form_name(enum canonical_form form);
