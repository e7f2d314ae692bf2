/* explain.c - what mail waits for, on which rule, until when: JSON for operators. */
#include <inttypes.h>

#include "base/clock.h"
#include "delivery/line/destination.h"
#include "delivery/line/provider.h"
#include "delivery/line/router.h"
#include "delivery/outcome/retry.h"
#include "event/json_text.h"

/* `"key": ` before a value; the first one of an object opens it. */
static bool put_key(struct buf *out, char before, const char *key)
{
    return buf_printf(out, "%c\"%s\":", before, key);
}

/* What came from outside may hold any bytes; empty: null. */
static bool put_text(struct buf *out, char before, const char *key, struct bytes text)
{
    bool ok = put_key(out, before, key);

    if (text.len == 0)
        return ok && buf_append(out, BYTES("null"));
    return ok && json_text_append(out, text);
}

static bool put_number(struct buf *out, char before, const char *key, uint64_t number)
{
    return put_key(out, before, key) && buf_printf(out, "%" PRIu64, number);
}

/* Wall time; 0: null. */
static bool put_time(struct buf *out, char before, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_MAX];

    if (wall_ms == 0)
        return put_text(out, before, key, BYTES_NONE);
    size_t len = clock_format_rfc3339(wall_ms, text);

    return put_text(out, before, key, bytes_range(text, len));
}

static int64_t to_wall(const struct delivery *delivery, int64_t monotonic_ms)
{
    if (monotonic_ms == 0)
        return 0;
    return delivery_wall_ms(delivery, monotonic_ms);
}

/* As the envelope says; without it as its age says, which is the same unless the clock was set. */
static int64_t accepted_wall_ms(const struct delivery *delivery, const struct stub *stub,
                                const struct message *message)
{
    if (message != NULL)
        return message->accepted_ms;
    return delivery_wall_ms(delivery, stub_accepted_ms(stub, engine_now_ms(delivery->engine)));
}

static int64_t expires_wall_ms(const struct delivery *delivery, const struct pending *pending)
{
    return delivery_wall_ms(delivery, destination_end_ms(delivery, pending));
}

static bool put_constraint(struct buf *out, const struct constraint *c)
{
    return put_text(out, ',', "constraint", bytes_of(c->name)) &&
           put_text(out, ',', "rule", bytes_of(c->rule)) &&
           put_text(out, ',', "detail", bytes_of(c->detail)) &&
           put_time(out, ',', "until", c->until_ms);
}

/* --- recipients ------------------------------------------------------------------------------- */

enum pending_waits delivery_pending_waits(const struct pending *pending)
{
    switch ((enum pending_state)pending->state) {
    case PENDING_SCHEDULED:
        return WAITS_SCHEDULED;
    case PENDING_COMMITTING:
    case PENDING_FINAL:
        return WAITS_COMMITTING;
    case PENDING_READY:
        break;
    }
    if ((pending->flags & PENDING_HELD) != 0)
        return WAITS_HELD;
    return (pending->flags & PENDING_AT_DESTINATION) != 0 ? WAITS_READY : WAITS_IN_ATTEMPT;
}

const char *pending_waits_name(enum pending_waits waits)
{
    static const char *const names[] = {
        [WAITS_SCHEDULED] = "scheduled",   [WAITS_HELD] = "held",
        [WAITS_READY] = "ready",           [WAITS_IN_ATTEMPT] = "in-attempt",
        [WAITS_COMMITTING] = "committing",
    };

    return names[waits];
}

static const char *state_name(const struct pending *pending)
{
    if (pending->state == PENDING_FINAL)
        return "final";
    return pending_waits_name(delivery_pending_waits(pending));
}

static int64_t due_ms(const struct delivery *delivery, const struct pending *pending)
{
    if (pending->state != PENDING_SCHEDULED)
        return 0;
    return to_wall(delivery, (int64_t)pending->due_s * 1000);
}

