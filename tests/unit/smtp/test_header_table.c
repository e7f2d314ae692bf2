/* test_header_table.c - rows of a table, and what scans capture by them. */
#include "smtp/header_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtp/header.h"
#include "support/unit.h"

enum { ROOM = 4096 };

static int add(struct header_table *table, const char *name, bool drop, unsigned count,
               unsigned max)
{
    struct header_rule rule = {bytes_of(name), drop, (uint8_t)count, (uint16_t)max};

    return header_table_add(table, &rule);
}

TEST(header_table_finds_names_in_any_case)
{
    struct header_table table;

    header_table_init(&table);
    assert_int_equal(header_table_find(&table, BYTES("From")), -1);
    assert_int_equal(add(&table, "From", false, 0, 0), 0);
    assert_int_equal(add(&table, "X-{tag}", false, 0, 0), 1);
    assert_int_equal(header_table_find(&table, BYTES("fROM")), 0);
    assert_int_equal(header_table_find(&table, BYTES("x-{TAG}")), 1);
    /* '[' and '{' differ in the same bit as letters do, and are not the same. */
    assert_int_equal(header_table_find(&table, BYTES("x-[TAG]")), -1);
    assert_int_equal(header_table_find(&table, BYTES("Fro")), -1);
    assert_int_equal(header_table_find(&table, BYTES("Frum")), -1);
    assert_int_equal(header_table_find(&table, BYTES("")), -1);
}

TEST(header_table_finds_every_row_of_a_full_one)
{
    struct header_table table;
    static char names[HEADER_RULES_MAX + 1][8];

    header_table_init(&table);
    for (unsigned i = 0; i <= HEADER_RULES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "a%03uz", i); /* one slot for all of them */
        assert_int_equal(add(&table, names[i], false, 0, 0),
                         i < HEADER_RULES_MAX ? (int)i : -ENOSPC);
    }
    for (unsigned i = 0; i < HEADER_RULES_MAX; i++)
        assert_int_equal(header_table_find(&table, bytes_of(names[i])), i);
    assert_int_equal(header_table_find(&table, bytes_of(names[HEADER_RULES_MAX])), -1);
}

TEST(header_table_refuses_what_is_no_row)
{
    struct header_table table;

    header_table_init(&table);
    assert_int_equal(add(&table, "", false, 0, 0), -EINVAL);
    assert_int_equal(add(&table, "A:", false, 0, 0), -EINVAL);
    assert_int_equal(add(&table, "A B", false, 0, 0), -EINVAL);
    assert_int_equal(add(&table, "A\xc3\xa4", false, 0, 0), -EINVAL);
    assert_int_equal(add(&table, "A", false, 1, 0), -EINVAL);
    assert_int_equal(add(&table, "A", false, 0, 1), -EINVAL);
    assert_int_equal(add(&table, "A", false, HEADER_CAPTURES_MAX - 1, 3), 0);
    assert_int_equal(add(&table, "a", true, 0, 0), -EEXIST);
    assert_int_equal(add(&table, "B", false, 2, 1), -ENOSPC);
    assert_int_equal(add(&table, "B", false, 1, 1), 1);
    assert_int_equal(add(&table, "C", false, 1, 1), -ENOSPC);
    assert_int_equal(add(&table, "C", false, 0, 0), 2);
    assert_int_equal(table.capture_size, (HEADER_CAPTURES_MAX - 1) * 3 + 1);
}

/* Captures: rows A (two of 8 bytes), B (one of 8, dropped), C (dropped). */

struct sample {
    struct bytes input;
    const char *a0, *a1, *b; /* NULL: there is none; "!" behind it: altered; "~": cut */
    struct bytes stored;
};

