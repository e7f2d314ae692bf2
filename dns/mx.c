/* mx.c - a lookup of mail hosts, from its start to its result; drawn in mx_lookup.h. */
#include "dns/mx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns/mx_lookup.h"
#include "dns/name.h"

enum {
    ARENA_MAX = 256 * 1024,
    LITERAL_EXPIRES_MS = 3600000, /* an address that nobody looked up stays what it is */
    RETRY_MS = 30000,             /* after a failure that is ours */
};

/* --- start and end -------------------------------------------------------------------------- */

void mx_remark(struct mx_lookup *lookup, const char *format, ...)
{
    size_t room = MX_REMARKS_MAX - lookup->remarks_len;
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
    mx_release_candidates(lookup);
    arena_free(&lookup->arena);
    free(lookup);
}

static void tell(struct mx_lookup *lookup)
{
    lookup->is_telling = true;
    lookup->done(lookup->context, &lookup->set);
    lookup_free(lookup);
}

void mx_finish(struct mx_lookup *lookup, enum mx_status status, const char *format, ...)
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

void mx_finish_without_memory(struct mx_lookup *lookup)
{
    mx_finish(lookup, MX_FAILED, "no memory for the lookup of %.*s", BYTES_ARG(lookup->domain));
}

void mx_count_answer(struct mx_lookup *lookup, const struct dns_answer *answer)
{
    lookup->set.expires_ms = MIN(lookup->set.expires_ms, answer->expires_ms);
    lookup->set.is_stale |= answer->is_stale;
}

static void literal_turn_ended(struct turn_end *turn_end);
static void bad_name_turn_ended(struct turn_end *turn_end);
static void mx_answered(struct dns_query *query, const struct dns_answer *answer);
static void set_single_candidate(struct mx_lookup *lookup, struct bytes name);
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
    lookup->ours_limit = UINT16_MAX + 1;
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
        mx_ask_addresses(lookup);
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

    mx_finish(lookup, MX_NXDOMAIN, "the domain is not a name that DNS can be asked for");
}

/* The only host there is: of a route, a literal, or the domain itself. */
static void set_single_candidate(struct mx_lookup *lookup, struct bytes name)
{
    lookup->candidates = arena_alloc(&lookup->arena, sizeof(struct candidate));
    check(lookup->candidates != NULL); /* nothing else was taken from the arena */
    mx_candidate_init(lookup->candidates, lookup, name, 0);
    lookup->candidate_count = 1;
}

/* No MX record: the domain itself is the host (RFC 5321 section 5.1). */
static void choose_domain(struct mx_lookup *lookup)
{
    lookup->set.is_implicit = true;
    if (bytes_equal_nocase(lookup->domain, lookup->rules.our_name)) {
        mx_finish(lookup, MX_LOOP, "%.*s is this host and has no MX record",
                  BYTES_ARG(lookup->domain));
        return;
    }
    set_single_candidate(lookup, lookup->domain);
    mx_ask_addresses(lookup);
}

static void mx_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct mx_lookup *lookup = container_of(query, struct mx_lookup, mx_query);
    struct bytes domain = lookup->domain;

    lookup->mx_answer = dns_answer_keep(answer);
    lookup->set.is_secure = answer->is_secure;
    lookup->set.canonical = answer->canonical; /* mx_answer keeps it */
    mx_count_answer(lookup, answer);
    switch (answer->status) {
    case DNS_OK:
        if (answer->record_count == 1 && answer->odd_count == 0 && answer->records[0].name.len == 0)
            mx_finish(lookup, MX_NULL, "%.*s takes no mail: null MX", BYTES_ARG(domain));
        else
            mx_choose_exchanges(lookup, answer);
        return;
    case DNS_NO_DATA:
        choose_domain(lookup);
        return;
    case DNS_NXDOMAIN:
        mx_finish(lookup, MX_NXDOMAIN, "the domain %.*s does not exist", BYTES_ARG(domain));
        return;
    case DNS_BAD_NAME: /* normalise_domain() asked the same */
    case DNS_FAILED:
        mx_finish(lookup, MX_FAILED, "the MX lookup of %.*s failed: %s", BYTES_ARG(domain),
                  answer->why != NULL ? answer->why : "unknown");
        return;
    }
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
    mx_take_literal(lookup->candidates, &address);
    return true;
}

static void literal_turn_ended(struct turn_end *turn_end)
{
    mx_collect(container_of(turn_end, struct mx_lookup, turn_end));
}
