/*
 * arena.h - memory that dies together: one per transaction, one per loaded message.
 *
 * Allocation is a pointer bump in chunks; everything is freed at once. The cap is counted in bytes
 * handed out; past it allocation returns NULL and the caller answers 452 or defers. Under
 * AddressSanitizer every allocation is one of malloc's, so that an overflow inside is seen.
 */
#pragma once

#include "base/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes handed out since the last clear */
    size_t used_max;
    size_t held; /* bytes that its chunks take of the process, handed out or not */
};

void arena_init(struct arena *arena, size_t used_max);
void arena_clear(struct arena *arena); /* everything handed out is dead; keeps one chunk */
void arena_free(struct arena *arena);  /* everything is dead and given back */

/* Zeroed, aligned for any type; NULL past the cap. */
must_use void *arena_alloc(struct arena *arena, size_t size);
/* A copy that lives as long as the arena, NUL-terminated beyond its length as a courtesy to
 * printf and libraries; false past the cap. */
must_use bool arena_copy(struct arena *arena, struct bytes b, struct bytes *copy_out);
must_use bool arena_printf(struct arena *arena, struct bytes *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
