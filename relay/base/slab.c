/* slab.c - equal-sized objects in aligned chunks, free ones linked through their first word. */
#include "base/slab.h"

#include <stdlib.h>
#include <string.h>

#include "base/sanitizer.h"

enum {
    ALIGNMENT = 16,
    CHUNK_SIZE = 64 * 1024, /* and the alignment of a chunk: an object's address leads to it */
    EMPTY_KEPT = 1,         /* chunks, so that one object that comes and goes takes no new one */
    RED_ZONE = HAVE_ASAN ? 32 : 0, /* poisoned for good, so that a neighbour is not hit unseen */
};

struct chunk {
    struct list_node node; /* linked while it has a free object */
    void *free_objects;
    size_t count;     /* objects handed out */
    size_t count_max; /* objects it has */
    _Alignas(ALIGNMENT) uint8_t memory[];
};

static size_t stride_of(const struct slab *slab)
{
    size_t size = MAX(slab->object_size, sizeof(void *));

    return ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1)) + RED_ZONE;
}

void slab_init(struct slab *slab, size_t object_size, size_t count_max)
{
    check(object_size > 0);
    *slab = (struct slab){.object_size = object_size, .count_max = count_max};
    list_init(&slab->chunks);
}

static void push_free(const struct slab *slab, struct chunk *chunk, void *object)
{
    asan_unpoison(object, sizeof(void *)); /* an object may be smaller than the word */
    *(void **)object = chunk->free_objects;
    chunk->free_objects = object;
    asan_poison(object, stride_of(slab));
}

/* Called with all objects handed out: every new one counts towards the maximum. An object that is
 * larger than a chunk begins in its first 64 KiB and has it alone. */
static void chunk_add(struct slab *slab)
{
    size_t stride = stride_of(slab);
    size_t fitting = MAX((CHUNK_SIZE - sizeof(struct chunk)) / stride, (size_t)1);
    size_t count = MIN(fitting, slab->count_max - slab->count);
    size_t size = sizeof(struct chunk) + count * stride;
    struct chunk *chunk =
        aligned_alloc(CHUNK_SIZE, (size + CHUNK_SIZE - 1) & ~(size_t)(CHUNK_SIZE - 1));

    if (chunk == NULL)
        return; /* dry is dry */
    *chunk = (struct chunk){.count_max = count};
    list_node_init(&chunk->node);
    list_push_back(&slab->chunks, &chunk->node);
    slab->chunk_count++;
    slab->empty_count++;
    for (size_t i = count; i-- > 0;)
        push_free(slab, chunk, chunk->memory + i * stride);
}

static void chunk_free(struct slab *slab, struct chunk *chunk)
{
    check(chunk->count == 0);
    list_remove(&chunk->node);
    slab->chunk_count--;
    slab->empty_count--;
    asan_unpoison(chunk->memory, chunk->count_max * stride_of(slab));
    free(chunk);
}

void slab_free_all(struct slab *slab)
{
    struct list_node *node;

    check(slab->count == 0);
    while ((node = list_first(&slab->chunks)) != NULL)
        chunk_free(slab, container_of(node, struct chunk, node));
    check(slab->chunk_count == 0);
}

void *slab_alloc(struct slab *slab)
{
    return slab_alloc_head(slab, slab->object_size);
}

void *slab_alloc_head(struct slab *slab, size_t zeroed)
{
    check(zeroed <= slab->object_size);
    if (slab->count == slab->count_max)
        return NULL;
    if (list_is_empty(&slab->chunks))
        chunk_add(slab);
    struct list_node *node = list_first(&slab->chunks);

    if (node == NULL)
        return NULL;
    struct chunk *chunk = container_of(node, struct chunk, node);
    void *object = chunk->free_objects;

    asan_unpoison(object, MAX(slab->object_size, sizeof(void *)));
    chunk->free_objects = *(void **)object;
    if (chunk->free_objects == NULL)
        list_remove(&chunk->node);
    if (chunk->count++ == 0)
        slab->empty_count--;
    slab->count++;
    memset(object, 0, MAX(zeroed, sizeof(void *)));
    if (slab->object_size < sizeof(void *))
        asan_poison((uint8_t *)object + slab->object_size, sizeof(void *) - slab->object_size);
    return object;
}

void slab_release_object(struct slab *slab, void *object)
{
    struct chunk *chunk = (struct chunk *)((uintptr_t)object & ~(uintptr_t)(CHUNK_SIZE - 1));

    check(object != NULL);
    check(slab->count > 0);
    check(!asan_is_poisoned(object)); /* given back twice */
    check(chunk->count > 0);
    slab->count--;
    push_free(slab, chunk, object);
    chunk->count--;
    /* Empty ones are last in line: what others have left is used first. */
    if (chunk->count == 0) {
        list_remove(&chunk->node);
        list_push_back(&slab->chunks, &chunk->node);
    } else if (!list_is_linked(&chunk->node)) {
        list_push_front(&slab->chunks, &chunk->node);
    }
    if (chunk->count == 0 && ++slab->empty_count > EMPTY_KEPT)
        chunk_free(slab, chunk);
}
