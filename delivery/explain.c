/* explain.c - what mail waits for, on which rule, until when: JSON for operators. */
#include <inttypes.h>

#include "base/clock.h"
#include "delivery/destination.h"
#include "delivery/retry.h"
#include "delivery/router.h"
#include "delivery/suspend.h"
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
    return monotonic_ms - engine_now_ms(delivery->engine) + engine_wall_ms(delivery->engine);
}

/* What holds a destination's waiting mail. */
struct constraint {
    const char *name;
    struct bytes rule;
    struct bytes detail;
    int64_t until_ms; /* wall; 0: not known */
};

static struct constraint constraint_of(const struct destination *d)
{
    struct constraint c = {.name = "connecting"};
    int64_t until_ms = 0;

    if (d->lookup != NULL && d->site == NULL)
        return (struct constraint){.name = "looking-up", .rule = BYTES("dns")};
    if (d->state == DESTINATION_REFUSED) {
        c.name = "no-route";
        c.rule = bytes_of(d->verdict.rule);
        c.detail = d->verdict.text;
        c.until_ms = to_wall(d->delivery, d->expires_ms);
        return c;
    }
    if (d->site == NULL)
        return (struct constraint){.name = "looking-up", .rule = BYTES("dns")};
    c.name = site_constraint(d->site, &until_ms);
    c.rule = bytes_of(d->site->rule->match);
    c.until_ms = to_wall(d->delivery, until_ms);
    if (until_ms != 0 && d->site->failure.text.len > 0)
        c.detail = d->site->failure.text;
    return c;
}

static bool put_constraint(struct buf *out, const struct constraint *c)
{
    return put_text(out, ',', "constraint", bytes_of(c->name)) &&
           put_text(out, ',', "rule", c->rule) && put_text(out, ',', "detail", c->detail) &&
           put_time(out, ',', "until", c->until_ms);
}

static struct constraint held_by(const struct delivery *delivery, const struct pending *pending)
{
    const struct suspension *rule =
        suspensions_match(delivery->suspensions, pending, pending_stub(pending)->message);

    return (struct constraint){
        .name = "suspended",
        .rule = rule == NULL ? BYTES("suspension of sender or recipient") : BYTES("suspension"),
        .until_ms = rule == NULL ? 0 : rule->until_ms,
    };
}

static struct constraint pending_constraint(const struct delivery *delivery,
                                            const struct pending *pending)
{
    const struct retry_rule *rule = router_retry(delivery->settings, domain_name(pending->domain));
    const struct destination *d = destination_of(pending);

    switch ((enum pending_state)pending->state) {
    case PENDING_SCHEDULED:
        return (struct constraint){
            .name = pending->attempts > 0 ? "retry-delay" : "postponed",
            .rule = bytes_of(rule->match),
            .detail = pending->attempts > 0 ? BYTES("waits for its next attempt")
                                            : BYTES("its site was at rest"),
            .until_ms = to_wall(delivery, (int64_t)pending->due_s * 1000),
        };
    case PENDING_COMMITTING:
        return (struct constraint){.name = "outcome-being-written"};
    case PENDING_FINAL:
        return (struct constraint){.name = "finished"};
    case PENDING_READY:
        break;
    }
    if ((pending->flags & PENDING_HELD) != 0)
        return held_by(delivery, pending);
    if ((pending->flags & PENDING_AT_DESTINATION) != 0 && d != NULL)
        return constraint_of(d);
    return (struct constraint){.name = "in-attempt"};
}

bool delivery_explain_pending(struct delivery *delivery, const struct pending *pending,
                              struct buf *out)
{
    static const char *const states[] = {
        [PENDING_SCHEDULED] = "scheduled",
        [PENDING_READY] = "ready",
        [PENDING_COMMITTING] = "committing",
        [PENDING_FINAL] = "final",
    };
    const struct retry_rule *rule = router_retry(delivery->settings, domain_name(pending->domain));
    const struct destination *d = destination_of(pending);
    const struct message *message = pending_stub(pending)->message;
    struct constraint c = pending_constraint(delivery, pending);
    int64_t accepted_ms = (int64_t)pending_stub(pending)->accepted_s * 1000;
    char id[MESSAGE_ID_TEXT_MAX];

    message_id_format(pending_stub(pending)->id, id);
    return put_text(out, '{', "id", bytes_of(id)) &&
           put_number(out, ',', "number", pending_number(pending)) &&
           put_text(out, ',', "recipient",
                    message != NULL ? message->recipients[pending_number(pending)].address
                                    : BYTES_NONE) &&
           put_text(out, ',', "domain", domain_name(pending->domain)) &&
           put_text(out, ',', "state", bytes_of(states[pending->state])) &&
           put_number(out, ',', "attempts", pending->attempts) && put_constraint(out, &c) &&
           put_text(out, ',', "site", d != NULL && d->site != NULL ? d->site->name : BYTES_NONE) &&
           put_time(out, ',', "accepted", accepted_ms) &&
           put_time(out, ',', "expires", retry_end_ms(rule, accepted_ms)) &&
           buf_append_byte(out, '}');
}

