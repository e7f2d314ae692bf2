/* sequence_set.c - sets of numbers: read, put in order, asked, written. */
#include "inbound/imap/sequence_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "inbound/imap/scan.h"

static bool take_end(struct bytes *input, uint32_t *number_out)
{
    if (imap_take_byte(input, '*')) {
        *number_out = SEQUENCE_LAST;
        return true;
    }
    return imap_take_nz_number(input, number_out);
}

static bool take_range(struct bytes *input, struct sequence_range *range_out)
{
    if (!take_end(input, &range_out->from))
        return false;
    range_out->to = range_out->from;
    return !imap_take_byte(input, ':') || take_end(input, &range_out->to);
}

bool sequence_set_take(struct arena *arena, struct bytes *input, bool takes_saved,
                       struct sequence_set *set_out)
{
    struct bytes rest = *input;
    struct sequence_set set = {0};
    size_t commas = 0, end = 0;

    if (takes_saved && imap_take_byte(&rest, '$')) {
        set.is_saved = true;
        *set_out = set;
        *input = rest;
        return true;
    }
    while (end < rest.len && (byte_is_digit(rest.ptr[end]) || rest.ptr[end] == '*' ||
                              rest.ptr[end] == ':' || rest.ptr[end] == ','))
        commas += rest.ptr[end++] == ',';
    set.ranges = arena_alloc(arena, (commas + 1) * sizeof(set.ranges[0]));
    if (set.ranges == NULL)
        return false;
    do {
        if (!take_range(&rest, &set.ranges[set.count]))
            return false;
        set.count++;
    } while (imap_take_byte(&rest, ','));
    *set_out = set;
    *input = rest;
    return true;
}

bool sequence_set_copy(struct arena *arena, const struct sequence_set *set,
                       struct sequence_set *copy_out)
{
    size_t size = set->count * sizeof(set->ranges[0]);
    struct sequence_range *ranges = arena_alloc(arena, MAX(size, (size_t)1));

    if (ranges == NULL)
        return false;
    if (size > 0)
        memcpy(ranges, set->ranges, size);
    *copy_out = *set;
    copy_out->ranges = ranges;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct sequence_range *left = a, *right = b;

    return (left->from > right->from) - (left->from < right->from);
}

void sequence_set_resolve(struct sequence_set *set, uint32_t last)
{
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++) {
        struct sequence_range range = set->ranges[i];
        uint32_t from = range.from == SEQUENCE_LAST ? last : range.from;
        uint32_t to = range.to == SEQUENCE_LAST ? last : range.to;

        if (from == 0 || to == 0)
            from = to = 0;
        set->ranges[i] = (struct sequence_range){MIN(from, to), MAX(from, to)};
    }
    if (set->count > 1)
        qsort(set->ranges, set->count, sizeof(set->ranges[0]), compare);
    for (size_t i = 0; i < set->count; i++) {
        struct sequence_range range = set->ranges[i];

        if (range.to == 0)
            continue;
        if (count > 0 && (uint64_t)range.from <= (uint64_t)set->ranges[count - 1].to + 1)
            set->ranges[count - 1].to = MAX(set->ranges[count - 1].to, range.to);
        else
            set->ranges[count++] = range;
    }
    set->count = count;
}

/* The first range that ends at `number` or behind it; set->count: none does. */
static size_t find(const struct sequence_set *set, uint32_t number)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].to < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool sequence_set_has(const struct sequence_set *set, uint32_t number)
{
    size_t at = find(set, number);

    return at < set->count && set->ranges[at].from <= number;
}

bool sequence_set_next(const struct sequence_set *set, uint32_t from,
                       struct sequence_range *run_out)
{
    size_t at = find(set, from);

    if (at == set->count)
        return false;
    *run_out = (struct sequence_range){MAX(from, set->ranges[at].from), set->ranges[at].to};
    return true;
}

/* --- as text ---------------------------------------------------------------------------------- */

static void flush(struct sequence_writer *writer)
{
    const char *comma = writer->has_written ? "," : "";
    bool fits = writer->from == writer->to
                    ? buf_printf(writer->out, "%s%u", comma, writer->from)
                    : buf_printf(writer->out, "%s%u:%u", comma, writer->from, writer->to);

    writer->has_failed |= !fits;
    writer->has_written = true;
}

static void add_range(struct sequence_writer *writer, uint32_t from, uint32_t to)
{
    check(from > writer->to || writer->from == 0);
    if (writer->from != 0 && from == writer->to + 1) {
        writer->to = to;
        return;
    }
    if (writer->from != 0)
        flush(writer);
    writer->from = from;
    writer->to = to;
}

void sequence_writer_add(struct sequence_writer *writer, uint32_t number)
{
    add_range(writer, number, number);
}

bool sequence_writer_add_common(struct sequence_writer *writer, const struct sequence_set *set,
                                uint32_t from, uint32_t to)
{
    bool is_any = false;

    for (size_t i = find(set, from); i < set->count && set->ranges[i].from <= to; i++) {
        add_range(writer, MAX(from, set->ranges[i].from), MIN(to, set->ranges[i].to));
        is_any = true;
    }
    return is_any;
}

bool sequence_writer_end(struct sequence_writer *writer)
{
    if (writer->from != 0)
        flush(writer);
    writer->from = writer->to = 0;
    return !writer->has_failed;
}
