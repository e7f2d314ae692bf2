/*
 * eight.h - questions about eight bytes at once, for text that is mostly harmless.
 *
 * A no says only that one of the bytes has to be looked at by itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EIGHT_ONES UINT64_C(0x0101010101010101)
#define EIGHT_HIGHS (EIGHT_ONES * 0x80)

static inline uint64_t eight_load(const void *from)
{
    uint64_t eight;

    memcpy(&eight, from, sizeof(eight));
    return eight;
}

static inline bool eight_is_ascii(uint64_t eight)
{
    return (eight & EIGHT_HIGHS) == 0;
}

/* ASCII, no control and not DEL. A byte that borrows from the next or carries into it is odd
 * itself. */
static inline bool eight_is_printable(uint64_t eight)
{
    return ((eight | (eight - EIGHT_ONES * ' ') | (eight + EIGHT_ONES)) & EIGHT_HIGHS) == 0;
}

/* Printable, and no space. */
static inline bool eight_is_solid(uint64_t eight)
{
    return ((eight | (eight - EIGHT_ONES * '!') | (eight + EIGHT_ONES)) & EIGHT_HIGHS) == 0;
}

/* Printable, and as it is between quotes: no quote, no backslash. */
static inline bool eight_is_quotable(uint64_t eight)
{
    uint64_t quote = eight ^ EIGHT_ONES * '"';
    uint64_t backslash = eight ^ EIGHT_ONES * '\\';

    return eight_is_printable(eight) &&
           (((quote - EIGHT_ONES) | (backslash - EIGHT_ONES)) & EIGHT_HIGHS) == 0;
}
