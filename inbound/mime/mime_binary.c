/* mime_binary.c - base64 and quoted-printable, in pieces. */
#include "inbound/mime/mime_binary.h"

#include <string.h>

enum { OTHER = 64, PAD = 65 };

void mime_binary_begin(struct mime_binary *binary, const struct mime_part *part)
{
    *binary = (struct mime_binary){.rest = part->body, .encoding = part->encoding};
    if (part->kind != MIME_LEAF)
        binary->encoding = MIME_IDENTITY;
    check(binary->encoding != MIME_UNKNOWN);
}

static uint8_t base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : c == '=' ? PAD : OTHER;
}

static size_t read_base64(struct mime_binary *binary, uint8_t *out, size_t size)
{
    size_t len = 0, i = 0;

    for (; i < binary->rest.len && len < size && !binary->is_over; i++) {
        uint8_t value = base64_value(binary->rest.ptr[i]);

        if (value == PAD)
            binary->is_over = true;
        if (value >= OTHER)
            continue;
        binary->bits = binary->bits << 6 | value;
        binary->bit_count = (uint8_t)(binary->bit_count + 6);
        if (binary->bit_count >= 8) {
            binary->bit_count = (uint8_t)(binary->bit_count - 8);
            out[len++] = (uint8_t)(binary->bits >> binary->bit_count);
        }
    }
    binary->rest = bytes_slice(binary->rest, i, binary->rest.len);
    return len;
}

/* Spaces at `at` that a line end follows, or the text's end: how many. */
static size_t trailing_blank(struct bytes text, size_t at)
{
    size_t end = at;

    while (end < text.len && (text.ptr[end] == ' ' || text.ptr[end] == '\t'))
        end++;
    if (end == text.len || text.ptr[end] == '\n' ||
        (text.ptr[end] == '\r' && end + 1 < text.len && text.ptr[end + 1] == '\n'))
        return end - at;
    return 0;
}

/* "=" and what belongs to it: a byte, or the end of a line that goes on. Bytes taken. */
static size_t read_escape(struct bytes text, size_t at, uint8_t *out, size_t *len)
{
    size_t end = at + 1 + trailing_blank(text, at + 1);
    int high, low;

    if (end < text.len && text.ptr[end] == '\r' && end + 1 < text.len && text.ptr[end + 1] == '\n')
        return end + 2 - at;
    if (end < text.len && text.ptr[end] == '\n')
        return end + 1 - at;
    if (end == text.len)
        return end - at;
    high = byte_hex_value(text.ptr[at + 1]);
    low = at + 2 < text.len ? byte_hex_value(text.ptr[at + 2]) : -1;
    if (high < 0 || low < 0) {
        out[(*len)++] = '=';
        return 1;
    }
    out[(*len)++] = (uint8_t)(high << 4 | low);
    return 3;
}

/* Blanks that were seen to end no line are not looked at again: in_blank. */
static size_t read_quoted_printable(struct mime_binary *binary, uint8_t *out, size_t size)
{
    struct bytes text = binary->rest;
    size_t len = 0, i = 0;

    while (i < text.len && len < size) {
        uint8_t c = text.ptr[i];

        if (c == '=') {
            i += read_escape(text, i, out, &len);
            binary->in_blank = false;
            continue;
        }
        if ((c == ' ' || c == '\t') && !binary->in_blank) {
            size_t blank = trailing_blank(text, i);

            i += blank;
            if (blank > 0)
                continue;
        }
        binary->in_blank = c == ' ' || c == '\t';
        out[len++] = c;
        i++;
    }
    binary->rest = bytes_slice(text, i, text.len);
    return len;
}

size_t mime_binary_read(struct mime_binary *binary, uint8_t *out, size_t size)
{
    size_t len;

    switch (binary->encoding) {
    case MIME_BASE64:
        return read_base64(binary, out, size);
    case MIME_QUOTED_PRINTABLE:
        return read_quoted_printable(binary, out, size);
    case MIME_IDENTITY:
    case MIME_UNKNOWN:
        break;
    }
    len = MIN(size, binary->rest.len);
    if (len > 0)
        memcpy(out, binary->rest.ptr, len);
    binary->rest = bytes_slice(binary->rest, len, binary->rest.len);
    return len;
}

uint64_t mime_binary_size(const struct mime_part *part, bool *has_nul_out)
{
    struct mime_binary binary;
    uint8_t piece[4096];
    uint64_t size = 0;
    size_t len;

    *has_nul_out = false;
    mime_binary_begin(&binary, part);
    while ((len = mime_binary_read(&binary, piece, sizeof(piece))) > 0) {
        size += len;
        *has_nul_out |= memchr(piece, 0, len) != NULL;
    }
    return size;
}
