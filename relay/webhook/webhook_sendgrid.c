/* webhook_sendgrid.c - an event as SendGrid's event webhook tells it. */
#include <string.h>

#include "webhook/webhook_words.h"

/* Left out where it is null, as SendGrid does. */
static void put(json_t *object, const char *key, json_t *value)
{
    if (value != NULL && !json_is_null(value))
        json_object_set(object, key, value);
}

/* Custom arguments stand among the other keys and replace none of them. */
static void put_arguments(json_t *object, const json_t *event)
{
    json_t *metadata = json_object_get(event, "metadata"), *value;
    const char *key;

    json_object_foreach(metadata, key, value)
    {
        if (json_object_get(object, key) == NULL)
            json_object_set(object, key, value);
    }
    if (json_object_get(object, "campaign") == NULL)
        put(object, "campaign", json_object_get(event, "campaign"));
}

static void put_bounce(json_t *object, const json_t *event)
{
    const struct webhook_class *class =
        webhook_class(json_string_value(json_object_get(event, "class")));
    const char *kind = json_string_value(json_object_get(event, "kind"));
    bool is_blocked = class->is_blocked || strcmp(kind, "expired") == 0;

    put(object, "reason", webhook_at(event, "reply", "text"));
    put(object, "status", webhook_at(event, "reply", "enhanced"));
    put(object, "ip", webhook_at(event, "egress", "source_ip"));
    json_object_set_new(object, "type", json_string(is_blocked ? "blocked" : "bounce"));
    json_object_set_new(object, "bounce_classification", json_string(class->sendgrid));
}

/* "450 4.7.1 Try later": SendGrid gives the reply as one text. */
static json_t *response(const json_t *event)
{
    json_int_t code = json_integer_value(webhook_at(event, "reply", "code"));
    const char *enhanced = json_string_value(webhook_at(event, "reply", "enhanced"));
    const char *text = json_string_value(webhook_at(event, "reply", "text"));

    if (code == 0)
        return text == NULL ? NULL : json_string(text);
    return json_sprintf("%d%s%s%s%s", (int)code, enhanced == NULL ? "" : " ",
                        enhanced == NULL ? "" : enhanced, text == NULL ? "" : " ",
                        text == NULL ? "" : text);
}

static void put_attempt(json_t *object, const json_t *event, bool is_delivered)
{
    json_t *text = response(event);

    put(object, "response", text);
    json_decref(text);
    put(object, "ip", webhook_at(event, "egress", "source_ip"));
    if (is_delivered)
        json_object_set_new(object, "tls",
                            json_integer(json_is_string(webhook_at(event, "tls", "version"))));
    else
        json_object_set_new(object, "attempt",
                            json_sprintf("%d", (int)json_integer_value(
                                                   webhook_at(event, "attempt", "number"))));
}

/* What it says of the event beside what all have. */
static void put_kind(json_t *object, const char *name, const json_t *event)
{
    if (strcmp(name, "bounce") == 0) {
        put_bounce(object, event);
    } else if (strcmp(name, "deferred") == 0 || strcmp(name, "delivered") == 0) {
        put_attempt(object, event, strcmp(name, "delivered") == 0);
    } else if (strcmp(name, "dropped") == 0) {
        json_t *text = webhook_at(event, "reply", "text");

        put(object, "reason", json_is_string(text) ? text : json_object_get(event, "kind"));
        put(object, "status", webhook_at(event, "reply", "enhanced"));
    } else if (strcmp(name, "gap") == 0) {
        put(object, "events", json_object_get(event, "events"));
        put(object, "reason", json_object_get(event, "rule"));
    }
}

json_t *webhook_sendgrid(const struct webhook_words *words, const json_t *event)
{
    json_t *object = json_object();

    put(object, "email", json_object_get(event, "recipient"));
    json_object_set_new(object, "timestamp",
                        json_integer(webhook_seconds(json_object_get(event, "time"))));
    put(object, "smtp-id", json_object_get(event, "header_message_id"));
    json_object_set_new(object, "event", json_string(words->sendgrid));
    put(object, "category", json_object_get(event, "tags"));
    put(object, "sg_event_id", json_object_get(event, "event_id"));
    put(object, "sg_message_id", json_object_get(event, "id"));
    put_kind(object, words->sendgrid, event);
    put_arguments(object, event);
    return object;
}
