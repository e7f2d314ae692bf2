/* test_sequence_set.c - sets of numbers. */
#include "inbound/imap/sequence_set.h"

#include "base/buf.h"
#include "support/unit.h"

static const struct {
    const char *input;
    uint32_t last;
    const char *numbers; /* NULL: refused */
} sets[] = {
    {"1", 9, "1"},
    {"1:3,5", 9, "1:3,5"},
    {"3:1", 9, "1:3"},
    {"5,1,3,2", 9, "1:3,5"},
    {"*", 9, "9"},
    {"7:*", 9, "7:9"},
    {"20:*", 9, "9:20"},
    {"*:*", 9, "9"},
    {"*", 0, ""},
    {"1:*", 0, ""},
    {"1:*,2", 0, "2"},
    {"4294967295", 9, "4294967295"}, /* a number as any other (RFC 9051 section 9, nz-number) */
    {"1:3,4294967295", 9, "1:3,4294967295"},
    {"2:5,4:8,9", 20, "2:9"},
    {"0", 9, NULL},
    {"1:", 9, NULL},
    {"1,", 9, NULL},
    {",1", 9, NULL},
    {"1::2", 9, NULL},
    {"4294967296", 9, NULL},
    {"$", 9, NULL},
};

static void write(const struct sequence_set *set, struct buf *out)
{
    struct sequence_writer writer = {.out = out};
    struct sequence_range run = {0};

    while (run.to < 1000 && sequence_set_next(set, run.to + 1, &run))
        for (uint64_t n = run.from; n <= run.to && n < run.from + UINT64_C(1000); n++)
            sequence_writer_add(&writer, (uint32_t)n);
    assert_true(sequence_writer_end(&writer));
}

TEST(take_and_resolve_put_numbers_in_order)
{
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        struct bytes input = bytes_of(sets[i].input);
        struct sequence_set set;
        struct arena arena;
        struct buf out;

        arena_init(&arena, 4096);
        buf_init(&out, 4096);
        bool took = sequence_set_take(&arena, &input, false, &set) && input.len == 0;
        expect_row(i, took == (sets[i].numbers != NULL));
        if (took) {
            sequence_set_resolve(&set, sets[i].last);
            write(&set, &out);
            expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(sets[i].numbers)));
        }
        buf_free(&out);
        arena_free(&arena);
    }
}

TEST(has_agrees_with_the_ranges)
{
    struct bytes input = BYTES("10:12,3,20:*");
    struct sequence_set set;
    struct arena arena;

    arena_init(&arena, 4096);
    assert_true(sequence_set_take(&arena, &input, false, &set));
    sequence_set_resolve(&set, 25);
    for (uint32_t n = 1; n < 40; n++)
        assert_true(sequence_set_has(&set, n) ==
                    (n == 3 || (n >= 10 && n <= 12) || (n >= 20 && n <= 25)));
    arena_free(&arena);
}

TEST(next_begins_in_the_middle_of_a_range)
{
    struct bytes input = BYTES("10:12,20");
    struct sequence_range run;
    struct sequence_set set;
    struct arena arena;

    arena_init(&arena, 4096);
    assert_true(sequence_set_take(&arena, &input, false, &set));
    sequence_set_resolve(&set, 25);
    assert_true(sequence_set_next(&set, 11, &run));
    assert_int_equal(run.from, 11);
    assert_int_equal(run.to, 12);
    assert_true(sequence_set_next(&set, 13, &run));
    assert_int_equal(run.from, 20);
    assert_int_equal(run.to, 20);
    assert_false(sequence_set_next(&set, 21, &run));
    arena_free(&arena);
}

TEST(take_knows_the_saved_set_where_it_may_be)
{
    struct bytes input = BYTES("$");
    struct sequence_set set;
    struct arena arena;

    arena_init(&arena, 4096);
    assert_true(sequence_set_take(&arena, &input, true, &set));
    assert_true(set.is_saved);
    arena_free(&arena);
}
