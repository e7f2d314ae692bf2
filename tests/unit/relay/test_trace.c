/* test_trace.c - events in whatever order become a life, by recipient. */
#include "relay/cli/trace.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static void add(struct trace *trace, int seq, const char *kind, const char *to, int second)
{
    char event_id[32], time[64];

    snprintf(event_id, sizeof(event_id), "0000-00-%d", seq);
    snprintf(time, sizeof(time), "2026-11-24T03:10:%02d.000Z", second);
    json_t *event =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "event_id", event_id, "kind", kind, "recipient",
                  to, "time", time, "accepted_time", "2026-11-24T03:10:00.000Z", "sender", "s@x");
    assert_non_null(event);
    json_object_set_new(event, "seq", seq < 0 ? json_null() : json_integer(seq));
    trace_add_event(trace, event);
    json_decref(event);
}

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static json_int_t step_ms(const json_t *recipient, size_t step)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(recipient, "steps"), step), "ms"));
}

TEST(trace_orders_steps_and_drops_what_was_read_twice)
{
    struct trace *trace = trace_create();

    assert_true(trace_is_unfinished(trace));
    trace_free(&trace);
    trace = trace_create();
    add(trace, 3, "delivered", "b@y", 30);
    add(trace, 0, "accepted", "b@y", 0);
    add(trace, 2, "deferred", "b@y", 10);
    add(trace, 2, "deferred", "b@y", 10);
    add(trace, 1, "accepted", "a@y", 0);
    add(trace, -1, "retried", "", 20);
    assert_true(trace_is_unfinished(trace));
    json_t *wait = json_pack("{s:s, s:s}", "recipient", "a@y", "state", "scheduled");
    trace_add_wait(trace, wait);
    json_decref(wait);
    json_t *whole = trace_finish(trace, "the id");
    trace_free(&trace);

    assert_string_equal(text(whole, "sender"), "s@x");
    const json_t *recipients = json_object_get(whole, "recipients");
    assert_int_equal(json_array_size(recipients), 2);
    const json_t *b = json_array_get(recipients, 0), *a = json_array_get(recipients, 1);
    assert_string_equal(text(b, "recipient"), "b@y");
    assert_string_equal(text(b, "state"), "delivered");
    assert_int_equal(json_array_size(json_object_get(b, "steps")), 3);
    assert_int_equal(step_ms(b, 0), 0);
    assert_int_equal(step_ms(b, 1), 10000);
    assert_int_equal(step_ms(b, 2), 20000);
    assert_true(json_is_null(json_object_get(b, "waits")));
    assert_string_equal(text(a, "state"), "queued");
    assert_string_equal(text(json_object_get(a, "waits"), "state"), "scheduled");
    assert_int_equal(json_array_size(json_object_get(whole, "beside")), 1);
    json_decref(whole);
}

TEST(trace_of_nothing_is_none)
{
    struct trace *trace = trace_create();

    assert_null(trace_finish(trace, "the id"));
    trace_free(&trace);
}
