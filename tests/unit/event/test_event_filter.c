/* test_event_filter.c - each condition alone, and several together. */
#include "event/event_filter.h"

#include "support/unit.h"

static const char line[] = "{\"schema\":1,\"kind\":\"bounced\",\"id\":\"000001-000000000beef\","
                           "\"recipient\":\"Ann@B.example\",\"tenant\":\"acme\","
                           "\"time\":\"2026-11-24T03:10:00.000Z\",\"tags\":[\"welcome\",\"de\"]}";
static const char bare[] = "{\"schema\":1,\"kind\":\"damaged\",\"id\":null,\"recipient\":null,"
                           "\"tenant\":null,\"time\":\"2026-11-24T03:10:00.000Z\",\"tags\":null}";

static const struct {
    struct event_filter filter;
    bool line, bare;
} cases[] = {
    {{0}, true, true},
    {{.id = "000001-000000000beef"}, true, false},
    {{.id = "000001-000000000bee0"}, false, false},
    {{.recipient = "ann@b.example"}, true, false},
    {{.recipient = "@b.example"}, true, false},
    {{.recipient = "@example"}, false, false},
    {{.domain = "b.EXAMPLE"}, true, false},
    {{.domain = "example"}, false, false},
    {{.domain = ""}, false, false},
    {{.tenant = "acme"}, true, false},
    {{.tenant = "ACME"}, false, false},
    {{.tenant = ""}, false, true},
    {{.kind = "bounced"}, true, false},
    {{.kind = "delivered,bounced"}, true, false},
    {{.kind = "bounced,damaged"}, true, true},
    {{.kind = "bounce"}, false, false},
    {{.tag = "de"}, true, false},
    {{.tag = "d"}, false, false},
    {{.since_ms = 1795489800000}, true, true},
    {{.since_ms = 1795489800001}, false, false},
    {{.tenant = "acme", .kind = "bounced", .domain = "b.example", .tag = "welcome"}, true, false},
    {{.tenant = "acme", .kind = "delivered", .domain = "b.example"}, false, false},
};

TEST(event_filter_lets_through_what_is_asked_for)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_row(i, event_filter_matches(&cases[i].filter, bytes_of(line)) == cases[i].line);
        expect_row(i, event_filter_matches(&cases[i].filter, bytes_of(bare)) == cases[i].bare);
    }
}

TEST(event_filter_refuses_what_is_no_object)
{
    const struct event_filter none = {0}, kind = {.kind = "bounced"};

    assert_false(event_filter_matches(&none, BYTES("")));
    assert_false(event_filter_matches(&none, BYTES("rubbish")));
    assert_false(event_filter_matches(&kind, BYTES("{\"kind\":\"bounced\"")));
    assert_false(event_filter_matches(&kind, BYTES("{\"kind\":bounced}")));
}
