/* slab.c - equal-sized objects in chunks, free ones linked through their first word. */
#include "base/slab.h"

#include <stdlib.h>
#include <string.h>

#include "base/sanitizer.h"

enum {
    ALIGNMENT = 16,
    CHUNK_SIZE = 64 * 1024,
    RED_ZONE = HAVE_ASAN ? 32 : 0, /* poisoned for good, so that a neighbour is not hit unseen */
};

struct slab_chunk {
    struct slab_chunk *next;
    size_t size; /* of memory */
    _Alignas(ALIGNMENT) uint8_t memory[];
};

static size_t slab_stride(const struct slab *slab)
{
    size_t size = MAX(slab->object_size, sizeof(void *));

    return ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1)) + RED_ZONE;
}

void slab_init(struct slab *slab, size_t object_size, size_t count_max)
{
    check(object_size > 0);
    *slab = (struct slab){.object_size = object_size, .count_max = count_max};
}

void slab_free_all(struct slab *slab)
{
    check(slab->count == 0);
    struct slab_chunk *chunk = slab->chunks;

    while (chunk != NULL) {
        struct slab_chunk *next = chunk->next;

        asan_unpoison(chunk->memory, chunk->size);
        free(chunk);
        chunk = next;
    }
    slab->chunks = NULL;
    slab->free_objects = NULL;
}

static void push_free(struct slab *slab, void *object)
{
    asan_unpoison(object, sizeof(void *)); /* an object may be smaller than the word */
    *(void **)object = slab->free_objects;
    slab->free_objects = object;
    asan_poison(object, slab_stride(slab));
}

/* Called with all objects handed out: every new one counts towards the maximum. */
static void add_chunk(struct slab *slab)
{
    size_t stride = slab_stride(slab);
    size_t count = MIN(MAX(CHUNK_SIZE / stride, (size_t)1), slab->count_max - slab->count);
    struct slab_chunk *chunk = malloc(sizeof(*chunk) + count * stride);

    if (chunk == NULL)
        return; /* dry is dry */
    chunk->size = count * stride;
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    for (size_t i = count; i-- > 0;)
        push_free(slab, chunk->memory + i * stride);
}

void *slab_alloc(struct slab *slab)
{
    if (slab->count == slab->count_max)
        return NULL;
    if (slab->free_objects == NULL)
        add_chunk(slab);
    void *object = slab->free_objects;

    if (object == NULL)
        return NULL;
    asan_unpoison(object, MAX(slab->object_size, sizeof(void *)));
    slab->free_objects = *(void **)object;
    slab->count++;
    memset(object, 0, MAX(slab->object_size, sizeof(void *)));
    if (slab->object_size < sizeof(void *))
        asan_poison((uint8_t *)object + slab->object_size, sizeof(void *) - slab->object_size);
    return object;
}

void slab_release_object(struct slab *slab, void *object)
{
    check(object != NULL);
    check(slab->count > 0);
    check(!asan_is_poisoned(object)); /* given back twice */
    slab->count--;
    push_free(slab, object);
}
