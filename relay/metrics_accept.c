/* metrics_accept.c - media ranges with their weights. */
#include "relay/metrics_accept.h"

enum { WEIGHT_MAX = 1000 };

/* RFC 9110 section 12.4.2: "0", "1", with up to three digits behind the point. -1: it is none. */
static int weight_of(struct bytes text)
{
    int weight = 0;
    int unit = WEIGHT_MAX / 10;

    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
        return -1;
    weight = (text.ptr[0] - '0') * WEIGHT_MAX;
    if (text.len > 1 && text.ptr[1] != '.')
        return -1;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (!byte_is_digit(text.ptr[i]))
            return -1;
        weight += (text.ptr[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : -1;
}

/* The parameters of a range: its weight; -1 when it is not for us. */
static int range_weight(struct bytes parameters)
{
    int weight = WEIGHT_MAX;

    while (parameters.len > 0) {
        size_t end = bytes_find(parameters, ';', 0);
        struct bytes parameter = bytes_trim(bytes_slice(parameters, 0, end));

        parameters = bytes_slice(parameters, MIN(end + 1, parameters.len), parameters.len);
        if (bytes_take_nocase(&parameter, BYTES("q=")))
            weight = weight_of(parameter);
        else if (bytes_take_nocase(&parameter, BYTES("version=")) &&
                 !bytes_equal(parameter, BYTES("1.0.0")) && !bytes_equal(parameter, BYTES("0.0.4")))
            return -1;
        if (weight < 0)
            return -1;
    }
    return weight;
}

enum exposition_format metrics_accept(struct bytes accept)
{
    int open = 0;
    int text = 0;

    while (accept.len > 0) {
        size_t end = bytes_find(accept, ',', 0);
        struct bytes range = bytes_trim(bytes_slice(accept, 0, end));
        size_t name_len = bytes_find(range, ';', 0);
        struct bytes name = bytes_trim(bytes_slice(range, 0, name_len));
        int weight = range_weight(bytes_slice(range, MIN(name_len + 1, range.len), range.len));

        accept = bytes_slice(accept, MIN(end + 1, accept.len), accept.len);
        if (bytes_equal_nocase(name, BYTES("application/openmetrics-text")))
            open = MAX(open, weight);
        else if (bytes_equal_nocase(name, BYTES("text/plain")))
            text = MAX(text, weight);
    }
    return open > 0 && open >= text ? EXPOSITION_OPENMETRICS : EXPOSITION_PROMETHEUS;
}
