/*
 * mime_charset.h - text of any charset as UTF-8, and its form for comparing without case.
 *
 * What a charset cannot be or bytes that are none of it become U+FFFD: text of mail is never
 * refused. Only names of letters, digits and "-_.:+()" are given to iconv, which reads no files for
 * others. Not for an engine: iconv loads libraries.
 */
#pragma once

#include "base/buf.h"

struct mime_charset; /* a converter with its state; one thread at a time */

/* Whether SEARCH CHARSET may name it; else NO [BADCHARSET]. */
bool mime_charset_is_known(struct bytes name);

/* NULL: unknown. Without a name, "us-ascii" and "utf-8" it is UTF-8 that is checked; bytes from
 * 160 on that are none of it are taken for ISO 8859-1. NUL becomes a space. */
struct mime_charset *mime_charset_open(struct bytes name);
/* Appends what comes out; false: `out` is full, with a part appended. Incomplete characters wait
 * for the next piece; with is_last they are U+FFFD. */
must_use bool mime_charset_feed(struct mime_charset *charset, struct bytes text, bool is_last,
                                struct buf *out);
bool mime_charset_is_utf8(const struct mime_charset *charset);
void mime_charset_close(struct mime_charset **charset);

/* Appends the text (UTF-8) as i;unicode-casemap would compare it (RFC 5051): case folded and
 * decomposed, by Unicode. False: `out` is full. */
must_use bool mime_charset_fold(struct bytes text, struct buf *out);

/* Appends a field's value unfolded, with its encoded words (RFC 2047) and those of RFC 6532's UTF-8
 * decoded. White space between encoded words goes. False: `out` is full, with a part appended. */
must_use bool mime_charset_decode(struct bytes value, struct buf *out);