static bool put_hosts(const struct site *site, struct buf *out)
{
    char address[ADDRESS_TEXT_MAX];
    bool ok = put_key(out, ',', "hosts") && buf_append_byte(out, '[');

    for (size_t i = 0; ok && i < site->hosts->count; i++) {
        const struct host *host = &site->hosts->host[i];
        size_t len = address_format_port(&host->address, address);

        ok = (i == 0 || buf_append_byte(out, ',')) && put_text(out, '{', "host", host->name) &&
             put_text(out, ',', "address", bytes_range(address, len)) &&
             put_number(out, ',', "preference", host->preference) &&
             put_number(out, ',', "failures", host->failures) &&
             put_time(out, ',', "resting_until", to_wall(site->delivery, host->resting_until_ms)) &&
             buf_append_byte(out, '}');
    }
    return ok && buf_append_byte(out, ']');
}

static bool put_egresses(const struct site *site, struct buf *out)
{
    bool ok = put_key(out, ',', "sources") && buf_append_byte(out, '[');

    for (size_t i = 0; ok && i < site->egress_count; i++) {
        const struct site_egress *e = &site->egresses[i];

        ok = (i == 0 || buf_append_byte(out, ',')) &&
             put_text(out, '{', "source", bytes_of(e->source->name)) &&
             put_number(out, ',', "connections", egress_connections(e->egress)) &&
             put_number(out, ',', "connections_max",
                        site->rule->connections != 0 ? site->rule->connections : 20) &&
             put_time(out, ',', "resting_until",
                      to_wall(site->delivery, egress_resting_until_ms(e->egress))) &&
             buf_append_byte(out, '}');
    }
    return ok && buf_append_byte(out, ']');
}

static bool put_site(const struct site *site, struct buf *out)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    int64_t resting_ms = site->resting_until_ms > now_ms ? site->resting_until_ms : 0;
    int64_t until_ms;

    return put_text(out, '{', "site", site->name) &&
           put_number(out, ',', "waiting", site->waiting_count) &&
           put_number(out, ',', "connections", site->client_count) &&
           put_text(out, ',', "constraint", bytes_of(site_constraint(site, &until_ms))) &&
           put_time(out, ',', "resting_until", to_wall(site->delivery, resting_ms)) &&
           put_text(out, ',', "last_failure", site->failure.text) &&
           put_text(out, ',', "last_failure_host", bytes_of(site->failure_host)) &&
           put_hosts(site, out) && put_egresses(site, out) && buf_append_byte(out, '}');
}

bool delivery_explain_domain(struct delivery *delivery, struct bytes name, struct buf *out)
{
    struct domain *domain = domain_find(delivery->domains, name);

    if (domain == NULL)
        return true;
    const struct destination *d = domain->destination;
    struct constraint c = {.name = "nothing-waits"};

    if (d != NULL && d->waiting_count > 0)
        c = constraint_of(d);
    if (!put_text(out, '{', "domain", domain_name(domain)) ||
        !put_number(out, ',', "unfinished", domain->pending_count) ||
        !put_number(out, ',', "waiting", d != NULL ? d->waiting_count : 0) ||
        !put_constraint(out, &c))
        return false;
    if (!put_text(out, ',', "route",
                  d != NULL && d->route != NULL ? bytes_of(d->route->match) : BYTES_NONE))
        return false;
    if (d != NULL && d->site != NULL && (!put_key(out, ',', "site") || !put_site(d->site, out)))
        return false;
    return buf_append_byte(out, '}');
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

void delivery_status(struct delivery *delivery, struct delivery_status *out)
{
    int64_t now_ms = engine_now_ms(delivery->engine);

    *out = (struct delivery_status){
        .waiting = delivery->waiting_count + delivery->held_count,
        .in_attempt = delivery->in_attempt_count,
        .committing = delivery->settlements.count,
        .connections = delivery->client_count,
        .sites = delivery->site_count,
        .destinations = delivery->destination_count,
    };
    list_for_each(node, &delivery->all_sites) {
        const struct site *site = container_of(node, struct site, in_all);

        out->resting_sites += site->resting_until_ms > now_ms;
        out->unheld += site_is_unheld(site) ? site->waiting_count : 0;
    }
    list_for_each(node, &delivery->all_destinations) {
        const struct destination *d = container_of(node, struct destination, in_all);

        if (d->waiting_count > 0 && d->site == NULL && d->lookup == NULL &&
            !list_is_linked(&d->in_dirty) && !list_is_linked(&d->in_starved))
            out->unheld += d->waiting_count;
    }
}
