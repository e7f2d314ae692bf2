/* test_scan.c - IMAP's grammar, taker by taker. */
#include "inbound/imap/scan.h"

#include <string.h>

#include "support/unit.h"

static struct arena arena;

#define TAKES(call) \
    ({ \
        arena_init(&arena, 1 << 20); \
        bool took_ = (call); \
        took_; \
    })

TEST(take_tag_stops_at_space_and_refuses_plus)
{
    struct bytes input = BYTES("a1 NOOP"), tag;

    assert_true(imap_take_tag(&input, &tag));
    assert_true(bytes_equal(tag, BYTES("a1")));
    assert_true(bytes_equal(input, BYTES(" NOOP")));
    input = BYTES("+ NOOP");
    assert_false(imap_take_tag(&input, &tag));
    input = BYTES("* NOOP");
    assert_false(imap_take_tag(&input, &tag));
}

TEST(take_tag_refuses_a_long_one)
{
    char text[IMAP_TAG_MAX + 2];
    struct bytes tag;

    memset(text, 'a', sizeof(text));
    struct bytes input = bytes_range(text, IMAP_TAG_MAX);
    assert_true(imap_take_tag(&input, &tag));
    input = bytes_range(text, IMAP_TAG_MAX + 1);
    assert_false(imap_take_tag(&input, &tag));
}

static const struct {
    const char *input, *text; /* NULL: refused */
    const char *rest;
} strings[] = {
    {"\"\" x", "", " x"},
    {"\"a b\"", "a b", ""},
    {"\"a\\\"b\\\\c\"", "a\"b\\c", ""},
    {"\"a\\nb\"", NULL, NULL}, /* only quote and backslash are escaped */
    {"\"open", NULL, NULL},
    {"\"open\\\"", NULL, NULL},
    {"\"a\r\nb\"", NULL, NULL},
    {"\"gr\xc3\xbc\xc3\x9f\"", "gr\xc3\xbc\xc3\x9f", ""},
    {"\"\xff\"", NULL, NULL},
    {"{3}\r\nabcd", "abc", "d"},
    {"{3+}\r\nabc", "abc", ""},
    {"{4}\r\nabc", NULL, NULL},
    {"{0}\r\n", "", ""},
    {"{}\r\n", NULL, NULL},
    {"{3}abc", NULL, NULL},
    {"~{3}\r\nabc", NULL, NULL},
    {"abc", NULL, NULL},
};

TEST(take_string_takes_what_is_one)
{
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        struct bytes input = bytes_of(strings[i].input), text = BYTES_NONE;
        bool took = TAKES(imap_take_string(&arena, &input, &text));

        expect_row(i, took == (strings[i].text != NULL));
        if (took) {
            expect_row(i, bytes_equal(text, bytes_of(strings[i].text)));
            expect_row(i, bytes_equal(input, bytes_of(strings[i].rest)));
        } else {
            expect_row(i, bytes_equal(input, bytes_of(strings[i].input)));
        }
        arena_free(&arena);
    }
}

TEST(take_literal_has_no_nul_unless_it_is_binary)
{
    struct bytes input = bytes_range("{1}\r\n", 6), text;

    assert_false(imap_take_literal(&input, true, &text));
    input = bytes_range("~{1}\r\n", 7);
    assert_true(imap_take_literal(&input, true, &text));
    assert_int_equal(text.len, 1);
}

TEST(take_astring_may_have_brackets)
{
    struct bytes input = BYTES("a]b x"), text;

    assert_true(TAKES(imap_take_astring(&arena, &input, &text)));
    assert_true(bytes_equal(text, BYTES("a]b")));
    arena_free(&arena);
    input = BYTES("a]b");
    assert_true(imap_take_atom(&input, &text));
    assert_true(bytes_equal(input, BYTES("]b")));
}

static const struct {
    const char *input;
    bool is_number, is_nz;
} numbers[] = {
    {"0", true, false},         {"1", true, true},
    {"4294967295", true, true}, {"4294967296", false, false},
    {"01", true, false},        {"-1", false, false},
    {"", false, false},         {"99999999999999999999", false, false},
};

TEST(take_number_is_of_32_bits)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct bytes input = bytes_of(numbers[i].input);
        uint32_t number;

        expect_row(i, imap_take_number(&input, &number) == numbers[i].is_number);
        input = bytes_of(numbers[i].input);
        expect_row(i, imap_take_nz_number(&input, &number) == numbers[i].is_nz);
    }
}

