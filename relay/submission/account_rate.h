/*
 * account_rate.h - how much one account of ours hands in: messages and recipients an hour.
 *
 * Who guesses or steals a user's secret sends at once as much as it can; a tenant's rates are far
 * above that of one user. Over its rate an account is told 451 4.7.1 until enough time has passed.
 *
 * An hour slides: of the one before, what is left of it counts by its share. Measured by the
 * monotonic clock, in memory alone: a start begins anew. Bounded by ACCOUNT_RATES_MAX accounts that
 * sent within the last two hours; of more, the one that was silent longest is forgotten.
 *
 * Thread: any; what one engine counts others see.
 */
#pragma once

#include "base/bytes.h"

enum { ACCOUNT_RATES_MAX = 65536 };

struct account_rate {
    uint32_t messages_max, recipients_max; /* an hour; 0: any number */
};

enum account_rate_result { ACCOUNT_RATE_OK, ACCOUNT_RATE_MESSAGES, ACCOUNT_RATE_RECIPIENTS };

/* Counts a message with so many recipients, unless one of the two is used up: then which. A message
 * alone may have more recipients than an hour has left, where it is the first in it. */
must_use enum account_rate_result account_rate_take(uint32_t account,
                                                    const struct account_rate *rate,
                                                    uint32_t recipients, int64_t now_ms);
/* For tests: nobody has sent anything. */
void account_rates_clear(void);
