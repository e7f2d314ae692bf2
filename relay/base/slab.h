/*
 * slab.h - equal-sized objects with a maximum count.
 *
 * Running dry is a normal answer (421, 452, defer), never an abort. Objects come zeroed. Memory is
 * taken and given back in chunks of 64 KiB: what a busy minute needed does not stay for ever. Freed
 * objects are poisoned under AddressSanitizer. One thread. The struct must not move.
 */
#pragma once

#include "base/bytes.h"
#include "base/list.h"

struct slab {
    struct list chunks; /* those that have a free object, empty ones last */
    size_t object_size;
    size_t count; /* handed out now */
    size_t count_max;
    size_t chunk_count; /* held now */
    size_t empty_count; /* of them, without an object that is handed out */
};

void slab_init(struct slab *slab, size_t object_size, size_t count_max);
void slab_free_all(struct slab *slab);        /* every object must have been given back */
must_use void *slab_alloc(struct slab *slab); /* NULL at count_max */
/* Zeroes only so many bytes: what follows them is room whose length its owner keeps. */
must_use void *slab_alloc_head(struct slab *slab, size_t zeroed);
/* Gives *object back and sets it to NULL. */
#define slab_release(slab, object) \
    do { \
        __auto_type slab_object_ = (object); \
        slab_release_object((slab), *slab_object_); \
        *slab_object_ = NULL; \
    } while (0)
void slab_release_object(struct slab *slab, void *object);
