/* test_buf.c - growing bytes with a cap. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/random.h"

TEST(empty_has_no_bytes_and_full_room)
{
    struct buf buf;

    buf_init(&buf, 10);
    assert_int_equal(buf_len(&buf), 0);
    assert_int_equal(buf_room(&buf), 10);
    assert_int_equal(buf_bytes(&buf).len, 0);
    buf_consume(&buf, 0);
    buf_truncate(&buf, 0);
    buf_free(&buf);
}

TEST(append_past_the_cap_changes_nothing)
{
    struct buf buf;

    buf_init(&buf, 5);
    assert_true(buf_append(&buf, BYTES("abc")));
    assert_false(buf_append(&buf, BYTES("def")));
    assert_false(buf_printf(&buf, "%s", "def"));
    assert_null(buf_reserve(&buf, 3));
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("abc")));
    assert_true(buf_append(&buf, BYTES("de")));
    assert_false(buf_append_byte(&buf, 'f'));
    assert_true(buf_append(&buf, BYTES_NONE));
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("abcde")));
    buf_free(&buf);
}

TEST(cap_counts_live_bytes_not_consumed_ones)
{
    struct buf buf;

    buf_init(&buf, 4);
    for (int i = 0; i < 100; i++) {
        assert_true(buf_append(&buf, BYTES("abcd")));
        buf_consume(&buf, 1);
        assert_true(buf_append(&buf, BYTES("e")));
        assert_true(bytes_equal(buf_bytes(&buf), BYTES("bcde")));
        buf_consume(&buf, 4);
    }
    assert_true(buf.capacity <= 4);
    buf_free(&buf);
}

TEST(cap_of_zero_takes_nothing_but_nothing)
{
    struct buf buf;

    buf_init(&buf, 0);
    assert_true(buf_append(&buf, BYTES("")));
    assert_false(buf_append_byte(&buf, 'x'));
    assert_true(buf_printf(&buf, "%s", ""));
    buf_free(&buf);
}

TEST(huge_reserve_does_not_overflow)
{
    struct buf buf;

    buf_init(&buf, 100);
    assert_true(buf_append(&buf, BYTES("abc")));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_null(buf_reserve(&buf, SIZE_MAX - 2));
    buf_free(&buf);
}

TEST(reserve_then_extend_keeps_what_was_written)
{
    struct buf buf;

    buf_init(&buf, 1000);
    assert_true(buf_append(&buf, BYTES("ab")));
    uint8_t *into = buf_reserve(&buf, 500);

    assert_non_null(into);
    memset(into, 'c', 500);
    buf_extend(&buf, 3);
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("abccc")));
    buf_free(&buf);
}

TEST(printf_exactly_filling_the_cap_fits)
{
    struct buf buf;

    buf_init(&buf, 70);
    for (int i = 0; i < 10; i++)
        assert_true(buf_printf(&buf, "%07d", i));
    assert_int_equal(buf_len(&buf), 70);
    assert_memory_equal(buf_bytes(&buf).ptr + 63, "0000009", 7);
    assert_false(buf_printf(&buf, "x"));
    buf_free(&buf);
}

TEST(cap_that_is_lowered_counts_though_memory_is_there)
{
    struct buf buf;

    buf_init(&buf, 100);
    assert_true(buf_append(&buf, BYTES("abcd")));
    buf.len_max = 6;
    assert_false(buf_append(&buf, BYTES("efg")));
    assert_true(buf_append(&buf, BYTES("ef")));
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("abcdef")));
    assert_false(buf_append(&buf, BYTES("g")));
    buf_free(&buf);
}

TEST(printf_of_any_length_is_whole)
{
    static const char x[] =
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

    for (int repeat = 1; repeat < 8; repeat++)
        for (int len = 0; len < (int)sizeof(x); len++) {
            struct buf buf;
            char expected[8 * sizeof(x)] = "";

            buf_init(&buf, sizeof(expected));
            for (int i = 0; i < repeat; i++) {
                snprintf(expected + i * (len + 1), (size_t)len + 2, "%.*s\n", len, x);
                assert_true(buf_printf(&buf, "%.*s\n", len, x));
            }
            assert_true(bytes_equal(buf_bytes(&buf), bytes_of(expected)));
            buf_free(&buf);
        }
    struct buf buf;

    buf_init(&buf, 1000); /* more at once than the first memory is */
    assert_true(buf_printf(&buf, "%s%s%s%s%s", x, x, x, x, x));
    assert_int_equal(buf_len(&buf), 5 * (sizeof(x) - 1));
    for (size_t i = 0; i < buf_len(&buf); i++)
        assert_int_equal(buf_bytes(&buf).ptr[i], 'x');
    buf_free(&buf);
}

TEST(truncate_clear_and_free_leave_it_usable)
{
    struct buf buf;

    buf_init(&buf, 100);
    assert_true(buf_append(&buf, BYTES("0123456789")));
    buf_consume(&buf, 2);
    buf_truncate(&buf, 3);
    assert_true(bytes_equal(buf_bytes(&buf), BYTES("234")));
    buf_clear(&buf);
    assert_int_equal(buf_len(&buf), 0);
    buf_free(&buf);
    assert_int_equal(buf_room(&buf), 100);
    assert_true(buf_append(&buf, BYTES("x")));
    buf_free(&buf);
}

TEST(random_appends_and_consumes_match_a_plain_model)
{
    enum { LEN_MAX = 3000 };
    uint8_t model[LEN_MAX];
    size_t model_len = 0;
    uint8_t part[700];
    uint8_t counter = 0;
    struct buf buf;

    random_seed(7);
    buf_init(&buf, LEN_MAX);
    for (int round = 0; round < 5000; round++) {
        size_t len = random_below(sizeof(part));

        for (size_t i = 0; i < len; i++)
            part[i] = counter++;
        assert_true(buf_append(&buf, bytes_range(part, len)) == (model_len + len <= LEN_MAX));
        if (model_len + len <= LEN_MAX) {
            memcpy(model + model_len, part, len);
            model_len += len;
        }
        size_t gone = random_below(model_len + 1);

        buf_consume(&buf, gone);
        model_len -= gone;
        memmove(model, model + gone, model_len);
        assert_true(bytes_equal(buf_bytes(&buf), bytes_range(model, model_len)));
        assert_true(buf.capacity <= LEN_MAX);
    }
    buf_free(&buf);
}
