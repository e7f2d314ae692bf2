/* test_webhook_format.c - events in the words of other services. */
#include <jansson.h>
#include <string.h>

#include "event/event.h"
#include "event/event_gap.h"
#include "support/unit.h"
#include "webhook/webhook_format.h"

static struct event sample(enum event_kind kind)
{
    return (struct event){
        .position = 12,
        .kind = kind,
        .id = {77},
        .time_ms = 1795489800999,
        .accepted_ms = 1795489700000,
        .recipient = BYTES("user@x.example"),
        .sender = BYTES("app@shop.example"),
        .message_header_id = BYTES("<m@shop.example>"),
        .tenant = BYTES("shop"),
        .campaign = BYTES("spring"),
        .tags = BYTES("[\"a\",\"b\"]"),
        .size = 1000,
        .attempt = 3,
        .source_ip = BYTES("192.0.2.1"),
        .source = BYTES("one"),
        .site = BYTES("mx.x.example"),
        .mx_host = BYTES("mx.x.example"),
        .mx_ip = BYTES("198.51.100.2"),
        .tls_version = BYTES("TLSv1.3"),
        .reply_code = 550,
        .enhanced_class = 5,
        .enhanced_subject = 1,
        .enhanced_detail = 1,
        .reply_text = BYTES("no \"such\" user"),
        .class = BYTES("invalid-recipient"),
        .rule = BYTES("reply-5xx"),
    };
}

static json_t *made(enum webhook_format format, const struct event *event)
{
    struct buf line, out;

    buf_init(&line, EVENT_JSON_MAX);
    buf_init(&out, EVENT_JSON_MAX);
    assert_true(event_json(event, &line));
    struct bytes text = buf_bytes(&line);
    json_t *object = NULL;
    if (webhook_format_put(format, bytes_slice(text, 0, text.len - 1), &out))
        object = json_loadb((const char *)buf_bytes(&out).ptr, buf_len(&out), 0, NULL);
    buf_free(&line);
    buf_free(&out);
    return object;
}

static void expect(json_t *object, const char *json)
{
    json_error_t error;
    json_t *wanted = json_loads(json, 0, &error);

    if (wanted == NULL)
        fail_msg("%s", error.text);
    if (!json_equal(object, wanted))
        fail_msg("%s", json_dumps(object, JSON_COMPACT));
    json_decref(wanted);
    json_decref(object);
}

TEST(sendgrid_has_its_names_for_each_kind)
{
    struct event event = sample(EVENT_BOUNCED);

    expect(made(WEBHOOK_SENDGRID, &event),
           "{\"email\":\"user@x.example\",\"timestamp\":1795489800,"
           "\"smtp-id\":\"<m@shop.example>\",\"event\":\"bounce\",\"category\":[\"a\",\"b\"],"
           "\"sg_event_id\":\"0000-00-000000000000000c-0\","
           "\"sg_message_id\":\"000000-000000000004d\",\"reason\":\"no \\\"such\\\" user\","
           "\"status\":\"5.1.1\",\"ip\":\"192.0.2.1\",\"type\":\"bounce\","
           "\"bounce_classification\":\"Invalid Address\",\"campaign\":\"spring\"}");
    event.class = BYTES("blocklist");
    json_t *blocked = made(WEBHOOK_SENDGRID, &event);
    assert_string_equal(json_string_value(json_object_get(blocked, "type")), "blocked");
    json_decref(blocked);
    event = sample(EVENT_DEFERRED);
    json_t *deferred = made(WEBHOOK_SENDGRID, &event);
    assert_string_equal(json_string_value(json_object_get(deferred, "response")),
                        "550 5.1.1 no \"such\" user");
    assert_string_equal(json_string_value(json_object_get(deferred, "attempt")), "3");
    json_decref(deferred);
    event = sample(EVENT_DELIVERED);
    json_t *delivered = made(WEBHOOK_SENDGRID, &event);
    assert_int_equal(json_integer_value(json_object_get(delivered, "tls")), 1);
    assert_null(json_object_get(delivered, "reason"));
    json_decref(delivered);
    event = sample(EVENT_SUSPENDED);
    assert_null(made(WEBHOOK_SENDGRID, &event));
    assert_false(webhook_format_tells(WEBHOOK_SENDGRID, BYTES("suspended")));
    assert_true(webhook_format_tells(WEBHOOK_RINGPOST, BYTES("suspended")));
}

TEST(sendgrid_flattens_custom_arguments_and_loses_no_key_of_its_own)
{
    struct bytes line = BYTES("{\"schema\":1,\"event_id\":\"e\",\"kind\":\"accepted\","
                              "\"recipient\":\"a@b.example\",\"time\":null,\"campaign\":\"c\","
                              "\"metadata\":{\"order\":\"7\",\"email\":\"x\",\"campaign\":\"d\"}}");
    struct buf out;

    buf_init(&out, EVENT_JSON_MAX);
    assert_true(webhook_format_put(WEBHOOK_SENDGRID, line, &out));
    expect(json_loadb((const char *)buf_bytes(&out).ptr, buf_len(&out), 0, NULL),
           "{\"email\":\"a@b.example\",\"timestamp\":0,\"event\":\"processed\","
           "\"sg_event_id\":\"e\",\"order\":\"7\",\"campaign\":\"d\"}");
    buf_free(&out);
}

