/*
 * json_text.h - any bytes as a JSON string, strictly valid (RFC 8259 section 7).
 *
 * What is not UTF-8 is shown with U+FFFD in place of each bad byte, and so is NUL, which many
 * readers refuse. Pure functions, any thread.
 */
#pragma once

#include "base/buf.h"

enum {
    JSON_TEXT_ESCAPE_LEN = 6, /* \u001f: the most that one byte becomes */
    JSON_TEXT_SLACK = 16,     /* quotes, and eight bytes that may be copied too many */
};

/* Writes the string with its quotes at `p`, which has room for JSON_TEXT_ESCAPE_LEN * text.len +
 * JSON_TEXT_SLACK; returns where the next byte goes. */
uint8_t *json_text_put(uint8_t *p, struct bytes text);
/* The same at the end of `out`; false (nothing appended) without room for the worst case. */
must_use bool json_text_append(struct buf *out, struct bytes text);
/* Length of the UTF-8 character at the front (RFC 3629 section 4), 0 if there is none. */
size_t json_text_utf8_len(struct bytes text);
