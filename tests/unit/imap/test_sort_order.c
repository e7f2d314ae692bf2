/* test_sort_order.c - by several criteria, either way, against a plain comparison. */
#include "inbound/imap/sort_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "support/unit.h"

enum { ROWS = 500 };

struct model {
    uint32_t ranks[2][ROWS];
    bool is_reverse[2];
};

static int compare(const void *a, const void *b, void *context)
{
    const struct sorted *left = a, *right = b;
    const struct model *model = context;

    for (unsigned i = 0; i < 2; i++) {
        uint32_t x = model->ranks[i][left->row], y = model->ranks[i][right->row];

        if (x != y)
            return (x < y) != model->is_reverse[i] ? -1 : 1;
    }
    return (left->told > right->told) - (left->told < right->told);
}

/* `groups` different ranks of each criterion: few, or far more than are sorted. */
static void try_one(size_t count, uint32_t groups, unsigned reverse)
{
    struct sorted *sorted = malloc(ROWS * sizeof(*sorted)), expected[ROWS];
    struct model model = {.is_reverse = {(reverse & 1) != 0, (reverse & 2) != 0}};

    assert_non_null(sorted);
    for (size_t row = 0; row < ROWS; row++)
        for (unsigned i = 0; i < 2; i++)
            model.ranks[i][row] = (uint32_t)random_below(groups);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct sorted){(uint32_t)i + 1, (uint32_t)(i * 7 % ROWS)};
    memcpy(expected, sorted, count * sizeof(*sorted));
    qsort_r(expected, count, sizeof(*expected), compare, &model);
    for (unsigned i = 2; i-- > 0;)
        sort_by_ranks(&sorted, count, (struct kept_ranks){model.ranks[i], groups},
                      model.is_reverse[i]);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sorted[i].told, expected[i].told);
        assert_int_equal(sorted[i].row, expected[i].row);
    }
    free(sorted);
}

TEST(sort_by_ranks_is_what_a_comparison_gives)
{
    static const size_t counts[] = {0, 1, 2, 3, 30, ROWS};
    static const uint32_t groups[] = {1, 2, 10, 400, 100000};

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        for (size_t j = 0; j < ARRAY_LEN(groups); j++)
            for (unsigned reverse = 0; reverse < 4; reverse++)
                try_one(counts[i], groups[j], reverse);
}
