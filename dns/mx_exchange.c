/* mx_exchange.c - which of the published mail hosts are tried, and in what order. */
#include "base/random.h"
#include "dns/mx_lookup.h"
#include "dns/name.h"

/* An exchange as published: something to try, or something to say. */
struct exchange {
    uint16_t preference;
    struct bytes name;
};

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
        mx_remark(lookup, "MX hosts of preference %u and above were dropped: we are one of them",
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
        mx_remark(lookup, "only the first %d of %zu MX hosts are tried", MX_HOSTS_MAX, count);
    lookup->candidates = arena_alloc(&lookup->arena, kept * sizeof(struct candidate));
    if (lookup->candidates == NULL)
        return false;
    for (size_t i = 0; i < kept; i++)
        mx_candidate_init(&lookup->candidates[i], lookup, exchanges[i].name,
                          exchanges[i].preference);
    lookup->candidate_count = kept;
    return true;
}

void mx_choose_exchanges(struct mx_lookup *lookup, const struct dns_answer *answer)
{
    struct exchange exchanges[DNS_RECORDS_MAX];
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
        if (!set_site(lookup, exchanges, count) || !set_candidates(lookup, exchanges, count))
            mx_finish_without_memory(lookup);
        else
            mx_ask_addresses(lookup);
    }
}
