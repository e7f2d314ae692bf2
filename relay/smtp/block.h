/*
 * block.h - 64 bytes of content looked at together: where are the CRs and LFs, is a NUL or an
 * 8-bit byte among them. Internal to content.c; a header of its own so that a test can hold the
 * portable form against the one with SSE2.
 */
#pragma once

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"

enum { BLOCK_LEN = 64 };

struct block_masks {
    uint64_t cr; /* bit n: byte n is CR */
    uint64_t lf;
    bool has_nul;
    bool has_8bit;
};

/* 0x80 in every byte of `word` that is zero; exact, without carries between bytes. */
static inline uint64_t word_zeros(uint64_t word)
{
    const uint64_t low7 = 0x7f7f7f7f7f7f7f7f;

    return ~(((word & low7) + low7) | word | low7);
}

/* The 0x80 bits of a word as 8 bits, first byte lowest. */
static inline uint64_t word_gather(uint64_t flags)
{
    return ((flags >> 7) * 0x0102040810204080) >> 56;
}

static inline struct block_masks block_look_portable(const uint8_t *ptr)
{
    const uint64_t ones = 0x0101010101010101;
    struct block_masks masks = {0};
    uint64_t nul = 0;
    uint64_t high = 0;

    for (unsigned i = 0; i < BLOCK_LEN / 8; i++) {
        uint64_t word;
        memcpy(&word, ptr + i * 8, sizeof(word));
        word = le64toh(word);
        masks.cr |= word_gather(word_zeros(word ^ ones * '\r')) << (i * 8);
        masks.lf |= word_gather(word_zeros(word ^ ones * '\n')) << (i * 8);
        nul |= word_zeros(word);
        high |= word & (ones * 0x80);
    }
    masks.has_nul = nul != 0;
    masks.has_8bit = high != 0;
    return masks;
}

#ifdef __SSE2__
static inline struct block_masks block_look(const uint8_t *ptr)
{
    const __m128i cr = _mm_set1_epi8('\r');
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i zero = _mm_setzero_si128();
    struct block_masks masks = {0};
    __m128i nul = zero;
    __m128i high = zero;

#pragma GCC unroll 4
    for (unsigned i = 0; i < BLOCK_LEN / 16; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(ptr + i * 16));
        masks.cr |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, cr)) << (i * 16);
        masks.lf |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, lf)) << (i * 16);
        nul = _mm_or_si128(nul, _mm_cmpeq_epi8(v, zero));
        high = _mm_or_si128(high, v);
    }
    masks.has_nul = _mm_movemask_epi8(nul) != 0;
    masks.has_8bit = _mm_movemask_epi8(high) != 0;
    return masks;
}
#else
static inline struct block_masks block_look(const uint8_t *ptr)
{
    return block_look_portable(ptr);
}
#endif
