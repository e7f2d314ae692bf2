/* test_address_scope.c - which addresses are public. */
#include "io/address_scope.h"

#include "support/unit.h"

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

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address;

        assert_true(address_parse(bytes_of(rows[i].address), 25, &address));
        if (address_is_forbidden(&address, NULL, 0) != rows[i].is_forbidden)
            fail_msg("%s", rows[i].address);
    }
    assert_true(address_is_forbidden(&(struct address){0}, NULL, 0));
}

TEST(address_is_allowed_by_a_named_network)
{
    struct network networks[2];
    struct address address;

    assert_true(network_parse(BYTES("127.0.0.0/8"), &networks[0]));
    assert_true(network_parse(BYTES("fd00::/8"), &networks[1]));
    assert_true(address_parse(BYTES("127.1.2.3"), 25, &address));
    assert_false(address_is_forbidden(&address, networks, 2));
    assert_true(address_parse(BYTES("fd00::1"), 25, &address));
    assert_false(address_is_forbidden(&address, networks, 2));
    assert_true(address_parse(BYTES("10.0.0.1"), 25, &address));
    assert_true(address_is_forbidden(&address, networks, 2));
}
