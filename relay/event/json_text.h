/*
 * json_text.h - any bytes as a JSON string, strictly valid (RFC 8259 section 7).
 *
 * The one way from text that came from outside (or was cut) into JSON: jansson refuses what is not
 * UTF-8 with NULL.
 * What is not UTF-8 is shown with U+FFFD in place of each bad byte, and so is NUL, which many
 * readers refuse. Pure functions, any thread.
 */
#pragma once

#include <jansson.h>

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
/* The same as jansson's string. NULL without memory, which json_pack("{s:o}") and
 * json_object_set_new() take as a failure of their own. */
json_t *json_text(struct bytes text);
json_t *json_text_of(const char *string); /* NUL-terminated */
/* The text of a member; BYTES_NONE where it is none, or `object` is no object. */
struct bytes json_text_at(const json_t *object, const char *key);
/* Length of the UTF-8 character at the front (RFC 3629 section 4), 0 if there is none. */
size_t json_text_utf8_len(struct bytes text);
