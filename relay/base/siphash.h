/*
 * siphash.h - SipHash-2-4: 64 bits of a text that nobody without the key can predict or make equal.
 *
 * For names that outsiders choose where two that become one would do harm; where only speed would
 * suffer the seeded hash of map.h does. Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

struct siphash_key {
    uint64_t k[2];
};

uint64_t siphash(const struct siphash_key *key, struct bytes text);
