/*
 * row_table.h - rows of one size in one array, found by id and by name. Private to the folder.
 *
 * A row begins with its uint32_t id. Rows without a name stand for rows that are gone. Both indexes
 * are arrays of row numbers: a million rows are three allocations.
 *
 * Thread: whoever fills it; once row_table_seal() is done it does not change any more, and any
 * thread may find.
 */
#pragma once

#include "base/bytes.h"

struct row_table {
    size_t row_size;
    struct bytes (*name)(const void *row); /* ptr NULL: the row is gone */
    uint8_t *rows;
    uint32_t count, room;
    uint32_t id_max;
    uint32_t indexed; /* the first so many rows are in by_id */
    uint32_t *by_id;  /* row number + 1; 0: free */
    uint32_t id_slots;
    uint32_t *by_name;
    uint32_t name_slots;
    uint64_t seed; /* names are others' choice, collisions are not */
};

void row_table_init(struct row_table *table, size_t row_size,
                    struct bytes (*name)(const void *row));
void row_table_free(struct row_table *table);
/* All rows of `from`, with the texts that they point to; not yet sealed. */
void row_table_copy(struct row_table *table, const struct row_table *from);
/* In place of the row of the same id, or behind all. Cheapest in the order of ids. */
void row_table_put(struct row_table *table, const void *row);
/* After the last row was put: names can be found. */
void row_table_seal(struct row_table *table);
/* NULL: none. Once it is sealed. */
void *row_table_find_id(const struct row_table *table, uint32_t id);
const void *row_table_find_name(const struct row_table *table, struct bytes name);
static inline const void *row_table_row(const struct row_table *table, uint32_t number)
{
    return table->rows + number * table->row_size;
}
size_t row_table_memory(const struct row_table *table);
