#include "event/event_line.h"

#include "event/event.h"
#include "event/event_gap.h"
#include "support/unit.h"
#include "tests/unit/event/event_sample.h"

TEST(event_line_reads_what_events_begin_with)
{
    struct event event = event_sample();
    struct event_line parts;
    struct buf line;

    event.recipient = BYTES("a\"\\,\"kind\":\"x@b.example");
    event.tenant = BYTES("back\\slash");
    buf_init(&line, EVENT_JSON_MAX);
    assert_true(event_json(&event, &line));
    assert_true(event_line_parse(buf_bytes(&line), &parts));
    assert_true(bytes_equal(parts.kind, bytes_of(event_kind_name(event.kind))));
    assert_int_equal(parts.id.len, MESSAGE_ID_TEXT_LEN);
    assert_true(bytes_equal(parts.tenant, BYTES("back\\\\slash")));
    assert_int_equal(parts.time_ms, event.time_ms);
    assert_int_equal(parts.schema, 1);
    assert_true(parts.has_seq && parts.seq == event.seq);
    assert_true(bytes_equal(parts.recipient, BYTES("a\\\"\\\\,\\\"kind\\\":\\\"x@b.example")));
    event.id.value = 0;
    event.tenant = event.recipient = BYTES_NONE;
    buf_clear(&line);
    assert_true(event_json(&event, &line));
    assert_true(event_line_parse(buf_bytes(&line), &parts));
    assert_true(parts.id.len == 0 && parts.tenant.len == 0);
    assert_true(parts.id.ptr == NULL && parts.recipient.ptr == NULL);
    buf_free(&line);
}

TEST(event_line_reads_gaps)
{
    const struct event_gap gap = {.from_events = 7,
                                  .events = 12,
                                  .time_ms = 1795489800123,
                                  .reason = "events.sink_budget"};
    struct event_line parts;
    struct buf line;

    buf_init(&line, EVENT_GAP_JSON_MAX);
    assert_true(event_gap_json(&gap, &line));
    assert_true(event_line_parse(buf_bytes(&line), &parts));
    assert_true(bytes_equal(parts.kind, BYTES("gap")));
    assert_int_equal(parts.time_ms, gap.time_ms);
    assert_false(event_gap_json(&gap, &line));
    buf_free(&line);
}

TEST(event_line_takes_no_line_that_is_cut)
{
    struct event event = event_sample();
    struct event_line parts;
    struct buf line;
    size_t good = 0;

    buf_init(&line, EVENT_JSON_MAX);
    assert_true(event_json(&event, &line));
    for (size_t len = 0; len < 400; len++)
        good += event_line_parse(bytes_slice(buf_bytes(&line), 0, len), &parts);
    assert_true(good > 0 && good < 300);
    assert_false(event_line_parse(BYTES("{\"schema\":1,\"event_id\":\"\",\"seq\":1"), &parts));
    assert_false(event_line_parse(BYTES(""), &parts));
#define FRONT "{\"schema\":1,\"event_id\":\""
#define BACK \
    "\",\"id\":null,\"recipient\":null,\"tenant\":null,\"time\":\"2026-11-24T03:10:00.000Z\"}"
    assert_true(event_line_parse(BYTES(FRONT "x\",\"seq\":1,\"kind\":\"x" BACK), &parts));
    assert_false(event_line_parse(BYTES(FRONT "\",\"seq\":1,\"kind\":\"x" BACK), &parts));
    assert_false(event_line_parse(BYTES(FRONT "x\",\"seq\":1,\"kind\":\"" BACK), &parts));
    buf_free(&line);
}
