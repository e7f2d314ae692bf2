/* test_tail.c - entries of a message's tail. */
#include "queue/tail.h"

#include <string.h>

#include "support/unit.h"

TEST(sent_is_one_recipient)
{
    struct bytes tail = BYTES_NONE;
    struct arena arena;

    arena_init(&arena, 4096);
    assert_false(tail_is_sent(tail, 0));
    assert_true(tail_add_sent(&arena, &tail, 7));
    assert_true(tail_is_sent(tail, 7));
    assert_false(tail_is_sent(tail, 0));
    tail = BYTES_NONE;
    assert_true(tail_add(&arena, &tail, TAIL_SENT, BYTES("abc")));
    assert_false(tail_is_sent(tail, 0));
    arena_free(&arena);
}

TEST(account_is_the_one_that_was_added)
{
    struct bytes tail = BYTES_NONE;
    struct arena arena;

    arena_init(&arena, 4096);
    assert_int_equal(tail_account(tail), 0);
    assert_true(tail_add_account(&arena, &tail, 70000));
    assert_int_equal(tail_account(tail), 70000);
    tail = BYTES_NONE;
    assert_true(tail_add(&arena, &tail, TAIL_ACCOUNT, BYTES("abc")));
    assert_int_equal(tail_account(tail), 0);
    arena_free(&arena);
}

TEST(shown_are_as_many_as_were_added)
{
    struct bytes tail = BYTES_NONE;
    struct arena arena;
    uint32_t of = 99;

    arena_init(&arena, 4096);
    assert_false(tail_is_shown(tail, 0, &of));
    assert_true(tail_add_shown(&arena, &tail, 2, 0));
    assert_true(tail_add_shown(&arena, &tail, 3, 1));
    assert_true(tail_is_shown(tail, 2, &of) && of == 0);
    assert_true(tail_is_shown(tail, 3, &of) && of == 1);
    assert_false(tail_is_shown(tail, 1, &of));
    assert_true(tail_is_copy(tail, 3) && !tail_is_copy(tail, 1));
    assert_true(tail_add_sent(&arena, &tail, 1));
    assert_true(tail_is_copy(tail, 1));
    tail = BYTES_NONE;
    assert_true(tail_add(&arena, &tail, TAIL_SHOWN, BYTES("abcdefg"))); /* too short */
    assert_false(tail_is_shown(tail, 0x64636261, &of));
    arena_free(&arena);
}

TEST(tail_gives_back_what_was_added_in_order)
{
    struct arena arena;
    struct bytes tail = BYTES_NONE;
    struct bytes value;
    uint32_t tag;

    arena_init(&arena, 1 << 20);
    assert_true(tail_is_valid(tail));
    assert_false(tail_next(&tail, &tag, &value));
    assert_true(tail_add(&arena, &tail, 7, BYTES("seven")));
    assert_true(tail_add(&arena, &tail, UINT32_MAX, BYTES_NONE));
    assert_true(tail_add(&arena, &tail, 7, BYTES("again")));
    assert_true(tail_is_valid(tail));
    assert_true(tail_next(&tail, &tag, &value) && tag == 7 && bytes_equal(value, BYTES("seven")));
    assert_true(tail_next(&tail, &tag, &value) && tag == UINT32_MAX && value.len == 0);
    assert_true(tail_next(&tail, &tag, &value) && tag == 7 && bytes_equal(value, BYTES("again")));
    assert_false(tail_next(&tail, &tag, &value));
    assert_int_equal(tail.len, 0);
    arena_free(&arena);
}

TEST(tail_cut_anywhere_but_between_entries_is_not_valid)
{
    struct arena arena;
    struct bytes tail = BYTES_NONE;

    arena_init(&arena, 1 << 20);
    assert_true(tail_add(&arena, &tail, 1, BYTES("one")));
    assert_true(tail_add(&arena, &tail, 2, BYTES("two")));
    for (size_t len = 0; len <= tail.len; len++)
        expect_row(len, tail_is_valid((struct bytes){tail.ptr, len}) == (len % 11 == 0));
    arena_free(&arena);
}

TEST(tail_has_a_bound)
{
    struct arena arena;
    struct bytes tail = BYTES_NONE;
    static const uint8_t value[4096 - 8];

    arena_init(&arena, 4 << 20);
    for (unsigned i = 0; i < TAIL_LEN_MAX / 4096; i++)
        assert_true(tail_add(&arena, &tail, i, (struct bytes){value, sizeof(value)}));
    assert_int_equal(tail.len, TAIL_LEN_MAX);
    assert_false(tail_add(&arena, &tail, 99, BYTES_NONE));
    assert_false(tail_add(&arena, &tail, 99, (struct bytes){value, SIZE_MAX}));
    assert_int_equal(tail.len, TAIL_LEN_MAX);
    arena_free(&arena);
}

TEST(tail_tells_the_session_among_other_entries)
{
    struct arena arena;
    struct bytes tail = BYTES_NONE;
    struct bytes name;
    int64_t connected_ms;

    arena_init(&arena, 1 << 20);
    assert_false(tail_session(tail, &connected_ms, &name));
    assert_true(tail_add(&arena, &tail, UINT32_MAX, BYTES("of a later version")));
    assert_true(tail_add(&arena, &tail, TAIL_SESSION, BYTES("7 bytes")));
    assert_false(tail_session(tail, &connected_ms, &name));
    assert_true(tail_add_session(&arena, &tail, 1795489799001, BYTES("1.1204")));
    assert_true(tail_session(tail, &connected_ms, &name));
    assert_true(connected_ms == 1795489799001 && bytes_equal(name, BYTES("1.1204")));
    arena_free(&arena);
}

TEST(tail_tells_what_is_asked_of_tls)
{
    static const struct {
        struct bytes value;
        unsigned expected;
    } rows[] = {
        {BYTES("\1"), 1},   {BYTES("\2"), 2}, {BYTES("\3"), 0}, /* of a later version */
        {BYTES("\1\1"), 0}, {BYTES(""), 0},
    };
    struct arena arena;

    arena_init(&arena, 1 << 16);
    assert_int_equal(tail_tls(BYTES_NONE, 2), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes tail = BYTES_NONE;

        assert_true(tail_add(&arena, &tail, 7, BYTES("\1")));
        assert_true(tail_add(&arena, &tail, TAIL_TLS, rows[i].value));
        expect_row(i, tail_tls(tail, 2) == rows[i].expected);
    }
    arena_free(&arena);
}
