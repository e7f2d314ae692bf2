/* test_kafka_event.c - headers, the smaller form of an event, errors: without a broker. */
#include <jansson.h>
#include <string.h>

#include "sink/kafka_private.h"
#include "support/unit.h"

static void expect_header(const rd_kafka_headers_t *headers, const char *name, const char *wanted)
{
    const void *value = NULL;
    size_t len = 0;

    rd_kafka_resp_err_t error = rd_kafka_header_get_last(headers, name, &value, &len);
    if (wanted == NULL) {
        assert_int_equal(error, RD_KAFKA_RESP_ERR__NOENT);
        return;
    }
    assert_int_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(value, wanted, len);
}

TEST(kafka_headers_have_schema_kind_and_tenant)
{
    static const struct {
        const char *tenant, *header;
    } rows[] = {
        {"null", NULL},
        {"\"shop\"", "shop"},
        {"\"a\\\"b\\u00e4\"", "a\"b\303\244"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        struct event_line parts;
        int len = snprintf(text, sizeof(text),
                           "{\"schema\":1,\"event_id\":\"e1\",\"seq\":0,\"kind\":\"accepted\","
                           "\"id\":\"m\",\"recipient\":null,\"tenant\":%s,"
                           "\"time\":\"2026-11-24T03:00:00.000Z\"}",
                           rows[i].tenant);
        struct bytes line = bytes_range(text, (size_t)len);

        assert_true(event_line_parse(line, &parts));
        rd_kafka_headers_t *headers = kafka_headers(&parts, line);
        expect_header(headers, "schema", "1");
        expect_header(headers, "kind", "accepted");
        expect_header(headers, "tenant", rows[i].header);
        rd_kafka_headers_destroy(headers);
    }
}

TEST(kafka_cuts_texts_between_characters_and_keeps_what_is_short)
{
    struct bytes line =
        BYTES("{\"event_id\":\"e1\",\"size\":5,\"tags\":[\"a\"],\"reply\":{\"text\":\""
              "123456789012345678901234567890123456789012345678901234567890123\303\244rest\"}}");
    struct buf out;

    buf_init(&out, 1024);
    assert_true(kafka_cut(line, &out));
    json_t *cut = json_loadb((const char *)buf_bytes(&out).ptr, buf_len(&out), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(cut, "event_id")), "e1");
    assert_int_equal(json_integer_value(json_object_get(cut, "size")), 5);
    assert_true(json_is_null(json_object_get(cut, "tags")));
    assert_true(json_is_true(json_object_get(cut, "cut")));
    assert_int_equal(json_string_length(json_object_get(json_object_get(cut, "reply"), "text")),
                     63);
    json_decref(cut);
    assert_false(kafka_cut(BYTES("[]"), &out));
    buf_free(&out);
}

/* Of those that a broker gives only where somebody took rights or replicas away. */
TEST(kafka_errors_have_our_names)
{
    static const struct {
        rd_kafka_resp_err_t error;
        const char *name;
    } rows[] = {
        {RD_KAFKA_RESP_ERR_NO_ERROR, "none"},
        {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "unreachable"},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, "authentication"},
        {RD_KAFKA_RESP_ERR__SSL, "tls"},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "no-topic"},
        {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "no-leader"},
        {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, "no-leader"},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "not-authorized"},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "too-large"},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "other"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(sink_problem_name(kafka_problem(rows[i].error)), rows[i].name);
}
