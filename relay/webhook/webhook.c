/* webhook.c - events become batches, and batches requests, one after the other. */
#include "webhook/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/event.h"
#include "event/event_filter.h"
#include "webhook/webhook_private.h"

enum {
    MEMORY_MAX = 1 << 20,
    FORM_MAX = 8192,
    PAUSE_MS_MIN = 1000,
    SLOW_MS = 10000,
    OBJECT_MAX = 2 * EVENT_JSON_MAX,
    FRAME_LEN = 2, /* brackets around, or a comma and a bracket */
};

_Static_assert(WEBHOOK_BYTES_MIN >= EVENT_JSON_MAX + FRAME_LEN, "every event fits a batch");

/* --- settings --------------------------------------------------------------------------------- */

static void *make(const void *settings, struct sink *sink)
{
    struct webhook *webhook = calloc(1, sizeof(*webhook));

    check(webhook != NULL);
    webhook->sink = sink;
    arena_init(&webhook->memory, MEMORY_MAX);
    webhook->settings = webhook_settings_copy(settings, &webhook->memory);
    webhook->events_max = webhook->settings.batch_events;
    webhook->pause_ms = PAUSE_MS_MIN;
    buf_init(&webhook->filling.body, webhook->settings.batch_bytes + OBJECT_MAX);
    buf_init(&webhook->sending.body, webhook->settings.batch_bytes + OBJECT_MAX);
    buf_init(&webhook->object, OBJECT_MAX);
    buf_init(&webhook->form, FORM_MAX);
    return webhook;
}

static bool is_same(const void *object, const void *settings)
{
    const struct webhook *webhook = object;

    return webhook_settings_are_same(&webhook->settings, settings);
}

static void free_object(void **object)
{
    struct webhook *webhook = *object;

    *object = NULL;
    check(webhook->client == NULL);
    webhook_drop_token(webhook);
    buf_free(&webhook->filling.body);
    buf_free(&webhook->sending.body);
    buf_free(&webhook->object);
    buf_free(&webhook->form);
    arena_free(&webhook->memory);
    free(webhook);
}

/* --- begin and end ---------------------------------------------------------------------------- */

static bool begin(void *object)
{
    struct webhook *webhook = object;
    const struct webhook_settings *settings = &webhook->settings;
    char text[SINK_TEXT_MAX];

    int error = webhook_key_open(settings->state_dir, settings->name, &webhook->key);
    if (error < 0) {
        snprintf(text, sizeof(text), "its key in state_dir/keys/webhooks: %s",
                 error == -EBADMSG ? "it is no P-256 key; without it a new one is made"
                                   : strerror(-error));
        sink_restart(webhook->sink, SINK_FILES, text, false);
        return false;
    }
    const struct http_rules rules = {
        .ca_file = settings->ca_file,
        .timeout_s = settings->timeout_s,
        .allow_count = settings->allow_count,
        .allow = settings->allow,
    };
    webhook->client = http_client_open(&rules);
    webhook->doing = WEBHOOK_IDLE;
    webhook_forget(webhook);
    return true;
}

/* What is under way is broken off: whether it arrived is not known, so it is told again. */
static void end(void *object, int64_t until_ms)
{
    struct webhook *webhook = object;

    (void)until_ms;
    http_client_close(&webhook->client);
    webhook_key_free(&webhook->key);
    webhook_forget(webhook);
}

/* --- take ------------------------------------------------------------------------------------- */

static bool has_kind(const struct webhook_settings *settings, struct bytes kind)
{
    for (size_t i = 0; i < settings->kind_count; i++)
        if (bytes_equal(kind, bytes_of(settings->kinds[i])))
            return true;
    return settings->kind_count == 0;
}

static bool has_tag(const struct webhook_settings *settings, struct bytes line)
{
    for (size_t i = 0; i < settings->tag_count; i++) {
        const struct event_filter filter = {.tag = settings->tags[i]};

        if (event_filter_matches(&filter, line))
            return true;
    }
    return settings->tag_count == 0;
}

static bool wants(const void *object, const struct sink_event *event)
{
    const struct webhook *webhook = object;
    const struct webhook_settings *settings = &webhook->settings;

    return webhook_format_tells((enum webhook_format)settings->format, event->parts->kind) &&
           has_kind(settings, event->parts->kind) &&
           (settings->tenant == NULL ||
            bytes_equal(event->parts->tenant, bytes_of(settings->tenant))) &&
           has_tag(settings, event->line);
}

/* KumoMTA tells a single record without an array around it. */
static bool is_array(const struct webhook *webhook)
{
    return webhook->settings.format != WEBHOOK_KUMOMTA || webhook->settings.batch_events > 1;
}

