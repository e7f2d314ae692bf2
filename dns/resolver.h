/*
 * resolver.h - DNS queries by c-ares on the engine's ring, with a cache (RFC 1035, RFC 2308).
 *
 * c-ares builds and sends queries (UDP, TCP on truncation, retries over the configured servers);
 * its sockets are polled by the engine. Answers are parsed here (packet.h), since TTLs of every
 * type, CNAME chains and the SOA of negative answers are needed. One resolver an engine; each
 * (name, type) has one query in flight however many ask.
 *
 * Cache: TTL clipped to [ttl_min, ttl_max]; NXDOMAIN and empty answers as the SOA says, at most
 * negative_ttl_max (RFC 2308 section 5); SERVFAIL and time-outs are remembered for
 * failure_ttl_s so that a dead zone is not asked for every message; answers past their TTL are
 * given out for up to stale_s while the servers fail. Bounded by cache_entries (least recently
 * used go first).
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/arena.h"
#include "io/conn.h"

struct resolver;

struct dns_settings {
    const char *servers;       /* "127.0.0.1:53,[::1]:5353"; NULL: the system's (resolv.conf) */
    unsigned timeout_ms;       /* of one try; 0: 2000 */
    unsigned tries;            /* over all servers; 0: 3 */
    unsigned ttl_min_s;        /* 0: 5 */
    unsigned ttl_max_s;        /* 0: 86400 */
    unsigned negative_ttl_max_s; /* 0: 3600 */
    unsigned failure_ttl_s;    /* 0: 30 */
    unsigned stale_s;          /* 0: 3600 */
    unsigned cache_entries;    /* 0: 100000 */
    unsigned in_flight_max;    /* queries; more wait in line; 0: 1024 */
};

enum dns_status {
    DNS_OK,
    DNS_NO_DATA,   /* the name exists, the type does not */
    DNS_NXDOMAIN,
    DNS_FAILED,    /* SERVFAIL, REFUSED, time-out, a broken or lying answer: temporary */
    DNS_BAD_NAME,  /* the question itself cannot be asked */
};

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_CNAME = 5, DNS_TYPE_SOA = 6, DNS_TYPE_MX = 15,
                DNS_TYPE_TXT = 16, DNS_TYPE_AAAA = 28, DNS_TYPE_TLSA = 52 };

/* One record of an answer. Names are lower case without the trailing dot; the root is "". */
struct dns_record {
    struct bytes name;      /* MX: exchange */
    uint16_t preference;    /* MX */
    struct in_addr a;       /* A */
    struct in6_addr aaaa;   /* AAAA */
    struct bytes text;      /* TXT: strings joined; TLSA: raw */
};

/* Immutable, reference counted; shared by the cache and everyone who was told. */
struct dns_answer {
    unsigned references;
    enum dns_status status;
    const char *why;            /* DNS_FAILED: "SERVFAIL", "timeout", "malformed answer" ... */
    bool is_stale;              /* past its TTL, servers are failing */
    struct bytes canonical;     /* owner name after CNAMEs */
    int64_t expires_ms;         /* monotonic */
    size_t record_count;
    struct dns_record *records;
};

struct dns_query {
    struct list_node node;
    /* Called later, never from inside resolver_ask(). The answer is valid during the call; keep it
     * with dns_answer_keep(). */
    void (*done)(struct dns_query *query, const struct dns_answer *answer);
    bool is_waiting;
};

enum { DNS_CNAME_CHAIN_MAX = 10, DNS_RECORDS_MAX = 200 };

struct resolver *resolver_create(struct engine *engine, const struct dns_settings *settings,
                                 const char **why_out);
void resolver_destroy(struct resolver **resolver); /* waiting queries are told DNS_FAILED */

void resolver_ask(struct resolver *resolver, struct dns_query *query, struct bytes name,
                  enum dns_type type);
/* done() will not be called; the query in flight goes on for others and for the cache. */
void resolver_cancel(struct resolver *resolver, struct dns_query *query);
/* Forgets what the cache holds for a name (all types), or everything if the name is empty. */
void resolver_flush(struct resolver *resolver, struct bytes name);

const struct dns_answer *dns_answer_keep(const struct dns_answer *answer);
void dns_answer_release(const struct dns_answer **answer);
