/* siphash.c - after Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). */
#include "base/siphash.h"

enum { WORD = 8, ROUNDS_A_WORD = 2, ROUNDS_AT_END = 4 };

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(struct state *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

static void absorb(struct state *s, uint64_t word)
{
    s->d ^= word;
    mix(s, ROUNDS_A_WORD);
    s->a ^= word;
}

/* Little endian, whatever the machine is. */
static uint64_t word_of(const uint8_t *p, size_t len)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t siphash(const struct siphash_key *key, struct bytes text)
{
    struct state s = {
        key->k[0] ^ 0x736f6d6570736575,
        key->k[1] ^ 0x646f72616e646f6d,
        key->k[0] ^ 0x6c7967656e657261,
        key->k[1] ^ 0x7465646279746573,
    };
    struct bytes rest = text;

    for (; rest.len >= WORD; rest = bytes_slice(rest, WORD, rest.len))
        absorb(&s, word_of(rest.ptr, WORD));
    absorb(&s, word_of(rest.ptr, rest.len) | (uint64_t)text.len << 56);
    s.c ^= 0xff;
    mix(&s, ROUNDS_AT_END);
    return s.a ^ s.b ^ s.c ^ s.d;
}
