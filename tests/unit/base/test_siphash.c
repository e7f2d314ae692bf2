/* test_siphash.c - against the numbers that the authors of SipHash publish. */
#include "base/siphash.h"

#include "support/unit.h"

TEST(siphash_gives_the_published_numbers)
{
    static const struct {
        size_t len; /* of 0, 1, 2 ... */
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31},
        {1, 0x74f839c593dc67fd},
        {8, 0x93f5f5799a932462},
        {15, 0xa129ca6149be45e5},
    };
    struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
    uint8_t text[16];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, siphash(&key, bytes_range(text, rows[i].len)) == rows[i].hash);
}

TEST(siphash_of_nothing_does_not_depend_on_where_it_is)
{
    static const struct siphash_key key = {{1, 2}};

    assert_int_equal(siphash(&key, BYTES_NONE), siphash(&key, bytes_range("x", 0)));
}
