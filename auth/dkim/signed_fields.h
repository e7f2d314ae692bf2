/*
 * signed_fields.h - the header fields that a signature covers, in the order of its h=.
 *
 * RFC 6376 section 5.4.2: of fields of the same name the last one is meant first, then the one
 * above it; a name without a field left stands for nothing, so that none can be added. The index is
 * made once a message and makes every signature's walk linear in its h=.
 * Any thread, one at a time.
 */
#pragma once

#include "auth/dkim/canonical.h"

enum { SIGNED_NAMES_MAX = 1000 }; /* of an h=, repetitions included */

struct field_index;

/* `header` is whole and outlives it. */
struct field_index *field_index_new(const struct mail_header *header);
void field_index_free(struct field_index **index);
/*
 * Puts the fields that `names` (the value of h=) names, canonical, each with its CRLF. `self`, the
 * signature's own field or NULL, is never among them.
 */
void signed_fields_put(struct field_index *index, struct bytes names, const struct mail_field *self,
                       enum canonical_form form, struct canonical_sink sink);
