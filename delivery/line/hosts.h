/*
 * hosts.h - the addresses of a site in the order to try them, and which of them are broken.
 *
 * A host that failed rests, twice as long each time, from 30 s to 30 min; after its rest one
 * connection probes it while the others go on with the next. Connections keep the set they were
 * opened from by reference, so a new lookup can replace it at any time.
 */
#pragma once

#include "delivery/line/tls_policy.h"
#include "dns/mx.h"

struct host {
    struct address address;
    uint16_t preference;
    uint16_t failures; /* one after the other */
    unsigned opening;  /* connections to it that are not ready yet */
    unsigned ready;    /* that are ready, or in a transaction */
    int64_t resting_until_ms;
    struct bytes name;      /* of the MX host */
    struct tls_policy *tls; /* NULL: the default */
};

struct hosts {
    unsigned references;
    size_t count;
    struct host host[];
};

/* From a lookup; marks of `old` (may be NULL) are carried over to equal addresses. `policies`: one
 * for each host of the set, which are kept; NULL: the default for all. */
struct hosts *hosts_new(const struct mx_set *set, struct tls_policy *const *policies,
                        const struct hosts *old);
struct hosts *hosts_keep(struct hosts *hosts);
void hosts_release(struct hosts **hosts);

/* The host to try now from a source that has these families, or -1: of the best preference that one
 * of them can be tried of, the host with the fewest connections of this site, of those the first;
 * its addresses in their order (RFC 5321 section 5.1). A host with failures is given out to one
 * connection at a time. *retry_ms_out is when the next one's rest is over,
 * INT64_MAX when none rests. */
int hosts_next(const struct hosts *hosts, bool ipv4, bool ipv6, int64_t now_ms,
               int64_t *retry_ms_out);
struct host *hosts_find(struct hosts *hosts, const struct address *address);
void host_failed(struct host *host, int64_t now_ms);
void host_succeeded(struct host *host);
void hosts_wake(struct hosts *hosts); /* ends every rest; the failures are remembered */
