/*
 * encoded_word.h - UTF-8 text in a header field of printable ASCII (RFC 2047).
 */
#pragma once

#include "base/buf.h"

/* Appends `text` as encoded words in base64, each of whole characters, parted by folds: lines stay
 * within the 76 characters of RFC 2047 section 2 if no more than 12 stand before the first. What is
 * no UTF-8 is taken byte by byte. False past the buffer's cap, with a part of it appended. */
must_use bool encoded_words_write(struct bytes text, struct buf *out);

/* Appends `text`, the unfolded value of a field, with its encoded words as UTF-8. Known are UTF-8,
 * US-ASCII, ISO 8859-1 and 8859-15, Windows-1252 and of other parts of ISO 8859 the ASCII in them;
 * what is of another charset, or no encoded word, stays as it stands. Bytes of UTF-8 words are not
 * looked at: they may be none, and may hold NUL. False past the buffer's cap, with a part of it
 * appended. */
must_use bool encoded_words_read(struct bytes text, struct buf *out);
