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
