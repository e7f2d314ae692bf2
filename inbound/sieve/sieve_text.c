/* sieve_text.c - is, contains, matches; and what stands in ${...}. */
#include "inbound/sieve/sieve_text.h"

#include <string.h>

/* --- comparing -------------------------------------------------------------------------------- */

static bool spend(const struct sieve_comparison *comparison, size_t steps)
{
    if (*comparison->work <= steps) {
        *comparison->work = 0;
        return false;
    }
    *comparison->work -= steps;
    return true;
}

static uint8_t fold(const struct sieve_comparison *comparison, uint8_t byte)
{
    return comparison->comparator == SIEVE_ASCII_CASEMAP ? byte_lower(byte) : byte;
}

static bool is_same(const struct sieve_comparison *comparison, struct bytes a, struct bytes b)
{
    if (!spend(comparison, 1 + a.len / 16))
        return false;
    return comparison->comparator == SIEVE_OCTET ? bytes_equal(a, b) : bytes_equal_nocase(a, b);
}

static bool contains(const struct sieve_comparison *comparison, struct bytes value,
                     struct bytes key)
{
    if (comparison->comparator == SIEVE_OCTET)
        return spend(comparison, 1 + value.len) &&
               (key.len == 0 || bytes_find_bytes(value, key, 0) < value.len);
    for (size_t at = 0; at + key.len <= value.len; at++) {
        size_t len = 0;

        while (len < key.len && byte_lower(value.ptr[at + len]) == byte_lower(key.ptr[len]))
            len++;
        if (!spend(comparison, 1 + len))
            return false;
        if (len == key.len)
            return true;
    }
    return false;
}

/* One byte of the pattern off its front: what it stands for. */
struct pattern_step {
    size_t len; /* of the pattern */
    bool is_star, is_any;
    uint8_t byte;
};

static struct pattern_step step_at(struct bytes key, size_t at)
{
    uint8_t byte = key.ptr[at];

    if (byte == '*')
        return (struct pattern_step){.len = 1, .is_star = true};
    if (byte == '?')
        return (struct pattern_step){.len = 1, .is_any = true};
    if (byte == '\\' && at + 1 < key.len)
        return (struct pattern_step){.len = 2, .byte = key.ptr[at + 1]};
    return (struct pattern_step){.len = 1, .byte = byte};
}

/* A star takes as little as it can; where that goes wrong, the last one takes a byte more. What
 * earlier stars took need not be looked at again. */
static bool matches(const struct sieve_comparison *comparison, struct bytes value, struct bytes key)
{
    size_t v = 0, k = 0, star_v = 0, star_k = SIZE_MAX;

    while (v < value.len || k < key.len) {
        if (!spend(comparison, 1))
            return false;
        if (k < key.len) {
            struct pattern_step step = step_at(key, k);

            if (step.is_star) {
                k += step.len;
                star_k = k;
                star_v = v;
                continue;
            }
            if (v < value.len &&
                (step.is_any || fold(comparison, step.byte) == fold(comparison, value.ptr[v]))) {
                v++;
                k += step.len;
                continue;
            }
        }
        if (star_k == SIZE_MAX || star_v == value.len)
            return false;
        v = ++star_v;
        k = star_k;
    }
    return true;
}

bool sieve_text_matches(const struct sieve_comparison *comparison, struct bytes value,
                        struct bytes key)
{
    switch (comparison->match) {
    case SIEVE_IS:
        return is_same(comparison, value, key);
    case SIEVE_CONTAINS:
        return contains(comparison, value, key);
    case SIEVE_MATCHES:
        return matches(comparison, value, key);
    }
    return false;
}

/* --- encoded characters ----------------------------------------------------------------------- */

static void skip_blanks(struct bytes *text)
{
    while (text->len > 0 && (text->ptr[0] == ' ' || text->ptr[0] == '\t' || text->ptr[0] == '\r' ||
                             text->ptr[0] == '\n'))
        *text = bytes_slice(*text, 1, text->len);
}

/* One number of hexadecimal digits; UINT32_MAX: more than fits. */
static bool take_hex(struct bytes *text, size_t digits_max, uint32_t *value_out)
{
    uint32_t value = 0;
    size_t len = 0;

    while (len < text->len && byte_hex_value(text->ptr[len]) >= 0) {
        value = value > UINT32_MAX >> 5 ? UINT32_MAX >> 4
                                        : value << 4 | (uint32_t)byte_hex_value(text->ptr[len]);
        len++;
    }
    if (len == 0 || len > digits_max)
        return false;
    *text = bytes_slice(*text, len, text->len);
    *value_out = value;
    return true;
}

static size_t put_utf8(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* All of "${...}" off the front, decoded to `out`; false: it is no such sequence, which then stands
 * for itself. *is_bad_out: it is one, of a character that there is not. */
static bool take_encoded(struct bytes *text, uint8_t *out, size_t *len, bool *is_bad_out)
{
    struct bytes rest = *text;
    bool is_unicode = bytes_take_nocase(&rest, BYTES("${unicode:"));
    size_t at = *len;
    uint32_t value;
    bool is_bad = false;

    if (!is_unicode && !bytes_take_nocase(&rest, BYTES("${hex:")))
        return false;
    skip_blanks(&rest);
    for (bool is_first = true; is_first || (rest.len > 0 && rest.ptr[0] != '}'); is_first = false) {
        size_t before = rest.len;

        if (!take_hex(&rest, is_unicode ? SIZE_MAX : 2, &value))
            return false;
        if (is_unicode && (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)))
            is_bad = true;
        else if (is_unicode)
            at += put_utf8(value, out + at); /* never more bytes than digits and blanks before */
        else
            out[at++] = (uint8_t)value;
        before = rest.len;
        skip_blanks(&rest);
        if (rest.len == before && rest.len > 0 && rest.ptr[0] != '}')
            return false;
    }
    if (rest.len == 0)
        return false;
    *text = bytes_slice(rest, 1, rest.len);
    *is_bad_out = is_bad;
    *len = at;
    return true;
}

const char *sieve_decode_characters(struct arena *arena, struct bytes *text)
{
    struct bytes rest = *text;

    if (bytes_find_bytes(rest, BYTES("${"), 0) == rest.len)
        return NULL;
    uint8_t *out = arena_alloc(arena, rest.len + 1);
    size_t len = 0;
    bool is_bad = false;

    if (out == NULL)
        return "the script needs too much memory";
    while (rest.len > 0) {
        if (take_encoded(&rest, out, &len, &is_bad)) {
            if (is_bad)
                return "expected a character of Unicode in \"${unicode:...}\"";
            continue;
        }
        out[len++] = rest.ptr[0];
        rest = bytes_slice(rest, 1, rest.len);
    }
    *text = (struct bytes){out, len};
    return NULL;
}
