/* test_tally.c - who has had less of what engines share, by weight. */
#include "delivery/line/tally.h"

#include <stdio.h>

#include "support/unit.h"

TEST(who_had_less_for_its_weight_is_before)
{
    struct tallies *tallies = tallies_create();
    struct tally *light = tally_get(tallies, BYTES("light"), 0); /* as 1 */
    struct tally *heavy = tally_get(tallies, BYTES("heavy"), 4);

    assert_false(tally_is_before(light, false, heavy, false));
    assert_false(tally_is_before(heavy, false, light, false));
    assert_int_equal(tally_charge(light, 1), 1);
    assert_int_equal(tally_charge(heavy, 3), 3);
    assert_true(tally_is_before(heavy, false, light, false));
    assert_int_equal(tally_charge(heavy, 2), 5);
    assert_true(tally_is_before(light, false, heavy, false));
    assert_int_equal(tally_charge(light, 10), 11);
    assert_true(tally_is_before(heavy, false, light, false));
    tally_put(&light);
    tally_put(&heavy);
    tallies_free(&tallies);
}

TEST(fresh_one_goes_first_unless_it_had_more_than_every_other)
{
    struct tallies *tallies = tallies_create();
    struct tally *a = tally_get(tallies, BYTES("a"), 1);
    struct tally *b = tally_get(tallies, BYTES("b"), 1);
    struct tally *c = tally_get(tallies, BYTES("c"), 1);

    assert_true(tally_is_before(a, true, b, false));
    assert_false(tally_is_before(a, false, b, true));
    (void)tally_charge(a, 30);
    (void)tally_charge(b, 10);
    assert_true(tally_is_in_advance(a));
    assert_false(tally_is_before(a, true, c, false));
    assert_true(tally_is_before(b, true, c, false)); /* though the third has had less */
    (void)tally_charge(b, 20);
    assert_false(tally_is_in_advance(a));
    (void)tally_charge(c, 31);
    (void)tally_charge(a, 1);
    assert_false(tally_is_in_advance(c)); /* as much as another is not more */
    (void)tally_charge(c, 1);
    assert_true(tally_is_in_advance(c));
    tallies_forgive(tallies);
    assert_false(tally_is_in_advance(c));
    tally_put(&a);
    tally_put(&b);
    tally_put(&c);
    tallies_free(&tallies);
}

TEST(what_was_not_asked_for_is_not_saved_up)
{
    struct tallies *tallies = tallies_create();
    struct tally *busy = tally_get(tallies, BYTES("busy"), 2);
    struct tally *away = tally_get(tallies, BYTES("away"), 1);

    tally_put(&away);
    for (unsigned i = 0; i < 10000; i++)
        (void)tally_charge(busy, 1);
    struct tally *anew = tally_get(tallies, BYTES("new"), 1);

    assert_true(tally_is_before(anew, false, busy, false)); /* it begins where the others are, */
    (void)tally_charge(anew, 1);
    assert_true(tally_is_before(busy, false, anew, false));
    away = tally_get(tallies, BYTES("away"), 1);
    (void)tally_charge(away, TALLY_SLACK - 2); /* and whoever was away a little behind */
    assert_true(tally_is_before(away, false, busy, false));
    (void)tally_charge(away, 4);
    assert_true(tally_is_before(busy, false, away, false));
    tally_put(&busy);
    tally_put(&away);
    tally_put(&anew);
    tallies_free(&tallies);
}

TEST(many_that_are_not_ahead_are_forgotten)
{
    struct tallies *tallies = tallies_create();
    struct tally *kept = tally_get(tallies, BYTES("kept"), 1);
    struct tally *ahead = tally_get(tallies, BYTES("ahead"), 1);
    char name[24];

    (void)tally_charge(ahead, 5);
    tally_put(&ahead);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "%u", i);
        struct tally *tally = tally_get(tallies, bytes_of(name), 1);

        tally_put(&tally);
    }
    assert_in_range(tallies->by_name.count, 2, 200);
    assert_ptr_equal(tally_find(tallies, BYTES("kept")), kept);
    assert_non_null(tally_find(tallies, BYTES("ahead")));
    tally_put(&kept);
    tallies_free(&tallies);
    tallies_free(&tallies); /* there is none */
}

TEST(those_for_whom_somebody_waits_are_counted)
{
    struct tallies *tallies = tallies_create();
    struct tally *a = tally_get(tallies, BYTES("a"), 1);
    struct tally *b = tally_get(tallies, BYTES("b"), 1);

    tally_wait(a, true);
    tally_wait(a, true);
    tally_wait(b, true);
    assert_int_equal(tallies->waiting_count, 2);
    tally_wait(a, false);
    assert_int_equal(tallies->waiting_count, 2);
    tally_wait(a, false);
    assert_int_equal(tallies->waiting_count, 1);
    tally_wait(b, false);
    assert_int_equal(tallies->waiting_count, 0);
    tally_put(&a);
    tally_put(&b);
    tallies_free(&tallies);
}
