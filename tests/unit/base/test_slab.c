/* test_slab.c - equal-sized objects. */
#include "support/unit.h"

#include <string.h>

#include "base/sanitizer.h"
#include "base/slab.h"

TEST(alloc_at_the_maximum_runs_dry_until_one_is_released)
{
    struct slab slab;
    void *objects[3];

    slab_init(&slab, 24, 3);
    for (size_t i = 0; i < 3; i++) {
        objects[i] = slab_alloc(&slab);
        assert_non_null(objects[i]);
    }
    assert_null(slab_alloc(&slab));
    slab_release(&slab, &objects[1]);
    assert_null(objects[1]);
    objects[1] = slab_alloc(&slab);
    assert_non_null(objects[1]);
    for (size_t i = 0; i < 3; i++)
        slab_release(&slab, &objects[i]);
    assert_int_equal(slab.count, 0);
    slab_free_all(&slab);
}

TEST(objects_of_every_size_are_zeroed_and_do_not_overlap)
{
    static const size_t sizes[] = {1, 7, 8, 9, 16, 100, 4096, 70000};
    enum { COUNT = 100 };

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct slab slab;
        uint8_t *objects[COUNT];

        slab_init(&slab, sizes[s], COUNT);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < COUNT; i++) {
                objects[i] = slab_alloc(&slab);
                expect_row(s, objects[i] != NULL);
                for (size_t at = 0; at < sizes[s]; at++)
                    expect_row(s, objects[i][at] == 0);
                memset(objects[i], (int)i + 1, sizes[s]);
            }
            for (size_t i = 0; i < COUNT; i++) {
                expect_row(s, objects[i][0] == i + 1 && objects[i][sizes[s] - 1] == i + 1);
                slab_release(&slab, &objects[i]);
            }
        }
        slab_free_all(&slab);
    }
}

TEST(alloc_of_a_head_zeroes_that_and_no_more)
{
    enum { SIZE = 100, HEAD = 40 };
    struct slab slab;

    slab_init(&slab, SIZE, 1);
    uint8_t *object = slab_alloc(&slab);

    assert_non_null(object);
    memset(object, 'x', SIZE);
    slab_release(&slab, &object);
    object = slab_alloc_head(&slab, HEAD);
    assert_non_null(object);
    for (size_t at = 0; at < HEAD; at++)
        assert_int_equal(object[at], 0);
    if (!HAVE_ASAN)
        assert_int_equal(object[HEAD], 'x');
    slab_release(&slab, &object);
    slab_free_all(&slab);
}

TEST(memory_is_given_back_when_objects_are)
{
    enum { COUNT = 5000 };
    static void *objects[COUNT];
    struct slab slab;
    size_t most;

    slab_init(&slab, 400, SIZE_MAX);
    for (size_t i = 0; i < COUNT; i++)
        objects[i] = slab_alloc(&slab);
    most = slab.chunk_count;
    assert_true(most > COUNT * 400 / (64 * 1024));
    /* Of the oldest half one of a hundred stays; of the newer half nothing does. */
    for (size_t i = 0; i < COUNT; i++)
        if (i >= COUNT / 2 || i % 100 != 0)
            slab_release(&slab, &objects[i]);
    assert_true(slab.chunk_count <= most / 2 + 2);
    assert_int_equal(slab.empty_count, 1);
    /* The holes are used before anything new is taken. */
    size_t held = slab.chunk_count;
    for (size_t i = 1; i < COUNT / 4; i++)
        if (objects[i] == NULL)
            objects[i] = slab_alloc(&slab);
    assert_int_equal(slab.chunk_count, held);
    for (size_t i = 0; i < COUNT; i++)
        if (objects[i] != NULL)
            slab_release(&slab, &objects[i]);
    assert_int_equal(slab.chunk_count, 1);
    slab_free_all(&slab);
}

TEST(empty_chunk_is_the_last_to_be_used)
{
    enum { COUNT = 400 }; /* three chunks */
    static void *objects[COUNT];
    struct slab slab;

    slab_init(&slab, 400, SIZE_MAX);
    for (size_t i = 0; i < COUNT; i++)
        objects[i] = slab_alloc(&slab);
    assert_in_range(slab.chunk_count, 3, 4);
    /* The newest is empty, the others are full until one of the oldest goes. */
    size_t left = COUNT;
    while (slab.empty_count == 0)
        slab_release(&slab, &objects[--left]);
    slab_release(&slab, &objects[0]);
    objects[0] = slab_alloc(&slab);
    assert_int_equal(slab.empty_count, 1);
    for (size_t i = 0; i < left; i++)
        slab_release(&slab, &objects[i]);
    slab_free_all(&slab);
}

TEST(maximum_of_zero_gives_nothing)
{
    struct slab slab;

    slab_init(&slab, 8, 0);
    assert_null(slab_alloc(&slab));
    slab_free_all(&slab);
}

TEST(released_object_is_poisoned_under_the_sanitizer)
{
    struct slab slab;

    slab_init(&slab, 64, 10);
    uint8_t *object = slab_alloc(&slab);
    uint8_t *stale = object;

    assert_false(asan_is_poisoned(object));
    if (HAVE_ASAN)
        assert_true(asan_is_poisoned(object + 64)); /* the red zone */
    slab_release(&slab, &object);
    if (HAVE_ASAN)
        assert_true(asan_is_poisoned(stale));
    slab_free_all(&slab);
}
