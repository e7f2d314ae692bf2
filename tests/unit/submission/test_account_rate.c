/* test_account_rate.c - what a user may hand in within an hour that slides. */
#include "submission/account_rate.h"

#include "support/unit.h"

static const int64_t MINUTE_MS = 60 * 1000;

static enum account_rate_result take(uint32_t account, uint32_t messages_max,
                                     uint32_t recipients_max, uint32_t recipients, int64_t now_ms)
{
    const struct account_rate rate = {.messages_max = messages_max,
                                      .recipients_max = recipients_max};

    return account_rate_take(account, &rate, recipients, now_ms);
}

TEST(messages_are_counted_in_an_hour_that_slides)
{
    int64_t now_ms = 1000 * MINUTE_MS;

    account_rates_clear();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(take(7, 10, 0, 100, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 10, 0, 1, now_ms), ACCOUNT_RATE_MESSAGES);
    assert_int_equal(take(8, 10, 0, 1, now_ms), ACCOUNT_RATE_OK); /* another user */
    assert_int_equal(take(7, 10, 0, 1, now_ms + 59 * MINUTE_MS), ACCOUNT_RATE_MESSAGES);
    /* Half an hour on half of them are over. */
    now_ms += 90 * MINUTE_MS;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(take(7, 10, 0, 1, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 10, 0, 1, now_ms), ACCOUNT_RATE_MESSAGES);
    now_ms += 180 * MINUTE_MS;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(take(7, 10, 0, 1, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 10, 0, 1, now_ms), ACCOUNT_RATE_MESSAGES);
}

TEST(recipients_are_counted_and_a_first_message_may_have_more)
{
    int64_t now_ms = 1000 * MINUTE_MS;

    account_rates_clear();
    assert_int_equal(take(7, 0, 50, 80, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 0, 50, 1, now_ms), ACCOUNT_RATE_RECIPIENTS);
    account_rates_clear();
    assert_int_equal(take(7, 0, 50, 49, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 0, 50, 2, now_ms), ACCOUNT_RATE_RECIPIENTS); /* and is not counted */
    assert_int_equal(take(7, 0, 50, 1, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 0, 50, 1, now_ms), ACCOUNT_RATE_RECIPIENTS);
}

TEST(without_limits_nothing_is_counted)
{
    account_rates_clear();
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(take(7, 0, 0, 1000, MINUTE_MS), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 1, 0, 1, MINUTE_MS), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 1, 0, 1, MINUTE_MS), ACCOUNT_RATE_MESSAGES);
}

TEST(more_accounts_than_there_is_room_for_are_all_taken)
{
    account_rates_clear();
    for (uint32_t i = 1; i < 2 * ACCOUNT_RATES_MAX; i++)
        assert_int_equal(take(i, 1, 0, 1, i), ACCOUNT_RATE_OK);
    /* The newest is remembered. */
    assert_int_equal(take(2 * ACCOUNT_RATES_MAX - 1, 1, 0, 1, 2 * ACCOUNT_RATES_MAX),
                     ACCOUNT_RATE_MESSAGES);
}

/* --- what is kept ----------------------------------------------------------------------------- */

static struct account_rate_noted kept[ACCOUNT_RATES_MAX];
static size_t kept_count;

static void keep(void *context, const struct account_rate_noted *noted)
{
    (void)context;
    kept[kept_count++] = *noted;
}

static size_t keep_all(bool changed_only, int64_t now_ms)
{
    kept_count = 0;
    account_rates_visit(changed_only, now_ms, keep, NULL);
    return kept_count;
}

/* Monotonic time begins anew by_ms earlier. */
static void restart(int64_t by_ms, int64_t now_ms)
{
    account_rates_clear();
    for (size_t i = 0; i < kept_count; i++) {
        kept[i].began_ms -= by_ms;
        account_rate_remember(&kept[i], now_ms);
    }
}

