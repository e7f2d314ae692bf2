/*
 * header_table.h - which header fields are told apart, by name: kept, dropped, captured.
 *
 * What no row names is kept and not told of. A table is filled before the first scan uses it
 * (header.h) and not changed while one does; any number of scans, on any thread, may share it.
 *
 * What captures need is bounded by the table, and every row has its own part of it: no field of a
 * message can take the room of another.
 */
#pragma once

#include "base/bytes.h"

enum {
    HEADER_RULES_MAX = 32,
    HEADER_CAPTURES_MAX = 64, /* captured occurrences, of all rows together */
    HEADER_TABLE_SLOTS = 64,
};

struct header_rule {
    struct bytes name; /* in any case; ftext, RFC 5322 section 2.2; lives as long as the table */
    bool drop;         /* the field, with its continuation lines, is not passed on */
    /* The values of its first so many occurrences are captured, up to so many bytes each. 0: none.
     * What is dropped may be captured all the same. */
    uint8_t capture_count;
    uint16_t capture_max;
};

struct header_table {
    size_t count;         /* of rows */
    size_t capture_count; /* of all rows */
    size_t capture_size;  /* bytes that a scan needs for captured values */
    /* private */
    struct header_row {
        struct header_rule rule;
        uint8_t next;          /* row number + 1 in the same slot */
        uint8_t capture_first; /* of its captures, in the order of the rows */
        uint32_t capture_at;   /* where their bytes begin */
    } rows[HEADER_RULES_MAX];
    uint8_t slots[HEADER_TABLE_SLOTS]; /* row number + 1 by hash of the name; 0: none */
};

void header_table_init(struct header_table *table); /* no rows */
/* The new row's number: 0, 1, 2... Or -EINVAL: no name of a field, or captures of no bytes;
 * -EEXIST: a row has that name; -ENOSPC: the table is full. */
must_use int header_table_add(struct header_table *table, const struct header_rule *rule);
/* The row of a field, -1: none has its name. */
int header_table_find(const struct header_table *table, struct bytes name);
/* A byte of a field's name (RFC 5322 section 2.2): printable ASCII without the colon. */
static inline bool header_is_name_byte(uint8_t c)
{
    return c >= 33 && c <= 126 && c != ':';
}
