/* row_table.c - open addressing over row numbers. */
#include "directory/row_table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/random.h"

enum { ROOM_MIN = 16 };

void row_table_init(struct row_table *table, size_t row_size, struct bytes (*name)(const void *row))
{
    *table = (struct row_table){.row_size = row_size, .name = name, .seed = random_u64()};
}

void row_table_free(struct row_table *table)
{
    free(table->rows);
    free(table->by_id);
    free(table->by_name);
    *table = (struct row_table){0};
}

static uint32_t row_id(const struct row_table *table, uint32_t number)
{
    uint32_t id;

    memcpy(&id, row_table_row(table, number), sizeof(id));
    return id;
}

/* A power of two, at most two thirds full. */
static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = ROOM_MIN;

    check(count < UINT32_MAX / 3);
    while (slots / 3 * 2 < count)
        slots *= 2;
    return slots;
}

static uint32_t *new_slots(uint32_t count)
{
    uint32_t *slots = calloc(count, sizeof(*slots));

    check(slots != NULL);
    return slots;
}

/* Ids are given out one after the other, and not by outsiders. */
static uint32_t id_slot(const struct row_table *table, uint32_t id)
{
    return (uint32_t)((id * 0x9e3779b97f4a7c15ULL) >> 32) & (table->id_slots - 1);
}

static void index_id(struct row_table *table, uint32_t number)
{
    uint32_t slot = id_slot(table, row_id(table, number));

    while (table->by_id[slot] != 0)
        slot = (slot + 1) & (table->id_slots - 1);
    table->by_id[slot] = number + 1;
}

/* Rows that were put since it was done last. Growing begins from the first again. */
static void index_ids(struct row_table *table)
{
    uint32_t slots = slots_for(table->count);

    if (slots > table->id_slots) {
        free(table->by_id);
        table->by_id = new_slots(slots);
        table->id_slots = slots;
        table->indexed = 0;
    }
    while (table->indexed < table->count)
        index_id(table, table->indexed++);
}

static void grow_rows(struct row_table *table)
{
    if (table->count < table->room)
        return;
    check(table->room < UINT32_MAX / 2);
    table->room = MAX(table->room + table->room / 2, (uint32_t)ROOM_MIN);
    table->rows = realloc(table->rows, table->room * table->row_size);
    check(table->rows != NULL);
}

/* In the order of ids nothing has to be looked for, and the index can wait. */
static void *find_to_replace(struct row_table *table, uint32_t id)
{
    if (id > table->id_max)
        return NULL;
    index_ids(table);
    return row_table_find_id(table, id);
}

void row_table_put(struct row_table *table, const void *row)
{
    uint32_t id;

    memcpy(&id, row, sizeof(id));
    void *old = find_to_replace(table, id);
    if (old != NULL) {
        memcpy(old, row, table->row_size);
        return;
    }
    grow_rows(table);
    memcpy(table->rows + table->count * table->row_size, row, table->row_size);
    table->count++;
    table->id_max = MAX(table->id_max, id);
}

void row_table_copy(struct row_table *table, const struct row_table *from)
{
    check(table->count == 0);
    for (uint32_t i = 0; i < from->count; i++)
        row_table_put(table, row_table_row(from, i));
}

static uint32_t name_slot(const struct row_table *table, struct bytes name)
{
    return (uint32_t)XXH3_64bits_withSeed(name.ptr, name.len, table->seed) &
           (table->name_slots - 1);
}

void row_table_seal(struct row_table *table)
{
    check(table->by_name == NULL);
    index_ids(table);
    if (table->room > table->count && table->count > 0) {
        void *rows = realloc(table->rows, table->count * table->row_size);

        table->rows = rows != NULL ? rows : table->rows;
        table->room = rows != NULL ? table->count : table->room;
    }
    table->name_slots = slots_for(table->count);
    table->by_name = new_slots(table->name_slots);
    for (uint32_t i = 0; i < table->count; i++) {
        struct bytes name = table->name(row_table_row(table, i));

        if (name.ptr == NULL)
            continue;
        uint32_t slot = name_slot(table, name);
        while (table->by_name[slot] != 0)
            slot = (slot + 1) & (table->name_slots - 1);
        table->by_name[slot] = i + 1;
    }
}

void *row_table_find_id(const struct row_table *table, uint32_t id)
{
    if (table->id_slots == 0)
        return NULL;
    for (uint32_t slot = id_slot(table, id); table->by_id[slot] != 0;
         slot = (slot + 1) & (table->id_slots - 1)) {
        uint32_t number = table->by_id[slot] - 1;

        if (row_id(table, number) == id)
            return table->rows + number * table->row_size;
    }
    return NULL;
}

const void *row_table_find_name(const struct row_table *table, struct bytes name)
{
    if (table->name_slots == 0)
        return NULL;
    for (uint32_t slot = name_slot(table, name); table->by_name[slot] != 0;
         slot = (slot + 1) & (table->name_slots - 1)) {
        const void *row = row_table_row(table, table->by_name[slot] - 1);

        if (bytes_equal(table->name(row), name))
            return row;
    }
    return NULL;
}

size_t row_table_memory(const struct row_table *table)
{
    return table->room * table->row_size + table->id_slots * sizeof(*table->by_id) +
           table->name_slots * sizeof(*table->by_name);
}
