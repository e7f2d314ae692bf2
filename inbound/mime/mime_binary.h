/*
 * mime_binary.h - a part with its transfer encoding undone (RFC 3516): BINARY[...], BINARY.SIZE.
 *
 * Read in pieces, so that nothing holds the whole. Lenient: base64 passes over what is not of its
 * alphabet and ends at its padding (RFC 2045 section 6.8); quoted-printable keeps "=" that stands
 * before no two hexadecimal digits, and drops white space at the end of lines (section 6.7).
 * Pure functions, any thread.
 */
#pragma once

#include "inbound/mime/mime_message.h"

struct mime_binary {
    struct bytes rest; /* not yet decoded */
    enum mime_encoding encoding;
    /* private */
    uint32_t bits;
    uint8_t bit_count;
    bool is_over;
    bool in_blank;
};

/* The part has an encoding other than MIME_UNKNOWN. A multipart or message is taken as it is. */
void mime_binary_begin(struct mime_binary *binary, const struct mime_part *part);
/* Decodes to `out`, at most `size` bytes; 0: that was all. `size` is 4 or more. */
size_t mime_binary_read(struct mime_binary *binary, uint8_t *out, size_t size);
/* Bytes that mime_binary_read() would give; whether one is NUL (then FETCH sends a literal8). */
uint64_t mime_binary_size(const struct mime_part *part, bool *has_nul_out);
