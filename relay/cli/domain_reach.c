/* domain_reach.c - DNS for the ways, a probe of each host, a fetch of the policy. */
#include "relay/cli/domain_reach.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/mta_sts/record.h"
#include "delivery/mta_sts/sts_fetch.h"
#include "relay/cli/mx_probe.h"

enum { SMTP_PORT = 25, HTTPS_PORT = 443, PROBE_MS = 20000, WEEK_S = 7 * 86400 };

struct reach {
    struct config *config;
    struct dns_look *look;
    struct bytes domain;
    struct arena *arena;
    struct domain_reach *out;
};

static void tell(struct domain_met *met, const char *result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct domain_met *met, const char *result, const char *format, ...)
{
    va_list args;

    met->result = result;
    va_start(args, format);
    (void)vsnprintf(met->why, sizeof(met->why), format, args);
    va_end(args);
}

/* Those of IPv4 first, as most who ask have them. */
static size_t find_addresses(const struct reach *reach, struct bytes host, uint16_t port,
                             size_t max, struct address *out)
{
    static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
    struct dns_look_answer answer;
    size_t count = 0;

    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        dns_look(reach->look, host, types[t], reach->arena, &answer);
        for (size_t i = 0; i < answer.count && count < max; i++, count++)
            if (types[t] == DNS_TYPE_A)
                address_from_v4(answer.records[i].a, port, &out[count]);
            else
                address_from_v6(&answer.records[i].aaaa, port, &out[count]);
    }
    return count;
}

/* --- mail hosts ------------------------------------------------------------------------------- */

static void probe_host(const struct reach *reach, size_t n)
{
    static const char *const results[] = {
        [MX_PROBE_GOOD] = "right",
        [MX_PROBE_WRONG] = "wrong",
        [MX_PROBE_CLEAR] = "missing",
        [MX_PROBE_UNREACHED] = "unknown",
    };
    struct domain_met *met = &reach->out->hosts[n].met;
    struct mx_probe probe = {
        .host = reach->out->hosts[n].name,
        .hello = reach->config->hostname,
        .authorities = reach->config->delivery_tls.ca,
        .patience_ms = PROBE_MS,
    };

    if (find_addresses(reach, bytes_of(probe.host), SMTP_PORT, 1, &probe.address) == 0) {
        tell(met, "wrong", "no address of it is known");
        return;
    }
    (void)address_format(&probe.address, reach->out->hosts[n].address);
    mx_probe_run(&probe);
    tell(met, results[probe.result], "%s", probe.why);
}

static void find_hosts(const struct reach *reach)
{
    struct dns_look_answer answer;
    struct domain_reach *out = reach->out;

    dns_look(reach->look, reach->domain, DNS_TYPE_MX, reach->arena, &answer);
    for (size_t at = 0; at < answer.count && out->host_count < REACH_HOSTS_MAX; at++) {
        size_t best = at;

        for (size_t i = at + 1; i < answer.count; i++)
            if (answer.records[i].preference < answer.records[best].preference)
                best = i;
        struct dns_record record = answer.records[best];

        answer.records[best] = answer.records[at];
        if (record.name.len == 0 || record.name.len > REACH_NAME_MAX)
            continue; /* "MX 0 .": there is none */
        (void)snprintf(out->hosts[out->host_count++].name, REACH_NAME_MAX + 1, "%.*s",
                       BYTES_ARG(record.name));
    }
}

/* --- the policy ------------------------------------------------------------------------------- */

static void write_policy(struct domain_reach *out)
{
    size_t len =
        (size_t)snprintf(out->policy_text, REACH_POLICY_MAX, "version: STSv1\nmode: testing\n");

    for (size_t i = 0; i < out->host_count; i++)
        len += (size_t)snprintf(out->policy_text + len, REACH_POLICY_MAX - len, "mx: %s\n",
                                out->hosts[i].name);
    (void)snprintf(out->policy_text + len, REACH_POLICY_MAX - len, "max_age: %d\n", WEEK_S);
}

static bool has_record(const struct reach *reach)
{
    struct dns_look_answer answer;
    struct bytes name, id;
    size_t valid = 0, count = 0;

    if (!arena_printf(reach->arena, &name, "_mta-sts.%.*s", BYTES_ARG(reach->domain)))
        return false;
    dns_look(reach->look, name, DNS_TYPE_TXT, reach->arena, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        if (!mta_sts_record_is_one(answer.records[i].text))
            continue;
        count++;
        valid += mta_sts_record_parse(answer.records[i].text, &id);
    }
    if (count == 1 && valid == 1)
        return true;
    if (answer.status == DNS_FAILED)
        tell(&reach->out->policy, "unknown", "DNS does not answer: %s", answer.why);
    else
        tell(&reach->out->policy, count == 0 ? "missing" : "wrong",
             count == 0 ? "there is no record of it, so nobody asks for it"
                        : "the record of it is not one valid record");
    return false;
}

static void judge_policy(const struct reach *reach, const struct mta_sts_policy *policy)
{
    struct domain_reach *out = reach->out;

    for (size_t i = 0; i < out->host_count; i++)
        if (policy->mode != MTA_STS_NONE &&
            !mta_sts_policy_allows(policy, bytes_of(out->hosts[i].name))) {
            tell(&out->policy, "wrong", "mode %s, and %s is no mail host by it",
                 mta_sts_mode_name(policy->mode), out->hosts[i].name);
            return;
        }
    tell(&out->policy, "right", "mode %s, for %u s", mta_sts_mode_name(policy->mode),
         policy->max_age_s);
    out->policy_text[0] = '\0';
}

static void fetch_policy(const struct reach *reach, struct sts_fetch *fetch)
{
    static const _Atomic bool is_stopping = false;
    struct domain_met *met = &reach->out->policy;
    struct mta_sts_policy policy;
    struct bytes host;
    const char *why;

    if (!arena_printf(reach->arena, &host, "mta-sts.%.*s", BYTES_ARG(reach->domain)))
        return;
    fetch->domain = reach->domain;
    fetch->authorities = reach->config->delivery_tls.ca;
    fetch->is_stopping = &is_stopping;
    fetch->address_count =
        find_addresses(reach, host, HTTPS_PORT, STS_ADDRESSES_MAX, fetch->addresses);
    if (fetch->address_count == 0) {
        tell(met, "wrong", "no address of mta-sts.%.*s is known", BYTES_ARG(reach->domain));
        return;
    }
    sts_fetch_run(fetch);
    if (fetch->problem != STS_FINE)
        tell(met, "wrong", "%s: %s", sts_problem_name(fetch->problem), fetch->why);
    else if (mta_sts_policy_parse(bytes_range(fetch->text, fetch->text_len), &policy, &why))
        judge_policy(reach, &policy);
    else
        tell(met, "wrong", "%s", why);
}

void domain_reach(struct config *config, struct dns_look *look, struct bytes domain,
                  struct arena *arena, struct domain_reach *out)
{
    const struct reach reach = {config, look, domain, arena, out};
    struct sts_fetch *fetch = calloc(1, sizeof(*fetch));

    check(fetch != NULL);
    *out = (struct domain_reach){.policy = {.result = "unknown"}};
    (void)signal(SIGPIPE, SIG_IGN); /* a host that closes is told by the write */
    find_hosts(&reach);
    for (size_t i = 0; i < out->host_count; i++)
        probe_host(&reach, i);
    write_policy(out);
    if (has_record(&reach))
        fetch_policy(&reach, fetch);
    free(fetch);
}
