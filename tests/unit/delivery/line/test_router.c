/* test_router.c - first match wins, targets of routes. */
#include "delivery/line/router.h"

#include <stdio.h>

#include "support/unit.h"

TEST(router_picks_first_match_and_falls_back_to_last)
{
    const char *targets[] = {"smart"};
    const struct route routes[] = {
        {.match = "*.lab.example", .target_count = 1, .targets = targets},
        {.match = "a.lab.example", .target_count = 1, .targets = targets},
    };
    const struct retry_rule retries[] = {{.match = "slow.example", .first_s = 1},
                                         {.match = "*", .first_s = 2}};
    const struct egress_rule rules[] = {{.match = "mx.big.example", .connections = 1},
                                        {.match = "small.example", .connections = 2},
                                        {.match = "*", .connections = 3}};
    const struct delivery_settings settings = {
        .route_count = 2,
        .routes = routes,
        .retry_count = 2,
        .retries = retries,
        .egress_rule_count = 3,
        .egress_rules = rules,
    };

    assert_ptr_equal(router_route(&settings, BYTES("a.lab.example")), &routes[0]);
    assert_null(router_route(&settings, BYTES("lab.example")));
    assert_int_equal(router_retry(&settings, BYTES("slow.example"))->first_s, 1);
    assert_int_equal(router_retry(&settings, BYTES("other.example"))->first_s, 2);
    assert_ptr_equal(router_egress_rule(&settings, BYTES("mx.big.example")), &rules[0]);
    assert_ptr_equal(router_egress_rule(&settings, BYTES("small.example")), &rules[1]);
    assert_null(router_egress_rule(&settings, BYTES("z"))); /* "*" is for whole sites */
}

TEST(router_parse_target_takes_hosts_and_addresses)
{
    static const struct {
        const char *text;
        bool is_valid;
        bool is_numeric;
        const char *shown;
    } rows[] = {
        {"mail.example", true, false, "mail.example:25"},
        {"mail.example:2500", true, false, "mail.example:2500"},
        {"10.0.0.9", true, true, "10.0.0.9:25"},
        {"10.0.0.9:2500", true, true, "10.0.0.9:2500"},
        {"[::1]:2500", true, true, "[::1]:2500"},
        {"2001:db8::1", true, true, "[2001:db8::1]:25"},
        {"", false, false, NULL},
        {":25", false, false, NULL},
        {"mail.example:", false, false, NULL},
        {"mail.example:0", false, false, NULL},
        {"mail.example:65536", false, false, NULL},
        {"mail example", false, false, NULL},
        {"[nonsense]:25", false, false, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_target target;
        char shown[ADDRESS_TEXT_MAX];
        bool is_valid = router_parse_target(bytes_of(rows[i].text), 25, &target);

        expect_row(i, is_valid == rows[i].is_valid);
        if (!is_valid)
            continue;
        expect_row(i, target.is_numeric == rows[i].is_numeric);
        if (target.is_numeric)
            address_format_port(&target.address, shown);
        else
            snprintf(shown, sizeof(shown), "%.*s:%u", BYTES_ARG(target.host), target.port);
        expect_row(i, bytes_equal(bytes_of(shown), bytes_of(rows[i].shown)));
    }
}
