/*
 * canonical_block.h - how much of a body no canonical form changes, found 64 bytes at a time.
 * Internal to canonical.c; a header of its own so that a test can hold the portable form against
 * the one with SSE2.
 */
#pragma once

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"

enum {
    CANONICAL_BLOCK_LEN = 64,
    CANONICAL_BLOCK_STEP = 62, /* each byte is judged by the two behind it */
};

struct canonical_masks {
    uint64_t cr, lf, space, tab; /* bit n: byte n is one */
};

static inline struct canonical_masks canonical_look_portable(const uint8_t *ptr)
{
    struct canonical_masks masks = {0};

    for (unsigned i = 0; i < CANONICAL_BLOCK_LEN; i++) {
        masks.cr |= (uint64_t)(ptr[i] == '\r') << i;
        masks.lf |= (uint64_t)(ptr[i] == '\n') << i;
        masks.space |= (uint64_t)(ptr[i] == ' ') << i;
        masks.tab |= (uint64_t)(ptr[i] == '\t') << i;
    }
    return masks;
}

#ifdef __SSE2__
static inline uint64_t canonical_equal16(__m128i sixteen, char byte)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, _mm_set1_epi8(byte)));
}

static inline struct canonical_masks canonical_look(const uint8_t *ptr)
{
    struct canonical_masks masks = {0};

    for (unsigned i = 0; i < CANONICAL_BLOCK_LEN; i += 16) {
        __m128i sixteen = _mm_loadu_si128((const __m128i *)(const void *)(ptr + i));

        masks.cr |= canonical_equal16(sixteen, '\r') << i;
        masks.lf |= canonical_equal16(sixteen, '\n') << i;
        masks.space |= canonical_equal16(sixteen, ' ') << i;
        masks.tab |= canonical_equal16(sixteen, '\t') << i;
    }
    return masks;
}
#else
static inline struct canonical_masks canonical_look(const uint8_t *ptr)
{
    return canonical_look_portable(ptr);
}
#endif

/* The bytes of which a form may want something else: a CR that ends no line, a line end before an
 * empty line; relaxed also a tab, and a space before white space or before the end of a line. */
static inline uint64_t canonical_attention(struct canonical_masks m, bool is_relaxed)
{
    uint64_t attention = m.cr & (~(m.lf >> 1) | m.cr >> 2);

    if (is_relaxed)
        attention |= m.tab | (m.space & ((m.space | m.tab | m.cr) >> 1));
    return attention & ((UINT64_C(1) << CANONICAL_BLOCK_STEP) - 1);
}

/* How many bytes of the front stay as they are; the last bytes of `b` are not looked at. Relaxed,
 * white space may have come before: what begins with more of it, or a line's end, is none. */
static inline size_t canonical_plain_len(struct bytes b, bool is_relaxed)
{
    size_t at = 0;

    if (b.len == 0 || (is_relaxed && (b.ptr[0] == ' ' || b.ptr[0] == '\r')))
        return 0;
    while (b.len - at >= CANONICAL_BLOCK_LEN) {
        uint64_t attention = canonical_attention(canonical_look(b.ptr + at), is_relaxed);

        if (attention != 0)
            return at + (size_t)__builtin_ctzll(attention);
        at += CANONICAL_BLOCK_STEP;
    }
    return at;
}
