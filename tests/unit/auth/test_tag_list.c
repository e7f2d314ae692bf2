/* test_tag_list.c - RFC 6376 section 3.2 with what is and what is no list. */
#include "auth/tag_list.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static const struct {
    const char *text;
    const char *tags; /* "name|value;..."; NULL: refused */
} lists[] = {
    {"v=1", "v|1;"},
    {"v=1;", "v|1;"},
    {"v=1; ", "v|1;"},
    {" v = 1 ;\r\n\ta=b c;\r\n", NULL}, /* a line end that no white space follows */
    {" v = 1 ;\r\n\ta=b\r\n c;\r\n ", "v|1;a|b\r\n c;"},
    {"p=", "p|;"},
    {"p=;q=1", "p|;q|1;"},
    {"b=a=b==", "b|a=b==;"},
    {"A=1;a=2", "A|1;a|2;"}, /* case counts */
    {"a_1=x", "a_1|x;"},
    {"n=\xc3\xa4", "n|\xc3\xa4;"},
    {"", NULL},
    {";", NULL},
    {" ", NULL},
    {"v=1;;a=2", NULL},
    {"v=1;;", NULL},
    {"v", NULL},
    {"v=1;a", NULL},
    {"=1", NULL},
    {"1=1", NULL},
    {"_v=1", NULL},
    {"v-=1", NULL},
    {"v w=1", NULL},
    {"v=1;v=1", NULL},
    {"v=\x01", NULL},
    {"v=a\nb", NULL},
    {"v=a\rb", NULL},
    {"v=a\r\n\r\n b", NULL},
    {"v=a\x7f", NULL},
    {"v=\xff", NULL},
    {"v=1\r\n", NULL},
};

TEST(parse_takes_lists_and_nothing_else)
{
    for (size_t row = 0; row < ARRAY_LEN(lists); row++) {
        struct tag_list list;
        const char *reason = NULL;
        char text[128] = "";
        size_t len = 0;
        bool is_good = tag_list_parse(bytes_of(lists[row].text), &list, &reason);

        expect_row(row, is_good == (lists[row].tags != NULL));
        expect_row(row, is_good == (reason == NULL));
        for (size_t i = 0; is_good && i < list.count; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s|%.*s;",
                                    BYTES_ARG(list.tags[i].name), BYTES_ARG(list.tags[i].value));
        expect_row(row, !is_good || strcmp(text, lists[row].tags) == 0);
    }
}

TEST(parse_refuses_more_tags_than_it_keeps)
{
    struct tag_list list;
    const char *reason;
    struct buf text;

    buf_init(&text, 4096);
    for (unsigned i = 0; i < TAGS_MAX; i++)
        assert_true(buf_printf(&text, "t%u=1;", i));
    assert_true(tag_list_parse(buf_bytes(&text), &list, &reason));
    assert_int_equal(list.count, TAGS_MAX);
    assert_true(buf_append(&text, BYTES("x=1")));
    assert_false(tag_list_parse(buf_bytes(&text), &list, &reason));
    assert_string_equal(reason, "too many tags");
    buf_free(&text);
}

TEST(span_is_the_value_with_the_space_around)
{
    struct bytes text = BYTES("a=1; b =\r\n x y \t; c=\t2 ");
    struct tag_list list;
    const char *reason;

    assert_true(tag_list_parse(text, &list, &reason));
    assert_true(bytes_equal(tag_list_find(&list, BYTES("b"))->span, BYTES("\r\n x y \t")));
    assert_true(bytes_equal(tag_list_find(&list, BYTES("c"))->span, BYTES("\t2 ")));
    assert_true(bytes_equal(tag_list_value(&list, BYTES("b")), BYTES("x y")));
    assert_null(tag_list_value(&list, BYTES("B")).ptr);
}

static const struct {
    const char *text;
    const char *octets; /* NULL: none */
} base64s[] = {
    {"", ""},
    {"Zg==", "f"},
    {"Zm8=", "fo"},
    {"Zm9v", "foo"},
    {"Zm9v Yg==", "foob"},
    {"Z\r\n m\t9 v", "foo"},
    {" Zm9v ", "foo"},
    {"+/+/", "\xfb\xff\xbf"},
    {"Zg=", NULL},
    {"Zg", NULL},
    {"Z", NULL},
    {"Zg==Zg==", NULL},
    {"Zh==", NULL},
    {"Zm9=", NULL},
    {"====", NULL},
    {"Z===", NULL},
    {"Zm-_", NULL},
    {"Zg==\r\n", NULL},
    {"Zm\n9v", NULL},
    {"Zg=a", NULL},
    {"Zg== =", NULL},
};