TEST(kumomta_has_its_record)
{
    struct event event = sample(EVENT_BOUNCED);

    expect(made(WEBHOOK_KUMOMTA, &event),
           "{\"type\":\"Bounce\",\"id\":\"000000-000000000004d\",\"sender\":\"app@shop.example\","
           "\"recipient\":\"user@x.example\",\"queue\":\"spring:shop@x.example\",\"size\":1000,"
           "\"response\":{\"code\":550,\"enhanced_code\":{\"class\":5,\"subject\":1,\"detail\":1},"
           "\"content\":\"no \\\"such\\\" user\",\"command\":null},\"timestamp\":1795489800,"
           "\"created\":1795489700,\"site\":\"mx.x.example\",\"egress_pool\":null,"
           "\"egress_source\":\"one\",\"source_address\":{\"address\":\"192.0.2.1\","
           "\"server\":null,\"protocol\":null},\"peer_address\":{\"name\":\"mx.x.example\","
           "\"addr\":\"198.51.100.2\"},\"num_attempts\":2,\"tls_cipher\":null,"
           "\"tls_protocol_version\":\"TLSv1.3\",\"tls_peer_subject_name\":null,"
           "\"delivery_protocol\":\"ESMTP\",\"bounce_classification\":\"InvalidRecipient\","
           "\"feedback_report\":null,\"meta\":{\"tenant\":\"shop\",\"campaign\":\"spring\","
           "\"tags\":[\"a\",\"b\"]},\"headers\":{\"Message-ID\":\"<m@shop.example>\"},"
           "\"reception_protocol\":\"ESMTP\",\"nodeid\":\"0000\",\"session_id\":null,"
           "\"event_id\":\"0000-00-000000000000000c-0\"}");
}

TEST(what_came_back_late_has_its_own_records)
{
    struct event event = sample(EVENT_BOUNCED);

    event.is_late = true;
    json_t *object = made(WEBHOOK_KUMOMTA, &event);
    assert_string_equal(json_string_value(json_object_get(object, "type")), "OOB");
    json_decref(object);
    object = made(WEBHOOK_SENDGRID, &event);
    assert_string_equal(json_string_value(json_object_get(object, "event")), "bounce");
    json_decref(object);
    event.kind = EVENT_COMPLAINED;
    event.class = BYTES("abuse");
    event.reply_text = BYTES("Provider/1.0");
    object = made(WEBHOOK_KUMOMTA, &event);
    assert_string_equal(json_string_value(json_object_get(object, "type")), "Feedback");
    expect(json_incref(json_object_get(object, "feedback_report")),
           "{\"feedback_type\":\"abuse\",\"user_agent\":\"Provider/1.0\"}");
    json_decref(object);
    object = made(WEBHOOK_SENDGRID, &event);
    assert_string_equal(json_string_value(json_object_get(object, "event")), "spamreport");
    json_decref(object);
}

TEST(gaps_are_told_in_each_format)
{
    const struct event_gap gap = {.from_events = 1,
                                  .events = 9,
                                  .wanted = 3,
                                  .time_ms = 1795489800000,
                                  .reason = "webhooks.retry_for"};
    static const char *const words[] = {"\"events\":3", "\"event\":\"gap\"", "\"type\":\"Gap\""};

    for (unsigned format = 0; format < WEBHOOK_FORMAT_COUNT; format++) {
        struct buf line, out;

        buf_init(&line, EVENT_GAP_JSON_MAX);
        buf_init(&out, EVENT_JSON_MAX);
        assert_true(event_gap_json(&gap, &line));
        assert_true(webhook_format_put((enum webhook_format)format,
                                       bytes_slice(buf_bytes(&line), 0, buf_len(&line) - 1), &out));
        struct bytes text = buf_bytes(&out);
        assert_true(bytes_find_bytes(text, bytes_of(words[format]), 0) < text.len);
        assert_true(bytes_find_bytes(text, BYTES("\"events\":3"), 0) < text.len);
        buf_free(&line);
        buf_free(&out);
    }
}

TEST(what_is_no_event_is_not_told)
{
    struct buf out;

    buf_init(&out, EVENT_JSON_MAX);
    assert_false(webhook_format_put(WEBHOOK_SENDGRID, BYTES("{\"kind\":7}"), &out));
    assert_false(webhook_format_put(WEBHOOK_KUMOMTA, BYTES("no JSON"), &out));
    assert_false(webhook_format_put(WEBHOOK_RINGPOST, BYTES(""), &out));
    assert_int_equal(buf_len(&out), 0);
    buf_free(&out);
}
