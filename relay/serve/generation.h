/*
 * generation.h - settings that are replaced whole by a reload, while sessions that began under the
 * old ones keep them.
 *
 * Embedded in the service's own settings. It has one reference while it is the newest and one for
 * each session under it; unused() is called once, when the last is given back.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/check.h"

struct generation {
    unsigned references;
    void (*unused)(struct generation *generation); /* frees what it stands in; may be NULL */
};

/* With one reference, that of the newest. */
static inline void generation_init(struct generation *generation,
                                   void (*unused)(struct generation *generation))
{
    *generation = (struct generation){.references = 1, .unused = unused};
}

static inline struct generation *generation_keep(struct generation *generation)
{
    check(generation->references > 0);
    generation->references++;
    return generation;
}

static inline void generation_release(struct generation **generation)
{
    struct generation *released = *generation;

    *generation = NULL;
    check(released->references > 0);
    if (--released->references == 0 && released->unused != NULL)
        released->unused(released);
}
