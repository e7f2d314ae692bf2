/* config_suggest.c - near misses: letters left out, doubled, swapped; the right key elsewhere. */
#include "relay/config_suggest.h"

#include <stdio.h>
#include <string.h>

#include "relay/config_describe.h"

enum { WORD_MAX = 40 /* longer ones are no near miss of anything */ };

static void add_names(const struct config_key *keys, char *out, size_t out_size, size_t *len)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->kind == CONFIG_PART)
            add_names(key->keys, out, out_size, len);
        else if (*len < out_size)
            *len += (size_t)snprintf(out + *len, out_size - *len, "%s%s", *len == 0 ? "" : ", ",
                                     key->name);
    }
}

void config_list_names(const struct config_key *keys, char *out, size_t out_size)
{
    size_t len = 0;

    out[0] = '\0';
    add_names(keys, out, out_size, &len);
}

/* Letters to insert, take away, change or swap with their neighbour until a is b. */
static unsigned distance(struct bytes a, struct bytes b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    check(a.len <= WORD_MAX && b.len <= WORD_MAX);
    for (unsigned k = 0; k <= b.len; k++)
        last[k] = k;
    for (unsigned i = 1; i <= a.len; i++) {
        row[0] = i;
        for (unsigned k = 1; k <= b.len; k++) {
            bool is_same = a.ptr[i - 1] == b.ptr[k - 1];

            row[k] = MIN(MIN(last[k] + 1, row[k - 1] + 1), last[k - 1] + (is_same ? 0 : 1));
            if (i > 1 && k > 1 && a.ptr[i - 1] == b.ptr[k - 2] && a.ptr[i - 2] == b.ptr[k - 1])
                row[k] = MIN(row[k], before[k - 2] + 1);
        }
        unsigned *free_row = before;

        before = last;
        last = row;
        row = free_row;
    }
    return last[b.len];
}

static void find_nearest(const struct config_key *keys, struct bytes name, const char **found,
                         unsigned *least)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->kind == CONFIG_PART) {
            find_nearest(key->keys, name, found, least);
            continue;
        }
        struct bytes word = bytes_of(key->name);
        unsigned wrong = word.len > WORD_MAX ? UINT32_MAX : distance(name, word);

        /* A third of the word may be wrong: of "rate" one letter, of "message_size" four. */
        if (wrong < *least && wrong * 3 <= word.len) {
            *least = wrong;
            *found = key->name;
        }
    }
}

struct search {
    struct bytes name;
    char *out;
    bool is_found;
};

static void look_at(void *context, const struct config_key *key, const char *path)
{
    struct search *search = context;

    if (search->is_found || !bytes_equal(search->name, bytes_of(key->name)))
        return;
    search->is_found = true;
    snprintf(search->out, CONFIG_PATH_MAX, "%s", path);
}

bool config_suggest(const struct config_key *keys, const struct config_key *root, struct bytes name,
                    char out[static CONFIG_PATH_MAX])
{
    struct search search = {.name = name, .out = out};
    const char *found = NULL;
    unsigned least = UINT32_MAX;

    if (name.len == 0 || name.len > WORD_MAX)
        return false;
    find_nearest(keys, name, &found, &least);
    if (found != NULL) {
        snprintf(out, CONFIG_PATH_MAX, "%s", found);
        return true;
    }
    if (root != NULL)
        config_each_key(root, look_at, &search);
    return search.is_found;
}
