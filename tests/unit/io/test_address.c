/* test_address.c - addresses and networks. */
#include <string.h>

#include "io/address.h"
#include "support/unit.h"

static const struct {
    const char *text;
    const char *formatted; /* with the port; NULL: not an address */
} addresses[] = {
    {"192.0.2.1", "192.0.2.1:25"},
    {"192.0.2.1:2525", "192.0.2.1:2525"},
    {"192.0.2.1:0", "192.0.2.1:0"},
    {"192.0.2.1:65535", "192.0.2.1:65535"},
    {"2001:db8::1", "[2001:db8::1]:25"},
    {"2001:DB8:0:0::1", "[2001:db8::1]:25"},
    {"[2001:db8::1]", "[2001:db8::1]:25"},
    {"[2001:db8::1]:587", "[2001:db8::1]:587"},
    {"::", "[::]:25"},
    {"::1", "[::1]:25"},
    {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:25"},
    {"", NULL},
    {"localhost", NULL},
    {"192.0.2", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.01", NULL}, /* octal to some */
    {"0x7f.0.0.1", NULL},
    {"192.0.2.1:", NULL},
    {"192.0.2.1:65536", NULL},
    {"192.0.2.1:-1", NULL},
    {"192.0.2.1:25x", NULL},
    {":25", NULL},
    {" 192.0.2.1", NULL},
    {"[192.0.2.1]", NULL},
    {"[192.0.2.1]:25", NULL},
    {"[2001:db8::1", NULL},
    {"[2001:db8::1]25", NULL},
    {"[2001:db8::1]:", NULL},
    {"[]:25", NULL},
    {"2001:db8::1::2", NULL},
    {"2001:db8::12345", NULL},
    {"fe80::1%eth0", NULL},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
    {"1111:2222:3333:4444:5555:6666:255.255.255.255.1111:2222:3333:4444", NULL},
};

TEST(address_parse_and_format_agree)
{
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct address address = {0};
        char text[ADDRESS_TEXT_MAX];
        bool valid = address_parse(bytes_of(addresses[i].text), 25, &address);

        expect_row(i, valid == (addresses[i].formatted != NULL));
        if (!valid) {
            expect_row(i, address_len(&address) == 0); /* out is untouched */
            continue;
        }
        size_t len = address_format_port(&address, text);

        assert_string_equal(text, addresses[i].formatted);
        expect_row(i, len == strlen(text));
    }
}

TEST(address_parse_refuses_an_embedded_nul)
{
    struct address address;

    assert_false(address_parse(BYTES("192.0.2.1\0x"), 25, &address));
}

TEST(address_format_of_a_zeroed_one_is_unknown)
{
    struct address address = {0};
    char text[ADDRESS_TEXT_MAX];

    assert_int_equal(address_format(&address, text), 7);
    assert_string_equal(text, "unknown");
    assert_int_equal(address_format_port(&address, text), 7);
    assert_int_equal(address_len(&address), 0);
    assert_int_equal(address_port(&address), 0);
}

TEST(longest_address_fits_its_text)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX];

    assert_true(
        address_parse(BYTES("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535"), 1, &address));
    assert_true(address_format_port(&address, text) < ADDRESS_TEXT_MAX);
}

static struct address parse(const char *text)
{
    struct address address;

    assert_true(address_parse(bytes_of(text), 25, &address));
    return address;
}

TEST(address_equal_ignores_ports_and_mapping)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } pairs[] = {
        {"192.0.2.1:25", "192.0.2.1:26", true}, {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},      {"2001:db8::1", "[2001:db8::1]:99", true},
        {"2001:db8::1", "2001:db8::2", false},  {"192.0.2.1", "::192.0.2.1", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct address a = parse(pairs[i].a), b = parse(pairs[i].b);

        expect_row(i, address_equal(&a, &b) == pairs[i].equal);
        expect_row(i, address_equal(&b, &a) == pairs[i].equal);
    }
    struct address none = {0};

    assert_false(address_equal(&none, &none));
}

TEST(address_from_maps_ipv4_and_refuses_other_families)
{
    struct address mapped = parse("[::ffff:192.0.2.1]:77"), out = {0};
    struct sockaddr unix_address = {.sa_family = AF_UNIX};
    char text[ADDRESS_TEXT_MAX];

    assert_true(address_from(&mapped.any, &out));
    address_format_port(&out, text);
    assert_string_equal(text, "192.0.2.1:77");
    assert_false(address_from(&unix_address, &out));
    address_set_port(&out, 78);
    assert_int_equal(address_port(&out), 78);
    address_set_port(&mapped, 79);
    assert_int_equal(address_port(&mapped), 79);
}

static const struct {
    const char *network;
    const char *address; /* NULL: the network is refused */
    bool inside;
} networks[] = {
    {"192.0.2.0/24", "192.0.2.255", true},
    {"192.0.2.0/24", "192.0.3.0", false},
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.128/25", "192.0.2.128", true},
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.1/32", "192.0.2.1", true},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"127.0.0.0/8", "::ffff:127.1.2.3", true},
    {"::ffff:127.0.0.0/104", "127.1.2.3", true},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/32", "2001:db9::1", false},
    {"2001:db8::/33", "2001:db8:8000::", false},
    {"2001:db8::1", "2001:db8::1", true},
    {"192.0.2.1/24", NULL, false}, /* bits behind the prefix */
    {"2001:db8::1/32", NULL, false},
    {"192.0.2.0/33", NULL, false},
    {"2001:db8::/129", NULL, false},
    {"192.0.2.0/", NULL, false},
    {"192.0.2.0/-1", NULL, false},
    {"192.0.2.0/24/1", NULL, false},
    {"192.0.2/24", NULL, false},
    {"192.0.2.0:25/24", NULL, false},
    {"[2001:db8::]/32", NULL, false},
    {"/24", NULL, false},
    {"", NULL, false},
};

TEST(network_contains_what_its_prefix_says)
{
    for (size_t i = 0; i < ARRAY_LEN(networks); i++) {
        struct network network;
        bool valid = network_parse(bytes_of(networks[i].network), &network);

        expect_row(i, valid == (networks[i].address != NULL));
        if (!valid)
            continue;
        struct address address = parse(networks[i].address);

        expect_row(i, network_contains(&network, &address) == networks[i].inside);
    }
    struct network everything;
    struct address none = {0};

    assert_true(network_parse(BYTES("::/0"), &everything));
    assert_false(network_contains(&everything, &none));
}
