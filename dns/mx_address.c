/* mx_address.c - the addresses of the hosts that are tried, and what the lookup comes to. */
#include <string.h>

#include "base/random.h"
#include "dns/mx_lookup.h"
#include "io/address_scope.h"

static const enum dns_type family_types[FAMILY_COUNT] = {
    [FAMILY_IPV6] = DNS_TYPE_AAAA,
    [FAMILY_IPV4] = DNS_TYPE_A,
};

static void addresses_answered(struct dns_query *query, const struct dns_answer *answer);

void mx_candidate_init(struct candidate *candidate, struct mx_lookup *lookup, struct bytes name,
                       uint16_t preference)
{
    *candidate = (struct candidate){.lookup = lookup, .name = name, .preference = preference};
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        candidate->queries[family].candidate = candidate;
        candidate->queries[family].query.done = addresses_answered;
    }
}

void mx_release_candidates(struct mx_lookup *lookup)
{
    for (size_t i = 0; i < lookup->candidate_count; i++) {
        for (size_t family = 0; family < FAMILY_COUNT; family++) {
            struct family_query *query = &lookup->candidates[i].queries[family];

            resolver_cancel(lookup->resolver, &query->query);
            dns_answer_release(&query->answer);
        }
    }
    lookup->candidate_count = 0;
}

static bool family_is_used(const struct mx_lookup *lookup, size_t family)
{
    return family == FAMILY_IPV6 ? lookup->rules.use_ipv6 : lookup->rules.use_ipv4;
}

void mx_ask_addresses(struct mx_lookup *lookup)
{
    for (size_t i = 0; i < lookup->candidate_count; i++) {
        struct candidate *candidate = &lookup->candidates[i];

        for (size_t family = 0; family < FAMILY_COUNT; family++) {
            if (!family_is_used(lookup, family))
                continue;
            lookup->waiting++;
            resolver_ask(lookup->resolver, &candidate->queries[family].query, candidate->name,
                         family_types[family]);
        }
    }
    if (lookup->waiting == 0) /* neither family is in use */
        engine_at_turn_end(resolver_engine(lookup->resolver), &lookup->turn_end);
}

static void addresses_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct family_query *asked = container_of(query, struct family_query, query);
    struct mx_lookup *lookup = asked->candidate->lookup;

    asked->answer = dns_answer_keep(answer);
    mx_count_answer(lookup, answer);
    check(lookup->waiting > 0);
    if (--lookup->waiting == 0)
        mx_collect(lookup);
}

static bool address_is_ours(const struct mx_lookup *lookup, const struct address *address)
{
    for (size_t i = 0; i < lookup->rules.ours_count; i++) {
        const struct address *ours = &lookup->rules.ours[i];
        uint16_t port = address_port(ours);

        if (address_equal(ours, address) && (port == 0 || port == address_port(address)))
            return true;
    }
    return false;
}

/* Whether `address` may be connected to, for the host it belongs to. */
static bool address_is_usable(struct candidate *candidate, const struct address *address)
{
    struct mx_lookup *lookup = candidate->lookup;
    char text[ADDRESS_TEXT_MAX];

    if (address_is_ours(lookup, address)) {
        candidate->is_ours = true;
        return false;
    }
    if (!address_is_forbidden(address, lookup->rules.allow_private,
                              lookup->rules.allow_private_count))
        return true;
    address_format(address, text);
    mx_remark(lookup, "%s of %.*s is not a public address", text, BYTES_ARG(candidate->name));
    lookup->has_forbidden = true;
    return false;
}

/* Usable addresses of one family in random order; at most MX_ADDRESSES_MAX. */
static size_t take_family(struct candidate *candidate, size_t family,
                          struct address out[static MX_ADDRESSES_MAX])
{
    const struct dns_answer *answer = candidate->queries[family].answer;
    const struct dns_record *records[DNS_RECORDS_MAX];
    size_t count = 0;

