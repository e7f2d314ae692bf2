/*
 * resolver.h - DNS queries by c-ares on the engine's ring, with a cache (RFC 1035, RFC 2308).
 *
 * c-ares builds and sends queries (UDP, TCP on truncation, retries over the configured servers);
 * its sockets are polled by the engine. Answers are parsed here (packet.h), since TTLs of every
 * type, CNAME chains and the SOA of negative answers are needed. One resolver an engine; each
 * (name, type) has one query in flight however many ask.
 *
 * Letters of a question are sent in random case, and an answer must repeat them byte by byte
 * ("0x20"): who forges one has to guess them besides id and port, a bit for each letter. One that
 * is right but for the case is not believed and asked for again over TCP, where nothing can be
 * forged blindly. If that answer repeats the case the first was a forgery; if not, the servers do
 * not copy it: then questions are asked in lower case for the next ten minutes, and such servers
 * cost one question more in that time, not each. Where TCP does not answer, DNS_VOTES answers in a
 * row that agree (vote.h) are believed in the wrong case too, and for ten minutes TCP is not tried
 * first; ones that disagree are DNS_FAILED. A failure (SERVFAIL and others) in the wrong case is
 * doubted as well, as far as it gets here: with several servers c-ares goes on to the next at once.
 *
 * Cache, one for all resolvers: TTL clipped to [ttl_min, ttl_max]; NXDOMAIN and empty answers as
 * the SOA says, at most negative_ttl_max (RFC 2308 section 5), a negative answer without SOA for
 * ttl_min; SERVFAIL and time-outs are remembered for failure_ttl_s so that a dead zone is not asked
 * for every message; DNS_OK answers past their TTL are given out for up to stale_s while the
 * servers fail (negative ones are not: mail bounces on them). Bounded by cache_size (the oldest go
 * first).
 *
 * Each query has the AD bit set, which asks a server that validates to say so (RFC 6840 section
 * 5.7); the bit of an answer counts where the servers are trusted. What does not validate comes as
 * SERVFAIL and is a failure like any other.
 *
 * Only DNS is asked: no hosts file, no search list. Names are taken in any case and with or without
 * the trailing dot; A-labels only.
 *
 * Thread: the engine's. Nothing here calls back from inside the call that asked: answers are told
 * at the end of the turn.
 */
#pragma once

#include "base/arena.h"
#include "io/engine.h"

struct resolver;

struct dns_settings {
    const char *servers;         /* "127.0.0.1:53,[::1]:5353"; NULL: the system's (resolv.conf, read
                                  again about once a minute) */
    unsigned timeout_ms;         /* of one try; 0: 2000 */
    unsigned tries;              /* over all servers; 0: 3 */
    unsigned ttl_min_s;          /* 0: 5 */
    unsigned ttl_max_s;          /* 0: 86400 */
    unsigned negative_ttl_max_s; /* 0: 3600 */
    unsigned failure_ttl_s;      /* 0: 30 */
    unsigned stale_s;            /* 0: 3600 */
    uint64_t cache_size;         /* bytes; 0: 4 MiB */
    unsigned in_flight_max;      /* queries; more wait in line; 0: 1024 */
    bool is_trusted; /* the servers validate, and nobody changes what they say on its way:
                                  their AD bit counts */
};

enum dns_status {
    DNS_OK,
    DNS_NO_DATA, /* the name exists, the type does not */
    DNS_NXDOMAIN,
    DNS_FAILED,   /* SERVFAIL, REFUSED, time-out, a broken or lying answer: temporary */
    DNS_BAD_NAME, /* the question itself cannot be asked */
};

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_TLSA = 52,
};

/* One record of an answer. Names are lower case without the trailing dot; the root is "". */
struct dns_record {
    struct bytes name;    /* MX: exchange; CNAME, PTR: target */
    uint16_t preference;  /* MX */
    struct in_addr a;     /* A */
    struct in6_addr aaaa; /* AAAA */
    struct bytes text;    /* TXT: strings joined; TLSA and SOA: raw */
};

/* Immutable, reference counted; shared by everyone of one engine who was told. */
struct dns_answer {
    unsigned references;
    enum dns_status status;
    const char *why; /* DNS_FAILED: "SERVFAIL", "timeout", "malformed answer" ... */
    bool is_stale;   /* past its TTL, servers are failing */
    bool is_secure;  /* validated by DNSSEC, each CNAME on the way too, or that there is nothing:
                             so a trusted server says (dns_settings.is_trusted) */
    struct bytes canonical; /* owner name after CNAMEs */
    int64_t expires_ms;     /* monotonic */
    size_t record_count;    /* may be 0 with DNS_OK: see odd_count */
    struct dns_record *records;
    size_t cut_count;               /* records left out past DNS_RECORDS_MAX */
    size_t odd_count;               /* records left out because they hold a name that cannot be: */
    struct dns_record *odd_records; /* those, for who takes any (dns_name_take()); or NULL */
};

/* One who waits for an answer; zeroed but for done() before its first use. */
struct dns_query {
    /* Called later, never from inside resolver_ask(). The answer is valid during the call; keep it
     * with dns_answer_keep(). The query may be asked with again, or be freed. */
    void (*done)(struct dns_query *query, const struct dns_answer *answer);
    bool is_waiting;
    struct list_node node;           /* the resolver's, as the next one is */
    const struct dns_answer *answer; /* about to be told */
};

enum { DNS_CNAME_CHAIN_MAX = 10, DNS_RECORDS_MAX = 200 };

struct dns_cache; /* cache.h; outlives every resolver that is given it */
struct dns_cache *resolver_cache_create(const struct dns_settings *settings);

/* NULL with one sentence in *why_out (static string). Settings are copied. */
struct resolver *resolver_create(struct engine *engine, struct dns_cache *cache,
                                 const struct dns_settings *settings, const char **why_out);
/* Waiting queries are told DNS_FAILED before this returns. Not from inside done(). The engine needs
 * one more turn afterwards: what it polled for is freed there. */
void resolver_destroy(struct resolver **resolver);
struct engine *resolver_engine(const struct resolver *resolver);

void resolver_ask(struct resolver *resolver, struct dns_query *query, struct bytes name,
                  enum dns_type type);
/* The same for a name of any bytes, as checks of mail make them of what a stranger wrote
 * (dns_name_parse_any()): the question may be odd, what is believed of names in answers is not. */
void resolver_ask_any(struct resolver *resolver, struct dns_query *query, struct bytes name,
                      enum dns_type type);
/* done() will not be called; the query in flight goes on for others and for the cache. Nothing
 * happens if it is not waiting. */
void resolver_cancel(struct resolver *resolver, struct dns_query *query);
/* Forgets what the cache holds for a name (all types), or everything if the name is empty. */
void resolver_flush(struct resolver *resolver, struct bytes name);

const struct dns_answer *dns_answer_keep(const struct dns_answer *answer);
void dns_answer_release(const struct dns_answer **answer);
