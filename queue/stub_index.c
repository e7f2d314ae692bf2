/* stub_index.c - linear hashing over message ids. */
#include "queue/stub_index.h"

#include <stdlib.h>

enum {
    CHUNK_BITS = 13, /* 8,192 buckets, 64 KiB */
    CHUNK = 1 << CHUNK_BITS,
    BUCKETS_MIN = 256, /* power of two */
    LOAD_MAX = 2,      /* stubs a bucket */
};

static uint64_t hash_of(struct message_id id)
{
    uint64_t h = id.value;

    /* Ids are times: neighbours must not share buckets. */
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93U;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93U;
    return h ^ h >> 32;
}

/* The number of low bits of a hash that choose its bucket: one more where the bucket of the whole
 * rounds was split already. */
static unsigned bits_of(const struct stub_index *index, uint64_t hash)
{
    unsigned bits = 63 - (unsigned)__builtin_clzll(index->bucket_count);
    uint64_t whole = (uint64_t)1 << bits;

    return (hash & (whole - 1)) + whole < index->bucket_count ? bits + 1 : bits;
}

static struct stub **bucket_at(const struct stub_index *index, size_t number)
{
    return &index->chunks[number >> CHUNK_BITS][number & (CHUNK - 1)];
}

static struct stub **bucket_of(const struct stub_index *index, uint64_t hash)
{
    uint64_t low = hash & (((uint64_t)1 << bits_of(index, hash)) - 1);

    return bucket_at(index, low);
}

static void add_chunk(struct stub_index *index, size_t number)
{
    if (number >= index->chunk_capacity) {
        size_t capacity = MAX(index->chunk_capacity * 2, (size_t)16);
        struct stub ***grown = realloc(index->chunks, capacity * sizeof(*grown));

        check(grown != NULL);
        index->chunks = grown;
        index->chunk_capacity = capacity;
    }
    index->chunks[number] = calloc(CHUNK, sizeof(struct stub *));
    check(index->chunks[number] != NULL);
}

/* Splits the next bucket in line into itself and a new one at the end. */
static void grow(struct stub_index *index)
{
    unsigned bits = 63 - (unsigned)__builtin_clzll(index->bucket_count);
    size_t made = index->bucket_count;
    size_t split = made & (((size_t)1 << bits) - 1);

    if (made % CHUNK == 0)
        add_chunk(index, made / CHUNK);
    index->bucket_count++;
    struct stub **from = bucket_at(index, split);
    struct stub **to = bucket_at(index, made);
    while (*from != NULL) {
        struct stub *stub = *from;

        if ((hash_of(stub->id) >> bits & 1) != 0) {
            *from = stub->next;
            stub->next = *to;
            *to = stub;
        } else {
            from = &stub->next;
        }
    }
}

void stub_index_free(struct stub_index *index)
{
    for (size_t i = 0; i * CHUNK < index->bucket_count; i++)
        free(index->chunks[i]);
    free(index->chunks);
    *index = (struct stub_index){0};
}

struct stub *stub_index_find(const struct stub_index *index, struct message_id id)
{
    if (index->bucket_count == 0)
        return NULL;
    struct stub *stub = *bucket_of(index, hash_of(id));
    while (stub != NULL && stub->id.value != id.value)
        stub = stub->next;
    return stub;
}

void stub_index_insert(struct stub_index *index, struct stub *stub)
{
    if (index->bucket_count == 0) {
        add_chunk(index, 0);
        index->bucket_count = BUCKETS_MIN;
    }
    struct stub **bucket = bucket_of(index, hash_of(stub->id));

    stub->next = *bucket;
    *bucket = stub;
    index->count++;
    if (index->count > index->bucket_count * LOAD_MAX)
        grow(index);
}

void stub_index_remove(struct stub_index *index, struct stub *stub)
{
    struct stub **at = bucket_of(index, hash_of(stub->id));

    while (*at != stub) {
        check(*at != NULL);
        at = &(*at)->next;
    }
    *at = stub->next;
    stub->next = NULL;
    index->count--;
}

static uint64_t reverse_bits(uint64_t v)
{
    v = __builtin_bswap64(v);
    v = (v & 0x0f0f0f0f0f0f0f0fU) << 4 | (v >> 4 & 0x0f0f0f0f0f0f0f0fU);
    v = (v & 0x3333333333333333U) << 2 | (v >> 2 & 0x3333333333333333U);
    return (v & 0x5555555555555555U) << 1 | (v >> 1 & 0x5555555555555555U);
}

bool stub_index_walk(struct stub_index *index, uint64_t *cursor, size_t max,
                     void (*visit)(void *context, struct stub *stub), void *context)
{
    if (index->bucket_count == 0)
        return false;
    for (; max > 0; max--) {
        uint64_t hash = reverse_bits(*cursor);
        unsigned bits = bits_of(index, hash);
        struct stub *stub = *bucket_of(index, hash);

        /* In reversed bits a bucket is one range: on to its end. */
        *cursor = ((*cursor >> (64 - bits)) + 1) << (64 - bits);
        while (stub != NULL) {
            struct stub *next = stub->next;

            visit(context, stub);
            stub = next;
        }
        if (*cursor == 0)
            return false;
    }
    return true;
}
