/* test_event_head.c - the front of lines as event_json() writes them, and of others. */
#include "event/event_head.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"
#include "tests/unit/event/event_sample.h"

static struct bytes line_of(const struct event *event, struct buf *out)
{
    buf_init(out, EVENT_JSON_MAX);
    assert_true(event_json(event, out));
    return bytes_slice(buf_bytes(out), 0, buf_len(out) - 1);
}

TEST(event_head_reads_what_event_json_writes)
{
    struct event event = event_sample();
    struct event_head head;
    struct buf text;

    event_set_node(0xa1b2);
    assert_true(event_head_parse(line_of(&event, &text), &head));
    assert_int_equal(head.kind, EVENT_DELIVERED);
    assert_true(head.has_seq && head.seq == 2);
    assert_true(head.id.value == event.id.value);
    assert_true(bytes_equal(head.id_text, BYTES("a1b201-07a1b2c3d4e5f")));
    assert_true(bytes_equal(head.recipient, event.recipient));
    assert_true(bytes_equal(head.tenant, BYTES("acme")));
    assert_int_equal(head.shard, event.shard);
    assert_true(head.position == event.position && head.part == event.part);
    buf_free(&text);
    event_set_node(0);
}

TEST(event_head_tells_null_from_text)
{
    struct event event = {.kind = EVENT_SUSPENDED, .time_ms = 1795489800123};
    struct event_head head;
    struct buf text;

    assert_true(event_head_parse(line_of(&event, &text), &head));
    assert_false(head.has_seq);
    assert_true(head.id.value == 0 && head.recipient.ptr == NULL && head.tenant.ptr == NULL);
    buf_free(&text);
}

TEST(event_head_knows_no_place_of_an_id_of_another_form)
{
    static const char *const ids[] = {"0000-0x-0000000100001000-0", "0000-00-000000010000100g-0",
                                      "0000-00-0000000100001000+0", "0000-00-0000000100001000-0x",
                                      "0000-00+0000000100001000-0"};

    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct event_head head;
        char line[256];
        int len = snprintf(line, sizeof(line),
                           "{\"schema\":1,\"event_id\":\"%s\",\"seq\":0,\"kind\":\"delivered\","
                           "\"id\":null,\"recipient\":null,\"tenant\":null,\"time\":null}",
                           ids[i]);

        assert_true(event_head_parse(bytes_range(line, (size_t)len), &head));
        assert_int_equal(head.position, 0);
    }
}

TEST(event_head_leaves_escapes_as_they_are)
{
    struct event event = event_sample();
    struct event_head head;
    struct buf text;

    event.recipient = BYTES("\"a\\\"b\"@\x01.example");
    assert_true(event_head_parse(line_of(&event, &text), &head));
    assert_true(bytes_equal(head.recipient, BYTES("\\\"a\\\\\\\"b\\\"@\\u0001.example")));
    buf_free(&text);
}

#define FRONT "{\"schema\":1,\"event_id\":\"0000-00-0000000100001000-0\",\"seq\":"
#define BACK ",\"recipient\":null,\"tenant\":null,\"time\":null}"

static const struct {
    const char *line;
    bool is_good;
} lines[] = {
    {FRONT "7,\"kind\":\"delivered\",\"id\":\"000000-0000000000001\"" BACK, true},
    {FRONT "7,\"kind\":\"of a later version\",\"id\":\"000000-0000000000001\"" BACK, true},
    {FRONT "null,\"kind\":\"damaged\",\"id\":null" BACK, true},
    {FRONT "4294967295,\"kind\":\"delivered\",\"id\":null" BACK, true},
    {FRONT "4294967296,\"kind\":\"delivered\",\"id\":null" BACK, false},
    {FRONT "-1,\"kind\":\"delivered\",\"id\":null" BACK, false},
    {FRONT "7,\"kind\":\"delivered\",\"id\":\"000000-0000000000000\"" BACK, false},
    {FRONT "7,\"kind\":\"delivered\",\"id\":\"000000-000000000000A\"" BACK, false},
    {FRONT "7,\"kind\":\"delivered\",\"id\":\"000000_0000000000001\"" BACK, false},
    {FRONT "7,\"kind\":\"delivered\",\"id\":\"000000-00000000000010\"" BACK, false},
    {FRONT "7,\"kind\":\"delivered,\"id\":null" BACK, false},
    {"{\"schema\":2,\"event_id\":\"0000-00-0000000100001000-0\",\"seq\":7,\"kind\":\"delivered\","
     "\"id\":null" BACK,
     false},
    {"{\"schema\":1,\"event_id\":\"\",\"seq\":7,\"kind\":\"delivered\",\"id\":null" BACK, false},
    {FRONT "7,\"kind\":\"delivered\",\"id\":null,\"recipient\":\"a\\\",\"tenant\":null}", false},
    {FRONT "7,\"kind\":\"delivered\",\"id\":null" BACK " ", false},
    {"{}", false},
    {"", false},
};

TEST(event_head_refuses_what_event_json_does_not_write)
{
    struct event_head head;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        expect_row(i, event_head_parse(bytes_of(lines[i].line), &head) == lines[i].is_good);
    assert_true(event_head_parse(bytes_of(lines[1].line), &head));
    assert_int_equal(head.kind, EVENT_KIND_COUNT);
}

TEST(event_head_tells_when_an_id_was_given)
{
    assert_true(event_head_id_us((struct message_id){(uint64_t)3 << 56 | 5}) == 1577836800000005);
}
