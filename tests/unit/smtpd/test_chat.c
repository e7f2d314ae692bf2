/* test_chat.c - the scenario runner's own text: globs, durations, facts. */
#include "support/unit.h"

#include "support/chat.c"

static const struct {
    const char *pattern, *text;
    bool matches;
} globs[] = {
    {"", "", true},
    {"a", "a", true},
    {"a", "b", false},
    {"a", "ab", false},
    {"*", "", true},
    {"*", "anything", true},
    {"250 *", "250 ok", true},
    {"250 *", "250-ok", false},
    {"*a*b*", "xxaxxbxx", true},
    {"*a*b*", "xxbxxaxx", false},
    {"*ab", "aab", true},
    {"a?c", "abc", true},
    {"a?c", "ac", false},
    {"a\\*c", "a*c", true},
    {"a\\*c", "abc", false},
    {"\\\\", "\\", true},
    {"*.example", "a.example.b.example", true},
};

TEST(glob_matches_as_described)
{
    for (size_t i = 0; i < ARRAY_LEN(globs); i++)
        expect_row(i, chat_glob(bytes_of(globs[i].pattern), bytes_of(globs[i].text)) ==
                          globs[i].matches);
}

TEST(duration_needs_a_known_unit)
{
    int64_t ms;

    assert_true(chat_duration(BYTES("5m"), &ms));
    assert_int_equal(ms, 300000);
    assert_true(chat_duration(BYTES("250ms"), &ms));
    assert_int_equal(ms, 250);
    assert_false(chat_duration(BYTES("5"), &ms));
    assert_false(chat_duration(BYTES("m"), &ms));
    assert_false(chat_duration(BYTES("5 m"), &ms));
}

TEST(fact_bytes_are_escaped_into_one_line)
{
    struct buf facts;

    buf_init(&facts, 1024);
    chat_fact_bytes(&facts, "content", BYTES("a\r\n\0\\b"));
    assert_true(bytes_equal(buf_bytes(&facts), BYTES("content a\\r\\n\\x00\\x5cb\n")));
    buf_free(&facts);
}

TEST(quoted_bytes_are_unescaped)
{
    struct buf out;
    struct bytes input = BYTES("\"a\\r\\n\\0\\x41\\\"\" x 2");

    buf_init(&out, 1024);
    assert_true(take_quoted(&input, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("a\r\n\0A\"")));
    assert_true(bytes_equal(input, BYTES(" x 2")));
    input = BYTES("\"open");
    assert_false(take_quoted(&input, &out));
    input = BYTES("\"\\q\"");
    assert_false(take_quoted(&input, &out));
    buf_free(&out);
}
