/*
 * mx.c - one lookup of the hosts that take a domain's mail.
 *
 *   mx_lookup_start --MX answer--> choose hosts --A and AAAA of each--> collect --> done
 *   mx_lookup_host  ------------------------------^                        ^
 *   an address literal, a name that cannot be asked -----at end of turn----'
 */
#include "dns/mx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "dns/name.h"

enum {
    ARENA_MAX = 256 * 1024,
    REMARKS_MAX = 400,            /* octets of what else is worth saying */
    LITERAL_EXPIRES_MS = 3600000, /* an address that nobody looked up stays what it is */
    RETRY_MS = 30000,             /* after a failure that is ours */
};

enum family { FAMILY_IPV6, FAMILY_IPV4, FAMILY_COUNT };

static const enum dns_type family_types[FAMILY_COUNT] = {
    [FAMILY_IPV6] = DNS_TYPE_AAAA,
    [FAMILY_IPV4] = DNS_TYPE_A,
};

struct family_query {
    struct dns_query query;
    struct candidate *candidate;
    const struct dns_answer *answer; /* NULL: not asked, or not answered yet */
};

/* A host that may take the mail. */
struct candidate {
    struct mx_lookup *lookup;
    uint16_t preference;
    struct bytes name;
    struct family_query queries[FAMILY_COUNT];
    bool is_ours;
    size_t address_count;
    struct address addresses[MX_ADDRESSES_MAX];
};

struct mx_lookup {
    struct resolver *resolver;
    struct mx_rules rules;
    uint16_t port;
    bool is_route; /* mx_lookup_host() */
    mx_done *done;
    void *context;
    struct arena arena;
    struct bytes domain; /* or the host */
    struct dns_query mx_query;
    const struct dns_answer *mx_answer; /* exchanges' names are its memory */
    struct turn_end turn_end;
    struct candidate *candidates; /* in the order to try */
    size_t candidate_count;
    unsigned waiting; /* queries for addresses */
    bool has_loop;
    bool has_forbidden;
    const char *failure; /* of a host's addresses: temporary; NULL: none */
    bool is_telling;
    struct mx_set set;
    char remarks[REMARKS_MAX];
    size_t remarks_len;
};

/* --- start and end -------------------------------------------------------------------------- */

