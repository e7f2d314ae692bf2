/*
 * bytes.h - a slice of memory: the only form in which text from the network travels.
 *
 * A slice owns nothing, ends in no NUL and dies with the buffer it points into. To keep one, copy
 * it into an arena (arena_copy). Takers (bytes_take_*) remove bytes from the front of *input and
 * leave *input unchanged when they return false. Pure functions, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

#define BYTES(literal) ((struct bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})
#define BYTES_NONE ((struct bytes){NULL, 0})
#define BYTES_ARG(b) (int)(b).len, (const char *)(b).ptr /* for "%.*s" */

/* The bytes of a NUL-terminated string of ours (configuration, constants); never network data. */
struct bytes bytes_of(const char *string);
struct bytes bytes_range(const void *start, size_t len);
/* The part from `from`, at most `len` long; both are clipped to the slice. */
static inline struct bytes bytes_slice(struct bytes b, size_t from, size_t len)
{
    from = MIN(from, b.len);
    len = MIN(len, b.len - from);
    /* NULL + 0 is undefined in C, and an empty slice often has no memory. */
    return (struct bytes){from == 0 ? b.ptr : b.ptr + from, len};
}

/* Copies to *at, where there is room, moves *at behind it and returns the copy. */
struct bytes bytes_put(struct bytes b, uint8_t **at);

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_nocase(struct bytes a, struct bytes b);       /* ASCII case only */
bool bytes_starts_nocase(struct bytes b, struct bytes prefix); /* ASCII case only */
bool bytes_ends_nocase(struct bytes b, struct bytes suffix);   /* ASCII case only */
int bytes_compare(struct bytes a, struct bytes b);             /* memcmp order, shorter first */
/* Index of the first `byte` (or of the needle) at or after `from`; b.len when there is none. */
size_t bytes_find(struct bytes b, uint8_t byte, size_t from);
size_t bytes_find_bytes(struct bytes b, struct bytes needle, size_t from);
bool bytes_has_8bit(struct bytes b);     /* a byte above 127 */
struct bytes bytes_trim(struct bytes b); /* SP and HTAB at both ends */

/* Takes `prefix` (ASCII case ignored) off the front. */
bool bytes_take_nocase(struct bytes *input, struct bytes prefix);
/* Takes one or more decimal digits; false on none or on overflow of 64 bits. */
bool bytes_take_u64(struct bytes *input, uint64_t *value_out);
/* Takes everything before the first `separator` and the separator; false when there is none. */
bool bytes_take_until(struct bytes *input, uint8_t separator, struct bytes *part_out);
/* The whole slice as a decimal number; false on anything else. */
bool bytes_to_u64(struct bytes b, uint64_t *value_out);
uint64_t bytes_hash(struct bytes b); /* XXH3, 64 bits */
uint64_t bytes_hash_nocase(struct bytes b);

/* ASCII only, whatever the locale says. */
static inline uint8_t byte_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}
bool byte_is_alpha(uint8_t c);
bool byte_is_digit(uint8_t c);
bool byte_is_alnum(uint8_t c);
/* 0 to 15, or -1: no hexadecimal digit; of either case, or with 'A' to 'F' alone. */
int byte_hex_value(uint8_t c);
int byte_hex_upper_value(uint8_t c);
