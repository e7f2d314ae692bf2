/* wire.h - writes DNS packets for tests, well-formed ones and others. */
#pragma once

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { WIRE_MAX = 65535, WIRE_QUERY = 0, WIRE_ANSWER = 0x8180 /* QR, RD, RA */ };
enum wire_section { WIRE_ANSWERS = 6, WIRE_AUTHORITY = 8, WIRE_ADDITIONAL = 10 }; /* of the count */

struct wire {
    size_t len;
    uint8_t bytes[WIRE_MAX];
};

static inline void wire_u8(struct wire *wire, unsigned value)
{
    check(wire->len < WIRE_MAX);
    wire->bytes[wire->len++] = (uint8_t)value;
}

static inline void wire_u16(struct wire *wire, unsigned value)
{
    wire_u8(wire, value >> 8 & 0xff);
    wire_u8(wire, value & 0xff);
}

static inline void wire_u32(struct wire *wire, uint32_t value)
{
    wire_u16(wire, value >> 16);
    wire_u16(wire, value & 0xffff);
}

static inline void wire_set_u16(struct wire *wire, size_t at, unsigned value)
{
    wire->bytes[at] = (uint8_t)(value >> 8);
    wire->bytes[at + 1] = (uint8_t)value;
}

static inline unsigned wire_get_u16(const struct wire *wire, size_t at)
{
    return (unsigned)wire->bytes[at] << 8 | wire->bytes[at + 1];
}

static inline void wire_bytes(struct wire *wire, const void *from, size_t len)
{
    check(len <= WIRE_MAX - wire->len);
    memcpy(wire->bytes + wire->len, from, len);
    wire->len += len;
}

/* "a.b" or "" for the root, uncompressed. */
static inline void wire_name(struct wire *wire, const char *name)
{
    while (*name != '\0') {
        size_t len = strcspn(name, ".");

        wire_u8(wire, (unsigned)len);
        wire_bytes(wire, name, len);
        name += len + (name[len] == '.');
    }
    wire_u8(wire, 0);
}

static inline void wire_begin(struct wire *wire, unsigned id, unsigned flags, const char *name,
                              unsigned type)
{
    wire->len = 0;
    wire_u16(wire, id);
    wire_u16(wire, flags);
    wire_u16(wire, 1);
    wire_u16(wire, 0);
    wire_u32(wire, 0);
    wire_name(wire, name);
    wire_u16(wire, type);
    wire_u16(wire, 1);
}

/* A record up to its RDATA; wire_end_record() writes its length. Returns where. */
static inline size_t wire_begin_record(struct wire *wire, enum wire_section section,
                                       const char *owner, unsigned type, uint32_t ttl_s)
{
    wire_set_u16(wire, section, wire_get_u16(wire, section) + 1);
    wire_name(wire, owner);
    wire_u16(wire, type);
    wire_u16(wire, 1);
    wire_u32(wire, ttl_s);
    wire_u16(wire, 0);
    return wire->len;
}

static inline void wire_end_record(struct wire *wire, size_t start)
{
    wire_set_u16(wire, start - 2, (unsigned)(wire->len - start));
}

static inline void wire_raw(struct wire *wire, enum wire_section section, const char *owner,
                            unsigned type, uint32_t ttl_s, const void *rdata, size_t len)
{
    size_t start = wire_begin_record(wire, section, owner, type, ttl_s);

    wire_bytes(wire, rdata, len);
    wire_end_record(wire, start);
}

static inline void wire_a(struct wire *wire, const char *owner, uint32_t ttl_s, const char *address)
{
    struct in_addr a;

    check(inet_pton(AF_INET, address, &a) == 1);
    wire_raw(wire, WIRE_ANSWERS, owner, 1, ttl_s, &a, sizeof(a));
}

static inline void wire_aaaa(struct wire *wire, const char *owner, uint32_t ttl_s,
                             const char *address)
{
    struct in6_addr a;

    check(inet_pton(AF_INET6, address, &a) == 1);
    wire_raw(wire, WIRE_ANSWERS, owner, 28, ttl_s, &a, sizeof(a));
}

static inline void wire_mx(struct wire *wire, const char *owner, uint32_t ttl_s,
                           unsigned preference, const char *exchange)
{
    size_t start = wire_begin_record(wire, WIRE_ANSWERS, owner, 15, ttl_s);

    wire_u16(wire, preference);
    wire_name(wire, exchange);
    wire_end_record(wire, start);
}

static inline void wire_cname(struct wire *wire, const char *owner, uint32_t ttl_s,
                              const char *target)
{
    size_t start = wire_begin_record(wire, WIRE_ANSWERS, owner, 5, ttl_s);

    wire_name(wire, target);
    wire_end_record(wire, start);
}

static inline void wire_soa(struct wire *wire, const char *zone, uint32_t ttl_s, uint32_t minimum_s)
{
    size_t start = wire_begin_record(wire, WIRE_AUTHORITY, zone, 6, ttl_s);

    wire_name(wire, "ns.example");
    wire_name(wire, "host master.example");
    for (uint32_t i = 0; i < 4; i++)
        wire_u32(wire, i);
    wire_u32(wire, minimum_s);
    wire_end_record(wire, start);
}
