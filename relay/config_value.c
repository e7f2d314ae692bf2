/* config_value.c - sizes, durations, rates as people write them. */
#include "relay/config_value.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
};

static const struct unit duration_units[] = {
    {"ms", 1},          {"s", 1000},         {"m", 60 * 1000},
    {"h", 3600 * 1000}, {"d", 86400 * 1000}, {"w", 7 * 86400 * 1000ULL},
};

static const struct unit rate_units[] = {
    {"/s", 1},
    {"/m", 60},
    {"/h", 3600},
    {"/d", 86400},
};

static bool with_unit(struct bytes text, const struct unit *units, size_t unit_count,
                      uint64_t *count_out, uint64_t *factor_out)
{
    uint64_t count;

    if (!bytes_take_u64(&text, &count))
        return false;
    text = bytes_trim(text);
    for (size_t i = 0; i < unit_count; i++) {
        if (bytes_equal(text, bytes_of(units[i].name))) {
            *count_out = count;
            *factor_out = units[i].factor;
            return true;
        }
    }
    return false;
}

bool value_size(struct bytes text, uint64_t *bytes_out)
{
    uint64_t count, factor, size;

    if (!with_unit(text, size_units, ARRAY_LEN(size_units), &count, &factor))
        return false;
    if (__builtin_mul_overflow(count, factor, &size) || size > INT64_MAX)
        return false;
    *bytes_out = size;
    return true;
}

bool value_duration(struct bytes text, int64_t *ms_out)
{
    uint64_t count, factor;
    int64_t ms;

    if (bytes_equal(text, BYTES("0"))) {
        *ms_out = 0;
        return true;
    }
    if (!with_unit(text, duration_units, ARRAY_LEN(duration_units), &count, &factor))
        return false;
    if (__builtin_mul_overflow(count, factor, &ms))
        return false;
    *ms_out = ms;
    return true;
}

bool value_percent(struct bytes text, unsigned *percent_out)
{
    uint64_t percent;

    if (!bytes_take_u64(&text, &percent) || !bytes_equal(text, BYTES("%")) || percent > 100)
        return false;
    *percent_out = (unsigned)percent;
    return true;
}

bool value_rate(struct bytes text, double *per_s_out)
{
    uint64_t count, factor;

    if (!with_unit(text, rate_units, ARRAY_LEN(rate_units), &count, &factor) || count == 0)
        return false;
    *per_s_out = (double)count / (double)factor;
    return true;
}

bool value_number(struct bytes text, double *number_out)
{
    uint64_t whole, fraction = 0;
    double scale = 1;

    if (!bytes_take_u64(&text, &whole))
        return false;
    if (text.len > 0) {
        size_t digits = text.len - 1;

        if (text.ptr[0] != '.' || digits == 0 || digits > 15)
            return false;
        text = bytes_slice(text, 1, digits);
        if (!bytes_to_u64(text, &fraction))
            return false;
        for (size_t i = 0; i < digits; i++)
            scale *= 10;
    }
    *number_out = (double)whole + (double)fraction / scale;
    return true;
}