static void remark(struct mx_lookup *lookup, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Something that was left out, for `note`; cut when there is too much of it. */
static void remark(struct mx_lookup *lookup, const char *format, ...)
{
    size_t room = REMARKS_MAX - lookup->remarks_len;
    char *end = lookup->remarks + lookup->remarks_len;
    va_list args;

    if (room < 3)
        return;
    int separator_len = snprintf(end, room, "; ");

    check(separator_len == 2);
    va_start(args, format);
    int len = vsnprintf(end + 2, room - 2, format, args);
    va_end(args);

    lookup->remarks_len += 2 + MIN((size_t)MAX(len, 0), room - 3);
}

static void lookup_free(struct mx_lookup *lookup)
{
    engine_turn_end_cancel(resolver_engine(lookup->resolver), &lookup->turn_end);
    resolver_cancel(lookup->resolver, &lookup->mx_query);
    dns_answer_release(&lookup->mx_answer);
    for (size_t i = 0; i < lookup->candidate_count; i++) {
        for (size_t family = 0; family < FAMILY_COUNT; family++) {
            struct family_query *query = &lookup->candidates[i].queries[family];

            resolver_cancel(lookup->resolver, &query->query);
            dns_answer_release(&query->answer);
        }
    }
    arena_free(&lookup->arena);
    free(lookup);
}

static void tell(struct mx_lookup *lookup)
{
    lookup->is_telling = true;
    lookup->done(lookup->context, &lookup->set);
    lookup_free(lookup);
}

/* Every way to a result comes through here. */
static void finish(struct mx_lookup *lookup, enum mx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void finish(struct mx_lookup *lookup, enum mx_status status, const char *format, ...)
{
    char sentence[512];
    struct bytes note;
    va_list args;

    va_start(args, format);
    int len = vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);

    lookup->set.status = len < 0 ? MX_FAILED : status;
    lookup->set.note = "out of memory for a note";
    if (arena_printf(&lookup->arena, &note, "%s%s", sentence, lookup->remarks))
        lookup->set.note = (const char *)note.ptr;
    if (status != MX_OK)
        lookup->set.host_count = 0;
    if (lookup->set.expires_ms == INT64_MAX)
        lookup->set.expires_ms = engine_now_ms(resolver_engine(lookup->resolver)) +
                                 (status == MX_FAILED ? RETRY_MS : LITERAL_EXPIRES_MS);
    tell(lookup);
}

static void finish_without_memory(struct mx_lookup *lookup)
{
    finish(lookup, MX_FAILED, "no memory for the lookup of %.*s", BYTES_ARG(lookup->domain));
}

/* What an answer means for the whole set. */
static void note_answer(struct mx_lookup *lookup, const struct dns_answer *answer)
{
    lookup->set.expires_ms = MIN(lookup->set.expires_ms, answer->expires_ms);
    lookup->set.is_stale |= answer->is_stale;
}

static void literal_turn_ended(struct turn_end *turn_end);
static void bad_name_turn_ended(struct turn_end *turn_end);
static void mx_answered(struct dns_query *query, const struct dns_answer *answer);
static void addresses_answered(struct dns_query *query, const struct dns_answer *answer);
static void collect(struct mx_lookup *lookup);
static void set_single_candidate(struct mx_lookup *lookup, struct bytes name);
static void ask_addresses(struct mx_lookup *lookup);
static bool set_literal(struct mx_lookup *lookup);

static struct mx_lookup *lookup_new(struct resolver *resolver, const struct mx_rules *rules,
                                    struct bytes domain, mx_done *done, void *context)
{
    struct mx_lookup *lookup = calloc(1, sizeof(*lookup));

    if (lookup == NULL)
        return NULL;
    lookup->resolver = resolver;
    lookup->rules = *rules;
    lookup->port = rules->port;
    lookup->done = done;
    lookup->context = context;
    lookup->mx_query.done = mx_answered;
    lookup->set.expires_ms = INT64_MAX;
    turn_end_init(&lookup->turn_end, literal_turn_ended);
    arena_init(&lookup->arena, ARENA_MAX);
    if (arena_copy(&lookup->arena, domain, &lookup->domain))
        return lookup;
    lookup_free(lookup);
    return NULL;
}

/* The name in the form that DNS answers have. False: it cannot be asked, which is told later. */
static bool normalise_domain(struct mx_lookup *lookup)
{
    struct dns_name name;

    if (dns_name_parse(lookup->domain, &name) &&
        arena_copy(&lookup->arena, dns_name_bytes(&name), &lookup->domain))
        return true;
    turn_end_init(&lookup->turn_end, bad_name_turn_ended);
    engine_at_turn_end(resolver_engine(lookup->resolver), &lookup->turn_end);
    return false;
}

struct mx_lookup *mx_lookup_start(struct resolver *resolver, const struct mx_rules *rules,
                                  struct bytes domain, mx_done *done, void *context)
{
    struct mx_lookup *lookup = lookup_new(resolver, rules, domain, done, context);

    if (lookup == NULL)
        return NULL;
    if (domain.len > 0 && domain.ptr[0] == '[' && set_literal(lookup))
        engine_at_turn_end(resolver_engine(resolver), &lookup->turn_end);
    else if (normalise_domain(lookup))
        resolver_ask(resolver, &lookup->mx_query, lookup->domain, DNS_TYPE_MX);
    return lookup;
}

struct mx_lookup *mx_lookup_host(struct resolver *resolver, const struct mx_rules *rules,
                                 struct bytes host, uint16_t port, mx_done *done, void *context)
{
    struct mx_lookup *lookup = lookup_new(resolver, rules, host, done, context);

    if (lookup == NULL)
        return NULL;
    lookup->is_route = true;
    lookup->port = port;
    if (set_literal(lookup)) {
        engine_at_turn_end(resolver_engine(resolver), &lookup->turn_end);
    } else if (normalise_domain(lookup)) {
        set_single_candidate(lookup, lookup->domain);
        ask_addresses(lookup);
    }
    return lookup;
}

void mx_lookup_cancel(struct mx_lookup **lookup)
{
    struct mx_lookup *l = *lookup;

    *lookup = NULL;
    if (l != NULL && !l->is_telling) /* it is freed when done() returns */
        lookup_free(l);
}

/* --- hosts ---------------------------------------------------------------------------------- */

static void bad_name_turn_ended(struct turn_end *turn_end)
{
    struct mx_lookup *lookup = container_of(turn_end, struct mx_lookup, turn_end);

    finish(lookup, MX_NXDOMAIN, "the domain is not a name that DNS can be asked for");
}

static void candidate_init(struct candidate *candidate, struct mx_lookup *lookup, struct bytes name,
                           uint16_t preference)
{
    *candidate = (struct candidate){.lookup = lookup, .name = name, .preference = preference};
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        candidate->queries[family].candidate = candidate;
        candidate->queries[family].query.done = addresses_answered;
    }
}