bool delivery_explain_pending(struct delivery *delivery, const struct pending *pending,
                              const struct message *message, struct buf *out)
{
    const struct stub *stub = pending_stub(pending);
    const struct destination *d = destination_of(pending);
    uint32_t number = pending_number(pending);
    struct constraint c;
    char id[MESSAGE_ID_TEXT_MAX];

    constraint_of_pending(delivery, pending, message, &c);
    message_id_format(stub->id, id);
    return put_text(out, '{', "id", bytes_of(id)) && put_number(out, ',', "number", number) &&
           put_text(out, ',', "recipient",
                    message != NULL ? message->recipients[number].address : BYTES_NONE) &&
           put_text(out, ',', "domain", domain_name(pending_domain(pending))) &&
           put_text(out, ',', "state", bytes_of(state_name(pending))) &&
           put_number(out, ',', "attempts", pending->attempts) &&
           buf_append(out, pending->is_forwarded ? BYTES(",\"forwarded\":true")
                                                 : BYTES(",\"forwarded\":false")) &&
           put_constraint(out, &c) && put_time(out, ',', "due", due_ms(delivery, pending)) &&
           put_text(out, ',', "site", d != NULL && d->site != NULL ? d->site->name : BYTES_NONE) &&
           put_time(out, ',', "accepted", accepted_wall_ms(delivery, stub, message)) &&
           put_time(out, ',', "expires", expires_wall_ms(delivery, pending)) &&
           buf_append_byte(out, '}');
}

/* --- domains ---------------------------------------------------------------------------------- */

/* Counts it; how much what it waits for says of the whole domain. */
static unsigned count(const struct pending *pending, struct delivery_survey *survey)
{
    survey->unfinished++;
    if (pending->state == PENDING_SCHEDULED) {
        survey->scheduled++;
        return 3;
    }
    if (pending->state == PENDING_COMMITTING) {
        survey->committing++;
        return 1;
    }
    if ((pending->flags & PENDING_AT_DESTINATION) != 0) {
        survey->ready++;
        return 5;
    }
    if ((pending->flags & PENDING_HELD) != 0) {
        survey->held++;
        return 4;
    }
    survey->in_attempt++;
    return 2;
}

static int64_t earlier(int64_t time_ms, int64_t other_ms)
{
    return time_ms == 0 || (other_ms != 0 && other_ms < time_ms) ? other_ms : time_ms;
}

void delivery_survey_add(struct delivery *delivery, const struct pending *pending,
                         struct delivery_survey *survey)
{
    const struct stub *stub = pending_stub(pending);
    int64_t due = due_ms(delivery, pending);

    if (pending->state == PENDING_FINAL)
        return;
    unsigned weight = count(pending, survey);
    bool is_next = due != 0 && (survey->due_ms == 0 || due < survey->due_ms);

    survey->due_ms = earlier(survey->due_ms, due);
    survey->accepted_ms =
        earlier(survey->accepted_ms, accepted_wall_ms(delivery, stub, stub_message(stub)));
    survey->expires_ms = earlier(survey->expires_ms, expires_wall_ms(delivery, pending));
    if (weight < survey->weight || (weight == survey->weight && !is_next))
        return;
    survey->weight = weight;
    constraint_of_pending(delivery, pending, stub_message(stub), &survey->constraint);
}

bool delivery_survey_explain(const struct delivery_survey *survey, struct bytes domain,
                             struct bytes engines, struct buf *out)
{
    return put_text(out, '{', "domain", domain) &&
           put_number(out, ',', "unfinished", survey->unfinished) &&
           put_number(out, ',', "scheduled", survey->scheduled) &&
           put_number(out, ',', "ready", survey->ready) &&
           put_number(out, ',', "in_attempt", survey->in_attempt) &&
           put_number(out, ',', "held", survey->held) &&
           put_number(out, ',', "committing", survey->committing) &&
           put_constraint(out, &survey->constraint) &&
           put_time(out, ',', "next_due", survey->due_ms) &&
           put_time(out, ',', "oldest_accepted", survey->accepted_ms) &&
           put_time(out, ',', "next_expires", survey->expires_ms) && put_key(out, ',', "engines") &&
           buf_append(out, engines) && buf_append_byte(out, '}');
}

/* --- sites ------------------------------------------------------------------------------------ */

