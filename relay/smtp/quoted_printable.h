/*
 * quoted_printable.h - text with any bytes as lines of printable ASCII (RFC 2045 section 6.7).
 *
 * CRLF stays a line's end; a CR or LF alone is a byte like others. Lines are at most 76 characters.
 */
#pragma once

#include "base/buf.h"

/* Appends `text` encoded; false past the buffer's cap, with a part of it appended. */
must_use bool quoted_printable_encode(struct bytes text, struct buf *out);
