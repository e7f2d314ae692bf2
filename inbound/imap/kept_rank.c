/* kept_rank.c - ranks of a column's texts: new ones are sorted, then merged into the rest. */
#include <stdlib.h>

#include "inbound/imap/kept_private.h"

enum { NOT_RANKED = UINT32_MAX };

static int compare(const void *a, const void *b, void *context)
{
    const struct bytes *texts = context;
    const uint32_t *left = a, *right = b;

    return bytes_compare(texts[*left], texts[*right]);
}

static uint32_t *make_rows(size_t count)
{
    uint32_t *rows = malloc(MAX(count, (size_t)1) * sizeof(*rows));

    check(rows != NULL);
    return rows;
}

static void widen(struct kept_column *column)
{
    column->ranks = realloc(column->ranks, column->capacity * sizeof(*column->ranks));
    check(column->ranks != NULL);
    for (size_t row = column->ranks_capacity; row < column->capacity; row++)
        column->ranks[row] = NOT_RANKED;
    column->ranks_capacity = column->capacity;
}

/* The rows that have a text and no rank, in order. */
static uint32_t *sort_new(struct kept_column *column, size_t count)
{
    uint32_t *rows = make_rows(count);
    size_t found = 0;

    for (size_t row = 0; row < column->capacity && found < count; row++)
        if (column->texts[row].ptr != NULL && column->ranks[row] == NOT_RANKED)
            rows[found++] = (uint32_t)row;
    check(found == count);
    qsort_r(rows, count, sizeof(*rows), compare, column->texts);
    return rows;
}

static uint32_t *merge(const struct kept_column *column, const uint32_t *added, size_t count)
{
    uint32_t *rows = make_rows(column->ranked + count);
    size_t from = 0, to = 0;

    for (size_t i = 0; i < column->ranked + count; i++) {
        bool takes_old =
            to == count || (from < column->ranked &&
                            compare(&column->order[from], &added[to], column->texts) <= 0);

        rows[i] = takes_old ? column->order[from++] : added[to++];
    }
    return rows;
}

static void rank_all(struct kept_column *column)
{
    uint32_t rank = 0;

    for (size_t i = 0; i < column->ranked; i++) {
        if (i > 0 && compare(&column->order[i - 1], &column->order[i], column->texts) != 0)
            rank++;
        column->ranks[column->order[i]] = rank;
    }
    column->groups = column->ranked > 0 ? rank + 1 : 0;
}

bool kept_is_ranked(const struct kept *kept, unsigned number)
{
    return kept->columns[number].filled == kept->columns[number].ranked;
}

struct kept_ranks kept_ranks(struct kept *kept, unsigned number)
{
    struct kept_column *column = &kept->columns[number];
    size_t count = column->filled - column->ranked;

    if (count > 0) {
        if (column->ranks_capacity < column->capacity)
            widen(column);
        uint32_t *added = sort_new(column, count);
        uint32_t *order = merge(column, added, count);

        free(added);
        free(column->order);
        column->order = order;
        column->ranked = column->filled;
        rank_all(column);
    }
    return (struct kept_ranks){column->ranks, column->groups};
}
