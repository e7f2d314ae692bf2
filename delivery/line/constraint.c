/* constraint.c - finds what a recipient waits for, and names the rule as the operator knows it. */
#include "delivery/line/constraint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/line/destination.h"
#include "delivery/line/gate.h"
#include "delivery/line/provider.h"
#include "delivery/line/router.h"
#include "delivery/line/store_route.h"
#include "delivery/line/suspend.h"
#include "delivery/outcome/retry.h"
#include "queue/message.h"

/* A recipient whose site was at rest is given back until a random moment after the rest. */
enum { POSTPONED_SLACK_MS = 2000 };

static void set_rule(struct constraint *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set_rule(struct constraint *c, const char *format, ...)
{
    size_t len = strlen(c->rule);
    va_list args;

    va_start(args, format);
    vsnprintf(c->rule + len, sizeof(c->rule) - len, format, args);
    va_end(args);
}

static void set_detail(struct constraint *c, struct bytes text)
{
    snprintf(c->detail, sizeof(c->detail), "%.*s", BYTES_ARG(text));
}

static int64_t to_wall(const struct delivery *delivery, int64_t monotonic_ms)
{
    if (monotonic_ms == 0)
        return 0;
    return delivery_wall_ms(delivery, monotonic_ms);
}

static int64_t due_wall_ms(const struct delivery *delivery, const struct pending *pending)
{
    return to_wall(delivery, (int64_t)pending->due_s * 1000);
}

/* --- rules ------------------------------------------------------------------------------------ */

/* The last one is the section's own values. */
static void name_retry(const struct delivery *delivery, const struct pending *pending,
                       struct constraint *out)
{
    const struct delivery_settings *settings = delivery->settings;
    const struct retry_rule *rule = router_retry(settings, domain_name(pending_domain(pending)));
    size_t number = (size_t)(rule - settings->retries);

    if (number + 1 == settings->retry_count)
        set_rule(out, "retry");
    else
        set_rule(out, "retry.destinations[%zu] (match %s)", number, rule->match);
}

/* The last one stands in no file. */
void constraint_name_limit(const struct delivery_settings *settings, const struct egress_rule *rule,
                           struct constraint *out)
{
    size_t number = 0;

    if (rule->match == NULL) {
        set_rule(out, "store.filings");
        return;
    }
    while (number + 1 < settings->egress_rule_count && &settings->egress_rules[number] != rule)
        number++;
    if (number + 1 >= settings->egress_rule_count)
        set_rule(out, "delivery.sites (default)");
    else if (rule->provider != NULL)
        set_rule(out, "delivery.sites[%zu] (provider %s)", number, rule->provider);
    else
        set_rule(out, "delivery.sites[%zu] (match %s)", number, rule->match);
}

void constraint_name_suspension(const struct suspension *rule, struct constraint *out)
{
    char id[MESSAGE_ID_TEXT_MAX] = "";
    const char *before = " (";

    set_rule(out, "suspension %" PRIu32, rule->number);
    if (rule->message != 0)
        message_id_format((struct message_id){rule->message}, id);
    const struct {
        const char *key, *value;
    } parts[] = {
        {"domain", rule->domain},
        {"sender", rule->sender},
        {"recipient", rule->recipient},
        {"id", id[0] != '\0' ? id : NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].value == NULL)
            continue;
        set_rule(out, "%s%s %s", before, parts[i].key, parts[i].value);
        before = ", ";
    }
    if (before[0] == ',')
        set_rule(out, ")");
}

/* --- sites ------------------------------------------------------------------------------------ */

static void name_connections(const struct site *site, const struct limits *limits,
                             struct constraint *out)
{
    constraint_name_limit(site->delivery->settings, limits_connections_rule(limits), out);
    set_rule(out, site->is_store ? " %u" : " connections %u", limits_connections(limits));
}

/* Whether it is the limit of the site's own rules, or its provider's, that has no slot left. */
static bool name_limit_of(const struct site *site, const struct site_egress *e,
                          struct constraint *out)
{
    const struct egress *provider = egress_provider(e->egress);
    struct limits limits;

