/* random.c - xoshiro256**, one state a thread. */
#include "base/random.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/types.h>

#include "base/check.h"

static _Thread_local struct {
    uint64_t words[4];
    bool is_seeded;
} generator;

/* SplitMix64: spreads one word over the state, which must not be all zero. */
void random_seed(uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(generator.words); i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;

        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
        generator.words[i] = mixed ^ (mixed >> 31);
    }
    generator.is_seeded = true;
}

static void seed_from_kernel(void)
{
    uint64_t seed;
    ssize_t len;

    do {
        len = getrandom(&seed, sizeof(seed), 0);
    } while (len < 0 && errno == EINTR); /* only before the kernel's own pool is ready */
    check(len == (ssize_t)sizeof(seed));
    random_seed(seed);
}

static uint64_t rotate(uint64_t word, int by)
{
    return (word << by) | (word >> (64 - by));
}

uint64_t random_u64(void)
{
    uint64_t *words = generator.words;

    if (!generator.is_seeded)
        seed_from_kernel();
    uint64_t result = rotate(words[1] * 5, 7) * 9;
    uint64_t shifted = words[1] << 17;

    words[2] ^= words[0];
    words[3] ^= words[1];
    words[1] ^= words[2];
    words[0] ^= words[3];
    words[2] ^= shifted;
    words[3] = rotate(words[3], 45);
    return result;
}

uint64_t random_below(uint64_t bound)
{
    check(bound > 0);
    /* Multiply instead of divide; the few values that would favour small results are redrawn. */
    uint64_t unfair = -bound % bound;

    for (;;) {
        unsigned __int128 product = (unsigned __int128)random_u64() * bound;

        if ((uint64_t)product >= unfair)
            return (uint64_t)(product >> 64);
    }
}

int64_t random_jitter(int64_t value, unsigned percent)
{
    check(percent <= 100);
    uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;

    /* Twice the value must fit: 146 million years of milliseconds do. */
    check(size <= INT64_MAX / 2);
    uint64_t span = size / 100 * percent + size % 100 * percent / 100;

    return value - (int64_t)span + (int64_t)random_below(2 * span + 1);
}
