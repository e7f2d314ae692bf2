/* test_mx_site.c - names of MX sets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/mx.h"
#include "support/unit.h"

enum { NAMES_MAX = 8 };

/* "10 mx.example", or only "mx.example": of preference 0. */
static struct mx_exchange exchange_of(const char *text)
{
    char *end;
    unsigned long preference = strtoul(text, &end, 10);

    if (*end != ' ')
        return (struct mx_exchange){.name = bytes_of(text)};
    return (struct mx_exchange){(uint16_t)preference, bytes_of(end + 1)};
}

static void expect_site(const char *const names[static NAMES_MAX], const char *expected)
{
    struct mx_exchange exchanges[NAMES_MAX];
    struct bytes site;
    struct arena arena;
    size_t count = 0;

    while (count < NAMES_MAX && names[count] != NULL) {
        exchanges[count] = exchange_of(names[count]);
        count++;
    }
    arena_init(&arena, 65536);
    assert_true(mx_site_name(&arena, exchanges, count, &site));
    if (!bytes_equal(site, bytes_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_ARG(site), expected);
    arena_free(&arena);
}

TEST(site_name_factors_the_common_end)
{
    static const struct {
        const char *names[NAMES_MAX];
        const char *site;
    } rows[] = {
        {{"mx.example"}, "mx.example"},
        {{"mx.example", "mx.example"}, "mx.example"},
        {{"b.example", "a.example"}, "(a|b).example"},
        {{"aspmx.l.google.com", "alt2.aspmx.l.google.com", "alt1.aspmx.l.google.com"},
         "(alt1.aspmx|alt2.aspmx|aspmx).l.google.com"},
        {{"example", "mx.example"}, "(example|mx.example)"}, /* a label stays of each */
        {{"mx.a.example", "mx.b.test"}, "(mx.a.example|mx.b.test)"},
        {{"amx.example", "bmx.example"}, "(amx|bmx).example"}, /* labels, not letters */
        {{"a.mx.example", "b.mx.example"}, "(a|b).mx.example"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_site(rows[i].names, rows[i].site);
}

TEST(site_name_tells_the_order_of_hosts)
{
    static const struct {
        const char *names[NAMES_MAX];
        const char *site;
    } rows[] = {
        {{"10 a.example", "20 b.example"}, "(a>b).example"},
        {{"20 a.example", "10 b.example"}, "(b>a).example"},
        {{"5 b.example", "7 a.example"}, "(b>a).example"}, /* the order, not the numbers */
        {{"20 c.example", "10 a.example", "20 b.example"}, "(a>b|c).example"},
        {{"10 c.example", "10 b.example", "20 a.example"}, "(b|c>a).example"},
        {{"20 a.example", "15 b.example", "10 a.example"}, "(a>b).example"}, /* named twice */
        {{"30 mx.example", "20 mx.example"}, "mx.example"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_site(rows[i].names, rows[i].site);
}

TEST(site_name_is_bounded_and_still_tells_sets_apart)
{
    char text[50][32];
    struct mx_exchange names[50];
    struct bytes sites[2];
    struct bytes fewer;
    struct arena arena;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(text[i], sizeof(text[i]), "mail-host-%zu.example", i);
        names[i] = (struct mx_exchange){.name = bytes_of(text[i])};
    }
    arena_init(&arena, 65536);
    assert_true(mx_site_name(&arena, names, 50, &sites[0]));
    struct mx_exchange swapped = names[0];

    names[0] = names[49];
    names[49] = swapped;
    assert_true(mx_site_name(&arena, names, 50, &sites[1]));
    assert_true(mx_site_name(&arena, names, 49, &fewer));
    assert_int_equal(sites[0].len, MX_SITE_MAX);
    assert_true(bytes_equal(sites[0], sites[1]));
    assert_false(bytes_equal(sites[0], fewer));
    /* Where the order of what was cut off is another one, the name is. */
    names[48].preference = 1;
    assert_true(mx_site_name(&arena, names, 50, &sites[1]));
    assert_false(bytes_equal(sites[0], sites[1]));
    arena_free(&arena);
}

TEST(site_name_says_when_the_arena_is_full)
{
    struct mx_exchange names[] = {{0, BYTES("a.example")}, {0, BYTES("b.example")}};
    struct bytes site;
    struct arena arena;

    arena_init(&arena, 40);
    assert_false(mx_site_name(&arena, names, 2, &site));
    arena_free(&arena);
}

TEST(address_is_forbidden_outside_public_space)
{
    static const struct {
        const char *address;
        bool is_forbidden;
    } rows[] = {
        {"0.0.0.0", true},
        {"0.1.2.3", true},
        {"8.8.8.8", false},
        {"10.0.0.1", true},
        {"9.255.255.255", false},
        {"11.0.0.0", false},
        {"100.63.255.255", false},
        {"100.64.0.0", true},
        {"100.127.255.255", true},
        {"100.128.0.0", false},
        {"127.0.0.1", true},
        {"169.254.169.254", true},
        {"172.15.255.255", false},
        {"172.16.0.1", true},
        {"172.31.255.255", true},
        {"172.32.0.0", false},
        {"192.0.0.8", true},
        {"192.0.1.0", false},
        {"192.0.2.1", true},
        {"192.88.99.1", true},
        {"192.168.1.1", true},
        {"198.17.255.255", false},
        {"198.18.0.1", true},
        {"198.19.255.255", true},
        {"198.20.0.0", false},
        {"198.51.100.7", true},
        {"203.0.113.1", true},
        {"223.255.255.255", false},
        {"224.0.0.1", true},
        {"255.255.255.255", true},
        {"::", true},
        {"::1", true},
        {"fe80::1", true},
        {"fc00::1", true},
        {"fd12::1", true},
        {"ff02::1", true},
        {"2001:db8::1", true},
        {"2001::1", true},
        {"2001:1ff::1", true},
        {"2001:200::1", false},
        {"2002:7f00:1::", true},
        {"2a00:1450::1", false},
        {"3fff::1", true},
        {"3fff:1000::1", false},
        {"64:ff9b::7f00:1", true},
        {"64:ff9b::808:808", false},
        {"::ffff:127.0.0.1", true},
        {"::ffff:8.8.8.8", false},
        {"::127.0.0.1", true},
        {"64:ff9b:1::1", true},
    };
    struct mx_rules rules = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address;

        assert_true(address_parse(bytes_of(rows[i].address), 25, &address));
        if (mx_address_is_forbidden(&rules, &address) != rows[i].is_forbidden)
            fail_msg("%s", rows[i].address);
    }
    assert_true(mx_address_is_forbidden(&rules, &(struct address){0}));
}

TEST(address_is_allowed_by_a_named_network)
{
    struct network networks[2];
    struct mx_rules rules = {.allow_private = networks, .allow_private_count = 2};
    struct address address;

    assert_true(network_parse(BYTES("127.0.0.0/8"), &networks[0]));
    assert_true(network_parse(BYTES("fd00::/8"), &networks[1]));
    assert_true(address_parse(BYTES("127.1.2.3"), 25, &address));
    assert_false(mx_address_is_forbidden(&rules, &address));
    assert_true(address_parse(BYTES("fd00::1"), 25, &address));
    assert_false(mx_address_is_forbidden(&rules, &address));
    assert_true(address_parse(BYTES("10.0.0.1"), 25, &address));
    assert_true(mx_address_is_forbidden(&rules, &address));
}