/* What is demanded of TLS with a host, and by whom. */
static bool put_tls(const struct host *host, struct buf *out)
{
    const struct tls_policy *tls = tls_policy_or_default(host->tls);
    bool has_found = tls->found != TLS_RESULT_NONE;

    return put_key(out, ',', "tls") &&
           put_text(out, '{', "level", bytes_of(tls_level_name(tls->level))) &&
           put_text(out, ',', "source", bytes_of(tls_source_name(tls->source))) &&
           put_text(out, ',', "rule", tls->rule) &&
           put_number(out, ',', "records", tls->record_count) &&
           put_text(out, ',', "found",
                    has_found ? bytes_of(tls_result_name(tls->found)) : BYTES_NONE) &&
           put_text(out, ',', "found_why", tls->found_why) && buf_append_byte(out, '}');
}

static bool put_hosts(const struct site *site, struct buf *out)
{
    char address[ADDRESS_TEXT_MAX];
    bool ok = put_key(out, ',', "hosts") && buf_append_byte(out, '[');

    for (size_t i = 0; ok && !site->is_store && i < site->hosts->count; i++) {
        const struct host *host = &site->hosts->host[i];
        size_t len = address_format_port(&host->address, address);

        ok = (i == 0 || buf_append_byte(out, ',')) && put_text(out, '{', "host", host->name) &&
             put_text(out, ',', "address", bytes_range(address, len)) &&
             put_number(out, ',', "preference", host->preference) &&
             put_number(out, ',', "failures", host->failures) &&
             put_time(out, ',', "resting_until", to_wall(site->delivery, host->resting_until_ms)) &&
             put_tls(host, out) && buf_append_byte(out, '}');
    }
    return ok && buf_append_byte(out, ']');
}

/* `"KEY":{"max":5,"rule":"delivery.sites[0] (match a.example)"}`; no limit: null. */
static bool put_limit(const struct site *site, char before, const char *key, double max,
                      const struct egress_rule *rule, struct buf *out)
{
    struct constraint c = {.name = ""};

    if (max == 0)
        return put_text(out, before, key, BYTES_NONE);
    constraint_name_limit(site->delivery->settings, rule, &c);
    return put_key(out, before, key) && buf_printf(out, "{\"max\":%g", max) &&
           put_text(out, ',', "rule", bytes_of(c.rule)) && buf_append_byte(out, '}');
}

static bool put_limits(const struct site *site, const char *key, const struct limits *limits,
                       struct buf *out)
{
    return put_key(out, ',', key) &&
           put_limit(site, '{', "connections", limits_connections(limits),
                     limits_connections_rule(limits), out) &&
           put_limit(site, ',', "rate", limits_rate(limits), limits_rate_rule(limits), out) &&
           put_limit(site, ',', "messages_per_connection", limits_messages(limits),
                     limits_messages_rule(limits), out) &&
           put_limit(site, ',', "recipients", limits_recipients(limits),
                     limits_recipients_rule(limits), out) &&
           buf_append_byte(out, '}');
}

/* Of a site of a provider: what limits all the provider's together. */
static bool put_provider(const struct site *site, struct buf *out)
{
    struct limits limits;

    if (site->provider == NULL)
        return put_text(out, ',', "provider", BYTES_NONE);
    limits_of_provider(&limits, site->delivery->settings, site->provider);
    return put_text(out, ',', "provider", bytes_of(site->provider->name)) &&
           put_limits(site, "provider_limits", &limits, out);
}

static bool put_egress(const struct site *site, const char *key, const struct egress *egress,
                       struct buf *out)
{
    unsigned allowed = egress_allowed(egress);

    return put_key(out, ',', key) &&
           put_number(out, '{', "connections", egress_connections(egress)) &&
           (allowed != 0 ? put_number(out, ',', "allowed", allowed)
                         : put_text(out, ',', "allowed", BYTES_NONE)) &&
           put_time(out, ',', "resting_until",
                    to_wall(site->delivery, egress_resting_until_ms(egress))) &&
           buf_append_byte(out, '}');
}

static bool put_egresses(const struct site *site, struct buf *out)
{
    bool ok = put_key(out, ',', "sources") && buf_append_byte(out, '[');

    for (const struct site_egress *e = site->egresses; ok && e != NULL; e = e->next) {
        const struct egress *provider = egress_provider(e->egress);

        ok = (e == site->egresses || buf_append_byte(out, ',')) &&
             put_text(out, '{', "source", bytes_of(e->source->name)) &&
             put_number(out, ',', "connections", egress_connections(e->egress)) &&
             put_number(out, ',', "connections_max", limits_connections(&site->limits)) &&
             put_time(out, ',', "resting_until",
                      to_wall(site->delivery, egress_resting_until_ms(e->egress))) &&
             put_egress(site, "own", e->egress, out) &&
             (provider == NULL || put_egress(site, "provider", provider, out)) &&
             buf_append_byte(out, '}');
    }
    return ok && buf_append_byte(out, ']');
}

