/* test_provider.c - which sets of hosts are a provider's, and which rules it has. */
#include "delivery/line/provider.h"

#include "support/unit.h"

static const char *const big_mx[] = {"*.mail.big.example", "mx.big.test"};
static const char *const other_mx[] = {"*.big.example"};
static const struct provider_rule providers[] = {
    {.name = "nobody"},
    {.name = "big", .mx_count = 2, .mx = big_mx},
    {.name = "other", .mx_count = 1, .mx = other_mx},
};
static const struct egress_rule rules[] = {
    {.match = "", .provider = "big", .connections = 50},
    {.match = "a.mail.big.example", .connections = 1}, /* one host, not what the pattern is for */
    {.match = "*.mail.big.example", .connections = 60, .messages_per_s = 5},
    {.match = "", .provider = "nobody", .connections = 2},
    {.match = "*", .connections = 3},
};
static const struct delivery_settings settings = {
    .provider_count = 3,
    .providers = providers,
    .egress_rule_count = 5,
    .egress_rules = rules,
};

static const struct provider_rule *of_hosts(const char *one, const char *two)
{
    const char *const names[] = {one, two};
    struct mx_host set_hosts[2] = {0};
    struct mx_set set = {.hosts = set_hosts};

    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        char address[] = "192.0.2.1";

        address[sizeof(address) - 2] = (char)('1' + i);
        set_hosts[i].name = bytes_of(names[i]);
        set_hosts[i].address_count = 1;
        assert_true(address_parse(bytes_of(address), 25, &set_hosts[i].addresses[0]));
        set.host_count++;
    }
    struct hosts *hosts = hosts_new(&set, NULL, NULL);
    const struct provider_rule *provider = provider_of(&settings, hosts);

    hosts_release(&hosts);
    return provider;
}

TEST(provider_has_the_sets_all_of_whose_hosts_match)
{
    assert_ptr_equal(of_hosts("a-example.mail.big.example", NULL), &providers[1]);
    assert_ptr_equal(of_hosts("b-example.mail.big.example", "MX.big.test"), &providers[1]);
    assert_ptr_equal(of_hosts("mail.big.example", NULL), &providers[2]); /* the second rule's */
    assert_ptr_equal(of_hosts("a.mail.big.example", "a.big.example"), &providers[2]);
    assert_null(of_hosts("a.mail.big.example", "mx.customer.example"));
    assert_null(of_hosts("a.mail.big.example.customer.example", NULL));
    assert_null(of_hosts(NULL, NULL));
}

TEST(provider_has_the_strictest_of_its_rules_and_those_that_cover_its_patterns)
{
    struct limits limits;

    limits_of_provider(&limits, &settings, &providers[1]);
    assert_int_equal(limits_connections(&limits), 50);
    assert_true(limits_rate(&limits) == 5);
    assert_false(limits.is_default);
    assert_ptr_equal(limits_connections_rule(&limits), &rules[0]);
    limits_of_provider(&limits, &settings, &providers[2]);
    assert_int_equal(limits_connections(&limits), 3);
    assert_true(limits.is_default);
}

TEST(limits_of_a_site_are_joined_with_its_providers)
{
    struct limits limits, of_provider;

    limits_of_provider(&of_provider, &settings, &providers[1]);
    limits_init(&limits, &settings);
    limits_add_all(&limits, &of_provider);
    assert_int_equal(limits_connections(&limits), 50); /* "*" gives way */
    (void)limits_add(&limits, &settings, BYTES("a.mail.big.example"));
    assert_int_equal(limits_connections(&limits), 1);
    assert_true(limits_rate(&limits) == 5);
    limits_of_provider(&of_provider, &settings, &providers[2]);
    limits_add_all(&limits, &of_provider);
    assert_int_equal(limits_connections(&limits), 1);
}
