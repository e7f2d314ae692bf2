/* sts_lookup.c - one lookup's way, drawn in sts_lookup.h. */
#include "delivery/mta_sts/sts_lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/mta_sts/sts_private.h"
#include "dns/name.h"
#include "io/address_scope.h"

enum { HTTPS_PORT = 443, ADDRESS_KINDS = 2, LONGEST_MS = 3600 * 1000 };

struct sts_lookup {
    struct sts_store *store;
    struct resolver *resolver;
    struct network *allowed;
    size_t allowed_count;
    sts_done *done; /* NULL: it is told, and only fetches */
    void *context;
    struct dns_query txt;
    struct address_query {
        struct dns_query query;
        struct sts_lookup *lookup;
    } addresses[ADDRESS_KINDS];
    unsigned waiting;
    struct timeout timeout;
    struct sts_known known;
    struct sts_request *request; /* being filled, then under way */
    int64_t expires_ms;
    struct bytes domain;
    char text[DNS_NAME_MAX + 1];
};

static struct engine *engine_of(const struct sts_lookup *lookup)
{
    return resolver_engine(lookup->resolver);
}

/* A request that is under way outlives it. */
static void lookup_free(struct sts_lookup *lookup)
{
    resolver_cancel(lookup->resolver, &lookup->txt);
    for (size_t i = 0; i < ADDRESS_KINDS; i++)
        resolver_cancel(lookup->resolver, &lookup->addresses[i].query);
    engine_timeout_cancel(engine_of(lookup), &lookup->timeout);
    if (lookup->request != NULL && lookup->request->store != NULL)
        lookup->request->lookup = NULL;
    else if (lookup->request != NULL)
        sts_request_free(&lookup->request);
    sts_policy_release(&lookup->known.policy);
    free(lookup->allowed);
    free(lookup);
}

/* Of what is known by now. */
static void tell(struct sts_lookup *lookup)
{
    sts_done *done = lookup->done;
    const struct sts_answer answer = {
        .policy = lookup->known.policy,
        .problem = lookup->known.problem,
        .why = lookup->known.why,
        .expires_ms =
            MIN(lookup->expires_ms,
                lookup->known.policy != NULL ? lookup->known.policy->expires_ms : INT64_MAX),
    };

    lookup->done = NULL;
    if (done != NULL)
        done(lookup->context, &answer);
}

static void finish(struct sts_lookup *lookup)
{
    tell(lookup);
    lookup_free(lookup);
}

static void set_problem(struct sts_lookup *lookup, enum sts_problem problem, const char *why)
{
    lookup->known.problem = problem;
    snprintf(lookup->known.why, sizeof(lookup->known.why), "%s", why);
    lookup->expires_ms = MIN(lookup->expires_ms, engine_now_ms(engine_of(lookup)) + STS_FAILURE_MS);
}

/* --- the fetch -------------------------------------------------------------------------------- */

static void take_address(struct sts_lookup *lookup, const struct dns_record *record,
                         enum dns_type type)
{
    struct sts_fetch *fetch = &lookup->request->fetch;
    struct address address;

    if (type == DNS_TYPE_AAAA)
        address_from_v6(&record->aaaa, HTTPS_PORT, &address);
    else
        address_from_v4(record->a, HTTPS_PORT, &address);
    if (!address_is_forbidden(&address, lookup->allowed, lookup->allowed_count) &&
        fetch->address_count < STS_ADDRESSES_MAX)
        fetch->addresses[fetch->address_count++] = address;
}

/* The engine's thread; the program may have ended otherwise. */
static void request_opened(struct letter *letter, struct engine *engine)
{
    struct sts_request *request = container_of(letter, struct sts_request, letter);
    struct sts_lookup *lookup = request->lookup;

    (void)engine;
    if (lookup != NULL && request->policy != NULL) {
        sts_policy_release(&lookup->known.policy);
        lookup->known.policy = sts_policy_keep(request->policy);
        lookup->known.problem = STS_FINE;
        lookup->known.why[0] = '\0';
    } else if (lookup != NULL) {
        set_problem(lookup, request->fetch.problem, request->fetch.why);
    }
    if (lookup != NULL)
        lookup->request = NULL;
    sts_request_free(&request);
    if (lookup != NULL)
        finish(lookup);
}

static void fail(struct sts_lookup *lookup, const char *why)
{
    sts_store_fail(lookup->store, lookup->domain, bytes_of(lookup->request->id), STS_FETCH_FAILED,
                   why);
    set_problem(lookup, STS_FETCH_FAILED, why);
    finish(lookup);
}

static void fetch(struct sts_lookup *lookup)
{
    struct sts_request *request = lookup->request;

    if (request->fetch.address_count == 0) {
        fail(lookup, "the policy host has no address that may be connected to");
        return;
    }
    request->letter.open = request_opened;
    request->engine = engine_of(lookup);
    request->lookup = lookup;
    if (sts_store_run(lookup->store, request)) {
        if (lookup->done == NULL) { /* nobody waits: the store learns of it */
            request->lookup = NULL;
            lookup->request = NULL;
            lookup_free(lookup);
        }
        return;
    }
    request->store = NULL; /* it is ours still; not remembered: the domain did nothing */
    set_problem(lookup, STS_FETCH_FAILED, "too many policies are being fetched");
    finish(lookup);
}

