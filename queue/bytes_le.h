/*
 * bytes_le.h - little-endian numbers at any address: the byte order of everything on disk.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the spool's numbers are little-endian; add byte swaps here"
#endif

static inline void put_u16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof(value));
}
static inline void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}
static inline void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}
static inline uint16_t get_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}
static inline uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}
static inline uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Takes `len` bytes off the front; false, and nothing is taken, where there are fewer. */
must_use static inline bool take_bytes(struct bytes *input, size_t len, const uint8_t **at_out)
{
    if (len > input->len)
        return false;
    *at_out = input->ptr;
    *input = (struct bytes){input->ptr + len, input->len - len};
    return true;
}
