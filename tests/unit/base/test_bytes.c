/* test_bytes.c - slices. */
#include "support/unit.h"

#include <string.h>

#include "base/bytes.h"

TEST(slice_past_the_end_is_clipped)
{
    static const struct {
        size_t from, len;
        const char *expected;
    } rows[] = {{0, 6, "ringpo"}, {4, 2, "po"}, {4, SIZE_MAX, "post"},
                {8, 1, ""},       {9, 1, ""},   {SIZE_MAX, SIZE_MAX, ""}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, bytes_equal(bytes_slice(BYTES("ringpost"), rows[i].from, rows[i].len),
                                  bytes_of(rows[i].expected)));
}

TEST(slice_of_nothing_is_nothing)
{
    assert_int_equal(bytes_slice(BYTES_NONE, 0, 5).len, 0);
    assert_int_equal(bytes_slice(BYTES_NONE, 3, 5).len, 0);
}

TEST(equal_compares_length_and_every_byte)
{
    assert_true(bytes_equal(BYTES(""), BYTES_NONE));
    assert_true(bytes_equal(BYTES("a\0b"), BYTES("a\0b")));
    assert_false(bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    assert_false(bytes_equal(BYTES("ab"), BYTES("abc")));
    assert_false(bytes_equal(BYTES("a"), BYTES("A")));
}

TEST(equal_nocase_ignores_case_of_ascii_letters_only)
{
    assert_true(bytes_equal_nocase(BYTES("EhLo"), BYTES("eHlO")));
    assert_false(bytes_equal_nocase(BYTES("["), BYTES("{"))); /* differ in bit 5 */
    assert_false(bytes_equal_nocase(BYTES("@"), BYTES("`")));
    assert_false(bytes_equal_nocase(BYTES("\xc4"), BYTES("\xe4")));
    assert_false(bytes_equal_nocase(BYTES("ehlo"), BYTES("ehlo ")));
}

TEST(starts_and_ends_nocase_at_the_edges)
{
    assert_true(bytes_starts_nocase(BYTES("MAIL FROM:"), BYTES("mail from:")));
    assert_true(bytes_starts_nocase(BYTES("x"), BYTES("")));
    assert_false(bytes_starts_nocase(BYTES("MAI"), BYTES("MAIL")));
    assert_true(bytes_ends_nocase(BYTES("mx.Example.ORG"), BYTES(".example.org")));
    assert_false(bytes_ends_nocase(BYTES("org"), BYTES(".example.org")));
}

TEST(compare_orders_like_memcmp_with_the_shorter_first)
{
    static const struct {
        struct bytes a, b;
        int sign;
    } rows[] = {{BYTES("a"), BYTES("b"), -1},
                {BYTES("a"), BYTES("aa"), -1},
                {BYTES("b"), BYTES("aa"), 1},
                {BYTES(""), BYTES(""), 0},
                {BYTES("\xff"), BYTES("a"), 1}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int order = bytes_compare(rows[i].a, rows[i].b);

        expect_row(i, (order > 0) - (order < 0) == rows[i].sign);
    }
    assert_int_equal(bytes_compare(BYTES_NONE, BYTES_NONE), 0);
}

TEST(find_gives_length_when_absent)
{
    struct bytes b = BYTES("a\0b\0");

    assert_int_equal(bytes_find(b, 0, 0), 1);
    assert_int_equal(bytes_find(b, 0, 2), 3);
    assert_int_equal(bytes_find(b, 'x', 0), 4);
    assert_int_equal(bytes_find(b, 'a', 100), 4);
    assert_int_equal(bytes_find(BYTES_NONE, 'a', 0), 0);
}

TEST(find_bytes_needle_at_the_edges)
{
    struct bytes b = BYTES("..\r\n.\r\n");

    assert_int_equal(bytes_find_bytes(b, BYTES("\r\n.\r\n"), 0), 2);
    assert_int_equal(bytes_find_bytes(b, BYTES("\r\n"), 3), 5);
    assert_int_equal(bytes_find_bytes(b, BYTES("\n.."), 0), b.len);
    assert_int_equal(bytes_find_bytes(b, BYTES(""), 3), 3);
    assert_int_equal(bytes_find_bytes(BYTES("a"), BYTES("aa"), 0), 1);
}

TEST(has_8bit_looks_at_every_byte_of_every_length)
{
    uint8_t text[40];

    for (size_t len = 0; len <= sizeof(text); len++)
        for (size_t at = 0; at < sizeof(text); at++) {
            memset(text, '~', sizeof(text));
            text[at] = 0x80;
            expect_row(len, bytes_has_8bit(bytes_range(text, len)) == (at < len));
        }
}

TEST(has_8bit_looks_at_every_byte)
{
    assert_false(bytes_has_8bit(BYTES("")));
    assert_false(bytes_has_8bit(BYTES("\x7f\t~")));
    assert_true(bytes_has_8bit(BYTES("\x80")));
    assert_true(bytes_has_8bit(BYTES("caf\xe9 noir")));
}

TEST(trim_takes_space_and_tab_but_no_newline)
{
    assert_true(bytes_equal(bytes_trim(BYTES(" \t a b\t ")), BYTES("a b")));
    assert_true(bytes_equal(bytes_trim(BYTES(" \r\n ")), BYTES("\r\n")));
    assert_int_equal(bytes_trim(BYTES(" \t ")).len, 0);
    assert_int_equal(bytes_trim(BYTES_NONE).len, 0);
}

TEST(take_nocase_leaves_input_when_it_does_not_match)
{
    struct bytes input = BYTES("Size=10");

    assert_false(bytes_take_nocase(&input, BYTES("SIZES")));
    assert_int_equal(input.len, 7);
    assert_true(bytes_take_nocase(&input, BYTES("SIZE=")));
    assert_true(bytes_equal(input, BYTES("10")));
}

TEST(take_u64_accepts_up_to_64_bits_and_rejects_the_rest)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t value;
        const char *rest;
    } rows[] = {
        {"0", true, 0, ""},
        {"007x", true, 7, "x"},
        {"18446744073709551615", true, UINT64_MAX, ""},
        {"18446744073709551616", false, 0, "18446744073709551616"}, /* add overflows */
        {"99999999999999999999", false, 0, "99999999999999999999"}, /* multiply overflows */
        {"", false, 0, ""},
        {"-1", false, 0, "-1"},
        {"+1", false, 0, "+1"},
        {" 1", false, 0, " 1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes input = bytes_of(rows[i].text);
        uint64_t value = 0;

        expect_row(i, bytes_take_u64(&input, &value) == rows[i].valid);
        expect_row(i, value == rows[i].value);
        expect_row(i, bytes_equal(input, bytes_of(rows[i].rest)));
    }
}

