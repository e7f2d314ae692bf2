/* signed_fields.c - fields of a name are a chain from the bottom up, found by hash. */
#include "auth/dkim/signed_fields.h"

#include <stdlib.h>

#include "auth/tag_list.h"
#include "base/random.h"

/* Of the chains' heads; four times the fields that an ordinary message has. */
enum { SLOT_BITS = 8, SLOTS = 1 << SLOT_BITS };
enum { NONE = UINT32_MAX };

struct chain {
    struct bytes name;
    uint64_t hash;
    uint32_t bottom; /* field */
    uint32_t next;   /* chain of the same slot */
    uint32_t at;     /* field that a walk takes next */
    uint64_t walk;   /* that `at` is of; of an earlier one it is stale */
};

struct field_index {
    const struct mail_header *header;
    uint64_t seed; /* odd: whoever chooses names does not choose their slots */
    uint64_t walk;
    uint32_t *above; /* of each field the next one of its name, upwards */
    struct chain *chains;
    uint32_t chain_count;
    uint32_t slots[SLOTS];
};

static uint32_t *slot_of(struct field_index *index, uint64_t hash)
{
    return &index->slots[hash * index->seed >> (64 - SLOT_BITS)];
}

static struct chain *find(struct field_index *index, struct bytes name, uint64_t hash)
{
    uint32_t at = *slot_of(index, hash);

    while (at != NONE) {
        struct chain *chain = &index->chains[at];

        if (chain->hash == hash && bytes_equal_nocase(chain->name, name))
            return chain;
        at = chain->next;
    }
    return NULL;
}

static struct chain *add(struct field_index *index, struct bytes name, uint64_t hash)
{
    struct chain *chain = &index->chains[index->chain_count];
    uint32_t *slot = slot_of(index, hash);

    *chain = (struct chain){.name = name, .hash = hash, .bottom = NONE, .next = *slot};
    *slot = index->chain_count++;
    return chain;
}

struct field_index *field_index_new(const struct mail_header *header)
{
    struct field_index *index = malloc(sizeof(*index));
    size_t count = MAX(header->count, (size_t)1);

    check(index != NULL);
    *index = (struct field_index){.header = header,
                                  .seed = random_u64() | 1,
                                  .above = calloc(count, sizeof(*index->above)),
                                  .chains = calloc(count, sizeof(*index->chains))};
    check(index->above != NULL && index->chains != NULL);
    for (size_t i = 0; i < SLOTS; i++)
        index->slots[i] = NONE;
    for (uint32_t i = 0; i < header->count; i++) {
        struct bytes name = header->fields[i].name;
        uint64_t hash = bytes_hash_nocase(name);
        struct chain *chain = find(index, name, hash);

        if (chain == NULL)
            chain = add(index, name, hash);
        index->above[i] = chain->bottom;
        chain->bottom = i;
    }
    return index;
}

void field_index_free(struct field_index **index)
{
    if (*index != NULL) {
        free((*index)->above);
        free((*index)->chains);
    }
    free(*index);
    *index = NULL;
}

/* The next field of that name, upwards; NULL: none is left. */
static const struct mail_field *take(struct field_index *index, struct bytes name,
                                     const struct mail_field *self)
{
    struct chain *chain = find(index, name, bytes_hash_nocase(name));

    if (chain == NULL)
        return NULL;
    if (chain->walk != index->walk) {
        chain->walk = index->walk;
        chain->at = chain->bottom;
    }
    if (chain->at != NONE && &index->header->fields[chain->at] == self)
        chain->at = index->above[chain->at];
    if (chain->at == NONE)
        return NULL;
    const struct mail_field *field = &index->header->fields[chain->at];

    chain->at = index->above[chain->at];
    return field;
}

void signed_fields_put(struct field_index *index, struct bytes names, const struct mail_field *self,
                       enum canonical_form form, struct canonical_sink sink)
{
    struct bytes name;

    index->walk++;
    while (tag_item_take(&names, ':', &name)) {
        const struct mail_field *field = take(index, name, self);

        if (field != NULL)
            canonical_field_put(form, field, BYTES_NONE, true, sink);
    }
}
