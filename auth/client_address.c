/* client_address.c - IPv4-mapped addresses, names below in-addr.arpa and ip6.arpa. */
#include "auth/client_address.h"

#include <stdio.h>
#include <string.h>

struct bytes client_address_plain(struct bytes address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (address.len == 16 && memcmp(address.ptr, mapped, sizeof(mapped)) == 0)
        return bytes_slice(address, sizeof(mapped), 4);
    return address.len == 4 || address.len == 16 ? address : BYTES_NONE;
}

struct bytes client_address_reverse(struct bytes address, char out[static CLIENT_REVERSE_MAX])
{
    static const char nibbles[] = "0123456789abcdef";
    static const char zone[] = "ip6.arpa";
    const uint8_t *a = address.ptr;
    size_t len = 0;

    check(address.len == 4 || address.len == 16);
    if (address.len == 4) {
        len = (size_t)snprintf(out, CLIENT_REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", a[3], a[2],
                               a[1], a[0]);
        return bytes_range(out, len);
    }
    for (size_t i = 16; i > 0; i--) {
        out[len++] = nibbles[a[i - 1] & 15];
        out[len++] = '.';
        out[len++] = nibbles[a[i - 1] >> 4];
        out[len++] = '.';
    }
    memcpy(out + len, zone, sizeof(zone));
    return bytes_range(out, len + sizeof(zone) - 1);
}
