/* sort_order.c - by counting where there are many to a rank, else by comparing. */
#include "inbound/imap/sort_order.h"

#include <stdlib.h>

enum { SPARSE = 16 /* ranks to one that was found */ };

struct placed {
    uint32_t rank, place;
};

static uint32_t rank_of(const struct sorted *sorted, struct kept_ranks ranks, bool is_reverse)
{
    uint32_t rank = ranks.of[sorted->row];

    check(rank < ranks.count);
    return is_reverse ? ranks.count - 1 - rank : rank;
}

static int compare(const void *a, const void *b)
{
    const struct placed *left = a, *right = b;

    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return (left->place > right->place) - (left->place < right->place);
}

static void by_comparing(const struct sorted *from, size_t count, struct kept_ranks ranks,
                         bool is_reverse, struct sorted *to)
{
    struct placed *placed = malloc(count * sizeof(*placed));

    check(placed != NULL);
    for (size_t i = 0; i < count; i++)
        placed[i] = (struct placed){rank_of(&from[i], ranks, is_reverse), (uint32_t)i};
    qsort(placed, count, sizeof(*placed), compare);
    for (size_t i = 0; i < count; i++)
        to[i] = from[placed[i].place];
    free(placed);
}

static void by_counting(const struct sorted *from, size_t count, struct kept_ranks ranks,
                        bool is_reverse, struct sorted *to)
{
    uint32_t *begins = calloc((size_t)ranks.count + 1, sizeof(*begins));

    check(begins != NULL);
    for (size_t i = 0; i < count; i++)
        begins[rank_of(&from[i], ranks, is_reverse) + 1]++;
    for (size_t i = 1; i < ranks.count; i++)
        begins[i] += begins[i - 1];
    for (size_t i = 0; i < count; i++)
        to[begins[rank_of(&from[i], ranks, is_reverse)]++] = from[i];
    free(begins);
}

void sort_by_ranks(struct sorted **sorted, size_t count, struct kept_ranks ranks, bool is_reverse)
{
    if (count < 2)
        return;
    struct sorted *to = malloc(count * sizeof(*to));

    check(to != NULL);
    if (ranks.count / SPARSE > count)
        by_comparing(*sorted, count, ranks, is_reverse, to);
    else
        by_counting(*sorted, count, ranks, is_reverse, to);
    free(*sorted);
    *sorted = to;
}
