/* reporter_send.c - what is due: who wants it, who may have it, and the way there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/dmarc/walk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "delivery/mta_sts/sts_store.h"
#include "dns/tlsa.h"
#include "event/json_text.h"
#include "relay/program.h"
#include "relay/reporter_private.h"
#include "reporting/report_uri.h"
#include "webhook/http_client.h"

enum {
    REPORTS_A_LOOK = 200, /* then it is counted again */
    TRIES_MAX = 10,
    UNCLEAR_MAX = 2, /* POSTs to an address that may have been taken */
    RETRY_FIRST_S = 900,
    RETRY_MAX_S = 4 * 3600,
    ARENA_MAX = 16 << 20, /* one answer, with its chain */
    SAID_MAX = 1024,
    POST_TIMEOUT_S = 60,
};

/* What came of one address, or of all. */
enum end {
    END_SENT,
    END_NOT,   /* for good: it may not have it, or takes none so large */
    END_LATER, /* tried again */
};

struct sending {
    struct reporter *reporter;
    struct tally_report report; /* with texts of its own: */
    char domain[TALLY_DOMAIN_MAX + 1], policy[1024];
    struct report_author author;
    struct arena arena; /* of the answer */
    struct dns_look_answer answer;
    struct buf text, packed;
    bool is_written;
    char said[SAID_MAX]; /* of each address */
    char why[DESK_WHY_MAX];
};

/* --- DNS -------------------------------------------------------------------------------------- */

/* False: not now. The answer lives until the next question. */
static bool ask(struct sending *s, const char *name, enum dns_type type)
{
    arena_clear(&s->arena);
    dns_look(s->reporter->look, bytes_of(name), type, &s->arena, &s->answer);
    if (s->answer.status != DNS_FAILED)
        return true;
    snprintf(s->why, sizeof(s->why), "DNS: %s", s->answer.why != NULL ? s->answer.why : "failed");
    return false;
}

/* The single TXT record that begins so; END_NOT: there is none, or several. */
static enum end find_record(struct sending *s, const char *prefix, struct bytes domain,
                            struct bytes begin, struct bytes *out)
{
    const struct dns_look_answer *answer = &s->answer;
    char name[TALLY_DOMAIN_MAX * 2 + 64];
    size_t found = 0;

    snprintf(name, sizeof(name), "%s%.*s", prefix, BYTES_ARG(domain));
    if (!ask(s, name, DNS_TYPE_TXT))
        return END_LATER;
    for (size_t i = 0; i < answer->count; i++) {
        struct bytes text = answer->records[i].text;

        if (!bytes_starts_nocase(text, begin))
            continue;
        found++;
        *out = text;
    }
    return found == 1 ? END_SENT : END_NOT;
}

static enum end find_organisation(struct sending *s, struct bytes domain, struct bytes *out)
{
    static struct lookup_record records[DNS_RECORDS_MAX];
    const struct dns_look_answer *answer = &s->answer;
    struct walk walk;
    struct bytes name;

    walk_start(&walk, domain);
    while (walk_next(&walk, &name)) {
        char asked[TALLY_DOMAIN_MAX + 16];
        struct lookup_answer told = {.result = LOOKUP_NO_DATA, .records = records};

        snprintf(asked, sizeof(asked), "_dmarc.%.*s", BYTES_ARG(name));
        if (!ask(s, asked, DNS_TYPE_TXT))
            return END_LATER;
        for (size_t i = 0; i < answer->count; i++)
            records[i] = (struct lookup_record){.text = answer->records[i].text};
        if (answer->count > 0)
            told = (struct lookup_answer){LOOKUP_FOUND, answer->count, records};
        walk_take(&walk, &told);
    }
    *out = walk_organisation(&walk);
    return END_SENT;
}

/* An address of another organisation has to say that it takes reports of that domain (RFC 9990
 * section 4), or anybody could have anybody flooded. */
static enum end may_have(struct sending *s, struct bytes target)
{
    struct bytes domain = s->report.domain, ours, theirs, record;
    char lower[TALLY_DOMAIN_MAX + 1], prefix[TALLY_DOMAIN_MAX + 32];

