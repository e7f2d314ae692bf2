/* mx_exchange.c - which of the published mail hosts are tried, and in what order. */
#include <string.h>

#include "base/random.h"
#include "dns/mx_lookup.h"
#include "dns/name.h"

static bool exchange_is_usable(struct mx_lookup *lookup, const struct dns_record *record)
{
    if (record->name.len == 0) {
        mx_remark(lookup, "a null MX beside others was ignored");
        return false;
    }
    if (!dns_name_is_host(record->name)) {
        mx_remark(lookup, "MX %.*s was skipped: not a host name", BYTES_ARG(record->name));
        return false;
    }
    return true;
}

/* A host named twice counts with the better preference. */
static size_t add_exchange(struct mx_exchange *exchanges, size_t count,
                           const struct dns_record *record)
{
    for (size_t i = 0; i < count; i++) {
        if (!bytes_equal(exchanges[i].name, record->name))
            continue;
        if (record->preference < exchanges[i].preference)
            exchanges[i].preference = record->preference;
        return count;
    }
    exchanges[count] = (struct mx_exchange){record->preference, record->name};
    return count + 1;
}

/* RFC 5321 section 5.1: where we are in the set, only better hosts than ourselves are left. */
static size_t drop_from_ours(struct mx_lookup *lookup, struct mx_exchange *exchanges, size_t count)
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
        mx_remark(lookup, "MX hosts of preference %u and above were dropped: we are one of them",
                  limit);
    return kept;
}

/* By preference, equals in a new order each time: they are meant to share the load. */
static void order_exchanges(struct mx_exchange *exchanges, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t other = (size_t)random_below(i + 1);
        struct mx_exchange swapped = exchanges[i];

        exchanges[i] = exchanges[other];
        exchanges[other] = swapped;
    }
    for (size_t i = 1; i < count; i++) { /* stable; at most DNS_RECORDS_MAX */
        struct mx_exchange moved = exchanges[i];
        size_t place = i;

        for (; place > 0 && exchanges[place - 1].preference > moved.preference; place--)
            exchanges[place] = exchanges[place - 1];
        exchanges[place] = moved;
    }
}

/* The site is all of them, not the ones that are tried or that have addresses just now. */
static bool keep_exchanges(struct mx_lookup *lookup, const struct mx_exchange *exchanges,
                           size_t count)
{
    lookup->exchanges = arena_alloc(&lookup->arena, count * sizeof(*exchanges));
    if (lookup->exchanges == NULL ||
        !mx_site_name(&lookup->arena, exchanges, count, &lookup->set.site))
        return false;
    memcpy(lookup->exchanges, exchanges, count * sizeof(*exchanges));
    lookup->exchange_count = count;
    return true;
}

bool mx_next_candidates(struct mx_lookup *lookup)
{
    size_t left = lookup->exchange_count - lookup->exchange_next;
    const struct mx_exchange *next = &lookup->exchanges[lookup->exchange_next];

    check(left > 0);
    mx_release_candidates(lookup);
    if (lookup->candidates == NULL) /* the first ones are the most */
        lookup->candidates =
            arena_alloc(&lookup->arena, MIN(left, (size_t)MX_HOSTS_MAX) * sizeof(struct candidate));
    if (lookup->candidates == NULL)
        return false;
    lookup->candidate_count = MIN(left, (size_t)MX_HOSTS_MAX);
    lookup->exchange_next += lookup->candidate_count;
    for (size_t i = 0; i < lookup->candidate_count; i++)
        mx_candidate_init(&lookup->candidates[i], lookup, next[i].name, next[i].preference);
    return true;
}

void mx_choose_exchanges(struct mx_lookup *lookup, const struct dns_answer *answer)
{
    struct mx_exchange exchanges[DNS_RECORDS_MAX];
    size_t usable = 0;

    for (size_t i = 0; i < answer->record_count; i++)
        if (exchange_is_usable(lookup, &answer->records[i]))
            usable = add_exchange(exchanges, usable, &answer->records[i]);
    if (answer->odd_count > 0)
        mx_remark(lookup, "%zu MX records were skipped: not host names", answer->odd_count);
    if (answer->cut_count > 0)
        mx_remark(lookup, "%zu more MX records were not looked at", answer->cut_count);
    size_t count = drop_from_ours(lookup, exchanges, usable);

    if (usable == 0) {
        mx_finish(lookup, MX_NO_ADDRESS, "no MX record of %.*s names a host",
                  BYTES_ARG(lookup->domain));
    } else if (count == 0) {
        mx_finish(lookup, MX_LOOP, "mail for %.*s loops back to this host",
                  BYTES_ARG(lookup->domain));
    } else {
        order_exchanges(exchanges, count);
        if (!keep_exchanges(lookup, exchanges, count) || !mx_next_candidates(lookup))
            mx_finish_without_memory(lookup);
        else
            mx_ask_addresses(lookup);
    }
}