TEST(to_u64_rejects_trailing_bytes)
{
    uint64_t value = 5;

    assert_false(bytes_to_u64(BYTES("12 "), &value));
    assert_false(bytes_to_u64(BYTES("1\0"), &value));
    assert_int_equal(value, 5);
    assert_true(bytes_to_u64(BYTES("12"), &value));
    assert_int_equal(value, 12);
}

TEST(take_until_separator_first_last_and_absent)
{
    struct bytes input = BYTES(",a,b");
    struct bytes part;

    assert_true(bytes_take_until(&input, ',', &part));
    assert_int_equal(part.len, 0);
    assert_true(bytes_take_until(&input, ',', &part));
    assert_true(bytes_equal(part, BYTES("a")));
    assert_false(bytes_take_until(&input, ',', &part));
    assert_true(bytes_equal(input, BYTES("b")));
}

TEST(hash_nocase_equals_hash_of_lower_case_at_every_length)
{
    uint8_t mixed[800];
    uint8_t lower[800];

    for (size_t i = 0; i < sizeof(mixed); i++) {
        mixed[i] = (uint8_t)(i * 7);
        lower[i] = byte_lower(mixed[i]);
    }
    for (size_t len = 0; len <= sizeof(mixed); len++)
        expect_row(len, bytes_hash_nocase(bytes_range(mixed, len)) ==
                            bytes_hash(bytes_range(lower, len)));
}

TEST(byte_classes_agree_with_ascii_for_all_256)
{
    for (unsigned c = 0; c < 256; c++) {
        bool is_upper = c >= 'A' && c <= 'Z';
        bool is_lower = c >= 'a' && c <= 'z';
        bool is_digit = c >= '0' && c <= '9';

        expect_row(c, byte_is_alpha((uint8_t)c) == (is_upper || is_lower));
        expect_row(c, byte_is_digit((uint8_t)c) == is_digit);
        expect_row(c, byte_is_alnum((uint8_t)c) == (is_upper || is_lower || is_digit));
        expect_row(c, byte_lower((uint8_t)c) == (is_upper ? c + 32 : c));
    }
}

TEST(min_and_max_nest_and_evaluate_once)
{
    int calls = 0;

    assert_int_equal(MIN(MAX(1, 5), MIN(9, 7)), 5);
    assert_int_equal(MAX(calls++, 0), 0);
    assert_int_equal(calls, 1);
}