static const struct sample samples[] = {
    {BYTES("A: one\r\nB: two\r\nC: three\r\nD: d\r\n\r\n"), "one", NULL, "two",
     BYTES("A: one\r\nD: d\r\n\r\n")},
    {BYTES("a : 1\r\nA:2\r\nA: 3\r\nb:4\r\nb:5\r\n\r\nA: 6"), "1", "2", "4",
     BYTES("a : 1\r\nA:2\r\nA: 3\r\n\r\nA: 6")},
    {BYTES("A:\r\n\r\n"), "", NULL, NULL, BYTES("A:\r\n\r\n")},
    {BYTES("A: \r\n \t\r\n\tx \r\n\r\n"), "x", NULL, NULL, BYTES("A: \r\n \t\r\n\tx \r\n\r\n")},
    {BYTES("A: x\r\n  y\t z\r\n\r\n"), "x y z", NULL, NULL, BYTES("A: x\r\n  y\t z\r\n\r\n")},
    /* As long as there is room, and one more; white space behind the last byte cuts nothing. */
    {BYTES("A: 12345678\r\nA: 123456789\r\n\r\n"), "12345678", "12345678~", NULL,
     BYTES("A: 12345678\r\nA: 123456789\r\n\r\n")},
    {BYTES("A: 12345678 \r\n \r\nA: 12345678 \r\n 9\r\n\r\n"), "12345678", "12345678~", NULL,
     BYTES("A: 12345678 \r\n \r\nA: 12345678 \r\n 9\r\n\r\n")},
    {BYTES("A: 1234567 8\r\nA: 123456 8\r\n\r\n"), "1234567~", "123456 8", NULL,
     BYTES("A: 1234567 8\r\nA: 123456 8\r\n\r\n")},
    {BYTES("A: 1234567 8 9 b\r\n\r\n"), "1234567~", NULL, NULL, BYTES("A: 1234567 8 9 b\r\n\r\n")},
    /* What ends no line is left out, and told. */
    {BYTES("A: x\0y\r\nA: x\ny\r\nB: x\ry\r\n\r\n"), "xy!", "xy!", "xy!",
     BYTES("A: x\0y\r\nA: x\ny\r\n\r\n")},
    {BYTES("A: x\r\r\nA: \nx\r\nB: x\r\n\r\n"), "x!", "x!", "x", BYTES("A: x\r\r\nA: \nx\r\n\r\n")},
    {BYTES("A: x\r"), "x!", NULL, NULL, BYTES("A: x\r")},
    {BYTES("B: x\r\n"), NULL, NULL, "x", BYTES("")},
    {BYTES("A: x\r\nnone"), "x", NULL, NULL, BYTES("A: x\r\n\r\nnone")},
    {BYTES("A: x\r\n"), "x", NULL, NULL, BYTES("A: x\r\n")},
    {BYTES("A: \xc3\xa4\x01\r\n\r\n"), "\xc3\xa4\x01", NULL, NULL,
     BYTES("A: \xc3\xa4\x01\r\n\r\n")},
    /* A line of an mbox file in between is no field of a row. */
    {BYTES("From x\r\n y\r\nA: x\r\n\r\n"), "x", NULL, NULL,
     BYTES("X-Mailbox-Line: From x\r\n y\r\nA: x\r\n\r\n")},
};

static void expect_field(size_t row, const struct header_scan *scan, unsigned field,
                         unsigned occurrence, const char *expected)
{
    struct header_value value = {0};
    bool is_there = header_scan_value(scan, field, occurrence, &value);

    expect_row(row, is_there == (expected != NULL));
    if (!is_there)
        return;
    struct bytes text = bytes_of(expected);
    bool is_cut = bytes_ends_nocase(text, BYTES("~"));
    bool is_altered = bytes_ends_nocase(text, BYTES("!"));

    expect_row(row, value.is_cut == is_cut);
    expect_row(row, value.is_altered == is_altered);
    text.len -= (size_t)is_cut + is_altered;
    expect_row(row, bytes_equal(value.text, text));
}

static void expect_split(size_t row, size_t at)
{
    const struct sample *sample = &samples[row];
    struct header_table table;
    struct header_scan scan;
    uint8_t captured[3 * 8];
    struct buf out;

    header_table_init(&table);
    assert_int_equal(add(&table, "A", false, 2, 8), 0);
    assert_int_equal(add(&table, "b", true, 1, 8), 1);
    assert_int_equal(add(&table, "C", true, 0, 0), 2);
    assert_int_equal(table.capture_size, sizeof(captured));
    header_scan_init(&scan, &table, captured);
    buf_init(&out, ROOM);
    struct bytes first = bytes_slice(sample->input, 0, at);
    struct bytes second = bytes_slice(sample->input, at, sample->input.len);
    expect_row(row, header_scan_feed(&scan, &first, &out));
    expect_row(row, header_scan_feed(&scan, &second, &out));
    expect_row(row, header_scan_finish(&scan, &out));
    expect_row(row, bytes_equal(buf_bytes(&out), sample->stored));
    expect_field(row, &scan, 0, 0, sample->a0);
    expect_field(row, &scan, 0, 1, sample->a1);
    expect_field(row, &scan, 1, 0, sample->b);
    buf_free(&out);
}

TEST(header_scan_captures_by_table_in_every_split)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        for (size_t at = 0; at <= samples[i].input.len; at++)
            expect_split(i, at);
}

TEST(header_scan_counts_beyond_what_it_captures)
{
    struct header_table table;
    struct header_scan scan;
    struct header_value value;
    uint8_t captured[4];
    struct buf out;

    header_table_init(&table);
    assert_int_equal(add(&table, "A", true, 2, 2), 0);
    header_scan_init(&scan, &table, captured);
    buf_init(&out, ROOM);
    for (unsigned i = 0; i < 1000; i++) {
        char field[16];
        struct bytes input =
            bytes_range(field, (size_t)snprintf(field, sizeof(field), "A:%u\r\n", i));

        assert_true(header_scan_feed(&scan, &input, &out));
        assert_int_equal(header_scan_count(&scan, 0), i + 1);
        assert_int_equal(header_scan_value(&scan, 0, 1, &value), i >= 1);
    }
    assert_int_equal(buf_len(&out), 0);
    assert_true(header_scan_value(&scan, 0, 0, &value));
    assert_true(bytes_equal(value.text, BYTES("0")));
    assert_true(header_scan_value(&scan, 0, 1, &value));
    assert_true(bytes_equal(value.text, BYTES("1")));
    buf_free(&out);
}
