/* webhook.c - events become batches, and batches requests, one after the other. */
#include "webhook/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/event.h"
#include "event/event_filter.h"
#include "event/event_gap.h"
#include "webhook/webhook_private.h"

enum {
    MEMORY_MAX = 1 << 20,
    FORM_MAX = 8192,
    PAUSE_MS_MIN = 1000,
    SLOW_MS = 10000,
    FRAME_LEN = 2, /* brackets around, or a comma and a bracket */
    GAP_GROWS = 2 * EVENT_GAP_JSON_MAX,
    BODY_MAX = WEBHOOK_BYTES_MAX + 2 * 2 * EVENT_JSON_MAX,
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
    buf_init(&webhook->filling.body, BODY_MAX);
    buf_init(&webhook->sending.body, BODY_MAX);
    buf_init(&webhook->form, FORM_MAX);
    list_node_init(&webhook->starved);
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
    check(webhook->filling.count == 0 && webhook->sending.count == 0);
    buf_free(&webhook->form);
    arena_free(&webhook->memory);
    free(webhook);
}

/* --- begin and end ---------------------------------------------------------------------------- */

static void on_called(void *context)
{
    struct webhook *webhook = context;

    sink_touch(webhook->sink);
}

static void on_answered(void *context, const struct http_answer *answer)
{
    struct webhook *webhook = context;

    webhook_take_answer(webhook, answer);
    sink_touch(webhook->sink);
}

static bool begin(void *object)
{
    static const struct http_client_calls calls = {.called = on_called, .answered = on_answered};
    struct webhook *webhook = object;
    const struct webhook_settings *settings = &webhook->settings;
    const struct http_rules rules = {
        .ca_file = settings->ca_file,
        .timeout_s = settings->timeout_s,
        .allow_count = settings->allow_count,
        .allow = settings->allow,
    };

    webhook->ground = sink_ground(webhook->sink);
    webhook->client = http_client_open(webhook->ground->pool, &rules, &calls, webhook);
    webhook->doing = WEBHOOK_IDLE;
    return true;
}

