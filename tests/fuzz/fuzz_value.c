/* modules: program */
/*
 * fuzz_value.c - scalar texts from the configuration, the command line, control requests and files:
 * addresses, networks, ids, times, sizes, rates. What parses, printed again, parses to the same.
 */
#include <math.h>

#include "base/clock.h"
#include "event/event.h"
#include "io/address.h"
#include "relay/config_value.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void try_address(struct bytes text)
{
    struct address address;
    struct address again;
    struct network network;
    char printed[ADDRESS_TEXT_MAX];

    if (address_parse(text, 25, &address)) {
        check(address_len(&address) > 0);
        size_t len = address_format_port(&address, printed);
        check(len < ADDRESS_TEXT_MAX && printed[len] == '\0');
        check(address_parse(bytes_range(printed, len), 1, &again));
        check(address_equal(&address, &again));
        check(address_port(&address) == address_port(&again));
        len = address_format(&address, printed);
        check(network_parse(bytes_range(printed, len), &network));
        check(network_contains(&network, &address));
    }
    if (network_parse(text, &network))
        check(network.prefix_len <= 128);
}

static void try_time(struct bytes text)
{
    char printed[CLOCK_TEXT_MAX];
    int64_t first;
    int64_t second;

    if (!clock_parse_rfc3339(text, &first))
        return;
    size_t len = clock_format_rfc3339(first, printed);
    check(len < CLOCK_TEXT_MAX);
    check(clock_parse_rfc3339(bytes_range(printed, len), &second));
    check(first == second);
}

static void try_id(struct bytes text)
{
    char printed[MESSAGE_ID_TEXT_MAX];
    struct message_id id;

    if (!message_id_parse(text, &id))
        return;
    check(message_id_is_valid(id));
    message_id_format(id, printed);
    check(bytes_equal(bytes_of(printed), text));
}

static void try_value(struct bytes text)
{
    uint64_t size;
    int64_t ms;
    unsigned percent;
    double number;

    text = bytes_trim(text); /* spaces around a unit are fine */
    if (value_size(text, &size))
        check(byte_is_alpha(text.ptr[text.len - 1]) || size == 0);
    if (value_duration(text, &ms))
        check(ms >= 0);
    if (value_percent(text, &percent))
        check(text.ptr[text.len - 1] == '%');
    if (value_rate(text, &number))
        check(isfinite(number) && number >= 0);
    if (value_number(text, &number))
        check(isfinite(number));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes text = {input, len};

    try_address(text);
    try_time(text);
    try_id(text);
    try_value(text);
    return 0;
}