    if ((provider == NULL || !site->own.is_default) &&
        egress_connections(e->egress) >= limits_connections(&site->own)) {
        name_connections(site, &site->own, out);
        return true;
    }
    if (provider == NULL)
        return false;
    limits_of_provider(&limits, site->delivery->settings, site->provider);
    if (egress_connections(provider) < limits_connections(&limits))
        return false;
    name_connections(site, &limits, out);
    set_rule(out, " to all sites of provider %s", site->provider->name);
    return true;
}

/* Some egress waits: for a slot of its own, of its provider's, or for one of the process. */
static void name_connection_limit(const struct site *site, struct constraint *out)
{
    const struct delivery_settings *settings = site->delivery->settings;

    for (const struct site_egress *e = site->egresses; e != NULL; e = e->next)
        if (e->is_waiting && name_limit_of(site, e, out))
            return;
    set_rule(out, "delivery.connections %u",
             settings->connections_max != 0 ? settings->connections_max
                                            : (unsigned)DELIVERY_CONNECTIONS_DEFAULT);
}

static void constraint_of_site(const struct site *site, struct constraint *out)
{
    int64_t until_ms;

    out->name = site_constraint(site, &until_ms);
    out->until_ms = to_wall(site->delivery, until_ms);
    if (strcmp(out->name, "site-resting") == 0) {
        set_rule(out, "built in: a site that cannot be reached rests");
        set_detail(out, site_failure_text(site));
    } else if (strcmp(out->name, "outcomes-unwritten") == 0) {
        set_rule(out, "built in: no attempts while the outcomes of %d wait for the disk",
                 SETTLEMENTS_FULL);
    } else if (strcmp(out->name, "disk-full") == 0) {
        set_rule(out, "built in: no attempts without room for their outcomes in the spool and for "
                      "their events in the event files");
    } else if (strcmp(out->name, "message-rate") == 0) {
        constraint_name_limit(site->delivery->settings, limits_rate_rule(&site->limits), out);
        set_rule(out, " rate %g/s", limits_rate(&site->limits));
    } else if (strcmp(out->name, "connection-limit") == 0) {
        name_connection_limit(site, out);
    } else if (strcmp(out->name, "peer-refuses-more-connections") == 0) {
        set_rule(out, "built in: no more connections than the peer lets in");
    } else if (strcmp(out->name, "connections-busy") == 0) {
        name_connections(site, &site->limits, out);
    } else if (site->trouble != SITE_TROUBLE_NONE) {
        set_detail(out, site_failure_text(site)); /* of the host before the one that is tried now */
    }
}

void constraint_of_destination(const struct destination *d, struct constraint *out)
{
    *out = (struct constraint){.name = "nothing-waits"};
    if (d == NULL || d->lines.count == 0)
        return;
    if (d->site != NULL) {
        constraint_of_site(d->site, out);
        return;
    }
    if (d->lookup == NULL && d->state == DESTINATION_REFUSED) {
        out->name = "no-route";
        out->until_ms = to_wall(d->delivery, d->expires_ms);
        const struct judgement refusal = destination_refusal(d);

        set_rule(out, "%s", refusal.rule);
        set_detail(out, refusal.text);
        return;
    }
    out->name = "looking-up";
    set_rule(out, store_is_known(d->delivery) ? "dns" : "the directory was not read yet");
}

/* --- recipients ------------------------------------------------------------------------------- */

static void constraint_of_suspension(const struct delivery *delivery, const struct suspension *rule,
                                     bool has_envelope, struct constraint *out)
{
    out->name = "suspended";
    if (rule != NULL) {
        constraint_name_suspension(rule, out);
        out->until_ms = to_wall(delivery, rule->until_ms);
    } else if (!has_envelope) {
        set_rule(out, "suspension of its sender or recipient");
    } else { /* the rule went; what it held is looked at in turn */
        set_detail(out, BYTES("its suspension is over; it gets in line again"));
    }
}

static void constraint_of_scheduled(const struct delivery *delivery, const struct pending *pending,
                                    struct constraint *out)
{
    const struct destination *d = destination_of(pending);
    const struct site *site = d != NULL ? d->site : NULL;
    int64_t due_ms = (int64_t)pending->due_s * 1000;
    int64_t now_ms = engine_now_ms(delivery->engine);
    int64_t not_before_ms = stub_not_before_ms(pending_stub(pending), now_ms);

