/*
 * address.h - an IP address with a port, and networks of addresses.
 *
 * 28 bytes instead of sockaddr_storage's 128: connections, MX sets and sources hold many of them.
 * `any` is what system calls take, with address_len(). A zeroed address has family AF_UNSPEC and is
 * "not known". Pure functions, any thread.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

enum { ADDRESS_TEXT_MAX = 64 };

/* Copies what a system call or a library gave. False (out unchanged) if it is neither IPv4 nor
 * IPv6. IPv4-mapped IPv6, as dual-stack sockets report, becomes IPv4. */
must_use bool address_from(const struct sockaddr *from, struct address *out);
void address_from_v4(struct in_addr from, uint16_t port, struct address *out);
void address_from_v6(const struct in6_addr *from, uint16_t port, struct address *out);

/* "192.0.2.1", "2001:db8::1", without a port; "unknown" for a zeroed one. NUL-terminated. Returns
 * the length. */
size_t address_format(const struct address *address, char out[static ADDRESS_TEXT_MAX]);
/* "192.0.2.1:25" and "[2001:db8::1]:25". */
size_t address_format_port(const struct address *address, char out[static ADDRESS_TEXT_MAX]);
/* Numeric address, optional port ("192.0.2.1", "192.0.2.1:25", "2001:db8::1", "[2001:db8::1]",
 * "[2001:db8::1]:25"); port_default stands in where none is given. */
must_use bool address_parse(struct bytes text, uint16_t port_default, struct address *out);
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
socklen_t address_len(const struct address *address); /* 0 for a zeroed one */
/* Same family and address; ports do not count. IPv4-mapped IPv6 equals IPv4. */
bool address_equal(const struct address *a, const struct address *b);

/* A network such as 192.0.2.0/24 or 2001:db8::/32. */
struct network {
    uint8_t bytes[16];  /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix_len; /* of the 128 bits */
};
/* "192.0.2.0/24", "2001:db8::/32", or one address. Bits set behind the prefix are refused: such a
 * line does not mean what it says. */
must_use bool network_parse(struct bytes text, struct network *out);
bool network_contains(const struct network *network, const struct address *address);
/* One of them. */
bool networks_contain(const struct network *networks, size_t count, const struct address *address);