    if (answer == NULL || answer->status != DNS_OK)
        return 0;
    for (size_t i = 0; i < answer->record_count; i++) {
        size_t other = (size_t)random_below(i + 1);

        records[i] = records[other];
        records[other] = &answer->records[i];
    }
    for (size_t i = 0; i < answer->record_count; i++) {
        struct address address;

        if (family == FAMILY_IPV6)
            address_from_v6(&records[i]->aaaa, candidate->lookup->port, &address);
        else
            address_from_v4(records[i]->a, candidate->lookup->port, &address);
        /* All are looked at: the ninth may be one of ours. */
        if (address_is_usable(candidate, &address) && count < MX_ADDRESSES_MAX)
            out[count++] = address;
    }
    return count;
}

/* Those that have addresses, all of them: what one leads to must be as sure as the other. A name
 * that is there twice leads to the same place. */
static bool judge_security(struct candidate *candidate)
{
    bool is_secure = true;

    candidate->canonical = BYTES_NONE;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct dns_answer *answer = candidate->queries[family].answer;

        if (answer == NULL || answer->status != DNS_OK)
            continue;
        is_secure = is_secure && answer->is_secure;
        if (candidate->canonical.len > 0 && !bytes_equal(candidate->canonical, answer->canonical))
            is_secure = false;
        else if (candidate->canonical.len == 0 &&
                 !arena_copy(&candidate->lookup->arena, answer->canonical, &candidate->canonical))
            return false;
    }
    candidate->is_secure = is_secure && candidate->canonical.len > 0;
    return true;
}

/* Families take turns, IPv6 first, so that one which is broken on the way costs one try. */
static void collect_addresses(struct candidate *candidate)
{
    struct address addresses[FAMILY_COUNT][MX_ADDRESSES_MAX];
    size_t counts[FAMILY_COUNT];

    if (!judge_security(candidate)) { /* rather none than one that is taken for less than it is */
        candidate->lookup->failure = "no memory for the name of a host";
        return;
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct dns_answer *answer = candidate->queries[family].answer;

        counts[family] = take_family(candidate, family, addresses[family]);
        candidate->is_ours |= answer != NULL && !candidate->lookup->is_route &&
                              answer->canonical.len > 0 &&
                              bytes_equal(answer->canonical, candidate->lookup->rules.our_name);
    }
    for (size_t i = 0; i < MX_ADDRESSES_MAX; i++)
        for (size_t family = 0; family < FAMILY_COUNT; family++)
            if (i < counts[family] && candidate->address_count < MX_ADDRESSES_MAX)
                candidate->addresses[candidate->address_count++] = addresses[family][i];
    if (candidate->address_count > 0)
        return;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct dns_answer *answer = candidate->queries[family].answer;

        if (answer != NULL && answer->status == DNS_FAILED)
            candidate->lookup->failure = answer->why;
    }
}

static void find_ours(struct mx_lookup *lookup)
{
    for (size_t i = 0; i < lookup->candidate_count; i++)
        if (lookup->candidates[i].is_ours)
            lookup->ours_limit =
                MIN(lookup->ours_limit, (unsigned)lookup->candidates[i].preference);
}

static void add_host(struct mx_lookup *lookup, const struct candidate *candidate)
{
    struct mx_host *host = &lookup->set.hosts[lookup->set.host_count];

    if (candidate->preference >= lookup->ours_limit) {
        lookup->has_loop = true;
        mx_remark(lookup, "%.*s was dropped: we are as good a host", BYTES_ARG(candidate->name));
        return;
    }
    if (candidate->address_count == 0) {
        mx_remark(lookup, "%.*s has no usable address", BYTES_ARG(candidate->name));
        return;
    }
    if (lookup->set.host_count == MX_HOSTS_MAX)
        return;
    *host = (struct mx_host){
        .preference = candidate->preference,
        .name = candidate->name,
        .canonical = candidate->canonical,
        .is_secure = candidate->is_secure,
        .address_count = candidate->address_count,
    };
    memcpy(host->addresses, candidate->addresses, sizeof(host->addresses));
    lookup->set.host_count++;
}

