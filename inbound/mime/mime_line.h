/*
 * mime_line.h - line ends of a stored message. IMAP and POP3 serve CRLF, whatever a file has.
 *
 * Who opens a message asks mime_line_bare() once. Where it is 0 the bytes are served as they lie;
 * else a copy by mime_line_convert() is what everything else here is given, and what is served.
 * Pure functions, any thread, in time linear to the text (some GB/s).
 */
#pragma once

#include "base/buf.h"

/* How many LF have no CR before them: what the served message is longer than its file. */
uint64_t mime_line_bare(struct bytes message);
/* `in_cr`: the byte before `text` was a CR; set for the next piece. False: `out` is full. */
must_use bool mime_line_convert(struct bytes text, bool *in_cr, struct buf *out);
