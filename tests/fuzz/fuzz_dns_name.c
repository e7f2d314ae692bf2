/* modules: dns base */
/* fuzz_dns_name.c - names out of packets and out of text: what is good one way is the other way. */
#include "dns/name.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void check_name(const struct dns_name *name)
{
    struct bytes text = dns_name_bytes(name);
    struct dns_name again;

    check(name->len <= DNS_NAME_MAX);
    check(name->text[name->len] == '\0');
    check(bytes_find(text, '\0', 0) == text.len);
    check(dns_name_parse(text, &again));
    check(bytes_equal(dns_name_bytes(&again), text));
    check(dns_name_is_below(text, text) && dns_name_is_below(text, BYTES_NONE));
    size_t dot = bytes_find(text, '.', 0);
    if (dot < text.len) {
        struct bytes parent = bytes_slice(text, dot + 1, text.len);

        check(dns_name_is_below(text, parent));
        check(!dns_name_is_below(parent, text));
    }
}

/* The name in wire form, behind a header as in a packet, must be taken as the same name. */
static void check_wire(const struct dns_name *name)
{
    uint8_t packet[12 + 256] = {0};
    size_t at = 12;
    size_t position = 12;
    struct dns_name again;
    struct bytes rest = dns_name_bytes(name);

    while (rest.len > 0) {
        size_t label = bytes_find(rest, '.', 0);

        packet[at++] = (uint8_t)label;
        memcpy(packet + at, rest.ptr, label);
        at += label;
        rest = bytes_slice(rest, label + 1, rest.len);
    }
    at++;
    check(dns_name_take((struct bytes){packet, at}, &position, &again) == DNS_NAME_GOOD);
    check(position == at);
    check(bytes_equal(dns_name_bytes(&again), dns_name_bytes(name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes all = {input, len};
    struct dns_name name;

    for (size_t from = 0; from < MIN(len, (size_t)64); from++) {
        size_t position = from;
        enum dns_name_verdict verdict = dns_name_take(all, &position, &name);

        if (verdict == DNS_NAME_BROKEN) {
            check(position == from);
            continue;
        }
        check(position > from && position <= len);
        if (verdict == DNS_NAME_GOOD && name.len > 0) {
            check_name(&name);
            check_wire(&name);
        }
    }
    if (dns_name_parse(all, &name)) {
        check_name(&name);
        check_wire(&name);
        check(!dns_name_is_host(all) || dns_name_is_host(dns_name_bytes(&name)));
    }
    return 0;
}
