/*
 * walk.h - the walk up the DNS tree that finds policies and organisational domains (RFC 9989
 * section 4.10).
 *
 *     walk_start(&walk, domain);
 *     while (walk_next(&walk, &name))      the name to ask at, without "_dmarc."
 *         walk_take(&walk, answer)         what DNS says of TXT at _dmarc.NAME
 *
 * At most WALK_MAX names are asked: a domain of more labels than that is shortened to WALK_MAX - 1
 * behind its first question. Pure; the domain lives as long as the walk, in lower-case A-labels.
 */
#pragma once

#include "auth/dmarc/record.h"
#include "auth/lookup.h"

enum { WALK_MAX = 8 };

struct walk_place {
    struct bytes name;          /* the end of the domain */
    bool has_record;            /* a single valid one */
    struct dmarc_record record; /* without rua, ruf, fo: the answer's bytes are gone */
};

struct walk {
    struct bytes domain;
    struct bytes next; /* empty: the walk is over */
    size_t count;
    struct walk_place places[WALK_MAX]; /* the longest name first */
};

void walk_start(struct walk *walk, struct bytes domain);
/* False: the walk is over. */
must_use bool walk_next(const struct walk *walk, struct bytes *name_out);
/* What was found at walk_next()'s name, not LOOKUP_FAILED. */
void walk_take(struct walk *walk, const struct lookup_answer *answer);
/* The same as another walk found it there; false: it did not come by. */
must_use bool walk_take_known(struct walk *walk, const struct walk *other);

/* Of a walk that is over: the organisational domain of where it started. */
struct bytes walk_organisation(const struct walk *walk);
/* The place that asked for this very name, or NULL. */
const struct walk_place *walk_find(const struct walk *walk, struct bytes name);
/* The place whose record says psd=y, or NULL. */
const struct walk_place *walk_suffix(const struct walk *walk);
