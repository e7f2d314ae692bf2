/*
 * mix.h - sizes and domains in the proportions of real mail, drawn by the message's number: the
 * same number draws the same in every run.
 */
#pragma once

#include "base/bytes.h"

enum { MIX_GROUPS_MAX = 16 };

/* Domains d0<suffix>, d1<suffix>, ... */
struct mix_group {
    uint64_t parts; /* of a million recipients */
    uint64_t domains;
    struct bytes suffix;
};

struct mix {
    struct mix_group groups[MIX_GROUPS_MAX];
    unsigned count; /* 0: no mix */
};

/* For options_parse(): adds "PERCENT:DOMAINS:SUFFIX" to a struct mix. */
bool mix_take_group(struct bytes value, void *target);
/* Together 100 %? */
must_use bool mix_is_whole(const struct mix *mix);
/* The group of a recipient and which domain of it: the first is drawn as often as the next two
 * together, these as often as the next four, and so on: few large ones, many small ones. */
const struct mix_group *mix_draw(const struct mix *mix, uint64_t recipient, uint64_t *domain_out);
/* From `least` to `most`, as often below the double of any value as above it. */
uint64_t mix_draw_between(uint64_t key, uint64_t least, uint64_t most);
