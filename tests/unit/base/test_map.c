/* test_map.c - hash table. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/random.h"

struct entry {
    struct map_node node;
    char name[16];
};

static void entry_name(struct entry *entry, size_t number)
{
    snprintf(entry->name, sizeof(entry->name), "d%zu.example", number);
}

TEST(find_in_an_empty_map_is_null)
{
    struct map map;

    map_init(&map);
    assert_null(map_find(&map, BYTES("a")));
    map_free(&map);
}

TEST(find_compares_keys_byte_for_byte)
{
    struct map map;
    struct map_node a;
    struct map_node empty;

    map_init(&map);
    map_insert(&map, &a, BYTES("example.org"));
    map_insert(&map, &empty, BYTES_NONE);
    assert_ptr_equal(map_find(&map, BYTES("example.org")), &a);
    assert_null(map_find(&map, BYTES("Example.org")));
    assert_null(map_find(&map, BYTES("example.org\0")));
    assert_ptr_equal(map_find(&map, BYTES("")), &empty);
    map_free(&map);
}

TEST(all_keys_are_found_at_every_moment_of_growth)
{
    enum { COUNT = 3000 };
    struct entry *entries = calloc(COUNT, sizeof(*entries));
    struct map map;
    bool was_growing = false;

    assert_non_null(entries);
    map_init(&map);
    for (size_t i = 0; i < COUNT; i++) {
        entry_name(&entries[i], i);
        map_insert(&map, &entries[i].node, bytes_of(entries[i].name));
        was_growing |= map.old_buckets != NULL && map.old_next > 0;
        /* Not all keys each time, but the oldest, the middle and the newest. */
        expect_row(i, map_find(&map, bytes_of(entries[0].name)) == &entries[0].node);
        expect_row(i, map_find(&map, bytes_of(entries[i / 2].name)) == &entries[i / 2].node);
        expect_row(i, map_find(&map, bytes_of(entries[i].name)) == &entries[i].node);
    }
    assert_true(was_growing);
    assert_int_equal(map.count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        expect_row(i, map_find(&map, bytes_of(entries[i].name)) == &entries[i].node);
    map_free(&map);
    free(entries);
}

TEST(random_inserts_and_removes_match_a_plain_model)
{
    enum { COUNT = 600 };
    static struct entry entries[COUNT];
    static bool present[COUNT];
    struct map map;
    size_t count = 0;

    random_seed(11);
    map_init(&map);
    for (size_t i = 0; i < COUNT; i++)
        entry_name(&entries[i], i);
    for (int round = 0; round < 50000; round++) {
        size_t i = random_below(COUNT);
        struct map_node *found = map_find(&map, bytes_of(entries[i].name));

        expect_row(round, found == (present[i] ? &entries[i].node : NULL));
        if (present[i])
            map_remove(&map, &entries[i].node);
        else
            map_insert(&map, &entries[i].node, bytes_of(entries[i].name));
        present[i] = !present[i];
        count = present[i] ? count + 1 : count - 1;
        expect_row(round, map.count == count);
    }
    map_free(&map);
}

struct walk {
    struct map *map;
    size_t seen;
};

static void remove_every_other(void *context, struct map_node *node)
{
    struct walk *walk = context;

    if (walk->seen++ % 2 == 0)
        map_remove(walk->map, node);
}

TEST(for_each_while_growing_sees_all_and_may_remove)
{
    enum { COUNT = 1025 }; /* one past a doubling: the map is in the middle of moving */
    static struct entry entries[COUNT];
    struct map map;
    struct walk walk = {.map = &map};

    map_init(&map);
    for (size_t i = 0; i < COUNT; i++) {
        entry_name(&entries[i], i);
        map_insert(&map, &entries[i].node, bytes_of(entries[i].name));
    }
    assert_non_null(map.old_buckets);
    map_for_each(&map, remove_every_other, &walk);
    assert_int_equal(walk.seen, COUNT);
    assert_int_equal(map.count, COUNT / 2);
    map_free(&map);
}
