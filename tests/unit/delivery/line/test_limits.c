/* test_limits.c - the strictest of the rules that apply to a site. */
#include "delivery/line/limits.h"

#include "support/unit.h"

static const struct egress_rule rules[] = {
    {.match = "big.example", .connections = 50, .messages_per_s = 100},
    {.match = "slow.example", .messages_per_s = 2, .idle_s = 1},
    {.match = "*.mx.example", .connections = 30, .recipients = 7, .messages_per_connection = 9},
    {.match = "*", .connections = 3},
    {.match = "late.example", .connections = 60},
    {.match = "*"},
};
static const struct delivery_settings settings = {
    .egress_rule_count = ARRAY_LEN(rules),
    .egress_rules = rules,
};

static struct limits limits_of_names(const char *const names[static 3])
{
    struct limits limits;

    limits_init(&limits, &settings);
    for (size_t i = 0; i < 3 && names[i] != NULL; i++)
        (void)limits_add(&limits, &settings, bytes_of(names[i]));
    return limits;
}

TEST(limits_are_the_default_where_no_other_rule_applies)
{
    struct limits limits = limits_of_names((const char *[3]){"x.example", "y.example"});

    assert_int_equal(limits_connections(&limits), 3);
    assert_int_equal(limits_messages(&limits), EGRESS_MESSAGES_DEFAULT);
    assert_int_equal(limits_idle_s(&limits), EGRESS_IDLE_S_DEFAULT);
    assert_int_equal(limits_recipients(&limits), EGRESS_RECIPIENTS_DEFAULT);
    assert_true(limits_rate(&limits) == 0);
}

/* Also to more than the default lets have: it is for those that no rule names. */
TEST(limits_of_one_rule_replace_the_default)
{
    struct limits limits = limits_of_names((const char *[3]){"x.example", "big.example"});

    assert_int_equal(limits_connections(&limits), 50);
    assert_true(limits_rate(&limits) == 100);
    limits = limits_of_names((const char *[3]){"late.example"});
    assert_int_equal(limits_connections(&limits), 60);
}

TEST(limits_are_the_strictest_each_whichever_came_first)
{
    static const char *const orders[][3] = {
        {"big.example", "slow.example", "a.mx.example"},
        {"a.mx.example", "slow.example", "big.example"},
        {"slow.example", "big.example", "a.mx.example"},
    };

    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct limits limits = limits_of_names(orders[i]);

        expect_row(i, limits_connections(&limits) == 20); /* slow.example's, which names none */
        expect_row(i, limits_rate(&limits) == 2);
        expect_row(i, limits_idle_s(&limits) == 1);
        expect_row(i, limits_messages(&limits) == 9);
        expect_row(i, limits_recipients(&limits) == 7);
        expect_row(i, limits.rate == 1 && limits.recipients == 2);
    }
}

TEST(limits_say_whether_something_became_stricter)
{
    struct limits limits;

    limits_init(&limits, &settings);
    assert_false(limits_add(&limits, &settings, BYTES("x.example")));
    assert_true(limits_add(&limits, &settings, BYTES("big.example")));
    assert_false(limits_add(&limits, &settings, BYTES("big.example")));
    assert_true(limits_add(&limits, &settings, BYTES("slow.example")));
    assert_false(limits_add(&limits, &settings, BYTES("big.example")));
}
