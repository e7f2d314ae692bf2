/* dane.c - TLSA look-ups of all hosts of a set, side by side. */
#include "delivery/line/dane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "dns/tlsa.h"

enum { BASES_MAX = 2, NAME_ROOM = DNS_NAME_MAX + 16, WHY_MAX = 400 };

_Static_assert((int)TLSA_ASSOCIATION_MAX <= (int)TLS_RECORD_LEN_MAX, "it fits a policy");

struct dane_host {
    struct dane_lookup *lookup;
    const struct mx_host *host;
    struct dns_query query;
    struct bytes bases[BASES_MAX]; /* TLSA base domains still to be tried, and tried */
    size_t base_count, base_next;
    bool asks_alias; /* the query is for the CNAME of its own name */
};

struct dane_lookup {
    struct resolver *resolver;
    const struct mx_set *set;
    size_t host_count; /* of the set */
    struct bytes domain;
    bool is_named;
    dane_done *done;
    void *context;
    struct turn_end turn_end;
    size_t waiting; /* hosts */
    int64_t expires_ms;
    struct dane_host hosts[MX_HOSTS_MAX];
    struct tls_policy *policies[MX_HOSTS_MAX];
};

static void host_answered(struct dns_query *query, const struct dns_answer *answer);

static struct tls_policy **policy_of(struct dane_host *h)
{
    return &h->lookup->policies[h - h->lookup->hosts];
}

static void write_name(const struct dane_host *h, struct bytes base, char out[static NAME_ROOM])
{
    check(h->host->address_count > 0);
    snprintf(out, NAME_ROOM, "_%u._tcp.%.*s", address_port(&h->host->addresses[0]),
             BYTES_ARG(base));
}

/* --- what an answer demands ------------------------------------------------------------------- */

static void add_name(struct bytes *names, size_t *count, struct bytes name)
{
    for (size_t i = 0; i < *count; i++)
        if (bytes_equal(names[i], name))
            return;
    if (name.len > 0)
        names[(*count)++] = name;
}

/* RFC 7672 section 3.2.2: the base domain, and the domain that led there. */
static size_t list_names(const struct dane_host *h, struct bytes base, struct bytes *names)
{
    const struct dane_lookup *lookup = h->lookup;
    size_t count = 0;

    add_name(names, &count, base);
    if (lookup->is_named) {
        add_name(names, &count, h->host->name);
        return count;
    }
    add_name(names, &count, lookup->domain);
    add_name(names, &count, lookup->set->canonical);
    return count;
}

/* Of a secure set those that are of use; *why_out: what is wrong with another. */
static size_t take_usable(const struct dns_answer *answer, struct tls_record *records,
                          const char **why_out)
{
    size_t count = 0;

    for (size_t i = 0; i < answer->record_count; i++) {
        struct tlsa_record record;
        const char *why = tlsa_parse(answer->records[i].text, &record);

        if (why != NULL)
            *why_out = why;
        else if (count < TLS_POLICY_RECORDS_MAX)
            records[count++] = (struct tls_record){record.usage, record.selector, record.matching,
                                                   record.association};
    }
    return count;
}

static void demand(struct dane_host *h, struct bytes base, const struct dns_answer *answer)
{
    struct tls_record records[TLS_POLICY_RECORDS_MAX];
    struct bytes names[TLS_POLICY_NAMES_MAX];
    char name[NAME_ROOM], rule[NAME_ROOM + 32], why_text[WHY_MAX];
    const char *why = "";
    struct tls_policy policy = {
        .source = TLS_SOURCE_DANE,
        .server_name = base,
        .names = names,
        .name_count = list_names(h, base, names),
        .records = records,
        .record_count = take_usable(answer, records, &why),
    };

    write_name(h, base, name);
    snprintf(rule, sizeof(rule), "TLSA records at %s", name);
    policy.rule = bytes_of(rule);
    policy.level = TLS_LEVEL_VERIFY;
    if (policy.record_count == 0) { /* section 2.2: TLS all the same, with whomever */
        snprintf(why_text, sizeof(why_text), "none of %zu TLSA records at %s is of use: %s",
                 answer->record_count, name, why);
        policy.level = TLS_LEVEL_REQUIRE;
        policy.found = TLS_RESULT_TLSA_INVALID;
        policy.found_why = bytes_of(why_text);
    }
    *policy_of(h) = tls_policy_make(&policy);
}

static void refuse(struct dane_host *h, const char *name, const char *type, const char *why)
{
    char why_text[WHY_MAX];
    struct tls_policy policy = {
        .level = TLS_LEVEL_REFUSE,
        .source = TLS_SOURCE_DANE,
        .found = TLS_RESULT_DNSSEC_INVALID,
        .name_count = 1,
        .names = &h->host->name,
    };

    snprintf(why_text, sizeof(why_text), "the %s look-up of %s failed: %s", type, name,
             why != NULL ? why : "unknown");
    policy.found_why = bytes_of(why_text);
    policy.rule = BYTES("DANE: without an answer nobody knows what the host demands");
    *policy_of(h) = tls_policy_make(&policy);
}