    if (target.len > TALLY_DOMAIN_MAX)
        return END_NOT;
    for (size_t i = 0; i < target.len; i++)
        lower[i] = (char)byte_lower(target.ptr[i]);
    target = bytes_range(lower, target.len);
    if (bytes_equal(target, domain))
        return END_SENT;
    enum end end = find_organisation(s, domain, &ours);

    if (end == END_SENT)
        end = find_organisation(s, target, &theirs);
    if (end != END_SENT || bytes_equal(ours, theirs))
        return end;
    snprintf(prefix, sizeof(prefix), "%.*s._report._dmarc.", BYTES_ARG(domain));
    end = find_record(s, prefix, target, BYTES("v=DMARC1"), &record);
    if (end == END_NOT)
        snprintf(s->why, sizeof(s->why), "it does not say that it takes reports of this domain");
    return end;
}

/* Who is to be told; END_NOT: nobody. */
static enum end find_targets(struct sending *s, struct report_uris *out)
{
    struct bytes text, rua;
    struct dmarc_record record;
    bool is_dmarc = s->report.kind == TALLY_DMARC;
    enum end end =
        is_dmarc ? find_record(s, "_dmarc.", s->report.domain, BYTES("v=DMARC1"), &text)
                 : find_record(s, "_smtp._tls.", s->report.domain, BYTES("v=TLSRPTv1"), &text);

    out->count = 0;
    if (end != END_SENT)
        return end;
    if (is_dmarc && dmarc_record_parse(text, &record))
        report_uris_read(record.rua, false, out);
    if (!is_dmarc && report_tls_record(text, &rua))
        report_uris_read(rua, true, out);
    return out->count > 0 ? END_SENT : END_NOT;
}

/* --- policies, for TLS ------------------------------------------------------------------------ */

static void add_text(json_t *policy, const char *key, struct bytes text)
{
    json_t *list = json_object_get(policy, key);

    if (list == NULL) {
        list = json_array();
        (void)!json_object_set_new(policy, key, list);
    }
    (void)!json_array_append_new(list, json_text(text));
}

static void tell_sts(struct sending *s, struct bytes domain, json_t *policy)
{
    struct sts_known known;
    struct bytes text, line;

    sts_store_peek(s->reporter->program->shared.sts, domain, clock_monotonic_ms(), &known);
    if (known.policy == NULL)
        return;
    text = known.policy->policy.text;
    while (mta_sts_line_take(&text, &line)) {
        struct bytes rest = line;

        add_text(policy, "policy-string", line);
        if (bytes_take_nocase(&rest, BYTES("mx:")))
            add_text(policy, "mx-host", bytes_trim(rest));
    }
    sts_policy_release(&known.policy);
}

static void tell_tlsa(struct sending *s, struct bytes host, json_t *policy)
{
    char name[TALLY_DOMAIN_MAX + 16], text[2 * 64 + 32];
    struct tlsa_record record;

    snprintf(name, sizeof(name), "_25._tcp.%.*s", (int)MIN(host.len, (size_t)TALLY_DOMAIN_MAX),
             (const char *)host.ptr);
    if (!ask(s, name, DNS_TYPE_TLSA))
        s->answer.count = 0;
    for (size_t i = 0; i < s->answer.count; i++) {
        (void)!tlsa_parse(s->answer.records[i].text, &record);
        int len = snprintf(text, sizeof(text), "%u %u %u ", record.usage, record.selector,
                           record.matching);

        for (size_t j = 0; j < MIN(record.association.len, (size_t)64); j++)
            len +=
                snprintf(text + len, sizeof(text) - (size_t)len, "%02x", record.association.ptr[j]);
        add_text(policy, "policy-string", bytes_of(text));
    }
    add_text(policy, "mx-host", host);
}

static void tell_policy(void *context, struct bytes domain, const char *type,
                        struct bytes policy_domain, json_t *policy)
{
    struct sending *s = context;

    if (strcmp(type, "sts") == 0)
        tell_sts(s, domain, policy);
    else if (strcmp(type, "tlsa") == 0)
        tell_tlsa(s, policy_domain, policy);
}

/* --- the report ------------------------------------------------------------------------------- */

