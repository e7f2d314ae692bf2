/*
 * mx.h - which hosts take mail for a domain, in the order to try them (RFC 5321 section 5.1).
 *
 * MX by preference, equals shuffled anew for each lookup; A and AAAA of each host, asked at the
 * same time; implicit MX where there is no MX record; null MX (RFC 7505) is a permanent refusal; a
 * host that is a CNAME is followed (RFC 2181 section 10.3 forbids publishing it, real zones do); an
 * exchange that is an address in disguise, or a name that cannot be, is skipped and said in `note`.
 * If our own host name or one of our addresses is in the set, that host and everything of equal or
 * higher preference value is dropped; nothing left is "mail loops back" (5.4.6). Hosts whose
 * addresses cannot be looked up now are left out while others have some; only if that leaves
 * nothing is the lookup a temporary failure. Address literals are not looked up.
 *
 * What is limited are hosts to try, not names: of a long set MX_HOSTS_MAX names are looked up at
 * a time, until MX_HOSTS_ENOUGH have addresses or there are no more.
 *
 * Thread: the engine's.
 */
#pragma once

#include "dns/resolver.h"
#include "io/address.h"

enum mx_status {
    MX_OK,
    MX_NXDOMAIN,   /* permanent, 5.1.2 */
    MX_NULL,       /* RFC 7505, permanent, 5.1.10 */
    MX_NO_ADDRESS, /* hosts but no address that could be used: permanent, 5.4.4 */
    MX_LOOP,       /* best MX is ourselves: permanent, 5.4.6 */
    MX_UNROUTABLE, /* only loopback/private/unspecified targets: permanent, 5.4.4 */
    MX_FAILED,     /* temporary, 4.4.3 */
};

enum {
    MX_HOSTS_MAX = 20,
    MX_HOSTS_ENOUGH = 5,
    MX_ADDRESSES_MAX = 8, /* of a host */
};

struct mx_host {
    uint16_t preference;
    struct bytes name;
    struct bytes canonical; /* where CNAMEs lead it; empty: it was not looked up */
    bool is_secure;         /* its addresses and those CNAMEs, by DNSSEC (dns_answer.is_secure) */
    size_t address_count;
    struct address addresses[MX_ADDRESSES_MAX]; /* port set; IPv6 and IPv4 alternate, IPv6 first,
                                                   each shuffled */
};

/* One lookup's result; the memory is the lookup's. */
struct mx_set {
    enum mx_status status;
    bool is_implicit;
    bool is_stale;          /* some answer was past its TTL because the servers fail */
    bool is_secure;         /* the MX records, or that there are none, by DNSSEC */
    struct bytes canonical; /* where CNAMEs lead the domain; empty: no MX was asked for */
    const char *note;       /* one sentence for the event and `queue explain`, never NULL */
    size_t host_count;
    struct mx_host *hosts; /* in the order to try */
    struct bytes site;     /* name of the MX set: same hosts in the same ranks, same site
                              (mx_site_name()); a route's port is added if it is another one. Set
                              with MX_OK */
    int64_t expires_ms;    /* monotonic: ask again then */
};

/* Copied by a lookup; what it points to must outlive the lookup. */
struct mx_rules {
    struct bytes our_name;               /* config `hostname`, lower case */
    const struct network *allow_private; /* targets outside the public range that are allowed */
    size_t allow_private_count;
    const struct address *ours; /* where we take inbound mail: loops. Port 0: any port */
    size_t ours_count;
    bool use_ipv4, use_ipv6;
    uint16_t port; /* 25 */
};

/* All of it, in the arena. False when that is full. */
must_use bool mx_set_copy(struct arena *arena, const struct mx_set *from, struct mx_set *out);

struct mx_lookup; /* one in progress */

/* Called later, never from inside mx_lookup_start(); the lookup is freed after it returns, the set
 * with it: copy what is to stay. Who keeps the lookup's pointer clears it here. */
typedef void mx_done(void *context, const struct mx_set *set);

/* MX then addresses, of a domain ("[192.0.2.1]" and "[IPv6:2001:db8::1]" too). NULL when memory ran
 * dry (defer). */
must_use struct mx_lookup *mx_lookup_start(struct resolver *resolver, const struct mx_rules *rules,
                                           struct bytes domain, mx_done *done, void *context);
/* Only addresses, of one host the operator named (routes): a name, or an address with or without
 * brackets, which is taken as it is, private or not: naming it is allowing it. A name that leads to
 * a private address is refused like any other. Only our own address and port make a loop here. */
must_use struct mx_lookup *mx_lookup_host(struct resolver *resolver, const struct mx_rules *rules,
                                          struct bytes host, uint16_t port, mx_done *done,
                                          void *context);
/* done() will not be called. Nothing happens for NULL. */
void mx_lookup_cancel(struct mx_lookup **lookup);

enum { MX_SITE_MAX = 200 /* octets, without a port */ };

/* A mail host as published. */
struct mx_exchange {
    uint16_t preference;
    struct bytes name;
};

/*
 * The name of a set of mail hosts: domains with the same hosts in the same order are one site. One
 * host is its own name; of several, the labels they all end in stand once and what precedes them
 * before it, the best first, equals sorted: "(mx1>mx2|mx3).example.net" has two equal hosts behind
 * a better one, "(mx.a.example|mx.b.test)" two equals that end in nothing common. Of preferences
 * the order counts, not the value: a domain that has the hosts of another the other way round is
 * another site, and neither's mail goes in the other's order (RFC 5321 section 5.1). Past
 * MX_SITE_MAX the name is cut and ends in "~" and a hash of all of it, with a key of this process:
 * who publishes names cannot make two sets one. False when the arena is full.
 */
must_use bool mx_site_name(struct arena *arena, const struct mx_exchange *exchanges, size_t count,
                           struct bytes *site_out);
