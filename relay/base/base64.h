/* base64.h - RFC 4648 section 4, one way. */
#pragma once

#include "base/buf.h"

/* Appends `b` with its padding, in one line. False, with nothing appended, where `out` has no
 * room for it. */
must_use bool base64_write(struct bytes b, struct buf *out);
