/* verification.c - the checks of a message, each with its question, and when all are done. */
#include "inbound/verify/verification.h"

#include <stdlib.h>
#include <string.h>

#include "inbound/verify/verification_private.h"

static void check_pump(struct verify_check *check);

/* --- a check and its question ----------------------------------------------------------------- */

static enum check_step check_run(struct verify_check *check)
{
    struct verification *v = check->verification;

    switch (check->kind) {
    case VERIFY_SPF:
        return spf_run(v->spf, &check->lookup);
    case VERIFY_HELO:
        return spf_run(v->helo, &check->lookup);
    case VERIFY_IPREV:
        return iprev_run(&v->iprev, &check->lookup);
    case VERIFY_DMARC:
        return dmarc_run(&v->dmarc, &check->lookup);
    case VERIFY_ARC:
        return arc_verifier_run(v->arc, &check->lookup);
    case VERIFY_DKIM:
        return dkim_verifier_run(v->dkim, check->number, &check->lookup);
    }
    return CHECK_DONE;
}

static void check_take(struct verify_check *check, const struct lookup_answer *answer)
{
    struct verification *v = check->verification;

    switch (check->kind) {
    case VERIFY_SPF:
        spf_answer(v->spf, answer);
        return;
    case VERIFY_HELO:
        spf_answer(v->helo, answer);
        return;
    case VERIFY_IPREV:
        iprev_answer(&v->iprev, answer);
        return;
    case VERIFY_DMARC:
        dmarc_answer(&v->dmarc, answer);
        return;
    case VERIFY_ARC:
        arc_verifier_answer(v->arc, answer);
        return;
    case VERIFY_DKIM:
        dkim_verifier_answer(v->dkim, check->number, answer);
        return;
    }
}

static const char *check_name(const struct verify_check *check)
{
    static const char *const names[] = {
        [VERIFY_SPF] = "spf",     [VERIFY_HELO] = "helo", [VERIFY_IPREV] = "iprev",
        [VERIFY_DMARC] = "dmarc", [VERIFY_ARC] = "arc",   [VERIFY_DKIM] = "dkim",
    };

    return names[check->kind];
}

static void check_tell(struct verify_check *check, const struct lookup_answer *answer,
                       const char *why)
{
    struct verification *v = check->verification;
    struct verification_trace trace = {
        .check = check_name(check),
        .number = check->number,
        .lookup = &check->lookup,
        .answer = answer,
        .why = why,
    };

    if (v->settings.trace != NULL)
        v->settings.trace(v->settings.context, &trace);
    check_take(check, answer);
}

static void check_fail(struct verify_check *check, const char *why)
{
    static const struct lookup_answer failed = {.result = LOOKUP_FAILED};

    check_tell(check, &failed, why);
}

/* --- DNS -------------------------------------------------------------------------------------- */

static const enum dns_type dns_types[] = {
    [LOOKUP_TXT] = DNS_TYPE_TXT, [LOOKUP_A] = DNS_TYPE_A,     [LOOKUP_AAAA] = DNS_TYPE_AAAA,
    [LOOKUP_MX] = DNS_TYPE_MX,   [LOOKUP_PTR] = DNS_TYPE_PTR,
};

static enum lookup_result result_of(const struct dns_answer *answer)
{
    switch (answer->status) {
    case DNS_OK:
        return LOOKUP_FOUND;
    case DNS_NO_DATA:
        return LOOKUP_NO_DATA;
    case DNS_NXDOMAIN:
    case DNS_BAD_NAME:
        return LOOKUP_NO_NAME;
    case DNS_FAILED:
        break;
    }
    return LOOKUP_FAILED;
}

static struct lookup_record record_of(const struct dns_record *record, enum lookup_type type)
{
    switch (type) {
    case LOOKUP_TXT:
        return (struct lookup_record){record->text, 0};
    case LOOKUP_A:
        return (struct lookup_record){bytes_range(&record->a, sizeof(record->a)), 0};
    case LOOKUP_AAAA:
        return (struct lookup_record){bytes_range(&record->aaaa, sizeof(record->aaaa)), 0};
    case LOOKUP_MX:
    case LOOKUP_PTR:
        break;
    }
    return (struct lookup_record){record->name, record->preference};
}

