/* test_arena.c - memory that dies together. */
#include "support/unit.h"

#include <stdalign.h>
#include <string.h>

#include "base/arena.h"
#include "base/random.h"

TEST(alloc_is_zeroed_and_aligned_also_after_clear)
{
    static const uint8_t zeros[300];
    struct arena arena;

    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < sizeof(zeros); size++) {
            uint8_t *memory = arena_alloc(&arena, size);

            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % alignof(max_align_t), 0);
            assert_memory_equal(memory, zeros, size);
            memset(memory, 0xaa, size);
        }
        arena_clear(&arena);
    }
    arena_free(&arena);
}

TEST(cap_counts_bytes_handed_out_exactly)
{
    struct arena arena;

    arena_init(&arena, 100);
    assert_non_null(arena_alloc(&arena, 99));
    assert_null(arena_alloc(&arena, 2));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, 1));
    assert_int_equal(arena.used, 100);
    arena_clear(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 100));
    arena_free(&arena);
}

TEST(held_is_what_its_chunks_take)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    assert_int_equal(arena.held, 0);
    assert_non_null(arena_alloc(&arena, 1));
    size_t small = arena.held;
    assert_true(small > 1);
    assert_non_null(arena_alloc(&arena, 300000));
    assert_in_range(arena.held, small + 300000, small + 300000 + 1024);
    for (unsigned i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&arena, 1000));
    assert_true(arena.held > arena.used);
    arena_clear(&arena);
    assert_in_range(arena.held, 0, small);
    arena_free(&arena);
    assert_int_equal(arena.held, 0);
}

TEST(copy_is_terminated_and_past_the_cap_untouched)
{
    struct arena arena;
    struct bytes copy = BYTES("before");

    arena_init(&arena, 8);
    assert_false(arena_copy(&arena, BYTES("12345678"), &copy)); /* no room for the NUL */
    assert_true(bytes_equal(copy, BYTES("before")));
    assert_true(arena_copy(&arena, BYTES("a\0b"), &copy));
    assert_memory_equal(copy.ptr, "a\0b", 4);
    assert_int_equal(copy.len, 3);
    assert_true(arena_copy(&arena, BYTES_NONE, &copy));
    assert_int_equal(copy.len, 0);
    arena_free(&arena);
}

TEST(copy_in_used_memory_is_terminated)
{
    struct arena arena;
    struct bytes copy;

    arena_init(&arena, 1000);
    char *used = arena_alloc(&arena, 100);

    assert_non_null(used);
    memset(used, 'x', 100);
    arena_clear(&arena);
    assert_true(arena_copy(&arena, BYTES("abc"), &copy));
    assert_memory_equal(copy.ptr, "abc", 4);
    arena_free(&arena);
}

TEST(printf_past_the_cap_is_false)
{
    struct arena arena;
    struct bytes text = BYTES_NONE;

    arena_init(&arena, 6);
    assert_false(arena_printf(&arena, &text, "%d", 123456));
    assert_null(text.ptr);
    assert_true(arena_printf(&arena, &text, "%d", 12345));
    assert_true(bytes_equal(text, BYTES("12345")));
    arena_free(&arena);
}

TEST(allocations_do_not_overlap)
{
    enum { COUNT = 2000 };
    static struct {
        uint8_t *memory;
        size_t size;
    } pieces[COUNT];
    struct arena arena;

    random_seed(3);
    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < COUNT; i++) {
        /* Now and then one that needs a chunk of its own. */
        pieces[i].size = random_below(i % 100 == 0 ? 300000 : 200);
        pieces[i].memory = arena_alloc(&arena, pieces[i].size);
        assert_non_null(pieces[i].memory);
        memset(pieces[i].memory, (int)(i & 0xff), pieces[i].size);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t at = 0; at < pieces[i].size; at++)
            if (pieces[i].memory[at] != (i & 0xff))
                fail_msg("piece %zu was overwritten at %zu", i, at);
    arena_free(&arena);
}

TEST(free_leaves_it_usable)
{
    struct arena arena;

    arena_init(&arena, 1000);
    assert_non_null(arena_alloc(&arena, 10));
    arena_free(&arena);
    assert_null(arena.chunks);
    assert_non_null(arena_alloc(&arena, 1000));
    arena_free(&arena);
}
