#include "event/event.h"

#include <string.h>

#include "support/unit.h"

TEST(event_kinds_have_names_that_parse_back)
{
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        enum event_kind parsed;

        assert_true(event_kind_parse(bytes_of(event_kind_name((enum event_kind)kind)), &parsed));
        assert_int_equal(parsed, kind);
    }
    enum event_kind untouched = EVENT_CLICKED;
    assert_false(event_kind_parse(BYTES("Delivered"), &untouched));
    assert_false(event_kind_parse(BYTES(""), &untouched));
    assert_int_equal(untouched, EVENT_CLICKED);
}

TEST(event_kind_final_ends_a_recipient)
{
    static const enum event_kind finals[] = {EVENT_DELIVERED, EVENT_BOUNCED,    EVENT_EXPIRED,
                                             EVENT_CANCELLED, EVENT_SUPPRESSED, EVENT_FILED};
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(finals); i++)
        expect_row(i, event_kind_is_final(finals[i]));
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        count += event_kind_is_final((enum event_kind)kind);
        /* Who ends a recipient is one of its message's events. */
        expect_row(kind, !event_kind_is_final((enum event_kind)kind) ||
                             event_kind_is_counted((enum event_kind)kind));
    }
    assert_int_equal(count, ARRAY_LEN(finals));
}

TEST(message_id_formats_node_shard_and_serial)
{
    char text[MESSAGE_ID_TEXT_MAX];

    event_set_node(0x0a9f);
    message_id_format((struct message_id){(uint64_t)3 << 56 | 0x7a1b2c3d4e5f}, text);
    assert_string_equal(text, "0a9f03-07a1b2c3d4e5f");
    assert_int_equal(strlen(text), MESSAGE_ID_TEXT_LEN);
    struct message_id id = {0};
    assert_true(message_id_parse(bytes_of(text), &id));
    assert_int_equal(id.value, (uint64_t)3 << 56 | 0x7a1b2c3d4e5f);
    assert_int_equal(message_id_shard(id), 3);
    event_set_node(0);
}

static const struct {
    const char *text;
    bool valid;
} ids[] = {
    {"000003-07a1b2c3d4e5f", true},
    {"0000ff-fffffffffffff", true},
    {"000003-07A1b2c3d4e5f", false}, /* one form only */
    {"000003-07a1b2c3d4e5", false},
    {"000003-07a1b2c3d4e5f0", false},
    {"000003_07a1b2c3d4e5f", false},
    {"000103-07a1b2c3d4e5f", false}, /* another node's */
    {"000000-0000000000000", false}, /* no id at all */
    {"00000g-07a1b2c3d4e5f", false},
    {"000003-07a1b2c3d4e5 ", false},
    {"", false},
};

TEST(message_id_parse_takes_the_text_form_only)
{
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct message_id id = {42};

        expect_row(i, message_id_parse(bytes_of(ids[i].text), &id) == ids[i].valid);
        expect_row(i, ids[i].valid || id.value == 42);
    }
}
