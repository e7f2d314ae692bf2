/* webhook_answer.c - what answers and failures mean, and what is done about them. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "webhook/webhook_private.h"

enum {
    PAUSE_MS_MIN = 1000,
    PAUSE_MS_MAX = 15 * 60 * 1000,
    WAIT_S_MAX = 3600, /* that Retry-After may ask for */
    GONE_WAIT_S = 900,
    JITTER_PERCENT = 20,
    SETTLE_MS_MAX = 10 * 60 * 1000, /* after a start, in which machines set their clocks right */
    SETTLE_PART = 6,                /* of retry_for, at most */
    STATUS_GONE = 410,
    STATUS_TOO_LARGE = 413,
    STATUS_UNAUTHORIZED = 401,
};

/* Nothing older than that is told any more to who has not answered for as long. */
static void give_up_old(struct webhook *webhook)
{
    int64_t retry_for_ms = 1000 * (int64_t)webhook->settings.retry_for_s;
    int64_t settle_ms = MIN(retry_for_ms / SETTLE_PART, (int64_t)SETTLE_MS_MAX);

    if (sink_failed(webhook->sink, settle_ms) < retry_for_ms)
        return;
    webhook_forget(webhook);
    sink_leave_out_older(webhook->sink, clock_wall_ms() - retry_for_ms, "webhooks.retry_for");
}

void webhook_fail(struct webhook *webhook, enum sink_problem problem, const char *text,
                  int64_t wait_s_min)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t wait_ms = random_jitter(webhook->pause_ms, JITTER_PERCENT);

    webhook->doing = WEBHOOK_IDLE;
    webhook->begin_ms = now_ms + MAX(wait_ms, 1000 * MIN(wait_s_min, (int64_t)WAIT_S_MAX));
    webhook->pause_ms = MIN(2 * webhook->pause_ms, (int64_t)PAUSE_MS_MAX);
    metric_inc(METRIC_WEBHOOK_FAILURES);
    log_debug("sink=%s problem=%s retry_ms=%lld what=%s", LOG_STRING(sink_name(webhook->sink)),
              LOG_STRING(sink_problem_name(problem)), (long long)(webhook->begin_ms - now_ms),
              LOG_STRING(text));
    sink_trouble(webhook->sink, problem, text);
    webhook_take_back(webhook);
    give_up_old(webhook);
}

static void fail_without_answer(struct webhook *webhook, const struct http_answer *answer)
{
    static const enum sink_problem problems[] = {
        [HTTP_ANSWERED] = SINK_OTHER, [HTTP_REFUSED] = SINK_ADDRESS,    [HTTP_TLS] = SINK_TLS,
        [HTTP_TIMED_OUT] = SINK_SLOW, [HTTP_FAILED] = SINK_UNREACHABLE,
    };

    webhook_fail(webhook, problems[answer->end], answer->text, 0);
}

/* --- answers to a batch ----------------------------------------------------------------------- */

static void was_taken(struct webhook *webhook, unsigned status)
{
    struct webhook_batch *batch = &webhook->sending;

    log_debug("sink=%s events=%u bytes=%zu status=%u ms=%lld", LOG_STRING(sink_name(webhook->sink)),
              batch->count, buf_len(&batch->body), status,
              (long long)(clock_monotonic_ms() - webhook->asked_ms));
    for (uint64_t ticket = batch->first; ticket <= batch->last; ticket++)
        sink_answered(webhook->sink, ticket);
    webhook_batch_clear(webhook, batch);
    webhook->doing = WEBHOOK_IDLE;
    webhook->is_retried = false;
    webhook->begin_ms = 0;
    webhook->pause_ms = PAUSE_MS_MIN;
}

/* Once with a new token, before it is a failure. */
static bool may_be_the_token(struct webhook *webhook, unsigned status)
{
    if (status != STATUS_UNAUTHORIZED || webhook->token == NULL || webhook->is_retried)
        return false;
    webhook_drop_token(webhook);
    webhook->is_retried = true;
    webhook->doing = WEBHOOK_IDLE;
    return true;
}

/* Half as many the next time; of one alone nothing smaller can be made. */
static bool can_halve(struct webhook *webhook)
{
    char text[SINK_TEXT_MAX];

    if (webhook->sending.count <= 1)
        return false;
    webhook->events_max = (webhook->sending.count + 1) / 2;
    snprintf(text, sizeof(text), "HTTP %d: too large; trying %u events", STATUS_TOO_LARGE,
             webhook->events_max);
    sink_restart(webhook->sink, SINK_TOO_LARGE, text, true);
    return true;
}

static void take_status(struct webhook *webhook, const struct http_answer *answer)
{
    unsigned status = answer->status;
    char text[SINK_TEXT_MAX];

    if (status / 100 == 2) {
        was_taken(webhook, status);
        return;
    }
    if (may_be_the_token(webhook, status) || (status == STATUS_TOO_LARGE && can_halve(webhook)))
        return;
    webhook->is_retried = false;
    snprintf(text, sizeof(text), "HTTP %u%s", status,
             status == STATUS_GONE            ? ": gone; `ringpost webhook remove` or `pause`?"
             : status / 100 == 3              ? ": a redirect that is not followed"
             : status == 401 || status == 403 ? ": authentication"
             : status == STATUS_TOO_LARGE     ? ": one event alone is too large"
                                              : "");
    webhook_fail(webhook,
                 status == 401 || status == 403 ? SINK_AUTHENTICATION
                 : status == STATUS_TOO_LARGE   ? SINK_TOO_LARGE
                                                : SINK_ANSWER,
                 text, status == STATUS_GONE ? GONE_WAIT_S : answer->retry_after_s);
}

/* --- answers to the question for a token ------------------------------------------------------ */

static void take_token_answer(struct webhook *webhook, const struct http_answer *answer)
{
    char why[HTTP_TEXT_MAX], text[SINK_TEXT_MAX];

    if (answer->status / 100 != 2)
        snprintf(why, sizeof(why), "HTTP %u", answer->status);
    else if (webhook_take_token(webhook, answer->body, why)) {
        webhook->doing = WEBHOOK_IDLE;
        return;
    }
    snprintf(text, sizeof(text), "no token of oauth.token_url: %s", why);
    webhook_fail(webhook, SINK_AUTHENTICATION, text, answer->retry_after_s);
}

void webhook_take_answer(struct webhook *webhook, const struct http_answer *answer)
{
    metric_inc(METRIC_WEBHOOK_REQUESTS);
    if (answer->end != HTTP_ANSWERED)
        fail_without_answer(webhook, answer);
    else if (webhook->doing == WEBHOOK_ASKING)
        take_token_answer(webhook, answer);
    else
        take_status(webhook, answer);
}