static void query_done(struct dns_query *query, const struct dns_answer *from)
{
    struct verify_check *check = container_of(query, struct verify_check, query);
    struct lookup_record records[2 * DNS_RECORDS_MAX];
    struct lookup_answer answer = {.result = result_of(from), .records = records};
    size_t odd_count = from->odd_records == NULL ? 0 : from->odd_count;

    for (size_t i = 0; i < from->record_count; i++)
        records[answer.count++] = record_of(&from->records[i], check->lookup.type);
    /* Strangers' names may be odd: who asks for them is told that they are not there. */
    for (size_t i = 0; i < odd_count; i++)
        records[answer.count++] = record_of(&from->odd_records[i], check->lookup.type);
    check_tell(check, &answer, answer.result == LOOKUP_FAILED ? from->why : NULL);
    check_pump(check);
    verification_advance(check->verification);
}

/* Until it waits for DNS, or is done. */
static void check_pump(struct verify_check *check)
{
    struct verification *v = check->verification;

    while (!check->is_done && !check->query.is_waiting) {
        if (check_run(check) == CHECK_DONE) {
            check->is_done = true;
        } else if (v->is_late) {
            check_fail(check, "the time for this message is over");
        } else if (v->questions == v->settings.questions_max) {
            check_fail(check, "too many questions for one message");
        } else {
            v->questions++;
            resolver_ask_any(v->resolver, &check->query, check->lookup.name,
                             dns_types[check->lookup.type]);
        }
    }
}

static void check_start(struct verification *v, struct verify_check *check, enum verify_kind kind,
                        size_t number)
{
    *check = (struct verify_check){
        .query = {.done = query_done},
        .verification = v,
        .kind = kind,
        .number = number,
    };
    check_pump(check);
}

