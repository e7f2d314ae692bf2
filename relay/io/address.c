/* address.c - IP addresses and networks. */
#include "io/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { V4_IN_V6_BITS = 96 };

void address_from_v4(struct in_addr from, uint16_t port, struct address *out)
{
    *out = (struct address){
        .v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = from},
    };
}

void address_from_v6(const struct in6_addr *from, uint16_t port, struct address *out)
{
    *out = (struct address){
        .v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *from},
    };
}

static struct in_addr mapped_v4(const struct in6_addr *mapped)
{
    struct in_addr v4;

    memcpy(&v4, mapped->s6_addr + V4_IN_V6_BITS / 8, sizeof(v4));
    return v4;
}

bool address_from(const struct sockaddr *from, struct address *out)
{
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, from, sizeof(v4));
        address_from_v4(v4.sin_addr, ntohs(v4.sin_port), out);
        return true;
    }
    if (from->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 v6;

    memcpy(&v6, from, sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        address_from_v4(mapped_v4(&v6.sin6_addr), ntohs(v6.sin6_port), out);
        return true;
    }
    *out = (struct address){.v6 = v6}; /* with the scope of a link-local address */
    return true;
}

size_t address_format(const struct address *address, char out[static ADDRESS_TEXT_MAX])
{
    const void *bytes = address->any.sa_family == AF_INET ? (const void *)&address->v4.sin_addr
                                                          : (const void *)&address->v6.sin6_addr;

    if (address_len(address) == 0 ||
        inet_ntop(address->any.sa_family, bytes, out, ADDRESS_TEXT_MAX) == NULL)
        memcpy(out, "unknown", sizeof("unknown"));
    return strlen(out);
}

size_t address_format_port(const struct address *address, char out[static ADDRESS_TEXT_MAX])
{
    char host[ADDRESS_TEXT_MAX];
    int len;

    (void)address_format(address, host);
    if (address->any.sa_family == AF_INET6)
        len = snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%u", host, address_port(address));
    else if (address->any.sa_family == AF_INET)
        len = snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host, address_port(address));
    else
        len = snprintf(out, ADDRESS_TEXT_MAX, "%s", host);
    check(len > 0 && len < ADDRESS_TEXT_MAX);
    return (size_t)len;
}

/* An address without a port. inet_pton() is strict: four decimal parts, no leading zeros. */
static bool parse_host(struct bytes text, uint16_t port, struct address *out)
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (text.len >= sizeof(host) || bytes_find(text, 0, 0) != text.len)
        return false;
    if (text.len > 0)
        memcpy(host, text.ptr, text.len);
    host[text.len] = 0;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        address_from_v4(v4, port, out);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        address_from_v6(&v6, port, out);
        return true;
    }
    return false;
}

static bool parse_port(struct bytes text, uint16_t *port_out)
{
    uint64_t port;

    if (!bytes_to_u64(text, &port) || port > UINT16_MAX)
        return false;
    *port_out = (uint16_t)port;
    return true;
}

bool address_parse(struct bytes text, uint16_t port_default, struct address *out)
{
    uint16_t port = port_default;
    struct bytes host;

    if (bytes_take_nocase(&text, BYTES("["))) {
        if (!bytes_take_until(&text, ']', &host) || bytes_find(host, ':', 0) == host.len)
            return false;
        if (text.len > 0 && (!bytes_take_nocase(&text, BYTES(":")) || !parse_port(text, &port)))
            return false;
        return parse_host(host, port, out);
    }
    size_t colon = bytes_find(text, ':', 0);

    /* Two colons are IPv6, which has a port only behind brackets. */
    if (colon == text.len || bytes_find(text, ':', colon + 1) != text.len)
        return parse_host(text, port, out);
    if (!parse_port(bytes_slice(text, colon + 1, text.len), &port))
        return false;
    return parse_host(bytes_slice(text, 0, colon), port, out);
}

uint16_t address_port(const struct address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohs(address->v4.sin_port);
    return address->any.sa_family == AF_INET6 ? ntohs(address->v6.sin6_port) : 0;
}

void address_set_port(struct address *address, uint16_t port)
{
    check(address_len(address) != 0);
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

socklen_t address_len(const struct address *address)
{
    if (address->any.sa_family == AF_INET)
        return sizeof(address->v4);
    return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : 0;
}

/* 16 bytes for both families, as struct network has them. */
static bool address_bits(const struct address *address, uint8_t out[static 16])
{
    static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

    if (address->any.sa_family == AF_INET6) {
        memcpy(out, &address->v6.sin6_addr, 16);
        return true;
    }
    if (address->any.sa_family != AF_INET)
        return false;
    memcpy(out, mapped_prefix, sizeof(mapped_prefix));
    memcpy(out + sizeof(mapped_prefix), &address->v4.sin_addr, 4);
    return true;
}

bool address_equal(const struct address *a, const struct address *b)
{
    uint8_t a_bits[16], b_bits[16];

    return address_bits(a, a_bits) && address_bits(b, b_bits) && memcmp(a_bits, b_bits, 16) == 0;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned len)
{
    unsigned whole = len / 8, rest = len % 8;

    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool is_zero_behind(const uint8_t *bits, unsigned len)
{
    for (unsigned i = len; i < 128; i++) {
        if (bits[i / 8] & (0x80 >> (i % 8)))
            return false;
    }
    return true;
}

bool network_parse(struct bytes text, struct network *out)
{
    struct bytes host = text, rest = text;
    struct address address;
    struct network network;
    uint64_t len = 128;
    bool has_len = bytes_take_until(&rest, '/', &host);

    if (!parse_host(has_len ? host : text, 0, &address))
        return false;
    bool is_v4 = address.any.sa_family == AF_INET;

    if (has_len) {
        if (!bytes_to_u64(rest, &len) || len > (is_v4 ? 32 : 128))
            return false;
        len += is_v4 ? V4_IN_V6_BITS : 0;
    }
    check(address_bits(&address, network.bytes));
    if (!is_zero_behind(network.bytes, (unsigned)len))
        return false;
    network.prefix_len = (uint8_t)len;
    *out = network;
    return true;
}

bool network_contains(const struct network *network, const struct address *address)
{
    uint8_t bits[16];

    check(network->prefix_len <= 128);
    return address_bits(address, bits) && prefix_equal(network->bytes, bits, network->prefix_len);
}

bool networks_contain(const struct network *networks, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (network_contains(&networks[i], address))
            return true;
    return false;
}