/* The only host there is: of a route, a literal, or the domain itself. */
static void set_single_candidate(struct mx_lookup *lookup, struct bytes name)
{
    lookup->candidates = arena_alloc(&lookup->arena, sizeof(struct candidate));
    check(lookup->candidates != NULL); /* nothing else was taken from the arena */
    candidate_init(lookup->candidates, lookup, name, 0);
    lookup->candidate_count = 1;
}

/* An exchange as published: something to try, or something to say. */
struct exchange {
    uint16_t preference;
    struct bytes name;
};

static bool exchange_is_usable(struct mx_lookup *lookup, const struct dns_record *record)
{
    if (record->name.len == 0) {
        remark(lookup, "a null MX beside others was ignored");
        return false;
    }
    if (!dns_name_is_host(record->name)) {
        remark(lookup, "MX %.*s was skipped: not a host name", BYTES_ARG(record->name));
        return false;
    }
    return true;
}

/* A host named twice counts with the better preference. */
static size_t add_exchange(struct exchange *exchanges, size_t count,
                           const struct dns_record *record)
{
    for (size_t i = 0; i < count; i++) {
        if (!bytes_equal(exchanges[i].name, record->name))
            continue;
        if (record->preference < exchanges[i].preference)
            exchanges[i].preference = record->preference;
        return count;
    }
    exchanges[count] = (struct exchange){record->preference, record->name};
    return count + 1;
}

/* RFC 5321 section 5.1: where we are in the set, only better hosts than ourselves are left. */
static size_t drop_from_ours(struct mx_lookup *lookup, struct exchange *exchanges, size_t count)
{
    unsigned limit = UINT16_MAX + 1;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(exchanges[i].name, lookup->rules.our_name))
            limit = exchanges[i].preference;
    for (size_t i = 0; i < count; i++)
        if (exchanges[i].preference < limit)
            exchanges[kept++] = exchanges[i];
    if (kept < count)
        remark(lookup, "MX hosts of preference %u and above were dropped: we are one of them",
               limit);
    return kept;
}

/* By preference, equals in a new order each time: they are meant to share the load. */
static void order_exchanges(struct exchange *exchanges, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t other = (size_t)random_below(i + 1);
        struct exchange swapped = exchanges[i];

        exchanges[i] = exchanges[other];
        exchanges[other] = swapped;
    }
    for (size_t i = 1; i < count; i++) { /* stable; at most DNS_RECORDS_MAX */
        struct exchange moved = exchanges[i];
        size_t place = i;

        for (; place > 0 && exchanges[place - 1].preference > moved.preference; place--)
            exchanges[place] = exchanges[place - 1];
        exchanges[place] = moved;
    }
}