static void deadline_passed(struct timeout *timeout)
{
    struct verification *v = container_of(timeout, struct verification, deadline);

    v->is_late = true;
    for (size_t i = 0; i < v->check_count; i++) {
        struct verify_check *check = v->checks[i];

        if (!check->query.is_waiting)
            continue;
        resolver_cancel(v->resolver, &check->query);
        check_fail(check, "the time for this message is over");
        check_pump(check);
    }
    verification_advance(v);
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool are_done(const struct verification *v, const struct verify_check *except)
{
    for (size_t i = 0; i < v->check_count; i++)
        if (v->checks[i] != except && !v->checks[i]->is_done)
            return false;
    return true;
}

static void add_identifier(struct verification *v, struct dmarc_identifier added)
{
    for (size_t i = 0; i < v->identifier_count; i++)
        if (v->identifiers[i].is_dkim == added.is_dkim &&
            v->identifiers[i].is_temporary == added.is_temporary &&
            bytes_equal(v->identifiers[i].domain, added.domain))
            return;
    check(v->identifier_count < VERIFY_IDENTIFIERS_MAX);
    v->identifiers[v->identifier_count++] = added;
}

/* Of a check that passed, or that might have if DNS had answered. */
static void add_signature(struct verification *v, const struct dkim_verdict *verdict)
{
    bool is_temporary = verdict->result == DKIM_TEMPERROR;

    if (!is_temporary &&
        (verdict->result != DKIM_PASS || verdict->is_testing || verdict->body_is_partial))
        return;
    add_identifier(v, (struct dmarc_identifier){
                          .is_dkim = true,
                          .is_temporary = is_temporary,
                          .domain = verdict->domain,
                      });
}

/* A signature stands for the whole message or for nothing here: not where l= leaves out what may
 * have been put behind, and not while its key is on trial (RFC 6376 section 3.6.1, t=y). */
static void judge(struct verification *v)
{
    const struct spf_result *spf = spf_result(v->spf);

    v->is_judged = true;
    if (spf->verdict == SPF_PASS || spf->verdict == SPF_TEMPERROR)
        add_identifier(v, (struct dmarc_identifier){
                              .is_temporary = spf->verdict == SPF_TEMPERROR,
                              .domain = spf->domain,
                          });
    for (size_t i = 0; i < MIN(dkim_verifier_count(v->dkim), (size_t)DKIM_SIGNATURES_MAX); i++)
        add_signature(v, dkim_verifier_verdict(v->dkim, i));
    dmarc_judge(&v->dmarc, v->identifiers, v->identifier_count);
    v->dmarc_check->is_done = false;
    check_pump(v->dmarc_check);
}

static void all_done(struct turn_end *turn_end)
{
    struct verification *v = container_of(turn_end, struct verification, turn_end);

    v->is_told = true;
    v->settings.done(v->settings.context, v);
}

void verification_advance(struct verification *v)
{
    if (!v->is_finished || v->is_told || !are_done(v, NULL))
        return;
    if (!v->is_judged) {
        judge(v);
        if (!v->dmarc_check->is_done)
            return;
    }
    engine_timeout_cancel(resolver_engine(v->resolver), &v->deadline);
    engine_at_turn_end(resolver_engine(v->resolver), &v->turn_end);
}

static struct verify_check *check_add(struct verification *v)
{
    check(v->check_count < VERIFY_CHECKS_MAX);
    v->checks[v->check_count] = calloc(1, sizeof(struct verify_check));
    check(v->checks[v->check_count] != NULL);
    return v->checks[v->check_count++];
}

static struct bytes address_octets(const struct address *address)
{
    switch (address->any.sa_family) {
    case AF_INET:
        return bytes_range(&address->v4.sin_addr, sizeof(address->v4.sin_addr));
    case AF_INET6:
        return bytes_range(&address->v6.sin6_addr, sizeof(address->v6.sin6_addr));
    default:
        return BYTES_NONE;
    }
}

/* IPv4-mapped IPv6 counts as IPv4, wherever the address comes from. */
static void keep_client(struct verification *v, const struct address *client)
{
    if (!address_from(&client->any, &v->client))
        v->client = (struct address){0};
}

static struct bytes keep(struct bytes b)
{
    uint8_t *copy = malloc(b.len + 1);

    check(copy != NULL);
    if (b.len > 0)
        memcpy(copy, b.ptr, b.len);
    return bytes_range(copy, b.len);
}

struct verification *verification_start(struct resolver *resolver,
                                        const struct verification_settings *settings,
                                        const struct verification_request *request)
{
    struct verification *v = calloc(1, sizeof(*v));

    check(v != NULL);
    v->resolver = resolver;
    v->settings = *settings;
    v->settings.hostname = keep(settings->hostname);
    if (v->settings.deadline_ms == 0)
        v->settings.deadline_ms = VERIFICATION_DEADLINE_MS;
    if (v->settings.questions_max == 0)
        v->settings.questions_max = VERIFICATION_QUESTIONS_MAX;
    v->helo_name = keep(request->helo);
    v->mail_from = keep(request->mail_from);
    keep_client(v, &request->client);
    body_hashes_init(&v->hashes);
    turn_end_init(&v->turn_end, all_done);
    timeout_init(&v->deadline, deadline_passed);
    engine_timeout(resolver_engine(resolver), &v->deadline, v->settings.deadline_ms);
    struct spf_request spf = {
        .address = address_octets(&v->client),
        .helo = v->helo_name,
        .mail_from = v->mail_from,
        .receiver = v->settings.hostname,
        .wall_s = settings->wall_ms / 1000,
    };

    v->spf = spf_start(&spf, SPF_MAIL_FROM);
    v->helo = spf_start(&spf, SPF_HELO);
    iprev_start(&v->iprev, spf.address);
    check_start(v, check_add(v), VERIFY_SPF, 0);
    check_start(v, check_add(v), VERIFY_HELO, 0);
    check_start(v, check_add(v), VERIFY_IPREV, 0);
    return v;
}

static void read_authors(struct verification *v, const struct mail_header *header)
{
    authors_init(&v->authors);
    for (size_t i = 0; i < header->count; i++)
        if (bytes_equal_nocase(header->fields[i].name, BYTES("From")))
            authors_add(&v->authors, header->fields[i].value);
    authors_finish(&v->authors);
    if (header->is_cut) /* there may be another From behind */
        v->authors.why = "the header is longer than is looked at";
}

void verification_header(struct verification *v, const struct mail_header *header)
{
    check(v->dkim == NULL);
    v->dkim = dkim_verifier_new(header, &v->hashes, v->settings.wall_ms);
    v->arc = arc_verifier_new(header, &v->hashes, v->settings.wall_ms);
    read_authors(v, header);
    dmarc_start(&v->dmarc, &v->authors);
    v->dmarc_check = check_add(v);
    check_start(v, v->dmarc_check, VERIFY_DMARC, 0);
    for (size_t i = 0; i < dkim_verifier_count(v->dkim) && i < DKIM_SIGNATURES_MAX; i++)
        check_start(v, check_add(v), VERIFY_DKIM, i);
    check_start(v, check_add(v), VERIFY_ARC, 0);
}

void verification_body(struct verification *v, struct bytes body)
{
    body_hashes_feed(&v->hashes, body);
}

void verification_finish(struct verification *v)
{
    check(v->dkim != NULL);
    body_hashes_finish(&v->hashes);
    v->is_finished = true;
    verification_advance(v);
}

void verification_free(struct verification **verification)
{
    struct verification *v = *verification;

    *verification = NULL;
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->check_count; i++) {
        resolver_cancel(v->resolver, &v->checks[i]->query);
        free(v->checks[i]);
    }
    engine_timeout_cancel(resolver_engine(v->resolver), &v->deadline);
    engine_turn_end_cancel(resolver_engine(v->resolver), &v->turn_end);
    spf_free(&v->spf);
    spf_free(&v->helo);
    dkim_verifier_free(&v->dkim);
    arc_verifier_free(&v->arc);
    body_hashes_free(&v->hashes);
    free((void *)v->settings.hostname.ptr);
    free((void *)v->helo_name.ptr);
    free((void *)v->mail_from.ptr);
    free(v);
}