TEST(take_number64_is_of_63_bits)
{
    struct bytes input = BYTES("9223372036854775807");
    uint64_t number;

    assert_true(imap_take_number64(&input, &number));
    assert_true(number == INT64_MAX);
    input = BYTES("9223372036854775808");
    assert_false(imap_take_number64(&input, &number));
}

static const struct {
    const char *input;
    int64_t seconds; /* -1: refused */
} dates[] = {
    {"1-Feb-2020", 1580515200}, {"01-feb-2020", 1580515200}, {"\"1-Feb-2020\"", 1580515200},
    {"\"1-Feb-2020", -1},       {"30-Feb-2020", -1},         {"29-Feb-2020", 1582934400},
    {"29-Feb-2021", -1},        {"0-Feb-2020", -1},          {"1-Foo-2020", -1},
    {"1-Feb-20", -1},
};

TEST(take_date_takes_days_that_exist)
{
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct bytes input = bytes_of(dates[i].input);
        int64_t seconds;
        bool took = imap_take_date(&input, &seconds);

        expect_row(i, took == (dates[i].seconds >= 0));
        expect_row(i, !took || seconds == dates[i].seconds);
    }
}

static const struct {
    const char *input;
    int64_t seconds;
} date_times[] = {
    {"\" 1-Feb-2020 02:03:04 +0000\"", 1580522584}, {"\"01-Feb-2020 02:03:04 +0100\"", 1580518984},
    {"\"01-Feb-2020 02:03:04 -0130\"", 1580527984}, {"\"1-Feb-2020 02:03:04 +0000\"", -1},
    {"\"01-Feb-2020 24:03:04 +0000\"", -1},         {"\"01-Feb-2020 02:03:04\"", -1},
    {"\"01-Feb-2020 02:03:04 0000\"", -1},          {"01-Feb-2020 02:03:04 +0000", -1},
};

TEST(take_date_time_knows_zones)
{
    for (size_t i = 0; i < ARRAY_LEN(date_times); i++) {
        struct bytes input = bytes_of(date_times[i].input);
        int64_t seconds;
        bool took = imap_take_date_time(&input, &seconds);

        expect_row(i, took == (date_times[i].seconds >= 0));
        expect_row(i, !took || seconds == date_times[i].seconds);
    }
}

static const struct {
    const char *input;
    int count; /* -1: refused */
} flag_lists[] = {
    {"()", 0},       {"(\\Seen)", 1}, {"(\\seen $Junk NonJunk)", 3}, {"(\\Recent)", -1},
    {"(\\*)", -1},   {"(\\Foo)", -1}, {"(\\Seen  \\Draft)", -1},     {"( \\Seen)", -1},
    {"(\\Seen", -1}, {"\\Seen", -1},
};

TEST(take_flag_list_takes_what_may_be_set)
{
    struct imap_flag_list list;

    for (size_t i = 0; i < ARRAY_LEN(flag_lists); i++) {
        struct bytes input = bytes_of(flag_lists[i].input);
        bool took = imap_take_flag_list(&input, &list);

        expect_row(i, took == (flag_lists[i].count >= 0));
        expect_row(i, !took || (int)list.count == flag_lists[i].count);
    }
}

static const struct {
    const char *text, *string, *astring;
} written[] = {
    {"abc", "\"abc\"", "abc"},
    {"", "\"\"", "\"\""},
    {"nil", "\"nil\"", "\"nil\""},
    {"a \"b\\", "\"a \\\"b\\\\\"", "\"a \\\"b\\\\\""},
    {"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
    {"\xc3\xbc", "{2}\r\n\xc3\xbc", "{2}\r\n\xc3\xbc"},
};

TEST(put_string_quotes_or_counts)
{
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        struct buf out;

        buf_init(&out, 1000);
        expect_row(i, imap_put_string(&out, bytes_of(written[i].text)));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(written[i].string)));
        buf_clear(&out);
        expect_row(i, imap_put_astring(&out, bytes_of(written[i].text)));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(written[i].astring)));
        buf_free(&out);
    }
}

TEST(put_string_without_room_says_so)
{
    struct buf out;

    buf_init(&out, 4);
    assert_false(imap_put_string(&out, BYTES("abcdef")));
    buf_free(&out);
}
