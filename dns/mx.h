/*
 * mx.h - which hosts take mail for a domain, in the order to try them (RFC 5321 section 5.1).
 *
 * MX by preference, equals shuffled anew for each lookup; A and AAAA of each host; implicit MX
 * where there is no MX record; null MX (RFC 7505) is a permanent refusal; a host that is a CNAME is
 * followed (RFC 2181 section 10.3 forbids publishing it, real zones do); an exchange that is an
 * address in disguise, or a name that cannot be, is skipped and said in `note`. If our own host
 * name is in the set, it and everything of equal or higher preference value is dropped; nothing
 * left is "mail loops back" (5.4.6). Address literals are not looked up.
 *
 * Thread: the engine's.
 */
#pragma once

#include "dns/resolver.h"

enum mx_status {
    MX_OK,
    MX_NXDOMAIN,    /* permanent, 5.1.2 */
    MX_NULL,        /* RFC 7505, permanent, 5.1.10 */
    MX_NO_ADDRESS,  /* hosts but no address that could be used: permanent, 5.4.4 */
    MX_LOOP,        /* best MX is ourselves: permanent, 5.4.6 */
    MX_UNROUTABLE,  /* only loopback/private/unspecified targets: permanent, 5.4.4 */
    MX_FAILED,      /* temporary, 4.4.3 */
};

enum { MX_HOSTS_MAX = 20, MX_ADDRESSES_MAX = 8 /* of a host */ };

struct mx_host {
    uint16_t preference;
    struct bytes name;
    size_t address_count;
    struct address addresses[MX_ADDRESSES_MAX]; /* port set; IPv6 and IPv4 alternate,
                                                            IPv6 first, each shuffled */
};

/* One lookup's result; the memory is the lookup's arena. */
struct mx_set {
    enum mx_status status;
    bool is_implicit;
    bool is_stale;
    const char *note;      /* one sentence for the event and `queue explain`, never NULL */
    size_t host_count;
    struct mx_host *hosts; /* in the order to try */
    struct bytes site;     /* name of the MX set: same hosts, same site; see mx_site_name() */
    int64_t expires_ms;    /* monotonic: ask again then */
};

struct mx_rules {
    struct bytes our_name;                  /* config `hostname`, lower case */
    const struct network *allow_private;    /* targets outside the public range that are allowed */
    size_t allow_private_count;
    const struct address *ours;    /* addresses we listen on for inbound mail: loops */
    size_t ours_count;
    bool use_ipv4, use_ipv6;
    uint16_t port;                          /* 25 */
};

struct mx_lookup; /* one in progress */

/* Called later, never from inside mx_lookup_start(); the lookup is freed after it returns, the set
 * with it: copy what is to stay. */
typedef void mx_done(void *context, const struct mx_set *set);

/* MX then addresses. NULL when memory ran dry (defer). */
must_use struct mx_lookup *mx_lookup_start(struct resolver *resolver, const struct mx_rules *rules,
                                           struct bytes domain, mx_done *done, void *context);
/* Only addresses, of one named host (routes): the set has that host, or several given. */
must_use struct mx_lookup *mx_lookup_host(struct resolver *resolver, const struct mx_rules *rules,
                                          struct bytes host, uint16_t port, mx_done *done,
                                          void *context);
void mx_lookup_cancel(struct mx_lookup **lookup);

/* A target we must not connect to: unspecified, loopback, link-local, private, multicast, reserved,
 * documentation... unless a network of allow_private holds it. */
bool mx_address_is_forbidden(const struct mx_rules *rules, const struct address *address);
