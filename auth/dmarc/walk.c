/* walk.c - from a domain up to its top, in few questions. */
#include "auth/dmarc/walk.h"

static size_t count_labels(struct bytes name)
{
    size_t count = 1;

    for (size_t i = 0; i < name.len; i++)
        count += name.ptr[i] == '.';
    return count;
}

/* Without its leftmost label; empty at the top. */
static struct bytes parent(struct bytes name)
{
    return bytes_slice(name, bytes_find(name, '.', 0) + 1, name.len);
}

void walk_start(struct walk *walk, struct bytes domain)
{
    *walk = (struct walk){.domain = domain, .next = domain};
}

bool walk_next(const struct walk *walk, struct bytes *name_out)
{
    if (walk->next.len == 0)
        return false;
    *name_out = walk->next;
    return true;
}

static void go_on(struct walk *walk, const struct walk_place *place)
{
    check(walk->count < WALK_MAX);
    walk->places[walk->count++] = *place;
    if (place->has_record && place->record.psd != DMARC_PSD_UNKNOWN) {
        walk->next = BYTES_NONE;
        return;
    }
    walk->next = parent(walk->next);
    while (count_labels(walk->next) >= WALK_MAX) /* a jump, behind the first question only */
        walk->next = parent(walk->next);
}

void walk_take(struct walk *walk, const struct lookup_answer *answer)
{
    struct walk_place place = {.name = walk->next};
    size_t found = 0;

    check(answer->result != LOOKUP_FAILED);
    for (size_t i = 0; i < answer->count; i++) {
        struct dmarc_record record;

        if (!dmarc_record_parse(answer->records[i].text, &record))
            continue;
        record.rua = record.ruf = record.fo = BYTES_NONE;
        place.record = record;
        found++;
    }
    place.has_record = found == 1; /* two are dropped, and the walk goes on */
    go_on(walk, &place);
}

bool walk_take_known(struct walk *walk, const struct walk *other)
{
    const struct walk_place *known = walk_find(other, walk->next);

    if (known == NULL)
        return false;
    struct walk_place place = *known;

    place.name = walk->next;
    go_on(walk, &place);
    return true;
}

struct bytes walk_organisation(const struct walk *walk)
{
    struct bytes fewest = walk->domain;

    check(walk->next.len == 0);
    for (size_t i = 0; i < walk->count; i++) {
        const struct walk_place *place = &walk->places[i];

        if (!place->has_record)
            continue;
        if (place->record.psd == DMARC_PSD_NO)
            return place->name;
        if (place->record.psd == DMARC_PSD_YES && i > 0) {
            /* One label below it, which a long name's jump may have passed over. */
            struct bytes below = walk->domain;

            while (parent(below).len > place->name.len)
                below = parent(below);
            return below;
        }
        fewest = place->name;
    }
    return fewest;
}

const struct walk_place *walk_find(const struct walk *walk, struct bytes name)
{
    for (size_t i = 0; i < walk->count; i++)
        if (bytes_equal(walk->places[i].name, name))
            return &walk->places[i];
    return NULL;
}

const struct walk_place *walk_suffix(const struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++)
        if (walk->places[i].has_record && walk->places[i].record.psd == DMARC_PSD_YES)
            return &walk->places[i];
    return NULL;
}