/* The site is all of them, not the ones that are tried or that have addresses just now. */
static bool set_site(struct mx_lookup *lookup, const struct exchange *exchanges, size_t count)
{
    struct bytes *names = arena_alloc(&lookup->arena, count * sizeof(*names));

    if (names == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        names[i] = exchanges[i].name;
    return mx_site_name(&lookup->arena, names, count, &lookup->set.site);
}

static bool set_candidates(struct mx_lookup *lookup, const struct exchange *exchanges, size_t count)
{
    size_t kept = MIN(count, (size_t)MX_HOSTS_MAX);

    if (kept < count)
        remark(lookup, "only the first %d of %zu MX hosts are tried", MX_HOSTS_MAX, count);
    lookup->candidates = arena_alloc(&lookup->arena, kept * sizeof(struct candidate));
    if (lookup->candidates == NULL)
        return false;
    for (size_t i = 0; i < kept; i++)
        candidate_init(&lookup->candidates[i], lookup, exchanges[i].name, exchanges[i].preference);
    lookup->candidate_count = kept;
    return true;
}

static void choose_exchanges(struct mx_lookup *lookup, const struct dns_answer *answer)
{
    struct exchange exchanges[DNS_RECORDS_MAX];
    size_t usable = 0;

    for (size_t i = 0; i < answer->record_count; i++)
        if (exchange_is_usable(lookup, &answer->records[i]))
            usable = add_exchange(exchanges, usable, &answer->records[i]);
    if (answer->odd_count > 0)
        remark(lookup, "%zu MX records were skipped: not host names", answer->odd_count);
    if (answer->cut_count > 0)
        remark(lookup, "%zu more MX records were not looked at", answer->cut_count);
    size_t count = drop_from_ours(lookup, exchanges, usable);

    if (usable == 0) {
        finish(lookup, MX_NO_ADDRESS, "no MX record of %.*s names a host",
               BYTES_ARG(lookup->domain));
    } else if (count == 0) {
        finish(lookup, MX_LOOP, "mail for %.*s loops back to this host", BYTES_ARG(lookup->domain));
    } else {
        order_exchanges(exchanges, count);
        if (!set_site(lookup, exchanges, count) || !set_candidates(lookup, exchanges, count))
            finish_without_memory(lookup);
        else
            ask_addresses(lookup);
    }
}

/* No MX record: the domain itself is the host (RFC 5321 section 5.1). */
static void choose_domain(struct mx_lookup *lookup)
{
    lookup->set.is_implicit = true;
    if (bytes_equal_nocase(lookup->domain, lookup->rules.our_name)) {
        finish(lookup, MX_LOOP, "%.*s is this host and has no MX record",
               BYTES_ARG(lookup->domain));
        return;
    }
    set_single_candidate(lookup, lookup->domain);
    ask_addresses(lookup);
}

static void mx_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct mx_lookup *lookup = container_of(query, struct mx_lookup, mx_query);
    struct bytes domain = lookup->domain;

    lookup->mx_answer = dns_answer_keep(answer);
    note_answer(lookup, answer);
    switch (answer->status) {
    case DNS_OK:
        if (answer->record_count == 1 && answer->odd_count == 0 && answer->records[0].name.len == 0)
            finish(lookup, MX_NULL, "%.*s takes no mail: null MX", BYTES_ARG(domain));
        else
            choose_exchanges(lookup, answer);
        return;
    case DNS_NO_DATA:
        choose_domain(lookup);
        return;
    case DNS_NXDOMAIN:
        finish(lookup, MX_NXDOMAIN, "the domain %.*s does not exist", BYTES_ARG(domain));
        return;
    case DNS_BAD_NAME: /* normalise_domain() asked the same */
    case DNS_FAILED:
        finish(lookup, MX_FAILED, "the MX lookup of %.*s failed: %s", BYTES_ARG(domain),
               answer->why != NULL ? answer->why : "unknown");
        return;
    }
}

/* --- addresses ------------------------------------------------------------------------------ */

static bool family_is_used(const struct mx_lookup *lookup, size_t family)
{
    return family == FAMILY_IPV6 ? lookup->rules.use_ipv6 : lookup->rules.use_ipv4;
}

static void ask_addresses(struct mx_lookup *lookup)
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
    note_answer(lookup, answer);
    check(lookup->waiting > 0);
    if (--lookup->waiting == 0)
        collect(lookup);
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
    if (!mx_address_is_forbidden(&lookup->rules, address))
        return true;
    address_format(address, text);
    remark(lookup, "%s of %.*s is not a public address", text, BYTES_ARG(candidate->name));
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

