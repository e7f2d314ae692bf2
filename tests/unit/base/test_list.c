/* test_list.c - intrusive list. */
#include "support/unit.h"

#include "base/list.h"

struct member {
    int value;
    struct list_node node;
};

static void members_init(struct member *members, int count)
{
    for (int i = 0; i < count; i++) {
        members[i].value = i;
        list_node_init(&members[i].node);
    }
}

static void assert_values(struct list *list, const char *expected)
{
    list_for_each(node, list) {
        assert_int_equal(container_of(node, struct member, node)->value, *expected - '0');
        expected++;
    }
    assert_int_equal(*expected, '\0');
}

TEST(push_at_both_ends_keeps_order)
{
    struct member members[3];
    struct list list;

    members_init(members, 3);
    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_first(&list));
    list_push_back(&list, &members[1].node);
    list_push_back(&list, &members[2].node);
    list_push_front(&list, &members[0].node);
    assert_values(&list, "012");
    assert_ptr_equal(list_first(&list), &members[0].node);
}

TEST(insert_before_puts_it_in_the_middle)
{
    struct member members[3];
    struct list list;

    members_init(members, 3);
    list_init(&list);
    list_push_back(&list, &members[0].node);
    list_push_back(&list, &members[2].node);
    list_insert_before(&members[2].node, &members[1].node);
    assert_values(&list, "012");
}

TEST(remove_twice_is_harmless)
{
    struct member members[2];
    struct list list;

    members_init(members, 2);
    list_init(&list);
    list_push_back(&list, &members[0].node);
    list_push_back(&list, &members[1].node);
    list_remove(&members[0].node);
    assert_false(list_is_linked(&members[0].node));
    list_remove(&members[0].node);
    assert_values(&list, "1");
}

TEST(for_each_may_remove_its_own_node)
{
    struct member members[4];
    struct list list;

    members_init(members, 4);
    list_init(&list);
    for (int i = 0; i < 4; i++)
        list_push_back(&list, &members[i].node);
    list_for_each(node, &list) {
        if (container_of(node, struct member, node)->value % 2 == 0)
            list_remove(node);
    }
    assert_values(&list, "13");
}

TEST(pop_front_empties_in_order)
{
    struct member members[2];
    struct list list;

    members_init(members, 2);
    list_init(&list);
    list_push_back(&list, &members[0].node);
    list_push_back(&list, &members[1].node);
    assert_ptr_equal(list_pop_front(&list), &members[0].node);
    assert_ptr_equal(list_pop_front(&list), &members[1].node);
    assert_null(list_pop_front(&list));
}

TEST(splice_joins_and_empties_the_source)
{
    struct member members[4];
    struct list to;
    struct list from;

    members_init(members, 4);
    list_init(&to);
    list_init(&from);
    list_splice(&to, &from); /* both empty */
    assert_true(list_is_empty(&to));
    list_push_back(&from, &members[0].node);
    list_push_back(&from, &members[1].node);
    list_splice(&to, &from); /* into an empty one */
    assert_values(&to, "01");
    assert_true(list_is_empty(&from));
    list_push_back(&from, &members[2].node);
    list_push_back(&from, &members[3].node);
    list_splice(&to, &from);
    list_splice(&to, &from); /* nothing more to move */
    assert_values(&to, "0123");
}
