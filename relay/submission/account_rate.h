/*
 * account_rate.h - how much one account of ours hands in: messages and recipients an hour.
 *
 * Who guesses or steals a user's secret sends at once as much as it can; a tenant's rates are far
 * above that of one user. Over its rate an account is told 451 4.7.1 until enough time has passed.
 *
 * An hour slides: of the one before, what is left of it counts by its share. Measured by the
 * monotonic clock. Bounded by ACCOUNT_RATES_MAX accounts that sent within the last two hours; of
 * more, the one that was silent longest is forgotten.
 *
 * How much was sent stays over restarts: what events tell of is noted beside what was counted, and
 * kept by relay/tenant_book.h. A message that was counted and refused after all is not noted; what
 * was accepted within the last second before a crash is told again a moment after the start.
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

/* What is kept of an account: this hour's, and the one's before. */
struct account_rate_noted {
    uint32_t account;
    int64_t began_ms; /* of this hour */
    uint32_t messages, recipients, messages_before, recipients_before;
};

/* An event tells of a message that was accepted at at_ms, or of one recipient more of it. is_late:
 * that was before the start, so that it was not counted in this run. */
void account_rate_note(uint32_t account, uint32_t messages, uint32_t recipients, bool is_late,
                       int64_t at_ms, int64_t now_ms);
/* What was noted before the start. */
void account_rate_remember(const struct account_rate_noted *noted, int64_t now_ms);
/* What was noted, of all that sent within two hours, or of those that changed since they were
 * visited. */
void account_rates_visit(bool changed_only, int64_t now_ms,
                         void (*visit)(void *context, const struct account_rate_noted *noted),
                         void *context);
/* For tests: nobody has sent anything. */
void account_rates_clear(void);