TEST(base64_is_decoded_whole_or_not_at_all)
{
    for (size_t row = 0; row < ARRAY_LEN(base64s); row++) {
        struct buf out;

        buf_init(&out, 64);
        assert_true(buf_append(&out, BYTES("<")));
        bool is_good = tag_base64(bytes_of(base64s[row].text), &out);

        expect_row(row, is_good == (base64s[row].octets != NULL));
        buf_consume(&out, 1);
        expect_row(row, bytes_equal(buf_bytes(&out), bytes_of(is_good ? base64s[row].octets : "")));
        buf_free(&out);
    }
}

TEST(base64_keeps_to_the_cap)
{
    struct buf out;

    buf_init(&out, 5);
    assert_false(tag_base64(BYTES("Zm9vYmFy"), &out));
    assert_int_equal(buf_len(&out), 0);
    assert_true(tag_base64(BYTES("Zm9vYmE="), &out));
    buf_free(&out);
}

static const struct {
    const char *text;
    const char *octets;
} quoted[] = {
    {"a@b", "a@b"},  {"a=20b", "a b"}, {"a =3D b", "a=b"}, {"=C3=A4\xc3\xa4", "\xc3\xa4\xc3\xa4"},
    {"a=3db", NULL}, {"a=2", NULL},    {"a=", NULL},       {"=GG", NULL},
    {"\xff", NULL},  {"a;b", NULL},    {"a\x01", NULL},    {"", ""},
};

TEST(quoted_printable_is_decoded_whole_or_not_at_all)
{
    for (size_t row = 0; row < ARRAY_LEN(quoted); row++) {
        struct buf out;

        buf_init(&out, 64);
        bool is_good = tag_quoted_printable(bytes_of(quoted[row].text), &out);
        expect_row(row, is_good == (quoted[row].octets != NULL));
        expect_row(row, !is_good || bytes_equal(buf_bytes(&out), bytes_of(quoted[row].octets)));
        expect_row(row, is_good || buf_len(&out) == 0);
        buf_free(&out);
    }
}

TEST(items_are_trimmed_and_empty_ones_are_told)
{
    struct bytes rest = BYTES(" from : to\r\n :: cc ");
    const char *wanted[] = {"from", "to", "", "cc"};
    struct bytes item;
    size_t count = 0;

    while (tag_item_take(&rest, ':', &item)) {
        assert_true(count < 4 && bytes_equal(item, bytes_of(wanted[count])));
        count++;
    }
    assert_int_equal(count, 4);
    rest = BYTES("");
    assert_true(tag_item_take(&rest, ':', &item));
    assert_int_equal(item.len, 0);
    assert_false(tag_item_take(&rest, ':', &item));
}

TEST(number_is_digits_and_saturates)
{
    uint64_t number;

    assert_true(tag_number(BYTES("0"), &number) && number == 0);
    assert_true(tag_number(BYTES("1117574938"), &number) && number == 1117574938);
    assert_true(tag_number(BYTES("18446744073709551615"), &number) && number == UINT64_MAX);
    assert_true(tag_number(BYTES("99999999999999999999999"), &number) && number == UINT64_MAX);
    assert_false(tag_number(BYTES(""), &number));
    assert_false(tag_number(BYTES("-1"), &number));
    assert_false(tag_number(BYTES("1 2"), &number));
    assert_false(tag_number(BYTES("1234567890123456789012345678901234567890"
                                  "1234567890123456789012345678901234567"),
                            &number));
}

TEST(word_is_letters_digits_and_inner_hyphens)
{
    assert_true(tag_is_word(BYTES("rsa-sha256")) && tag_is_word(BYTES("x")));
    assert_false(tag_is_word(BYTES("")) || tag_is_word(BYTES("-a")) || tag_is_word(BYTES("a-")) ||
                 tag_is_word(BYTES("1a")) || tag_is_word(BYTES("a b")));
}