static bool put_site(const struct site *site, struct buf *out)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    int64_t resting_ms = site->rest.until_ms > now_ms ? site->rest.until_ms : 0;
    int64_t until_ms;

    return put_text(out, '{', "site", site->name) &&
           put_number(out, ',', "waiting", site->waiting_count) &&
           put_number(out, ',', "connections", site->carrier_count) &&
           put_text(out, ',', "state", bytes_of(site_state_name(site->state))) &&
           put_text(out, ',', "constraint", bytes_of(site_constraint(site, &until_ms))) &&
           put_provider(site, out) && put_limits(site, "limits", &site->limits, out) &&
           put_time(out, ',', "resting_until", to_wall(site->delivery, resting_ms)) &&
           put_text(out, ',', "last_failure", site_failure_text(site)) &&
           put_text(out, ',', "last_failure_host",
                    site->failure == NULL ? BYTES_NONE : site->failure->host) &&
           put_hosts(site, out) && put_egresses(site, out) && buf_append_byte(out, '}');
}

static bool put_domain(const struct domain *domain, struct buf *out)
{
    const struct destination *d = domain->destination;
    bool is_refused = d != NULL && d->state == DESTINATION_REFUSED;
    struct constraint c;

    constraint_of_destination(d, &c);
    if (!put_text(out, '{', "domain", domain_name(domain)) ||
        !put_text(out, ',', "tls", bytes_of(mail_tls_name((enum mail_tls)domain->tls))) ||
        !put_number(out, ',', "unfinished", domain->pending_count) ||
        !put_number(out, ',', "waiting", d != NULL ? d->lines.count : 0) ||
        !put_constraint(out, &c) ||
        !put_text(out, ',', "route",
                  d != NULL && d->route != NULL ? bytes_of(d->route->match) : BYTES_NONE) ||
        !put_text(out, ',', "no_route", is_refused ? destination_refusal(d).text : BYTES_NONE))
        return false;
    if (d != NULL && d->site != NULL && (!put_key(out, ',', "site") || !put_site(d->site, out)))
        return false;
    return buf_append_byte(out, '}');
}

bool delivery_explain_domain(struct delivery *delivery, struct bytes name, struct buf *out)
{
    const char *before = "";

    for (unsigned tls = 0; tls < MAIL_TLS_COUNT; tls++) {
        const struct domain *domain = domain_find(delivery->flows, (enum mail_tls)tls, name);

        if (domain == NULL)
            continue;
        if (!buf_printf(out, "%s", before) || !put_domain(domain, out))
            return false;
        before = ",";
    }
    return true;
}

void delivery_sites(struct delivery *delivery, void (*line)(void *context, struct bytes json),
                    void *context)
{
    enum { LINE_MAX_LEN = 256 * 1024 };
    struct buf out;

    buf_init(&out, LINE_MAX_LEN);
    list_for_each(node, &delivery->all_sites) {
        const struct site *site = container_of(node, struct site, in_all);

        buf_clear(&out);
        if (put_site(site, &out))
            line(context, buf_bytes(&out));
    }
    buf_free(&out);
}

void delivery_status(const struct delivery *delivery, struct delivery_status *out)
{
    *out = (struct delivery_status){
        .throttled = delivery->gated_count,
        .waiting = delivery->waiting_count + delivery->held_count + delivery->gated_count,
        .in_attempt = outcomes_in_attempt(delivery->outcomes),
        .committing = outcomes_committing(delivery->outcomes),
        .connections = delivery->carrier_count,
        .sites = delivery->site_count,
        .destinations = delivery->destination_count,
        .resting_sites = delivery->site_states[SITE_FAILING] + delivery->site_states[SITE_RESTING],
        .unheld = unheld_count(delivery),
    };
    for (size_t i = 0; i < SITE_STATE_COUNT; i++)
        out->site_states[i] = delivery->site_states[i];
}
