/* arena.c - bump allocation in chunks; one malloc an allocation under AddressSanitizer. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitizer.h"
#include "base/text_format.h"

enum {
    ALIGNMENT = _Alignof(max_align_t),
    CHUNK_SIZE_MIN = 2048 - 32, /* an ordinary transaction fits; with the header one size class */
    CHUNK_SIZE_MAX = 64 * 1024,
    ALLOCATOR_SHARE = 16, /* what malloc() needs beside a chunk, at most */
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    size_t used;
    _Alignas(max_align_t) uint8_t memory[];
};

void arena_init(struct arena *arena, size_t used_max)
{
    *arena = (struct arena){.used_max = used_max};
}

static size_t chunk_held(const struct arena_chunk *chunk)
{
    return sizeof(*chunk) + chunk->size + ALLOCATOR_SHARE;
}

void arena_clear(struct arena *arena)
{
    struct arena_chunk *kept = NULL;
    struct arena_chunk *chunk = arena->chunks;

    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;

        /* Keeping a big one would make every idle session as large as its largest message. */
        if (!HAVE_ASAN && kept == NULL && chunk->size <= CHUNK_SIZE_MIN) {
            kept = chunk;
            kept->next = NULL;
            kept->used = 0;
        } else {
            free(chunk);
        }
        chunk = next;
    }
    arena->chunks = kept;
    arena->used = 0;
    arena->held = kept == NULL ? 0 : chunk_held(kept);
}

void arena_free(struct arena *arena)
{
    arena_clear(arena);
    free(arena->chunks);
    arena->chunks = NULL;
    arena->held = 0;
}

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + size);

    check(chunk != NULL);
    chunk->next = NULL;
    chunk->size = size;
    chunk->used = 0;
    return chunk;
}

/* A chunk with room for `size` bytes. */
static struct arena_chunk *chunk_for(struct arena *arena, size_t size)
{
    struct arena_chunk *newest = arena->chunks;

    if (!HAVE_ASAN && newest != NULL && size <= newest->size - newest->used)
        return newest;
    size_t usual = newest == NULL ? CHUNK_SIZE_MIN : newest->size * 2;

    usual = HAVE_ASAN ? 0 : MIN(usual, (size_t)CHUNK_SIZE_MAX);
    struct arena_chunk *chunk = chunk_new(MAX(usual, size));

    arena->held += chunk_held(chunk);
    if (newest != NULL && size > usual) {
        /* A chunk of its own, full at once: what is left of the newest stays in use. */
        chunk->next = newest->next;
        newest->next = chunk;
    } else {
        chunk->next = newest;
        arena->chunks = chunk;
    }
    return chunk;
}

/* As it comes: not zeroed. */
static void *take(struct arena *arena, size_t size)
{
    check(arena->used <= arena->used_max);
    if (size > arena->used_max - arena->used)
        return NULL;
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

    check(rounded >= size);
    /* Not rounded under AddressSanitizer: the first byte too many shall be caught. */
    size_t taken = HAVE_ASAN ? size : rounded;
    struct arena_chunk *chunk = chunk_for(arena, taken);
    uint8_t *memory = chunk->memory + chunk->used;

    chunk->used += taken;
    arena->used += size;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory = take(arena, size);

    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

bool arena_copy(struct arena *arena, struct bytes b, struct bytes *copy_out)
{
    check(b.len < SIZE_MAX);
    uint8_t *copy = take(arena, b.len + 1);

    if (copy == NULL)
        return false;
    if (b.len > 0)
        memcpy(copy, b.ptr, b.len);
    copy[b.len] = 0;
    *copy_out = (struct bytes){copy, b.len};
    return true;
}

bool arena_printf(struct arena *arena, struct bytes *out, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    char none;
    size_t len = text_format(&none, sizeof(none), format, args);
    char *text = arena_alloc(arena, len + 1);

    if (text != NULL) {
        (void)text_format(text, len + 1, format, again);
        *out = bytes_range(text, len);
    }
    va_end(again);
    va_end(args);
    return text != NULL;
}