/* --- what came out ---------------------------------------------------------------------------- */

const struct spf_result *verification_spf(const struct verification *v)
{
    return spf_result(v->spf);
}

const struct spf_result *verification_helo(const struct verification *v)
{
    return spf_result(v->helo);
}

const struct iprev_check *verification_iprev(const struct verification *v)
{
    return &v->iprev;
}

size_t verification_dkim_count(const struct verification *v)
{
    return dkim_verifier_count(v->dkim);
}

const struct dkim_verdict *verification_dkim(const struct verification *v, size_t number)
{
    return dkim_verifier_verdict(v->dkim, number);
}

const struct arc_verdict *verification_arc(const struct verification *v)
{
    return arc_verifier_verdict(v->arc);
}

bool verification_arc_link(const struct verification *v, struct arc_link *out)
{
    const struct arc_verdict *arc = arc_verifier_verdict(v->arc);

    return arc->status == ARC_PASS && arc_verifier_link(v->arc, arc->count, out);
}

struct bytes verification_dkim_reason(const struct verification *v, size_t number)
{
    const struct dkim_verdict *verdict = dkim_verifier_verdict(v->dkim, number);
    bool is_plain =
        verdict->result == DKIM_PASS && !verdict->is_testing && !verdict->body_is_partial;

    return is_plain ? BYTES_NONE : verdict->reason;
}

const struct dmarc *verification_dmarc(const struct verification *v)
{
    return &v->dmarc;
}

const struct dmarc_identifier *verification_identifiers(const struct verification *v,
                                                        size_t *count_out)
{
    *count_out = v->identifier_count;
    return v->identifiers;
}

unsigned verification_questions(const struct verification *v)
{
    return v->questions;
}
