/* test_config_value.c - sizes, durations, percentages, rates as people write them. */
#include "relay/config_value.h"
#include "support/unit.h"

static const struct {
    const char *text;
    bool valid;
    uint64_t bytes;
} sizes[] = {
    {"25MiB", true, 25 << 20},
    {"4 KiB", true, 4096},
    {"1GB", true, 1000000000},
    {"0B", true, 0},
    {"25", false, 0},    /* no unit */
    {"MiB", false, 0},   /* no number */
    {"25mib", false, 0}, /* units are written one way */
    {"-1B", false, 0},
    {"1.5GiB", false, 0},
    {"99999999TiB", false, 0}, /* past 63 bits */
    {"18446744073709551616B", false, 0},
    {"", false, 0},
};

TEST(value_size_takes_binary_and_decimal_units)
{
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t bytes = 0;

        expect_row(i, value_size(bytes_of(sizes[i].text), &bytes) == sizes[i].valid);
        expect_row(i, bytes == sizes[i].bytes);
    }
}

static const struct {
    const char *text;
    bool valid;
    int64_t ms;
} durations[] = {
    {"250ms", true, 250},
    {"30s", true, 30000},
    {"5m", true, 300000},
    {"4h", true, 14400000},
    {"3d", true, 259200000},
    {"2w", true, 1209600000},
    {"0", true, 0},
    {"5", false, 0},
    {"5 minutes", false, 0},
    {"s", false, 0},
    {"99999999999999999w", false, 0},
};

TEST(value_duration_needs_a_unit)
{
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        int64_t ms = 0;

        expect_row(i, value_duration(bytes_of(durations[i].text), &ms) == durations[i].valid);
        expect_row(i, ms == durations[i].ms);
    }
}

TEST(value_percent_is_bounded)
{
    unsigned percent = 0;

    assert_true(value_percent(BYTES("20%"), &percent));
    assert_int_equal(percent, 20);
    assert_true(value_percent(BYTES("100%"), &percent));
    assert_false(value_percent(BYTES("101%"), &percent));
    assert_false(value_percent(BYTES("20"), &percent));
    assert_false(value_percent(BYTES("%"), &percent));
}

TEST(value_rate_and_number_are_strict)
{
    double value = 0;

    assert_true(value_rate(BYTES("600/m"), &value));
    assert_true(value == 10.0);
    assert_false(value_rate(BYTES("0/s"), &value));
    assert_false(value_rate(BYTES("10"), &value));
    assert_true(value_number(BYTES("1.25"), &value));
    assert_true(value == 1.25);
    assert_true(value_number(BYTES("3"), &value));
    assert_false(value_number(BYTES("3."), &value));
    assert_false(value_number(BYTES(".5"), &value));
    assert_false(value_number(BYTES("1e3"), &value));
}
