/* test_classes.c - rounds among priority classes. */
#include "delivery/line/classes.h"

#include "support/unit.h"

enum { ROUND = 21, HIGH = RANK_BIT(RANK_HIGH), NORMAL = RANK_BIT(RANK_NORMAL) };
enum { BULK = RANK_BIT(RANK_BULK) };

static void serve(struct classes *classes, unsigned waiting, unsigned turns, unsigned *served)
{
    for (unsigned i = 0; i < turns; i++) {
        enum rank rank = classes_next(classes, waiting);

        assert_true((waiting & RANK_BIT(rank)) != 0);
        served[rank]++;
        classes_charge(classes, rank, 1);
    }
}

TEST(ranks_are_the_classes_in_the_order_of_service)
{
    assert_int_equal(rank_of(MAIL_HIGH), RANK_HIGH);
    assert_int_equal(rank_of(MAIL_NORMAL), RANK_NORMAL);
    assert_int_equal(rank_of(MAIL_BULK), RANK_BULK);
    for (unsigned i = 0; i < MAIL_CLASSES; i++)
        assert_string_equal(rank_name(rank_of((enum mail_class)i)),
                            mail_class_name((enum mail_class)i));
    assert_int_equal(rank_first(0), RANK_COUNT);
    assert_int_equal(rank_first(BULK | NORMAL), RANK_NORMAL);
}

TEST(all_classes_wait_and_each_gets_its_part_the_highest_first)
{
    struct classes classes = {0};
    unsigned served[RANK_COUNT] = {0};

    serve(&classes, RANK_MASK, 16, served);
    assert_int_equal(served[RANK_HIGH], 16);
    serve(&classes, RANK_MASK, 4, served);
    assert_int_equal(served[RANK_NORMAL], 4);
    serve(&classes, RANK_MASK, 1, served);
    assert_int_equal(served[RANK_BULK], 1);
    serve(&classes, RANK_MASK, 99 * ROUND, served);
    for (unsigned i = 0; i < RANK_COUNT; i++)
        assert_int_equal(served[i], 100 * rank_turns((enum rank)i));
}

TEST(lower_class_goes_on_where_the_one_between_has_nothing)
{
    struct classes classes = {0};
    unsigned served[RANK_COUNT] = {0};

    serve(&classes, HIGH | BULK, 17 * 100, served);
    assert_int_equal(served[RANK_HIGH], 1600);
    assert_int_equal(served[RANK_BULK], 100);
}

TEST(higher_class_that_comes_after_any_number_of_lower_turns_is_next)
{
    struct classes classes = {0};
    unsigned served[RANK_COUNT] = {0};

    serve(&classes, BULK, 1000, served);
    assert_int_equal(classes_next(&classes, HIGH | BULK), RANK_HIGH);
    assert_int_equal(classes_next(&classes, NORMAL | BULK), RANK_NORMAL);
}

TEST(one_by_one_of_the_higher_classes_does_not_starve_a_lower_one)
{
    struct classes classes = {0};
    unsigned served[RANK_COUNT] = {0};
    unsigned normal = 0;

    /* High is there whenever a turn comes, and bulk; one of normal comes every tenth time. */
    for (unsigned i = 0; i < 2100; i++) {
        unsigned before = served[RANK_NORMAL];

        normal += i % 10 == 0;
        serve(&classes, HIGH | BULK | (normal > 0 ? (unsigned)NORMAL : 0U), 1, served);
        normal -= served[RANK_NORMAL] - before;
    }
    assert_in_range(served[RANK_BULK], 100, 125);
    assert_in_range(served[RANK_NORMAL], 206, 210);
}

TEST(who_took_too_many_pays_in_later_rounds)
{
    struct classes classes = {0};
    unsigned served[RANK_COUNT] = {0};

    classes_charge(&classes, RANK_BULK, 101);
    serve(&classes, HIGH | BULK, 16 * 102, served);
    assert_int_equal(served[RANK_BULK], 0);
    serve(&classes, HIGH | BULK, 1, served);
    assert_int_equal(served[RANK_BULK], 1);
}

TEST(debt_of_the_only_one_that_waits_is_over_at_once)
{
    struct classes classes = {0};

    classes_charge(&classes, RANK_BULK, CLASSES_CHARGE_MAX);
    classes_charge(&classes, RANK_BULK, CLASSES_CHARGE_MAX);
    classes_charge(&classes, RANK_BULK, CLASSES_CHARGE_MAX);
    classes_charge(&classes, RANK_BULK, CLASSES_CHARGE_MAX); /* as much as can be remembered */
    assert_int_equal(classes_next(&classes, BULK), RANK_BULK);
    assert_int_equal(classes_next(&classes, HIGH | BULK), RANK_HIGH);
}

TEST(what_was_not_sent_is_given_back)
{
    struct classes classes = {0};
    unsigned served[RANK_COUNT] = {0};

    serve(&classes, HIGH | BULK, 16, served);
    classes_charge(&classes, RANK_HIGH, -3);
    serve(&classes, HIGH | BULK, 3, served);
    assert_int_equal(served[RANK_HIGH], 19);
    classes_charge(&classes, RANK_HIGH, -CLASSES_CHARGE_MAX); /* never more than a round */
    serve(&classes, HIGH | BULK, 17, served);
    assert_int_equal(served[RANK_HIGH], 35);
    assert_int_equal(served[RANK_BULK], 1);
}
