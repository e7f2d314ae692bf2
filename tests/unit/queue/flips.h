/*
 * flips.h - which bytes of a file a test flips, one bit of each.
 *
 * A few of them, a stride apart, unless FLIPS=K/N asks for the K-th of N parts of all (`./dev
 * flips`). The parts interleave, so that each takes as long.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "support/unit.h"

struct flips {
    size_t first, stride;
    bool is_all; /* also of what no record stands in */
};

static inline struct flips flips_of(size_t stride)
{
    const char *text = getenv("FLIPS");
    struct flips flips = {.stride = stride};

    if (text == NULL)
        return flips;
    assert_int_equal(sscanf(text, "%zu/%zu", &flips.first, &flips.stride), 2);
    assert_in_range(flips.first, 1, flips.stride);
    flips.first--;
    flips.is_all = true;
    return flips;
}