static bool take(void *object, const struct sink_event *event)
{
    struct webhook *webhook = object;
    struct webhook_batch *batch = &webhook->filling;

    buf_clear(&webhook->object);
    if (batch->count >= webhook->events_max)
        return false;
    if (!webhook_format_put((enum webhook_format)webhook->settings.format, event->line,
                            &webhook->object)) {
        sink_answered(webhook->sink, event->ticket); /* a form of it does not exist */
        return true;
    }
    if (batch->count > 0 && buf_len(&batch->body) + buf_len(&webhook->object) + FRAME_LEN >
                                webhook->settings.batch_bytes) {
        batch->is_full = true;
        return false;
    }
    if (batch->count == 0) {
        batch->first = event->ticket;
        batch->began_ms = clock_monotonic_ms();
    }
    bool fits =
        (!is_array(webhook) || buf_append_byte(&batch->body, batch->count == 0 ? '[' : ',')) &&
        buf_append(&batch->body, buf_bytes(&webhook->object));
    check(fits);
    batch->last = event->ticket;
    batch->count++;
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_due(const struct webhook *webhook, int64_t now_ms)
{
    const struct webhook_batch *batch = &webhook->filling;

    return batch->count > 0 && (batch->is_full || batch->count >= webhook->events_max ||
                                now_ms >= batch->began_ms + webhook->settings.batch_ms ||
                                sink_is_stopping(webhook->sink));
}

static void close_batch(struct webhook *webhook)
{
    struct webhook_batch empty = webhook->sending;

    bool fits = !is_array(webhook) || buf_append_byte(&webhook->filling.body, ']');
    check(fits);
    webhook->sending = webhook->filling;
    webhook->filling = empty;
}

/* Each try has the time and the signature of its own. */
static void tell(struct webhook *webhook)
{
    char timestamp[24], timestamp_line[96];
    struct buf signature;

    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)(clock_wall_ms() / 1000));
    snprintf(timestamp_line, sizeof(timestamp_line), "X-Twilio-Email-Event-Webhook-Timestamp: %s",
             timestamp);
    buf_init(&signature, 64 + WEBHOOK_SIGNATURE_MAX);
    bool is_signed = buf_append(&signature, BYTES("X-Twilio-Email-Event-Webhook-Signature: ")) &&
                     webhook_key_sign(webhook->key, bytes_of(timestamp),
                                      buf_bytes(&webhook->sending.body), &signature) &&
                     buf_append_byte(&signature, '\0');
    check(is_signed);
    const char *const headers[] = {timestamp_line, (const char *)buf_bytes(&signature).ptr, NULL};
    const struct http_request request = {
        .url = webhook->settings.url,
        .content_type = "application/json",
        .headers = headers,
        .body = buf_bytes(&webhook->sending.body),
        .user = webhook->settings.user,
        .password = webhook->settings.password,
        .bearer = webhook->token,
    };
    http_client_post(webhook->client, &request);
    buf_free(&signature);
    webhook->doing = WEBHOOK_TELLING;
    webhook->asked_ms = clock_monotonic_ms();
}

static void start_request(struct webhook *webhook, int64_t now_ms)
{
    if (webhook->doing != WEBHOOK_IDLE || sink_is_paused(webhook->sink))
        return;
    if (webhook->sending.count == 0 && is_due(webhook, now_ms))
        close_batch(webhook);
    if (webhook->sending.count == 0 || now_ms < webhook->begin_ms)
        return;
    if (webhook_needs_token(webhook))
        webhook_ask_token(webhook);
    else
        tell(webhook);
}

/* Until something is due by the clock. */
static int64_t wait_of(const struct webhook *webhook, int64_t wait_ms, int64_t now_ms)
{
    if (webhook->doing != WEBHOOK_IDLE || sink_is_paused(webhook->sink))
        return wait_ms;
    if (webhook->sending.count > 0)
        wait_ms = MIN(wait_ms, MAX(webhook->begin_ms - now_ms, (int64_t)1));
    else if (webhook->filling.count > 0)
        wait_ms = MIN(wait_ms, MAX(webhook->filling.began_ms + webhook->settings.batch_ms - now_ms,
                                   (int64_t)1));
    return wait_ms;
}

static void look_if_slow(struct webhook *webhook)
{
    if (webhook->doing != WEBHOOK_IDLE && clock_monotonic_ms() - webhook->asked_ms >= SLOW_MS &&
        !sink_is_failing(webhook->sink))
        sink_trouble(webhook->sink, SINK_SLOW, "no answer to what was sent 10 s ago");
}

static void work(void *object, int64_t wait_ms)
{
    struct webhook *webhook = object;
    int64_t now_ms = clock_monotonic_ms();
    struct http_answer answer;

    start_request(webhook, now_ms);
    if (http_client_work(webhook->client, wait_of(webhook, wait_ms, now_ms), &answer)) {
        webhook_take_answer(webhook, &answer);
        if (!sink_is_restarting(webhook->sink))
            start_request(webhook, clock_monotonic_ms());
    }
    look_if_slow(webhook);
}

static void wake(void *object)
{
    struct webhook *webhook = object;

    http_client_wake(webhook->client);
}

const struct sink_kind webhook_kind = {
    .name = "webhook",
    .window = 4 * WEBHOOK_EVENTS_MAX + 2,
    .make = make,
    .is_same = is_same,
    .free = free_object,
    .begin = begin,
    .end = end,
    .wants = wants,
    .take = take,
    .work = work,
    .wake = wake,
};
