/* test_source.c - the weighted choice of a source. */
#include "delivery/line/source.h"

#include "base/random.h"
#include "support/unit.h"

TEST(source_pick_follows_weights)
{
    const struct source sources[] = {{.weight = 1}, {.weight = 3}, {.weight = 0}};
    unsigned counts[3] = {0};

    random_seed(3);
    for (unsigned i = 0; i < 10000; i++)
        counts[source_pick(sources, 3, 7)]++;
    assert_in_range(counts[0], 1800, 2200);
    assert_in_range(counts[1], 5700, 6300);
    assert_in_range(counts[2], 1800, 2200);
}

TEST(source_pick_takes_usable_ones_only)
{
    const struct source sources[] = {{.weight = 100}, {.weight = 1}};

    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(source_pick(sources, 2, 2), 1);
    assert_int_equal(source_pick(sources, 2, 0), -1);
}

TEST(source_address_is_of_the_peers_family)
{
    struct source source = {.has_address4 = true};
    struct address peer4;
    struct address peer6;

    assert_true(address_parse(BYTES("192.0.2.1"), 25, &peer4));
    assert_true(address_parse(BYTES("2001:db8::1"), 25, &peer6));
    assert_true(address_parse(BYTES("192.0.2.9"), 0, &source.address4));
    assert_ptr_equal(source_address(&source, &peer4), &source.address4);
    assert_true(source_has_ipv4(&source));
    assert_false(source_has_ipv6(&source));
    struct source any = {0};

    assert_true(source_has_ipv4(&any));
    assert_true(source_has_ipv6(&any));
    assert_null(source_address(&any, &peer4));
    assert_null(source_address(&any, &peer6));
}
