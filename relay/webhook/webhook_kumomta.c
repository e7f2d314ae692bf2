/* webhook_kumomta.c - an event as KumoMTA's log has it. */
#include <stdio.h>
#include <string.h>

#include "webhook/webhook_words.h"

static void put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, webhook_or_null(value));
}

static void put_new(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value == NULL ? json_null() : value);
}

/* "campaign:tenant@domain" */
static json_t *queue(const json_t *event)
{
    const char *campaign = json_string_value(json_object_get(event, "campaign"));
    const char *tenant = json_string_value(json_object_get(event, "tenant"));
    const char *recipient = json_string_value(json_object_get(event, "recipient"));
    const char *at = recipient == NULL ? NULL : strrchr(recipient, '@');

    if (at == NULL)
        return NULL;
    return json_sprintf("%s%s%s%s%s", campaign == NULL ? "" : campaign, campaign == NULL ? "" : ":",
                        tenant == NULL ? "" : tenant, tenant == NULL && campaign == NULL ? "" : "@",
                        at + 1);
}

static json_t *enhanced_code(const json_t *event)
{
    const char *text = json_string_value(webhook_at(event, "reply", "enhanced"));
    unsigned class, subject, detail;

    if (text == NULL || sscanf(text, "%1u.%3u.%3u", &class, &subject, &detail) != 3)
        return NULL;
    return json_pack("{s:i,s:i,s:i}", "class", (int)class, "subject", (int)subject, "detail",
                     (int)detail);
}

static json_t *response(const json_t *event)
{
    json_t *object = json_object(), *text = webhook_at(event, "reply", "text");

    json_object_set_new(object, "code",
                        json_integer(json_integer_value(webhook_at(event, "reply", "code"))));
    put_new(object, "enhanced_code", enhanced_code(event));
    json_object_set_new(object, "content",
                        json_is_string(text) ? json_incref(text) : json_string(""));
    json_object_set_new(object, "command", json_null());
    return object;
}

/* {"name", "addr"} of the other server. */
static json_t *peer_address(const json_t *event)
{
    json_t *name = webhook_at(event, "egress", "mx_host"),
           *ip = webhook_at(event, "egress", "mx_ip");

    if (!json_is_string(ip))
        return NULL;
    return json_pack("{s:O?,s:O}", "name", json_is_string(name) ? name : NULL, "addr", ip);
}

static json_t *source_address(const json_t *event)
{
    json_t *ip = webhook_at(event, "egress", "source_ip");

    return json_is_string(ip) ? json_pack("{s:O,s:n,s:n}", "address", ip, "server", "protocol")
                              : NULL;
}

static json_t *meta(const json_t *event)
{
    json_t *metadata = json_object_get(event, "metadata");
    json_t *object = json_is_object(metadata) ? json_copy(metadata) : json_object();

    put(object, "tenant", json_object_get(event, "tenant"));
    put(object, "campaign", json_object_get(event, "campaign"));
    put(object, "tags", json_object_get(event, "tags"));
    return object;
}

static json_t *headers(const json_t *event)
{
    json_t *object = json_object(), *id = json_object_get(event, "header_message_id");

    if (json_is_string(id))
        json_object_set(object, "Message-ID", id);
    return object;
}

static void put_way_out(json_t *object, const json_t *event)
{
    json_int_t attempt = json_integer_value(webhook_at(event, "attempt", "number"));

    put(object, "site", webhook_at(event, "egress", "site"));
    put(object, "egress_pool", webhook_at(event, "egress", "pool"));
    put(object, "egress_source", webhook_at(event, "egress", "source"));
    put_new(object, "source_address", source_address(event));
    put_new(object, "peer_address", peer_address(event));
    /* It counts those before. */
    json_object_set_new(object, "num_attempts", json_integer(attempt > 0 ? attempt - 1 : 0));
    put(object, "tls_cipher", webhook_at(event, "tls", "cipher"));
    put(object, "tls_protocol_version", webhook_at(event, "tls", "version"));
    json_object_set_new(object, "tls_peer_subject_name", json_null());
    json_object_set_new(object, "delivery_protocol",
                        attempt > 0 ? json_string("ESMTP") : json_null());
}

/* A bounce by mail is another record than one in the session. */
static const char *type_of(const struct webhook_words *words, const json_t *event)
{
    bool is_late = json_is_true(json_object_get(event, "late"));

    return is_late && strcmp(words->kumomta, "Bounce") == 0 ? "OOB" : words->kumomta;
}

static json_t *feedback(const struct webhook_words *words, const json_t *event)
{
    if (strcmp(words->kumomta, "Feedback") != 0)
        return NULL;
    return json_pack("{s:O?,s:O?}", "feedback_type", json_object_get(event, "class"), "user_agent",
                     webhook_at(event, "reply", "text"));
}

json_t *webhook_kumomta(const struct webhook_words *words, const json_t *event)
{
    const char *class = json_string_value(json_object_get(event, "class"));
    const char *event_id = json_string_value(json_object_get(event, "event_id"));
    json_t *object = json_object(), *ip = webhook_at(event, "client", "ip");
    bool is_gap = strcmp(words->kumomta, "Gap") == 0;

    json_object_set_new(object, "type", json_string(type_of(words, event)));
    put(object, "id", json_object_get(event, "id"));
    put(object, "sender", json_object_get(event, "sender"));
    put(object, "recipient", json_object_get(event, "recipient"));
    put_new(object, "queue", queue(event));
    put(object, "size", json_object_get(event, "size"));
    json_object_set_new(object, "response", response(event));
    json_object_set_new(object, "timestamp",
                        json_integer(webhook_seconds(json_object_get(event, "time"))));
    json_object_set_new(object, "created",
                        json_integer(webhook_seconds(json_object_get(event, "accepted_time"))));
    put_way_out(object, event);
    if (json_is_string(ip)) /* who handed it in */
        json_object_set_new(object, "peer_address",
                            json_pack("{s:O?,s:O}", "name",
                                      json_is_string(webhook_at(event, "client", "ehlo"))
                                          ? webhook_at(event, "client", "ehlo")
                                          : NULL,
                                      "addr", ip));
    json_object_set_new(object, "bounce_classification",
                        json_string(webhook_class(class)->kumomta));
    put_new(object, "feedback_report", feedback(words, event));
    json_object_set_new(object, "meta", meta(event));
    json_object_set_new(object, "headers", headers(event));
    json_object_set_new(object, "reception_protocol", json_string("ESMTP"));
    put_new(object, "nodeid", event_id == NULL ? NULL : json_stringn(event_id, 4));
    put(object, "session_id", webhook_at(event, "client", "session"));
    put(object, "event_id", json_object_get(event, "event_id"));
    if (is_gap)
        put(object, "events", json_object_get(event, "events"));
    return object;
}
