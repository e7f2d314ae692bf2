/* test_tls_policy.c - policies are copies, and what makes two demands different. */
#include "delivery/line/tls_policy.h"

#include <string.h>

#include "delivery/line/router.h"
#include "support/unit.h"

TEST(policy_is_a_copy_of_everything)
{
    char text[] = "mx.example";
    uint8_t digest[3] = {1, 2, 3};
    struct bytes names[] = {bytes_of(text), BYTES("other.example")};
    struct tls_record records[] = {{3, 1, 1, {digest, sizeof(digest)}}};
    const struct tls_policy from = {
        .level = TLS_LEVEL_VERIFY,
        .source = TLS_SOURCE_DANE,
        .found = TLS_RESULT_TLSA_INVALID,
        .found_why = BYTES("why"),
        .rule = BYTES("rule"),
        .server_name = bytes_of(text),
        .name_count = 2,
        .names = names,
        .record_count = 1,
        .records = records,
    };
    struct tls_policy *policy = tls_policy_make(&from);
    struct tls_policy *again = tls_policy_keep(policy);

    memset(text, 'x', sizeof(text) - 1);
    memset(digest, 0, sizeof(digest));
    memset(names, 0, sizeof(names));
    memset(records, 0, sizeof(records));
    tls_policy_release(&policy);
    assert_null(policy);
    assert_int_equal(again->level, TLS_LEVEL_VERIFY);
    assert_int_equal(again->found, TLS_RESULT_TLSA_INVALID);
    assert_true(bytes_equal(again->found_why, BYTES("why")));
    assert_true(bytes_equal(again->rule, BYTES("rule")));
    assert_true(bytes_equal(again->server_name, BYTES("mx.example")));
    assert_true(bytes_equal(again->names[0], BYTES("mx.example")));
    assert_true(bytes_equal(again->names[1], BYTES("other.example")));
    assert_int_equal(again->records[0].usage, 3);
    assert_int_equal(again->records[0].association.ptr[2], 3);
    tls_policy_release(&again);
    tls_policy_release(&again); /* of nothing: nothing */
}

static uint64_t demand_of(const struct tls_policy *one, const struct tls_policy *other)
{
    struct tls_policy *policies[2] = {one != NULL ? tls_policy_make(one) : NULL,
                                      other != NULL ? tls_policy_make(other) : NULL};
    uint64_t demand = tls_policies_demand(policies, 2);

    tls_policy_release(&policies[0]);
    tls_policy_release(&policies[1]);
    return demand;
}

TEST(demand_is_of_what_is_demanded_alone)
{
    struct bytes name = BYTES("a.example"), joined = BYTES("a.examplb");
    uint8_t digest[] = {1}, rolled[] = {2};
    struct tls_record record = {3, 1, 1, {digest, 1}}, next = {3, 1, 1, {rolled, 1}};
    const struct tls_policy said = {.level = TLS_LEVEL_OPPORTUNISTIC, .rule = BYTES("said so")};
    const struct tls_policy require = {.level = TLS_LEVEL_REQUIRE};
    const struct tls_policy verify = {.level = TLS_LEVEL_VERIFY};
    const struct tls_policy testing = {.level = TLS_LEVEL_OPPORTUNISTIC,
                                       .source = TLS_SOURCE_MTA_STS};
    const struct tls_policy named = {.level = TLS_LEVEL_VERIFY, .name_count = 1, .names = &name};
    const struct tls_policy other = {.level = TLS_LEVEL_VERIFY, .name_count = 1, .names = &joined};
    const struct tls_policy asked = {.level = TLS_LEVEL_VERIFY, .server_name = name};
    const struct tls_policy dane = {.level = TLS_LEVEL_VERIFY,
                                    .source = TLS_SOURCE_DANE,
                                    .record_count = 1,
                                    .records = &record};
    const struct tls_policy rolled_dane = {.level = TLS_LEVEL_VERIFY,
                                           .source = TLS_SOURCE_DANE,
                                           .record_count = 1,
                                           .records = &next};
    const struct tls_policy *const all[] = {&require, &verify, &testing, &named,
                                            &other,   &asked,  &dane};

    assert_true(demand_of(NULL, NULL) == 0);
    assert_true(demand_of(&said, NULL) == 0); /* the default, by whatever rule */
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_true(demand_of(all[i], all[i]) != 0);
        assert_true(demand_of(all[i], all[i]) == demand_of(all[i], all[i]));
        assert_true(demand_of(all[i], NULL) == demand_of(NULL, all[i])); /* hosts are shuffled */
        assert_true(demand_of(all[i], NULL) != demand_of(all[i], all[i]));
        for (size_t j = 0; j < i; j++)
            assert_true(demand_of(all[i], NULL) != demand_of(all[j], NULL));
    }
    assert_true(demand_of(&dane, NULL) == demand_of(&rolled_dane, NULL));
}