static bool write_report(struct sending *s)
{
    struct reporter *r = s->reporter;
    const struct report_describe describe = {s, tell_policy};

    if (s->is_written)
        return true;
    pthread_mutex_lock(&r->tally_lock);
    bool is_good = s->report.kind == TALLY_DMARC
                       ? report_write_dmarc(r->tally, &s->report, &s->author, &s->text)
                       : report_write_tls(r->tally, &s->report, &s->author, &describe, &s->text);
    pthread_mutex_unlock(&r->tally_lock);
    s->is_written = is_good && report_pack(buf_bytes(&s->text), &s->packed);
    if (!s->is_written)
        snprintf(s->why, sizeof(s->why), "it cannot be written, or is too long");
    return s->is_written;
}

static enum end send_mail(struct sending *s, const struct report_uri *uri)
{
    char key[REPORT_ID_MAX + REPORT_URI_MAX], id[REPORT_ID_MAX];
    struct buf content;

    if (buf_len(&s->packed) > uri->size_max) {
        snprintf(s->why, sizeof(s->why), "it takes none so large");
        return END_NOT;
    }
    report_id(&s->author, &s->report, id);
    snprintf(key, sizeof(key), "%s %s", id, uri->text);
    buf_init(&content, REPORT_MAIL_MAX);
    enum end end = END_NOT;
    if (report_write_mail(&s->report, &s->author, uri->text, buf_bytes(&s->packed), clock_wall_ms(),
                          &content)) {
        const struct desk_mail mail = {s->author.email, uri->text, s->author.hostname,
                                       buf_bytes(&content), bytes_of(key)};
        static const enum end ends[] = {
            [DESK_ACCEPTED] = END_SENT, [DESK_LATER] = END_LATER, [DESK_NEVER] = END_NOT};

        end = ends[desk_send(s->reporter->desk, &mail, s->why)];
    }
    buf_free(&content);
    return end;
}

static enum end judge_answer(struct sending *s, const struct http_answer *answer)
{
    if (answer->end != HTTP_ANSWERED) {
        snprintf(s->why, sizeof(s->why), "%.150s", answer->text);
        return answer->end == HTTP_REFUSED ? END_NOT : END_LATER;
    }
    if (answer->status >= 200 && answer->status < 300)
        return END_SENT;
    snprintf(s->why, sizeof(s->why), "it answered %u", answer->status);
    return answer->status == 429 || answer->status >= 500 ? END_LATER : END_NOT;
}

static void say_unclear(struct sending *s)
{
    snprintf(s->why, sizeof(s->why),
             "it was posted %u times, and whether it was taken is not known", UNCLEAR_MAX);
}

/* False: it is not to be, or cannot be noted, without which it would be posted without end. */
static bool begin_post(struct sending *s, const struct report_uri *uri, unsigned *unclear_out)
{
    struct reporter *r = s->reporter;
    struct bytes target = bytes_range(uri->text, uri->len);
    bool is_good;

    *unclear_out = 0;
    pthread_mutex_lock(&r->tally_lock);
    is_good = tally_unclear_posts(r->tally, &s->report, target, unclear_out) &&
              (*unclear_out >= UNCLEAR_MAX || tally_begin_post(r->tally, &s->report, target));
    pthread_mutex_unlock(&r->tally_lock);
    if (!is_good)
        snprintf(s->why, sizeof(s->why), "%.150s", tally_why(r->tally));
    else if (*unclear_out >= UNCLEAR_MAX)
        say_unclear(s);
    return is_good && *unclear_out < UNCLEAR_MAX;
}

/* A gateway that waited in vain, or understood nothing, does not know either. */
static bool is_unclear(const struct http_answer *answer)
{
    return answer->end == HTTP_ANSWERED ? answer->status == 502 || answer->status == 504
                                        : answer->is_sent;
}

/* Of one that was not taken, as far as we know. */
static enum end end_post(struct sending *s, const struct report_uri *uri,
                         const struct http_answer *answer, unsigned unclear, enum end end)
{
    struct reporter *r = s->reporter;

    if (!is_unclear(answer)) {
        pthread_mutex_lock(&r->tally_lock);
        if (!tally_end_post(r->tally, &s->report, bytes_range(uri->text, uri->len)))
            log_limited(LOG_LEVEL_WARN, "what=\"a POST counts as unclear\" why=%s",
                        LOG_STRING(tally_why(r->tally)));
        pthread_mutex_unlock(&r->tally_lock);
        return end;
    }
    if (end != END_LATER || unclear < UNCLEAR_MAX)
        return end;
    say_unclear(s);
    return END_NOT;
}