    if (not_before_ms > now_ms) {
        out->name = "not-before";
        set_rule(out, "not-before of the message");
        out->until_ms = to_wall(delivery, not_before_ms);
        return;
    }
    /* Due before the rest is over it would only be given back: the rest is what holds it. */
    if (site != NULL && site->state == SITE_RESTING &&
        due_ms <= site->rest.until_ms + POSTPONED_SLACK_MS) {
        constraint_of_site(site, out);
        out->until_ms = MAX(out->until_ms, due_wall_ms(delivery, pending));
        return;
    }
    if (pending->attempts > 0) {
        out->name = "retry-delay";
        name_retry(delivery, pending, out);
    } else {
        out->name = "postponed";
        set_detail(out, BYTES("given back untried, mostly because its site was at rest"));
    }
    out->until_ms = due_wall_ms(delivery, pending);
}

/* Its site works, and others have their turns before it. Where a limit holds all of them it is the
 * limit that it waits for, and the turns are said beside it. */
static void add_turns(const struct site *site, const struct line *line, struct constraint *out)
{
    const struct turns *turns = &site->turns;
    enum rank mine = line_rank(line), best = turns_best_of_tenant(turns, &line->turn);
    struct turns_weights weights = turns_weigh(turns, &line->turn);
    bool is_busy = strcmp(out->name, "connections-busy") == 0;
    char text[CONSTRAINT_DETAIL_MAX];

    if (!is_busy && site->state != SITE_THROTTLED && site->state != SITE_LIMITED)
        return;
    if (best < mine) {
        snprintf(text, sizeof(text), "%s mail of its tenant goes before %s", rank_name(best),
                 rank_name(mine));
    } else if (weights.own < weights.all) {
        snprintf(text, sizeof(text), "its tenant has %" PRIu64 " of %" PRIu64 " turns", weights.own,
                 weights.all);
    } else {
        return;
    }
    set_detail(out, bytes_of(text));
    if (!is_busy)
        return;
    out->name = best < mine ? "behind-higher-class" : "behind-other-tenants";
    out->rule[0] = '\0';
    if (best < mine)
        set_rule(out, "built in: of %u turns %u are for high, %u for normal, %u for bulk",
                 rank_turns(RANK_HIGH) + rank_turns(RANK_NORMAL) + rank_turns(RANK_BULK),
                 rank_turns(RANK_HIGH), rank_turns(RANK_NORMAL), rank_turns(RANK_BULK));
    else
        set_rule(out, "built in: tenants take turns by weight");
}

static void constraint_of_waiting(const struct pending *pending, struct constraint *out)
{
    const struct destination *d = destination_of(pending);

    constraint_of_destination(d, out);
    if (d->site != NULL)
        add_turns(d->site, line_of(pending->flow), out);
}

void constraint_of_pending(const struct delivery *delivery, const struct pending *pending,
                           const struct message *message, struct constraint *out)
{
    const struct suspension *rule = suspensions_match(delivery->suspensions, pending, message);

    *out = (struct constraint){.name = "in-attempt"};
    switch ((enum pending_state)pending->state) {
    case PENDING_SCHEDULED:
        if (rule != NULL &&
            (rule->until_ms == 0 || rule->until_ms > (int64_t)pending->due_s * 1000))
            constraint_of_suspension(delivery, rule, message != NULL, out);
        else
            constraint_of_scheduled(delivery, pending, out);
        return;
    case PENDING_COMMITTING:
        out->name = "outcome-being-written";
        return;
    case PENDING_FINAL:
        out->name = "finished";
        return;
    case PENDING_READY:
        break;
    }
    if (pending_waits_at_gate(pending))
        gate_constraint(delivery, pending, out);
    else if ((pending->flags & PENDING_HELD) != 0 ||
             (rule != NULL && (pending->flags & PENDING_AT_DESTINATION) != 0))
        constraint_of_suspension(delivery, rule, message != NULL, out);
    else if ((pending->flags & PENDING_AT_DESTINATION) != 0)
        constraint_of_waiting(pending, out);
}
