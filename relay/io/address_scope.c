/* address_scope.c - what is no public address. */
#include "io/address_scope.h"

#include <string.h>

/* IANA's special-purpose registries (RFC 6890 and its updates), multicast and reserved space. */
static const struct {
    uint8_t prefix[4];
    uint8_t prefix_len;
} forbidden4[] = {
    {{0}, 8},             /* "this network" */
    {{10}, 8},            /* RFC 1918 */
    {{100, 64}, 10},      /* shared by carriers, RFC 6598 */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local */
    {{172, 16}, 12},      /* RFC 1918 */
    {{192, 0, 0}, 24},    /* IETF protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays, RFC 7526 */
    {{192, 168}, 16},     /* RFC 1918 */
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 3},           /* multicast, reserved, broadcast */
};

/* Within 2000::/3, the only global unicast space there is. */
static const struct {
    uint8_t prefix[4];
    uint8_t prefix_len;
} forbidden6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* IETF protocol assignments: Teredo, ORCHID, benchmarks */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4: an IPv4 address in disguise */
    {{0x3f, 0xff}, 20},             /* documentation, RFC 9637 */
};

static bool has_prefix(const uint8_t *bytes, const uint8_t prefix[static 4], unsigned prefix_len)
{
    size_t whole = prefix_len / 8;
    unsigned mask = 0xff00u >> prefix_len % 8 & 0xffu;

    check(prefix_len <= 32);
    if (memcmp(bytes, prefix, whole) != 0)
        return false;
    return mask == 0 || (bytes[whole] & mask) == (prefix[whole] & mask);
}

static bool v4_is_forbidden(const uint8_t *bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(forbidden4); i++)
        if (has_prefix(bytes, forbidden4[i].prefix, forbidden4[i].prefix_len))
            return true;
    return false;
}

static bool v6_is_forbidden(const uint8_t *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b}; /* RFC 6052: NAT64 */

    if (memcmp(bytes, mapped, sizeof(mapped)) == 0 ||
        memcmp(bytes, translated, sizeof(translated)) == 0)
        return v4_is_forbidden(bytes + 12);
    if ((bytes[0] & 0xe0) != 0x20)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(forbidden6); i++)
        if (has_prefix(bytes, forbidden6[i].prefix, forbidden6[i].prefix_len))
            return true;
    return false;
}

bool address_is_forbidden(const struct address *address, const struct network *allowed,
                          size_t allowed_count)
{
    if (networks_contain(allowed, allowed_count, address))
        return false;
    switch (address->any.sa_family) {
    case AF_INET:
        return v4_is_forbidden((const uint8_t *)&address->v4.sin_addr);
    case AF_INET6:
        return v6_is_forbidden((const uint8_t *)&address->v6.sin6_addr);
    default:
        return true;
    }
}