/* After a crash, or a connection that broke, only its receiver knows whether it took the report. It
 * is posted once more then, since RFC 8460 section 5.5 asks for retries, with the same id, which is
 * the key too; what stays unclear is given up, or who answers nobody would have it ten times. */
static enum end post(struct sending *s, const struct report_uri *uri)
{
    static const char field[] = "Idempotency-Key: \"%s\"";
    char id[REPORT_ID_MAX], key[sizeof(field) + REPORT_ID_MAX];
    const char *const headers[] = {key, NULL};
    const struct config_reports *reports = &s->reporter->config->reports;
    const struct http_rules rules = {.ca_file = reports->ca,
                                     .timeout_s = POST_TIMEOUT_S,
                                     .allow_count = reports->allow_count,
                                     .allow = reports->allow};
    const struct http_request request = {.url = uri->text,
                                         .content_type = "application/tlsrpt+gzip",
                                         .headers = headers,
                                         .body = buf_bytes(&s->packed)};
    struct http_answer answer = {.end = HTTP_FAILED, .is_sent = true, .text = "the program stops"};
    unsigned unclear;

    if (!http_url_is_good(uri->text, answer.text)) {
        snprintf(s->why, sizeof(s->why), "%.150s", answer.text);
        return END_NOT;
    }
    if (!begin_post(s, uri, &unclear))
        return unclear >= UNCLEAR_MAX ? END_NOT : END_LATER;
    report_id(&s->author, &s->report, id);
    snprintf(key, sizeof(key), field, id);
    (void)!http_post_alone(&rules, &request, &s->reporter->is_stopping, &answer);
    enum end end = judge_answer(s, &answer);
    return end == END_SENT ? end : end_post(s, uri, &answer, unclear + 1, end);
}

/* --- addresses -------------------------------------------------------------------------------- */

static void say(struct sending *s, const struct report_uri *uri, enum end end)
{
    static const char *const words[] = {
        [END_SENT] = "sent", [END_NOT] = "not sent", [END_LATER] = "to be tried again"};
    size_t len = strlen(s->said);

    snprintf(s->said + len, sizeof(s->said) - len, "%s%.200s: %s%s%.180s", len > 0 ? "; " : "",
             uri->text, words[end], s->why[0] != '\0' ? ", " : "", s->why);
}

static enum end serve(struct sending *s, const struct report_uri *uri)
{
    struct reporter *r = s->reporter;
    struct bytes target = bytes_range(uri->text, uri->len);
    bool was_served = false;

    s->why[0] = '\0';
    pthread_mutex_lock(&r->tally_lock);
    bool is_good = tally_has_target(r->tally, &s->report, target, &was_served);
    pthread_mutex_unlock(&r->tally_lock);
    if (!is_good || was_served)
        return is_good ? END_SENT : END_LATER;
    enum end end = s->report.kind == TALLY_DMARC ? may_have(s, report_uri_domain(uri)) : END_SENT;

    if (end != END_SENT)
        return end;
    if (!write_report(s))
        return END_LATER;
    end = uri->is_post ? post(s, uri) : send_mail(s, uri);
    if (end != END_SENT)
        return end;
    pthread_mutex_lock(&r->tally_lock);
    is_good = tally_add_target(r->tally, &s->report, target);
    pthread_mutex_unlock(&r->tally_lock);
    metric_inc(METRIC_REPORTS_SENT);
    return is_good ? END_SENT : END_LATER;
}

static enum end serve_all(struct sending *s, const struct report_uris *uris)
{
    enum end all = END_NOT;

    for (size_t i = 0; i < uris->count; i++) {
        enum end end = serve(s, &uris->uris[i]);

        say(s, &uris->uris[i], end);
        if (end == END_LATER || all == END_LATER)
            all = END_LATER;
        else if (end == END_SENT)
            all = END_SENT;
    }
    return all;
}

/* --- a report --------------------------------------------------------------------------------- */