/* Of the candidates those that have addresses, best first. False when the arena is full. */
static bool add_hosts(struct mx_lookup *lookup)
{
    if (lookup->set.hosts == NULL) /* the first candidates are MX_HOSTS_MAX, or all there are */
        lookup->set.hosts =
            arena_alloc(&lookup->arena, lookup->candidate_count * sizeof(struct mx_host));
    if (lookup->set.hosts == NULL)
        return false;
    find_ours(lookup);
    for (size_t i = 0; i < lookup->candidate_count; i++)
        add_host(lookup, &lookup->candidates[i]);
    return true;
}

/* What comes behind a host that is ourselves is worse than that. */
static bool wants_more(const struct mx_lookup *lookup)
{
    return lookup->set.host_count < MX_HOSTS_ENOUGH && lookup->ours_limit > UINT16_MAX &&
           lookup->exchange_next < lookup->exchange_count;
}

/* A route's site tells its port, if it is another one than mail's: it is another server. */
static bool set_single_site(struct mx_lookup *lookup)
{
    struct mx_set *set = &lookup->set;
    struct mx_exchange single = {.name = lookup->candidates[0].name};

    if (!mx_site_name(&lookup->arena, &single, 1, &set->site))
        return false;
    return lookup->port == lookup->rules.port ||
           arena_printf(&lookup->arena, &set->site, "%.*s:%u", BYTES_ARG(set->site), lookup->port);
}

/* Nothing to try: what is temporary comes before what is final. */
static void finish_without_host(struct mx_lookup *lookup)
{
    struct bytes domain = lookup->domain;

    if (lookup->failure != NULL)
        mx_finish(lookup, MX_FAILED, "the address lookup for %.*s failed: %s", BYTES_ARG(domain),
                  lookup->failure);
    else if (lookup->has_loop)
        mx_finish(lookup, MX_LOOP, "mail for %.*s loops back to this host", BYTES_ARG(domain));
    else if (lookup->has_forbidden)
        mx_finish(lookup, MX_UNROUTABLE, "%.*s leads only to addresses that are not public",
                  BYTES_ARG(domain));
    else
        mx_finish(lookup, MX_NO_ADDRESS, "no mail host of %.*s has an address that could be used",
                  BYTES_ARG(domain));
}

static void finish(struct mx_lookup *lookup)
{
    if (lookup->exchange_next < lookup->exchange_count)
        mx_remark(lookup, "only the first %zu of %zu MX hosts are tried", lookup->exchange_next,
                  lookup->exchange_count);
    if (lookup->set.host_count == 0)
        finish_without_host(lookup);
    else if (lookup->is_route)
        mx_finish(lookup, MX_OK, "sent to %.*s by a route", BYTES_ARG(lookup->domain));
    else if (lookup->set.is_implicit)
        mx_finish(lookup, MX_OK, "%.*s has no MX record and is its own mail host",
                  BYTES_ARG(lookup->domain));
    else
        mx_finish(lookup, MX_OK, "%zu mail hosts of %.*s", lookup->set.host_count,
                  BYTES_ARG(lookup->domain));
}

void mx_collect(struct mx_lookup *lookup)
{
    for (size_t i = 0; i < lookup->candidate_count; i++)
        if (lookup->candidates[i].address_count == 0) /* a literal has its address already */
            collect_addresses(&lookup->candidates[i]);
    if (!add_hosts(lookup) || (lookup->set.site.len == 0 && !set_single_site(lookup))) {
        mx_finish_without_memory(lookup);
        return;
    }
    if (!wants_more(lookup))
        finish(lookup);
    else if (mx_next_candidates(lookup))
        mx_ask_addresses(lookup);
    else
        mx_finish_without_memory(lookup);
}

void mx_take_literal(struct candidate *candidate, const struct address *address)
{
    struct mx_lookup *lookup = candidate->lookup;
    size_t family = address->any.sa_family == AF_INET6 ? FAMILY_IPV6 : FAMILY_IPV4;

    if (!family_is_used(lookup, family)) {
        mx_remark(lookup, "addresses of that family are not in use");
        return;
    }
    /* A route's address was named by the operator; a mail address's by anybody. */
    if (lookup->is_route)
        candidate->is_ours = address_is_ours(lookup, address);
    if (lookup->is_route ? !candidate->is_ours : address_is_usable(candidate, address))
        candidate->addresses[candidate->address_count++] = *address;
}
