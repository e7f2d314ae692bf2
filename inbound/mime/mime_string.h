/*
 * mime_string.h - a text of a message as IMAP's string (RFC 9051 section 4.3): quoted where it can
 * be, else a literal. No string has a NUL (in its place stands 0x80, as other servers do).
 * Pure functions, any thread. False: `out` is full, with a part appended.
 */
#pragma once

#include "base/buf.h"

must_use bool mime_string_write(struct bytes text, struct buf *out);
/* NIL where text.ptr is NULL. */
must_use bool mime_string_write_or_nil(struct bytes text, struct buf *out);
