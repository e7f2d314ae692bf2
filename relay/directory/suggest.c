/* suggest.c - the nearest name by what one has to change. */
#include "directory/suggest.h"

#include <stdio.h>

#include "directory/store_private.h"

enum { LOOKED_AT_MAX = 20000, NAME_MAX_HERE = 128 };

/* How many letters one has to insert, leave out or replace. */
static unsigned distance(struct bytes a, struct bytes b)
{
    unsigned row[NAME_MAX_HERE + 1];

    for (unsigned k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b.len; k++) {
            unsigned replaced = diagonal + (a.ptr[i - 1] != b.ptr[k - 1]);

            diagonal = row[k];
            row[k] = MIN(MIN(row[k], row[k - 1]) + 1, replaced);
        }
    }
    return row[b.len];
}

void suggest(struct store *store, const char *sql, struct bytes name, char out[static SUGGEST_MAX])
{
    unsigned best = (unsigned)MIN(name.len / 3, (size_t)2) + 2; /* two swapped letters are two */
    struct query query;

    out[0] = '\0';
    if (name.len > NAME_MAX_HERE)
        return;
    query_begin(&query, store, sql);
    for (unsigned i = 0; i < LOOKED_AT_MAX && query_row(&query); i++) {
        struct bytes other = query_column_text(&query);
        unsigned far = other.len <= NAME_MAX_HERE ? distance(name, other) : best;

        if (far >= best)
            continue;
        best = far;
        snprintf(out, SUGGEST_MAX, "; did you mean %.*s?", BYTES_ARG(other));
    }
    (void)query_end(&query); /* a suggestion is a courtesy */
}
