/* test_account_sends.c - as whom accounts may send. */
#include "directory/account_sends.h"

#include <stdio.h>

#include "support/unit.h"

static const struct {
    const char *text, *list; /* NULL: no list */
} lists[] = {
    {"none", ""},
    {"*", "*"},
    {"Boss@Shop.Example", "boss@shop.example"},
    {"@Lists.Example,a@b.example,A@b.example", "@lists.example,a@b.example"},
    {"\"boss\"@shop.example", "boss@shop.example"},
    {"", NULL},
    {"a@b.example,", NULL},
    {",a@b.example", NULL},
    {"a@b.example, c@d.example", NULL},
    {"none,a@b.example", NULL},
    {"a", NULL},
    {"@", NULL},
    {"\"a+b,c\"@b.example", NULL},
};

TEST(lists_are_kept_in_one_form)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct arena arena;
        struct bytes list = BYTES("x");

        arena_init(&arena, 1 << 16);
        bool is_good = account_sends_parse(&arena, bytes_of(lists[i].text), &list);

        expect_row(i, is_good == (lists[i].list != NULL));
        if (is_good)
            expect_row(i, list.ptr != NULL && bytes_equal(list, bytes_of(lists[i].list)));
        arena_free(&arena);
    }
}

TEST(a_list_has_a_longest)
{
    static char text[2 * ACCOUNT_SENDS_MAX];
    struct arena arena;
    struct bytes list;
    size_t len = 0;

    for (unsigned i = 0; len < ACCOUNT_SENDS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%sa%u@b.example",
                                len > 0 ? "," : "", i);
    arena_init(&arena, 1 << 20);
    assert_false(account_sends_parse(&arena, bytes_range(text, len), &list));
    while (text[len - 1] != ',')
        len--;
    assert_true(account_sends_parse(&arena, bytes_range(text, len - 1), &list));
    arena_free(&arena);
}

static const struct {
    const char *list, *address;
    bool has;
} questions[] = {
    {"", "a@b.example", false},
    {"*", "a@b.example", true},
    {"a@b.example", "a@b.example", true},
    {"x@y.example,a@b.example", "a@b.example", true},
    {"a@b.example", "a+c@b.example", true},
    {"a@b.example", "a+@b.example", true},
    {"x@b.example", "a+c@b.example", false},
    {"a+c@b.example", "a@b.example", false},
    {"a+c@b.example", "a+c@b.example", true},
    {"a@b.example", "aa@b.example", false},
    {"aa@b.example", "a@b.example", false},
    {"a@b.example", "a@b.example.org", false},
    {"a@b.example", "+a@b.example", false},
    {"@b.example", "a@b.example", true},
    {"@b.example", "a+c@b.example", true},
    {"@b.example", "a@x.b.example", false},
    {"@x.b.example", "a@b.example", false},
    {"a@b.example", "a+c@d.example", false},
};

TEST(an_address_is_of_a_list)
{
    for (size_t i = 0; i < ARRAY_LEN(questions); i++)
        expect_row(i, account_sends_has(bytes_of(questions[i].list),
                                        bytes_of(questions[i].address)) == questions[i].has);
}
