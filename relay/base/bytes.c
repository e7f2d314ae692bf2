/* bytes.c - slices: compare, find, take. */
#include "base/bytes.h"

#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* for the streaming state on the stack */
#include <xxhash.h>

#include "base/eight.h"

struct bytes bytes_of(const char *string)
{
    check(string != NULL);
    return (struct bytes){(const uint8_t *)string, strlen(string)};
}

struct bytes bytes_range(const void *start, size_t len)
{
    return (struct bytes){start, len};
}

struct bytes bytes_put(struct bytes b, uint8_t **at)
{
    uint8_t *start = *at;

    if (b.len > 0)
        memcpy(start, b.ptr, b.len);
    *at += b.len;
    return bytes_range(start, b.len);
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (byte_lower(a.ptr[i]) != byte_lower(b.ptr[i]))
            return false;
    return true;
}

bool bytes_starts_nocase(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && bytes_equal_nocase(bytes_slice(b, 0, prefix.len), prefix);
}

bool bytes_ends_nocase(struct bytes b, struct bytes suffix)
{
    return b.len >= suffix.len &&
           bytes_equal_nocase(bytes_slice(b, b.len - suffix.len, suffix.len), suffix);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t len = MIN(a.len, b.len);
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

size_t bytes_find(struct bytes b, uint8_t byte, size_t from)
{
    if (from >= b.len)
        return b.len;
    const uint8_t *found = memchr(b.ptr + from, byte, b.len - from);

    return found == NULL ? b.len : (size_t)(found - b.ptr);
}

size_t bytes_find_bytes(struct bytes b, struct bytes needle, size_t from)
{
    if (from >= b.len)
        return b.len;
    if (needle.len == 0)
        return from;
    const uint8_t *found = memmem(b.ptr + from, b.len - from, needle.ptr, needle.len);

    return found == NULL ? b.len : (size_t)(found - b.ptr);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool bytes_has_8bit(struct bytes b)
{
    size_t at = 0;

    for (; b.len - at >= 8; at += 8)
        if (!eight_is_ascii(eight_load(b.ptr + at)))
            return true;
    for (; at < b.len; at++)
        if (b.ptr[at] >= 0x80)
            return true;
    return false;
}

struct bytes bytes_trim(struct bytes b)
{
    while (b.len > 0 && is_blank(b.ptr[0]))
        b = bytes_slice(b, 1, b.len);
    while (b.len > 0 && is_blank(b.ptr[b.len - 1]))
        b.len--;
    return b;
}

bool bytes_take_nocase(struct bytes *input, struct bytes prefix)
{
    if (!bytes_starts_nocase(*input, prefix))
        return false;
    *input = bytes_slice(*input, prefix.len, input->len);
    return true;
}

bool bytes_take_u64(struct bytes *input, uint64_t *value_out)
{
    uint64_t value = 0;
    size_t taken = 0;

    for (; taken < input->len && byte_is_digit(input->ptr[taken]); taken++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(input->ptr[taken] - '0'), &value))
            return false;
    if (taken == 0)
        return false;
    *input = bytes_slice(*input, taken, input->len);
    *value_out = value;
    return true;
}

bool bytes_take_until(struct bytes *input, uint8_t separator, struct bytes *part_out)
{
    size_t at = bytes_find(*input, separator, 0);

    if (at == input->len)
        return false;
    *part_out = bytes_slice(*input, 0, at);
    *input = bytes_slice(*input, at + 1, input->len);
    return true;
}

bool bytes_to_u64(struct bytes b, uint64_t *value_out)
{
    uint64_t value;

    if (!bytes_take_u64(&b, &value) || b.len != 0)
        return false;
    *value_out = value;
    return true;
}

uint64_t bytes_hash(struct bytes b)
{
    return XXH3_64bits(b.ptr, b.len);
}

enum { HASH_PART = 256 }; /* no domain is longer, so the streaming hash is the exception */

static size_t lower_part(uint8_t lower[static HASH_PART], struct bytes b, size_t from)
{
    struct bytes part = bytes_slice(b, from, HASH_PART);

    for (size_t i = 0; i < part.len; i++)
        lower[i] = byte_lower(part.ptr[i]);
    return part.len;
}

uint64_t bytes_hash_nocase(struct bytes b)
{
    uint8_t lower[HASH_PART];
    XXH3_state_t state;

    if (b.len <= HASH_PART)
        return XXH3_64bits(lower, lower_part(lower, b, 0));
    XXH3_64bits_reset(&state);
    for (size_t from = 0; from < b.len; from += HASH_PART)
        XXH3_64bits_update(&state, lower, lower_part(lower, b, from));
    return XXH3_64bits_digest(&state);
}

bool byte_is_alpha(uint8_t c)
{
    uint8_t lower = byte_lower(c);

    return lower >= 'a' && lower <= 'z';
}

bool byte_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

int byte_hex_upper_value(uint8_t c)
{
    return byte_is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int byte_hex_value(uint8_t c)
{
    return byte_hex_upper_value(c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 'A') : c);
}

bool byte_is_alnum(uint8_t c)
{
    return byte_is_alpha(c) || byte_is_digit(c);
}
