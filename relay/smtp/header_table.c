/* header_table.c - rows by name, in lists by a hash of length, first and last byte. */
#include "smtp/header_table.h"

#include <errno.h>

void header_table_init(struct header_table *table)
{
    *table = (struct header_table){0};
}

/* Names that differ in case only share a slot: bit 5 is the case of a letter. */
static size_t slot_of(struct bytes name)
{
    size_t hash = name.len * 7;

    if (name.len > 0)
        hash += (size_t)(name.ptr[0] | 0x20) * 5 + (name.ptr[name.len - 1] | 0x20);
    return hash % HEADER_TABLE_SLOTS;
}

int header_table_find(const struct header_table *table, struct bytes name)
{
    for (unsigned next = table->slots[slot_of(name)]; next != 0;) {
        const struct header_row *row = &table->rows[next - 1];

        if (bytes_equal_nocase(row->rule.name, name))
            return (int)next - 1;
        next = row->next;
    }
    return -1;
}

static bool is_valid(const struct header_rule *rule)
{
    if (rule->name.len == 0 || (rule->capture_count > 0) != (rule->capture_max > 0))
        return false;
    for (size_t i = 0; i < rule->name.len; i++)
        if (!header_is_name_byte(rule->name.ptr[i]))
            return false;
    return true;
}

int header_table_add(struct header_table *table, const struct header_rule *rule)
{
    if (!is_valid(rule))
        return -EINVAL;
    if (header_table_find(table, rule->name) >= 0)
        return -EEXIST;
    if (table->count == HEADER_RULES_MAX ||
        HEADER_CAPTURES_MAX - table->capture_count < rule->capture_count)
        return -ENOSPC;
    uint8_t *slot = &table->slots[slot_of(rule->name)];
    table->rows[table->count] = (struct header_row){
        .rule = *rule,
        .next = *slot,
        .capture_first = (uint8_t)table->capture_count,
        .capture_at = (uint32_t)table->capture_size,
    };
    table->count++;
    *slot = (uint8_t)table->count;
    table->capture_count += rule->capture_count;
    table->capture_size += (size_t)rule->capture_count * rule->capture_max;
    return (int)table->count - 1;
}