/* Families take turns, IPv6 first, so that one which is broken on the way costs one try. */
static void collect_addresses(struct candidate *candidate)
{
    struct address addresses[FAMILY_COUNT][MX_ADDRESSES_MAX];
    size_t counts[FAMILY_COUNT];

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

/* The best preference at which a host is ourselves; past all when none is. */
static unsigned ours_limit(const struct mx_lookup *lookup)
{
    unsigned limit = UINT16_MAX + 1;

    for (size_t i = 0; i < lookup->candidate_count; i++)
        if (lookup->candidates[i].is_ours)
            limit = MIN(limit, (unsigned)lookup->candidates[i].preference);
    return limit;
}

/* The hosts that have addresses, best first. False when the arena is full. */
static bool set_hosts(struct mx_lookup *lookup)
{
    struct mx_set *set = &lookup->set;
    unsigned limit = ours_limit(lookup);

    set->hosts = arena_alloc(&lookup->arena, lookup->candidate_count * sizeof(*set->hosts));
    if (set->hosts == NULL)
        return false;
    for (size_t i = 0; i < lookup->candidate_count; i++) {
        const struct candidate *candidate = &lookup->candidates[i];
        struct mx_host *host = &set->hosts[set->host_count];

        if (candidate->preference >= limit) {
            lookup->has_loop = true;
            remark(lookup, "%.*s was dropped: we are as good a host", BYTES_ARG(candidate->name));
            continue;
        }
        if (candidate->address_count == 0) {
            remark(lookup, "%.*s has no usable address", BYTES_ARG(candidate->name));
            continue;
        }
        *host = (struct mx_host){
            .preference = candidate->preference,
            .name = candidate->name,
            .address_count = candidate->address_count,
        };
        memcpy(host->addresses, candidate->addresses, sizeof(host->addresses));
        set->host_count++;
    }
    return true;
}

/* A route's site tells its port, if it is another one than mail's: it is another server. */
static bool set_single_site(struct mx_lookup *lookup)
{
    struct mx_set *set = &lookup->set;

    if (!mx_site_name(&lookup->arena, &lookup->candidates[0].name, 1, &set->site))
        return false;
    return lookup->port == lookup->rules.port ||
           arena_printf(&lookup->arena, &set->site, "%.*s:%u", BYTES_ARG(set->site), lookup->port);
}

/* Nothing to try: what is temporary comes before what is final. */
static void finish_without_host(struct mx_lookup *lookup)
{
    struct bytes domain = lookup->domain;

    if (lookup->failure != NULL)
        finish(lookup, MX_FAILED, "the address lookup for %.*s failed: %s", BYTES_ARG(domain),
               lookup->failure);
    else if (lookup->has_loop)
        finish(lookup, MX_LOOP, "mail for %.*s loops back to this host", BYTES_ARG(domain));
    else if (lookup->has_forbidden)
        finish(lookup, MX_UNROUTABLE, "%.*s leads only to addresses that are not public",
               BYTES_ARG(domain));
    else
        finish(lookup, MX_NO_ADDRESS, "no mail host of %.*s has an address that could be used",
               BYTES_ARG(domain));
}

static void collect(struct mx_lookup *lookup)
{
    for (size_t i = 0; i < lookup->candidate_count; i++)
        if (lookup->candidates[i].address_count == 0) /* a literal has its address already */
            collect_addresses(&lookup->candidates[i]);
    if (!set_hosts(lookup) || (lookup->set.site.len == 0 && !set_single_site(lookup)))
        finish_without_memory(lookup);
    else if (lookup->set.host_count == 0)
        finish_without_host(lookup);
    else if (lookup->is_route)
        finish(lookup, MX_OK, "sent to %.*s by a route", BYTES_ARG(lookup->domain));
    else if (lookup->set.is_implicit)
        finish(lookup, MX_OK, "%.*s has no MX record and is its own mail host",
               BYTES_ARG(lookup->domain));
    else
        finish(lookup, MX_OK, "%zu mail hosts of %.*s", lookup->set.host_count,
               BYTES_ARG(lookup->domain));
}

/* --- literals ------------------------------------------------------------------------------- */

/* "[192.0.2.1]", "[IPv6:2001:db8::1]"; of a route also without brackets and tag. */
static bool parse_literal(const struct mx_lookup *lookup, struct address *out)
{
    struct bytes text = lookup->domain;

    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = bytes_slice(text, 1, text.len - 2);
    else if (!lookup->is_route)
        return false;
    (void)bytes_take_nocase(&text, BYTES("IPv6:"));
    return address_parse(text, lookup->port, out) && address_port(out) == lookup->port;
}

static bool set_literal(struct mx_lookup *lookup)
{
    struct address address;
    struct bytes name;
    char text[ADDRESS_TEXT_MAX];

    if (!parse_literal(lookup, &address))
        return false;
    address_format(&address, text);
    if (!arena_printf(&lookup->arena, &name, "[%s]", text))
        return false;
    set_single_candidate(lookup, name);
    struct candidate *candidate = lookup->candidates;
    size_t family = address.any.sa_family == AF_INET6 ? FAMILY_IPV6 : FAMILY_IPV4;

    if (!family_is_used(lookup, family)) {
        remark(lookup, "%s is not of a family in use", text);
        return true;
    }
    /* A route's address was named by the operator; a mail address's by anybody. */
    if (lookup->is_route)
        candidate->is_ours = address_is_ours(lookup, &address);
    if (lookup->is_route ? !candidate->is_ours : address_is_usable(candidate, &address))
        candidate->addresses[candidate->address_count++] = address;
    return true;
}

static void literal_turn_ended(struct turn_end *turn_end)
{
    collect(container_of(turn_end, struct mx_lookup, turn_end));
}
