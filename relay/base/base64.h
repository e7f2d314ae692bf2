/* base64.h - RFC 4648 section 4, both ways. */
#pragma once

#include "base/buf.h"

/* Appends `b` with its padding, in one line. False, with nothing appended, where `out` has no
 * room for it. */
must_use bool base64_write(struct bytes b, struct buf *out);
/*
 * Appends what `text` stands for. Strict (RFC 4648 sections 3.1 to 3.5): the alphabet and its
 * padding alone, no line ends or spaces, no bits behind the last byte. False, with nothing
 * appended: it is not that, or `out` has no room.
 */
must_use bool base64_read(struct bytes text, struct buf *out);
