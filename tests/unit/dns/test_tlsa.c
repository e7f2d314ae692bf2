/* test_tlsa.c - which TLSA records are of use. */
#include "dns/tlsa.h"

#include <string.h>

#include "support/unit.h"

TEST(parse_says_which_are_of_use)
{
    static const struct {
        uint8_t usage, selector, matching;
        size_t len;
        bool is_usable;
    } rows[] = {
        {3, 1, 1, 32, true},
        {3, 0, 1, 32, true},
        {2, 0, 1, 32, true},
        {2, 1, 2, 64, true},
        {3, 1, 2, 64, true},
        {3, 0, 0, 900, true},
        {2, 1, 0, 1, true},
        {0, 0, 1, 32, false},
        {1, 1, 1, 32, false},
        {4, 1, 1, 32, false},
        {255, 1, 1, 32, false},
        {3, 2, 1, 32, false},
        {3, 1, 3, 32, false},
        {3, 1, 1, 31, false},
        {3, 1, 1, 33, false},
        {3, 1, 1, 0, false},
        {3, 1, 2, 32, false},
        {3, 1, 2, 63, false},
        {3, 1, 2, 65, false},
        {3, 0, 0, 0, false},
        {3, 0, 0, TLSA_ASSOCIATION_MAX, true},
        {3, 0, 0, TLSA_ASSOCIATION_MAX + 1, false},
    };
    static uint8_t rdata[3 + TLSA_ASSOCIATION_MAX + 1];

    memset(rdata, 0x30, sizeof(rdata));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tlsa_record record;

        rdata[0] = rows[i].usage;
        rdata[1] = rows[i].selector;
        rdata[2] = rows[i].matching;
        expect_row(i, (tlsa_parse(bytes_range(rdata, 3 + rows[i].len), &record) == NULL) ==
                          rows[i].is_usable);
        assert_int_equal(record.usage, rows[i].usage);
        assert_int_equal(record.selector, rows[i].selector);
        assert_int_equal(record.matching, rows[i].matching);
        assert_int_equal(record.association.len, rows[i].len);
    }
}

TEST(parse_refuses_what_is_cut_off_and_what_is_no_certificate)
{
    static const uint8_t rdata[] = {3, 0, 0, 0x31, 0x82};
    struct tlsa_record record;

    for (size_t len = 0; len <= sizeof(rdata); len++)
        assert_non_null(tlsa_parse(bytes_range(rdata, len), &record));
    assert_int_equal(record.association.len, 2);
}
