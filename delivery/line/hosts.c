/* hosts.c - a flat list of addresses, in order, with marks. */
#include "delivery/line/hosts.h"

#include <stdlib.h>
#include <string.h>

enum { REST_FIRST_MS = 30 * 1000, REST_MAX_MS = 30 * 60 * 1000 };

struct hosts *hosts_new(const struct mx_set *set, struct tls_policy *const *policies,
                        const struct hosts *old)
{
    size_t count = 0;
    size_t names_len = 0;

    for (size_t i = 0; i < set->host_count; i++) {
        count += set->hosts[i].address_count;
        names_len += set->hosts[i].name.len;
    }
    struct hosts *hosts = calloc(1, sizeof(*hosts) + count * sizeof(struct host) + names_len);

    check(hosts != NULL);
    uint8_t *names = (uint8_t *)&hosts->host[count];

    hosts->references = 1;
    for (size_t i = 0; i < set->host_count; i++) {
        const struct mx_host *from = &set->hosts[i];
        struct bytes name = {names, from->name.len};

        if (name.len > 0)
            memcpy(names, from->name.ptr, name.len);
        names += name.len;
        for (size_t a = 0; a < from->address_count; a++) {
            /* Two names of one address are one host: what fails once would fail twice. */
            if (hosts_find(hosts, &from->addresses[a]) != NULL)
                continue;
            struct host *host = &hosts->host[hosts->count++];

            host->address = from->addresses[a];
            host->preference = from->preference;
            host->name = name;
            host->tls = policies != NULL ? tls_policy_keep(policies[i]) : NULL;
        }
    }
    for (size_t i = 0; old != NULL && i < old->count; i++) {
        struct host *host = hosts_find(hosts, &old->host[i].address);

        if (host == NULL)
            continue;
        host->failures = old->host[i].failures;
        host->opening = old->host[i].opening;
        host->ready = old->host[i].ready;
        host->resting_until_ms = old->host[i].resting_until_ms;
    }
    return hosts;
}

struct hosts *hosts_keep(struct hosts *hosts)
{
    hosts->references++;
    return hosts;
}

void hosts_release(struct hosts **hosts)
{
    struct hosts *released = *hosts;

    *hosts = NULL;
    check(released->references > 0);
    if (--released->references > 0)
        return;
    for (size_t i = 0; i < released->count; i++)
        tls_policy_release(&released->host[i].tls);
    free(released);
}

static bool is_usable(const struct host *host, bool ipv4, bool ipv6, int64_t now_ms,
                      int64_t *retry_ms)
{
    bool is_ipv6 = host->address.any.sa_family == AF_INET6;

    if (is_ipv6 ? !ipv6 : !ipv4)
        return false;
    if (host->resting_until_ms > now_ms) {
        *retry_ms = MIN(*retry_ms, host->resting_until_ms);
        return false;
    }
    return host->failures == 0 || host->opening == 0;
}

/* Connections to all addresses of the host. */
static unsigned load_of(const struct hosts *hosts, struct bytes name)
{
    unsigned load = 0;

    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->host[i].name.ptr == name.ptr)
            load += hosts->host[i].opening + hosts->host[i].ready;
    return load;
}

int hosts_next(const struct hosts *hosts, bool ipv4, bool ipv6, int64_t now_ms,
               int64_t *retry_ms_out)
{
    int64_t retry_ms = INT64_MAX;
    const struct host *best = NULL;
    unsigned best_load = 0;

    for (size_t i = 0; i < hosts->count; i++) {
        const struct host *host = &hosts->host[i];

        if (best != NULL && host->preference != best->preference)
            break;
        if (!is_usable(host, ipv4, ipv6, now_ms, &retry_ms))
            continue;
        if (best != NULL && load_of(hosts, host->name) >= best_load)
            continue;
        best = host;
        best_load = load_of(hosts, host->name);
    }
    *retry_ms_out = retry_ms;
    return best != NULL ? (int)(best - hosts->host) : -1;
}

struct host *hosts_find(struct hosts *hosts, const struct address *address)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (address_equal(&hosts->host[i].address, address) &&
            address_port(&hosts->host[i].address) == address_port(address))
            return &hosts->host[i];
    return NULL;
}

void host_failed(struct host *host, int64_t now_ms)
{
    /* Many connections fail together when a host goes: that is one failure. */
    if (host->resting_until_ms > now_ms)
        return;
    int64_t rest_ms = host->failures >= 6 ? REST_MAX_MS : (int64_t)REST_FIRST_MS << host->failures;

    host->resting_until_ms = now_ms + MIN(rest_ms, (int64_t)REST_MAX_MS);
    if (host->failures < UINT16_MAX)
        host->failures++;
}

void host_succeeded(struct host *host)
{
    host->failures = 0;
    host->resting_until_ms = 0;
}

void hosts_wake(struct hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        hosts->host[i].resting_until_ms = 0;
}