TEST(what_was_noted_counts_after_a_restart)
{
    int64_t now_ms = 1000 * MINUTE_MS;

    account_rates_clear();
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(take(7, 9, 0, 2, now_ms), ACCOUNT_RATE_OK);
        account_rate_note(7, 1, 1, false, now_ms, now_ms);
        account_rate_note(7, 0, 1, false, now_ms, now_ms);
    }
    assert_int_equal(take(7, 9, 0, 2, now_ms), ACCOUNT_RATE_OK); /* and was refused after all */
    now_ms += 70 * MINUTE_MS;
    assert_int_equal(take(7, 9, 0, 2, now_ms), ACCOUNT_RATE_OK);
    account_rate_note(7, 1, 2, false, now_ms, now_ms);
    assert_int_equal(keep_all(false, now_ms), 1);
    assert_int_equal(kept[0].account, 7);
    assert_int_equal(kept[0].messages, 1);
    assert_int_equal(kept[0].recipients, 2);
    assert_int_equal(kept[0].messages_before, 4);
    assert_int_equal(kept[0].recipients_before, 8);

    /* Five minutes later, in a machine that has just begun: 45 minutes' worth of four is left. */
    now_ms = 2 * MINUTE_MS;
    restart(1073 * MINUTE_MS, now_ms);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(take(7, 9, 0, 1, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 9, 0, 1, now_ms), ACCOUNT_RATE_MESSAGES);
    assert_int_equal(take(7, 0, 17, 7, now_ms), ACCOUNT_RATE_RECIPIENTS);
    assert_int_equal(take(7, 0, 17, 4, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(keep_all(false, now_ms + 120 * MINUTE_MS), 0);
}

TEST(what_is_told_late_is_counted_in_its_hour)
{
    int64_t now_ms = 1000 * MINUTE_MS;

    account_rates_clear();
    account_rate_note(7, 1, 5, true, now_ms - 130 * MINUTE_MS, now_ms); /* is over */
    assert_int_equal(keep_all(false, now_ms), 0);
    account_rate_note(7, 1, 5, true, now_ms - 90 * MINUTE_MS, now_ms);
    account_rate_note(7, 1, 5, true, now_ms - 10 * MINUTE_MS, now_ms);
    assert_int_equal(keep_all(false, now_ms), 1);
    assert_int_equal(kept[0].messages, 1);
    assert_int_equal(kept[0].messages_before, 1);
    assert_int_equal(kept[0].recipients, 5);
    assert_int_equal(kept[0].recipients_before, 5);
    assert_int_equal(take(7, 2, 0, 1, now_ms), ACCOUNT_RATE_OK); /* half of the first is over */
    assert_int_equal(take(7, 2, 0, 1, now_ms), ACCOUNT_RATE_MESSAGES);
    /* What was counted when it was taken is not counted again. */
    account_rates_clear();
    assert_int_equal(take(7, 2, 0, 1, now_ms), ACCOUNT_RATE_OK);
    account_rate_note(7, 1, 1, false, now_ms, now_ms);
    assert_int_equal(take(7, 2, 0, 1, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(take(7, 2, 0, 1, now_ms), ACCOUNT_RATE_MESSAGES);
}

TEST(hours_of_a_clock_that_was_set_back_begin_now)
{
    const struct account_rate_noted ahead = {.account = 7,
                                             .began_ms = 5000 * MINUTE_MS,
                                             .messages = 2,
                                             .recipients = 2};

    account_rates_clear();
    account_rate_remember(&ahead, MINUTE_MS);
    assert_int_equal(take(7, 2, 0, 1, 30 * MINUTE_MS), ACCOUNT_RATE_MESSAGES);
    assert_int_equal(take(7, 2, 0, 1, 100 * MINUTE_MS), ACCOUNT_RATE_OK);
}

TEST(what_changed_is_visited_once)
{
    account_rates_clear();
    for (uint32_t account = 1; account <= 1000; account++)
        account_rate_note(account, 1, 1, false, MINUTE_MS, MINUTE_MS);
    assert_int_equal(keep_all(true, MINUTE_MS), 1000);
    assert_int_equal(keep_all(true, MINUTE_MS), 0);
    account_rate_note(500, 1, 1, false, MINUTE_MS, MINUTE_MS);
    assert_int_equal(keep_all(true, MINUTE_MS), 1);
    assert_int_equal(kept[0].account, 500);
    assert_int_equal(kept[0].messages, 2);
    assert_int_equal(keep_all(false, MINUTE_MS), 1000);
}
