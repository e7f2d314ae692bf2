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
    /* What each byte stands for, and 1 more: what stands for nothing is 0. */
    static const uint8_t values[256] = {
        ['A'] = 1,  ['B'] = 2,       ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
        ['H'] = 8,  ['I'] = 9,       ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
        ['O'] = 15, ['P'] = 16,      ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
        ['V'] = 22, ['W'] = 23,      ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
        ['c'] = 29, ['d'] = 30,      ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
        ['j'] = 36, ['k'] = 37,      ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
        ['q'] = 43, ['r'] = 44,      ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
        ['x'] = 50, ['y'] = 51,      ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
        ['4'] = 57, ['5'] = 58,      ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
        ['/'] = 64, ['='] = PAD + 1,
    };

    return values[c] == 0 ? OTHER : (uint8_t)(values[c] - 1);
}

/* Four of the alphabet at a time, as most of a body is; bytes written. */
static size_t read_quads(struct mime_binary *binary, uint8_t *out, size_t size)
{
    const uint8_t *in = binary->rest.ptr;
    size_t i = 0, len = 0;

    for (; i + 4 <= binary->rest.len && len + 3 <= size; i += 4, len += 3) {
        uint32_t a = base64_value(in[i]), b = base64_value(in[i + 1]);
        uint32_t c = base64_value(in[i + 2]), d = base64_value(in[i + 3]);

        if ((a | b | c | d) >= OTHER)
            break;
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;

        out[len] = (uint8_t)(bits >> 16);
        out[len + 1] = (uint8_t)(bits >> 8);
        out[len + 2] = (uint8_t)bits;
    }
    binary->rest = bytes_slice(binary->rest, i, binary->rest.len);
    return len;
}

/* One byte; whether another is whole by it. */
static bool read_sextet(struct mime_binary *binary, uint8_t *out)
{
    uint8_t value = base64_value(binary->rest.ptr[0]);

    binary->rest = bytes_slice(binary->rest, 1, binary->rest.len);
    binary->is_over = value == PAD;
    if (value >= OTHER)
        return false;
    binary->bits = binary->bits << 6 | value;
    binary->bit_count = (uint8_t)(binary->bit_count + 6);
    if (binary->bit_count < 8)
        return false;
    binary->bit_count = (uint8_t)(binary->bit_count - 8);
    *out = (uint8_t)(binary->bits >> binary->bit_count);
    return true;
}

static size_t read_base64(struct mime_binary *binary, uint8_t *out, size_t size)
{
    size_t len = 0;

    while (binary->rest.len > 0 && len < size && !binary->is_over) {
        size_t more = binary->bit_count == 0 ? read_quads(binary, out + len, size - len) : 0;

        if (more == 0 && read_sextet(binary, out + len))
            more = 1;
        len += more;
    }
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