/* --- its way ---------------------------------------------------------------------------------- */

static void lookup_free(struct dane_lookup *lookup)
{
    engine_turn_end_cancel(resolver_engine(lookup->resolver), &lookup->turn_end);
    for (size_t i = 0; i < lookup->host_count; i++) { /* the set is gone once its owner was told */
        resolver_cancel(lookup->resolver, &lookup->hosts[i].query);
        tls_policy_release(&lookup->policies[i]);
    }
    free(lookup);
}

static void finish(struct dane_lookup *lookup)
{
    lookup->done(lookup->context, lookup->policies, lookup->expires_ms);
    lookup_free(lookup);
}

static void turn_ended(struct turn_end *turn_end)
{
    finish(container_of(turn_end, struct dane_lookup, turn_end));
}

static void host_done(struct dane_lookup *lookup)
{
    check(lookup->waiting > 0);
    if (--lookup->waiting == 0)
        engine_at_turn_end(resolver_engine(lookup->resolver), &lookup->turn_end);
}

static void ask_next(struct dane_host *h)
{
    char name[NAME_ROOM];

    if (h->base_next == h->base_count) {
        host_done(h->lookup);
        return;
    }
    write_name(h, h->bases[h->base_next], name);
    resolver_ask(h->lookup->resolver, &h->query, bytes_of(name), DNS_TYPE_TLSA);
}

static void add_base(struct dane_host *h, struct bytes base)
{
    h->bases[h->base_count++] = base;
}

static void alias_answered(struct dane_host *h, const struct dns_answer *answer)
{
    char name[NAME_ROOM];

    h->asks_alias = false;
    if (answer->status == DNS_FAILED) {
        snprintf(name, sizeof(name), "%.*s", BYTES_ARG(h->host->name));
        refuse(h, name, "CNAME", answer->why);
    } else if (answer->status == DNS_OK && answer->is_secure) {
        add_base(h, h->host->name);
    }
    ask_next(h);
}

static void host_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct dane_host *h = container_of(query, struct dane_host, query);
    char name[NAME_ROOM];

    h->lookup->expires_ms = MIN(h->lookup->expires_ms, answer->expires_ms);
    if (h->asks_alias) {
        alias_answered(h, answer);
        return;
    }
    struct bytes base = h->bases[h->base_next++];

    switch (answer->status) {
    case DNS_FAILED:
        write_name(h, base, name);
        refuse(h, name, "TLSA", answer->why);
        h->base_next = h->base_count;
        break;
    case DNS_OK:
        if (!answer->is_secure || answer->record_count == 0)
            break;
        demand(h, base, answer);
        h->base_next = h->base_count;
        break;
    case DNS_NO_DATA:
    case DNS_NXDOMAIN:
    case DNS_BAD_NAME: /* too long to be in DNS */
        break;
    }
    ask_next(h);
}

/* RFC 7672 section 2.2.2. */
static void begin(struct dane_host *h)
{
    const struct mx_host *host = h->host;
    bool is_alias = !bytes_equal(host->canonical, host->name);

    if (host->is_secure)
        add_base(h, host->canonical);
    if (host->is_secure && is_alias)
        add_base(h, host->name);
    if (host->is_secure || !is_alias) {
        ask_next(h);
        return;
    }
    h->asks_alias = true;
    resolver_ask(h->lookup->resolver, &h->query, host->name, DNS_TYPE_CNAME);
}

struct dane_lookup *dane_lookup_start(struct resolver *resolver, const struct mx_set *set,
                                      struct bytes domain, bool is_named, dane_done *done,
                                      void *context)
{
    struct dane_lookup *lookup = calloc(1, sizeof(*lookup));

    check(lookup != NULL);
    check(set->host_count <= MX_HOSTS_MAX);
    lookup->resolver = resolver;
    lookup->set = set;
    lookup->host_count = set->host_count;
    lookup->domain = domain;
    lookup->is_named = is_named;
    lookup->done = done;
    lookup->context = context;
    lookup->expires_ms = INT64_MAX;
    turn_end_init(&lookup->turn_end, turn_ended);
    lookup->waiting = 1; /* this function, so that it does not end before all have begun */
    for (size_t i = 0; i < set->host_count; i++) {
        struct dane_host *h = &lookup->hosts[i];

        *h = (struct dane_host){.lookup = lookup, .host = &set->hosts[i]};
        h->query.done = host_answered;
        /* A literal was not looked up. */
        if ((!set->is_secure && !is_named) || h->host->canonical.len == 0)
            continue;
        lookup->waiting++;
        begin(h);
    }
    host_done(lookup);
    return lookup;
}

void dane_lookup_cancel(struct dane_lookup **lookup)
{
    struct dane_lookup *l = *lookup;

    *lookup = NULL;
    if (l != NULL)
        lookup_free(l);
}