static bool settle(struct sending *s, enum tally_state state, unsigned tries, int64_t next_ms)
{
    struct reporter *r = s->reporter;

    pthread_mutex_lock(&r->tally_lock);
    bool is_good = tally_settle(r->tally, &s->report, state, tries, next_ms, s->said);
    pthread_mutex_unlock(&r->tally_lock);
    if (!is_good)
        log_limited(LOG_LEVEL_ERROR, "what=\"what became of a report cannot be noted\" why=%s",
                    LOG_STRING(tally_why(r->tally)));
    return is_good;
}

static void conclude(struct sending *s, enum end end, bool is_wanted)
{
    unsigned tries = s->report.tries + 1;
    int64_t later_s = RETRY_FIRST_S;
    enum tally_state state = end == END_SENT    ? TALLY_SENT
                             : end == END_LATER ? TALLY_CLOSED
                             : is_wanted        ? TALLY_FAILED
                                                : TALLY_UNWANTED;

    if (atomic_load(&s->reporter->is_stopping) && end == END_LATER)
        return; /* it is tried at the next start */
    for (unsigned i = 1; i < tries && later_s < RETRY_MAX_S; i++)
        later_s *= 2;
    if (end == END_LATER && tries >= TRIES_MAX)
        state = TALLY_FAILED;
    if (state == TALLY_FAILED)
        metric_inc(METRIC_REPORTS_FAILED);
    if (!is_wanted && end == END_LATER)
        snprintf(s->said, sizeof(s->said), "%.200s", s->why);
    (void)settle(s, state, tries, clock_wall_ms() + MIN(later_s, (int64_t)RETRY_MAX_S) * 1000);
    char day[TALLY_DAY_TEXT_MAX];

    tally_day_format(s->report.day, day);
    log_info("report=%s domain=%s day=%s state=%s counted=%llu what=%s",
             LOG_STRING(tally_kind_name(s->report.kind)), LOG_STRING(s->domain), LOG_STRING(day),
             LOG_STRING(tally_state_name(state)), (unsigned long long)s->report.total,
             LOG_STRING(s->said));
}

static void send_report(struct sending *s)
{
    struct report_uris uris;

    arena_init(&s->arena, ARENA_MAX);
    buf_init(&s->text, REPORT_TEXT_MAX);
    buf_init(&s->packed, REPORT_PACKED_MAX);
    enum end end = find_targets(s, &uris);
    bool is_wanted = end == END_SENT;

    if (is_wanted)
        end = serve_all(s, &uris);
    conclude(s, end, is_wanted);
    buf_free(&s->text);
    buf_free(&s->packed);
    arena_free(&s->arena);
}

static struct report_author author_of(const struct config *config)
{
    return (struct report_author){
        .organization =
            config->reports.organization != NULL ? config->reports.organization : config->hostname,
        .email = config->reports.email,
        .contact = config->reports.contact,
        .hostname = config->hostname,
    };
}

/* The next one that is due, closed: what comes for it from now on counts to the day behind. */
static bool take_due(struct reporter *r, struct sending *s)
{
    int64_t now_ms = clock_wall_ms();
    bool has = false;

    pthread_mutex_lock(&r->tally_lock);
    bool is_good = tally_next_due(r->tally, reporter_day(now_ms), now_ms, &s->report, &has);
    if (is_good && has) {
        snprintf(s->domain, sizeof(s->domain), "%.*s", BYTES_ARG(s->report.domain));
        snprintf(s->policy, sizeof(s->policy), "%.*s", BYTES_ARG(s->report.policy));
        s->report.domain = bytes_of(s->domain);
        s->report.policy = bytes_of(s->policy);
        s->report.said = BYTES_NONE;
        is_good = tally_settle(r->tally, &s->report, TALLY_CLOSED, s->report.tries,
                               s->report.next_ms, "");
    }
    pthread_mutex_unlock(&r->tally_lock);
    return is_good && has;
}

void reporter_send(struct reporter *r)
{
    static struct sending s; /* of the one thread: it is large */

    if (r->look == NULL || r->config->reports.email == NULL)
        return;
    for (unsigned i = 0; i < REPORTS_A_LOOK && !atomic_load(&r->is_stopping); i++) {
        s = (struct sending){.reporter = r, .author = author_of(r->config)};
        if (!take_due(r, &s))
            return;
        send_report(&s);
    }
}