/* What is under way is broken off: whether it arrived is not known, so it is told again. */
static void end(void *object, int64_t until_ms)
{
    struct webhook *webhook = object;

    (void)until_ms;
    http_client_close(&webhook->client);
    if (webhook->key != NULL)
        webhook_key_free(&webhook->key);
    webhook_forget(webhook);
    list_remove(&webhook->starved);
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

static const char *tenant(const void *object)
{
    const struct webhook *webhook = object;

    return webhook->settings.tenant;
}

static unsigned limit_of(const struct webhook *webhook)
{
    return webhook->again > 0 ? webhook->again : webhook->events_max;
}

static bool has_room(const struct webhook *webhook, int64_t now_ms)
{
    return now_ms >= webhook->begin_ms && !webhook->filling.is_full &&
           webhook->filling.count < limit_of(webhook) && !list_is_linked(&webhook->starved);
}

/* The same events make the same batch again, though a gap that it begins with may have grown. After
 * a replay, or behind what is left out, it is others that come: they find no more room than any. */
static bool fits(const struct webhook *webhook, size_t len)
{
    const struct webhook_batch *batch = &webhook->filling;
    uint64_t max = webhook->settings.batch_bytes + (webhook->again > 0 ? GAP_GROWS : 0);

    return batch->count == 0 || buf_len(&batch->body) + len + FRAME_LEN <= max;
}

static void put(struct webhook *webhook, uint64_t ticket)
{
    struct webhook_batch *batch = &webhook->filling;
    size_t before = buf_len(&batch->body);

    if (batch->count == 0) {
        batch->first = ticket;
        batch->began_ms = clock_monotonic_ms();
    }
    bool is_put =
        (!is_array(webhook) || buf_append_byte(&batch->body, batch->count == 0 ? '[' : ',')) &&
        buf_append(&batch->body, buf_bytes(&webhook->ground->object));
    check(is_put);
    webhook->ground->held += buf_len(&batch->body) - before;
    batch->last = ticket;
    batch->count++;
}

static bool take(void *object, const struct sink_event *event)
{
    struct webhook *webhook = object;
    struct buf *json = &webhook->ground->object;

    if (!has_room(webhook, clock_monotonic_ms()))
        return false;
    if (!webhook_has_memory(webhook)) {
        webhook->filling.is_full = webhook->filling.count > 0; /* and goes as it is */
        return false;
    }
    buf_clear(json);
    if (!webhook_format_put((enum webhook_format)webhook->settings.format, event->line, json)) {
        sink_answered(webhook->sink, event->ticket); /* a form of it does not exist */
        return true;
    }
    if (!fits(webhook, buf_len(json))) {
        webhook->filling.is_full = true;
        return false;
    }
    put(webhook, event->ticket);
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_due(const struct webhook *webhook, int64_t now_ms)
{
    const struct webhook_batch *batch = &webhook->filling;

    if (batch->count == 0)
        return false;
    if (batch->is_full || batch->count >= limit_of(webhook))
        return true;
    if (webhook->again > 0 && !sink_is_at_head(webhook->sink))
        return false; /* the rest of what failed is being read */
    return now_ms >= batch->began_ms + webhook->settings.batch_ms ||
           sink_is_stopping(webhook->sink);
}

static void close_batch(struct webhook *webhook)
{
    struct webhook_batch empty = webhook->sending;

    bool is_put = !is_array(webhook) || buf_append_byte(&webhook->filling.body, ']');
    check(is_put);
    webhook->ground->held += is_array(webhook);
    webhook->sending = webhook->filling;
    webhook->filling = empty;
    webhook->again = 0;
    sink_has_room(webhook->sink);
}

/* False after sink_restart(). */
static bool open_key(struct webhook *webhook)
{
    char text[SINK_TEXT_MAX];

    if (webhook->key != NULL)
        return true;
    int error =
        webhook_key_open(webhook->settings.state_dir, webhook->settings.name, &webhook->key);
    if (error == 0)
        return true;
    snprintf(text, sizeof(text), "its key in state_dir/keys/webhooks: %s",
             error == -EBADMSG ? "it is no P-256 key; without it a new one is made"
                               : strerror(-error));
    sink_restart(webhook->sink, SINK_FILES, text, false);
    return false;
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

/* Who is held keeps nothing in memory, and nobody waiting. */
static void rest(struct webhook *webhook)
{
    http_client_rest(webhook->client);
    if (webhook->filling.count > 0 || webhook->sending.count > 0)
        webhook_take_back(webhook);
}

static void start_request(struct webhook *webhook, int64_t now_ms)
{
    if (webhook->doing != WEBHOOK_IDLE)
        return;
    if (sink_is_paused(webhook->sink)) {
        rest(webhook);
        return;
    }
    if (webhook->sending.count == 0 && is_due(webhook, now_ms))
        close_batch(webhook);
    if (webhook->sending.count == 0 || now_ms < webhook->begin_ms || !open_key(webhook) ||
        !http_client_may_post(webhook->client))
        return;
    if (webhook_needs_token(webhook))
        webhook_ask_token(webhook);
    else
        tell(webhook);
}

static void look_if_slow(struct webhook *webhook, int64_t now_ms)
{
    if (webhook->doing != WEBHOOK_IDLE && now_ms - webhook->asked_ms >= SLOW_MS &&
        !sink_is_failing(webhook->sink))
        sink_trouble(webhook->sink, SINK_SLOW, "no answer to what was sent 10 s ago");
}

static void work(void *object, int64_t wait_ms)
{
    struct webhook *webhook = object;
    int64_t now_ms = clock_monotonic_ms();

    (void)wait_ms;
    start_request(webhook, now_ms);
    look_if_slow(webhook, now_ms);
    if (has_room(webhook, now_ms))
        sink_has_room(webhook->sink);
}

static int64_t due_ms(const void *object)
{
    const struct webhook *webhook = object;
    int64_t now_ms = clock_monotonic_ms();
    int64_t slow_ms = webhook->asked_ms + SLOW_MS;

    if (webhook->doing != WEBHOOK_IDLE)
        return slow_ms > now_ms ? slow_ms : INT64_MAX;
    if (sink_is_paused(webhook->sink) || webhook->sending.count > 0)
        return INT64_MAX; /* it waits for a place */
    if (now_ms < webhook->begin_ms)
        return webhook->begin_ms;
    if (webhook->filling.count == 0 || (webhook->again > 0 && !sink_is_at_head(webhook->sink)))
        return INT64_MAX;
    return MAX(webhook->filling.began_ms + webhook->settings.batch_ms, now_ms + 1);
}

const struct sink_kind webhook_kind = {
    .name = "webhook",
    .ground = &webhook_ground,
    .window = 4 * WEBHOOK_EVENTS_MAX + 2,
    .make = make,
    .is_same = is_same,
    .free = free_object,
    .begin = begin,
    .end = end,
    .wants = wants,
    .tenant = tenant,
    .take = take,
    .work = work,
    .due_ms = due_ms,
};