TEST(rule_of_configuration_becomes_a_policy)
{
    const char *const names[] = {"a.example", "b.example"};
    const struct tls_rule rules[] = {
        {.match = "*.bank.example", .level = TLS_LEVEL_VERIFY, .name_count = 2, .names = names},
        {.match = "open.example", .level = TLS_LEVEL_OPPORTUNISTIC},
        {.match = "*", .level = TLS_LEVEL_REQUIRE},
    };
    const struct tls_rule by_default = {.match = "*", .level = TLS_LEVEL_OPPORTUNISTIC};
    const struct delivery_settings none = {0};
    const struct delivery_settings all = {.tls_rule_count = 1, .tls_rules = &by_default};
    const struct delivery_settings strict = {.tls_rule_count = 3, .tls_rules = rules};

    assert_null(router_tls_policy(&none, BYTES("x.bank.example")));
    assert_null(router_tls_policy(&all, BYTES("x.bank.example")));
    struct tls_policy *policy = router_tls_policy(&strict, BYTES("x.bank.example"));
    assert_int_equal(policy->level, TLS_LEVEL_VERIFY);
    assert_int_equal(policy->source, TLS_SOURCE_CONFIG);
    assert_int_equal(policy->name_count, 2);
    assert_true(bytes_equal(policy->names[1], BYTES("b.example")));
    assert_true(
        bytes_equal(policy->rule, BYTES("delivery.destinations[0] (match *.bank.example)")));
    tls_policy_release(&policy);
    policy = router_tls_policy(&strict, BYTES("open.example"));
    assert_int_equal(policy->level, TLS_LEVEL_OPPORTUNISTIC);
    tls_policy_release(&policy);
    policy = router_tls_policy(&strict, BYTES("other.example"));
    assert_int_equal(policy->level, TLS_LEVEL_REQUIRE);
    assert_true(bytes_equal(policy->rule, BYTES("delivery.tls")));
    tls_policy_release(&policy);
    assert_true(router_tls_is_equal(&strict, &strict, BYTES("x.bank.example")));
    assert_true(router_tls_is_equal(&strict, &all, BYTES("open.example")));
    assert_false(router_tls_is_equal(&strict, &all, BYTES("other.example")));
    assert_false(router_tls_is_equal(&none, &strict, BYTES("other.example")));
}

TEST(names_are_those_of_rfc_8460)
{
    assert_string_equal(tls_result_name(TLS_RESULT_CERTIFICATE_HOST_MISMATCH),
                        "certificate-host-mismatch");
    for (int i = 0; i < TLS_RESULT_COUNT; i++)
        assert_non_null(tls_result_name((enum tls_result)i));
    for (int i = 0; i < TLS_LEVEL_COUNT; i++)
        assert_non_null(tls_level_name((enum tls_level)i));
    for (int i = 0; i < TLS_SOURCE_COUNT; i++)
        assert_non_null(tls_source_name((enum tls_source)i));
}