static void address_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct address_query *asked = container_of(query, struct address_query, query);
    struct sts_lookup *lookup = asked->lookup;
    enum dns_type type = asked == &lookup->addresses[0] ? DNS_TYPE_AAAA : DNS_TYPE_A;

    for (size_t i = 0; answer->status == DNS_OK && i < answer->record_count; i++)
        take_address(lookup, &answer->records[i], type);
    if (--lookup->waiting == 0)
        fetch(lookup);
}

static void timed_out(struct timeout *timeout)
{
    struct sts_lookup *lookup = container_of(timeout, struct sts_lookup, timeout);

    set_problem(lookup, STS_FETCH_FAILED, "the policy takes too long to be fetched");
    finish(lookup);
}

static void begin_fetch(struct sts_lookup *lookup, struct bytes id)
{
    char host[DNS_NAME_MAX + 16];

    lookup->request = calloc(1, sizeof(*lookup->request));
    check(lookup->request != NULL);
    snprintf(lookup->request->id, sizeof(lookup->request->id), "%.*s", BYTES_ARG(id));
    snprintf(lookup->request->domain, sizeof(lookup->request->domain), "%s", lookup->text);
    lookup->request->fetch.domain = bytes_range(lookup->request->domain, lookup->domain.len);
    snprintf(host, sizeof(host), "mta-sts.%s", lookup->text);
    lookup->waiting = ADDRESS_KINDS;
    engine_timeout(engine_of(lookup), &lookup->timeout, STS_WAIT_MS);
    resolver_ask(lookup->resolver, &lookup->addresses[0].query, bytes_of(host), DNS_TYPE_AAAA);
    resolver_ask(lookup->resolver, &lookup->addresses[1].query, bytes_of(host), DNS_TYPE_A);
}

/* --- the record ------------------------------------------------------------------------------- */

/* The id that the domain publishes; false: none, and *is_broken_out whether that is a fault. */
static bool find_id(const struct dns_answer *answer, struct bytes *id_out, bool *is_broken_out)
{
    struct bytes text = BYTES_NONE;
    unsigned count = 0;

    *is_broken_out = false;
    for (size_t i = 0; answer->status == DNS_OK && i < answer->record_count; i++) {
        if (!mta_sts_record_is_one(answer->records[i].text))
            continue;
        text = answer->records[i].text;
        count++;
    }
    if (count == 0)
        return false;
    /* More than one, or one that is not valid: there is no policy (RFC 8461 section 3.1). */
    *is_broken_out = count > 1 || !mta_sts_record_parse(text, id_out);
    return !*is_broken_out;
}

static void txt_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct sts_lookup *lookup = container_of(query, struct sts_lookup, txt);
    struct sts_known *known = &lookup->known;
    int64_t now_ms = engine_now_ms(engine_of(lookup));
    struct bytes id;
    bool is_broken;

    lookup->expires_ms = MIN(answer->expires_ms, now_ms + LONGEST_MS);
    if (!find_id(answer, &id, &is_broken)) {
        known->problem = STS_FINE;
        known->why[0] = '\0';
        if (is_broken)
            set_problem(lookup, STS_POLICY_INVALID, "its TXT record is not valid");
        finish(lookup);
        return;
    }
    bool is_same = known->policy != NULL && bytes_equal(known->policy->id, id);
    bool has_failed = known->problem != STS_FINE && bytes_equal(bytes_of(known->id), id);

    if (has_failed) {
        lookup->expires_ms = MIN(lookup->expires_ms, known->retry_ms);
    } else {
        known->problem = STS_FINE;
        known->why[0] = '\0';
    }
    if ((is_same && !sts_policy_is_old(known->policy, now_ms)) || has_failed) {
        finish(lookup);
        return;
    }
    if (is_same)
        tell(lookup); /* who asked goes on with what there is */
    begin_fetch(lookup, id);
}

struct sts_lookup *sts_lookup_start(struct sts_store *store, struct resolver *resolver,
                                    const struct sts_rules *rules, struct bytes domain,
                                    sts_done *done, void *context)
{
    struct sts_lookup *lookup = calloc(1, sizeof(*lookup));
    size_t allowed_size = rules->allow_private_count * sizeof(struct network);
    char name[DNS_NAME_MAX + 16];

    check(lookup != NULL);
    check(domain.len <= DNS_NAME_MAX);
    lookup->store = store;
    lookup->resolver = resolver;
    lookup->done = done;
    lookup->context = context;
    lookup->txt.done = txt_answered;
    for (size_t i = 0; i < ADDRESS_KINDS; i++) {
        lookup->addresses[i].lookup = lookup;
        lookup->addresses[i].query.done = address_answered;
    }
    timeout_init(&lookup->timeout, timed_out);
    memcpy(lookup->text, domain.ptr, domain.len);
    lookup->domain = bytes_range(lookup->text, domain.len);
    if (allowed_size > 0) {
        lookup->allowed = malloc(allowed_size);
        check(lookup->allowed != NULL);
        memcpy(lookup->allowed, rules->allow_private, allowed_size);
        lookup->allowed_count = rules->allow_private_count;
    }
    if (rules->is_refresh)
        sts_store_peek(store, lookup->domain, engine_now_ms(engine_of(lookup)), &lookup->known);
    else
        sts_store_find(store, lookup->domain, engine_now_ms(engine_of(lookup)), &lookup->known);
    snprintf(name, sizeof(name), "_mta-sts.%s", lookup->text);
    resolver_ask(resolver, &lookup->txt, bytes_of(name), DNS_TYPE_TXT);
    return lookup;
}

void sts_lookup_cancel(struct sts_lookup **lookup)
{
    struct sts_lookup *l = *lookup;

    *lookup = NULL;
    if (l != NULL)
        lookup_free(l);
}
