/*
 * packet.h - what a DNS response says about the question that was asked (RFC 1035 section 4).
 *
 * Strict: the question must be ours, every record must be framed well, names must be well formed
 * with compression pointers that go backwards. Only records whose owner is the asked name, or on
 * the CNAME chain that starts there, count; everything else in the packet is ignored, but an answer
 * section with nothing that counts is no answer. The packet id is c-ares's business. A pure
 * function over bytes, any thread.
 */
#pragma once

#include "base/arena.h"
#include "dns/name.h"
#include "dns/resolver.h"

struct dns_packet {
    enum dns_status status;
    const char *why;       /* DNS_FAILED: a static string */
    struct dns_name owner; /* where the CNAME chain ends; the asked name if there is none */
    unsigned chain_len;    /* CNAMEs followed */
    bool is_unfinished;    /* DNS_NO_DATA, but only because the packet says nothing of `owner`:
                                ask for that */
    bool is_authentic;     /* the AD bit: who answers has validated all of it, as he says */
    bool has_ttl;          /* false: a negative answer without SOA, not to be cached for long */
    uint32_t ttl_s;        /* the least along the chain; negative: RFC 2308 section 5 */
    size_t record_count;
    struct dns_record *records;     /* in the arena; their bytes in the arena or the packet */
    size_t cut_count;               /* records left out past DNS_RECORDS_MAX */
    size_t odd_count;               /* records left out because they hold an odd name: */
    struct dns_record *odd_records; /* those, or NULL if there is none */
};

enum {
    /* Records of the answer section that are looked at. A 64 KiB packet holds up to 5,957; each is
     * compared with every name of the chain. */
    DNS_PACKET_SCAN_MAX = 1024,
    DNS_PACKET_ARENA_MAX = 512 * 1024, /* what the arena must hold */
};

/* It has an OPT record (RFC 6891): who answers knows EDNS. */
bool dns_packet_has_opt(struct bytes packet);

/* The question of the packet holds `name` byte by byte: case counts, and there is no compression.
 * Whether the answer is good is dns_packet_parse()'s to say, without case. */
bool dns_packet_repeats(struct bytes packet, struct bytes name);

/* `name` as dns_name_parse() or dns_name_parse_any() make it; `chain_max`: CNAMEs that may be
 * followed. */
void dns_packet_parse(struct dns_packet *out, struct bytes packet, struct bytes name,
                      enum dns_type type, unsigned chain_max, struct arena *arena);
