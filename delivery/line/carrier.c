/* carrier.c - the line's side of its carriers, and what a site learns from them. */
#include "delivery/line/carrier.h"

#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/line/site.h"
#include "delivery/line/suspend.h"

enum {
    FRUITLESS_MAX = 3,    /* one message may have a peer hang up; three connections have no luck */
    GIVE_WAY_AFTER = 100, /* messages, if others wait for a slot; */
    GIVE_WAY_MS = 10000,  /* or this long: a slow peer's messages take seconds each */
};

/* --- its life -------------------------------------------------------------------------------- */

/* Somebody waits for a slot: the drive ends what is idle. */
static void on_rung(void *context)
{
    struct site_egress *e = context;

    if (e->carrier_count == 0)
        (void)egress_hold_end(&e->holder);
    site_told(e->site);
}

void carrier_init(struct carrier *carrier, const struct carrier_opening *opening)
{
    struct site *site = opening->site;
    struct delivery *delivery = site->delivery;

    carrier->site = site;
    carrier->egress = opening->egress;
    carrier->hosts = hosts_keep(site->hosts);
    carrier->is_opening = true;
    carrier->engine = delivery->engine;
    carrier->outcomes = delivery->outcomes;
    carrier->host_name = opening->host->name;
    carrier->tls = tls_policy_or_default(opening->host->tls);
    carrier->address = opening->host->address;
    carrier->opened_ms = engine_now_ms(delivery->engine);
    carrier->opened_wall_ms = engine_wall_ms(delivery->engine);
    carrier->seen = (struct attempt_tls){0};
    carrier->use = (struct egress_use){0};
    carrier->has_carried = carrier->is_free = false;
    list_node_init(&carrier->in_site);
    list_node_init(&carrier->in_idle);
    list_push_back(&site->carriers, &carrier->in_site);
    site->carrier_count++;
    site_egress_opened(carrier->egress, on_rung);
    delivery->carrier_count++;
}

const struct source *carrier_source(const struct carrier *carrier)
{
    return carrier->egress->source;
}

struct bytes carrier_site_name(const struct carrier *carrier)
{
    return carrier->site->name;
}

struct series *carrier_counts(const struct carrier *carrier)
{
    return carrier->site->counts;
}

static void opened(struct carrier *carrier)
{
    struct site *site = carrier->site;
    struct host *host = hosts_find(site->hosts, &carrier->address);

    check(carrier->is_opening);
    check(site->opening_count > 0);
    carrier->is_opening = false;
    site->opening_count--;
    if (host != NULL && host->opening > 0)
        host->opening--;
}

/* What it had against the site and the host is forgotten. */
static void forgive(struct carrier *carrier)
{
    struct site *site = carrier->site;
    struct host *host = hosts_find(site->hosts, &carrier->address);

    site->trouble = SITE_TROUBLE_NONE;
    if (host != NULL)
        host_succeeded(host);
    egress_succeeded(carrier->egress->egress);
}

void carrier_ready(struct carrier *carrier)
{
    struct site *site = carrier->site;
    struct host *host = hosts_find(site->hosts, &carrier->address);

    opened(carrier);
    site->ready_count++;
    /* A greeting proves nothing of a peer that greets all and hangs up on all. */
    if (site->fruitless < FRUITLESS_MAX)
        forgive(carrier);
    site_dirty(site);
    if (host != NULL)
        host->ready++;
    egress_let_in(carrier->egress->egress, engine_now_ms(carrier->engine));
}

void carrier_left(struct carrier *carrier)
{
    struct site *site = carrier->site;
    struct host *host = hosts_find(site->hosts, &carrier->address);

    check(site->ready_count > 0);
    list_remove(&carrier->in_idle);
    carrier_keep_slot(carrier);
    site->ready_count--;
    if (host != NULL && host->ready > 0)
        host->ready--;
    egress_left(carrier->egress->egress, engine_now_ms(carrier->engine));
}

/* The source has to rest, and its host may be tried from another. */
static bool is_of_source(const struct judgement *judgement)
{
    return judgement->rule != NULL && strcmp(judgement->rule, FAILED_SOURCE) == 0;
}

/* It is not of the number of connections. */
static bool is_of_tls(const struct judgement *judgement)
{
    return judgement->is_ours && strcmp(judgement->class, CLASS_TLS) == 0;
}

static void remember_failure(struct carrier *carrier, const struct judgement *judgement)
{
    struct site *site = carrier->site;
    struct host *host = hosts_find(site->hosts, &carrier->address);
    char ip[ADDRESS_TEXT_MAX];

    if (is_of_source(judgement))
        egress_failed(carrier->egress->egress, engine_now_ms(carrier->engine));
    else if (host != NULL)
        host_failed(host, engine_now_ms(carrier->engine));
    address_format(&carrier->address, ip);
    struct site_failure failure = {
        .judgement = *judgement,
        .host = carrier->host_name,
        .ip = bytes_of(ip),
        .source = bytes_of(carrier->egress->source->name),
        .tls = carrier->seen,
        .began_ms = carrier->opened_wall_ms,
    };

    site_set_failure(site, &failure, judgement->kind == JUDGEMENT_BOUNCED);
    site_dirty(site);
}

/* A host that serves other connections of ours is not broken, it has enough of them; if it said so
 * itself, these may also be other engines'. Only of one that says nothing it must be this host that
 * has let one in: the next host is to be tried for one that is down. */
static bool has_enough(const struct carrier *carrier, const struct judgement *judgement)
{
    struct site *site = carrier->site;
    const struct host *host = hosts_find(site->hosts, &carrier->address);
    bool is_in = host != NULL && host->ready > 0;

    if (is_of_source(judgement) || is_of_tls(judgement) || (judgement->is_ours && !is_in))
        return false;
    return egress_turned_away(carrier->egress->egress, &carrier->egress->waiter,
                              !judgement->is_ours && judgement->kind == JUDGEMENT_DEFERRED,
                              engine_now_ms(carrier->engine));
}

/* It gets in line for the next one that may be opened. */
static void tell_enough(const struct carrier *carrier, const struct judgement *judgement)
{
    struct site *site = carrier->site;

    log_limited(LOG_LEVEL_INFO, "site=%s source=%s connections_allowed=%u why=%s",
                LOG_TEXT(site->name), LOG_STRING(carrier->egress->source->name),
                egress_allowed(carrier->egress->egress), LOG_TEXT(judgement->text));
    site_dirty(site);
}

void carrier_failed(struct carrier *carrier, const struct judgement *judgement)
{
    metric_inc(METRIC_DELIVERY_CONNECTS_FAILED);
    opened(carrier);
    if (!has_enough(carrier, judgement)) {
        remember_failure(carrier, judgement);
        return;
    }
    tell_enough(carrier, judgement);
}

void carrier_useless(struct carrier *carrier, const struct judgement *judgement)
{
    remember_failure(carrier, judgement);
}

void carrier_fruitless(struct carrier *carrier, const struct judgement *judgement)
{
    struct site *site = carrier->site;

    if (site->fruitless < FRUITLESS_MAX)
        site->fruitless++;
    if (site->fruitless == FRUITLESS_MAX)
        remember_failure(carrier, judgement);
}

void carrier_fruitful(struct carrier *carrier)
{
    struct site *site = carrier->site;

    if (site->fruitless >= FRUITLESS_MAX)
        forgive(carrier);
    site->fruitless = 0;
    egress_served(carrier->egress->egress, engine_now_ms(carrier->engine));
}

bool carrier_is_surplus(struct carrier *carrier, const struct judgement *judgement)
{
    if (!egress_turned_out(carrier->egress->egress, engine_now_ms(carrier->engine)))
        return false;
    tell_enough(carrier, judgement);
    return true;
}

void carrier_given_up(struct carrier *carrier)
{
    struct site *site = carrier->site;

    opened(carrier);
    site_dirty(site);
}

void carrier_gone(struct carrier *carrier)
{
    struct site *site = carrier->site;
    struct delivery *delivery = site->delivery;

    hosts_release(&carrier->hosts);
    list_remove(&carrier->in_site);
    delivery->carrier_count--;
    site->carrier_count--;
    egress_used(carrier->egress->egress, &carrier->use);
    site_egress_closed(&carrier->egress);
    site_dirty(site);
    site_check_unused(site);
    delivery_check_stopped(delivery);
}

void carrier_took(struct carrier *carrier)
{
    carrier->site->took_ms = engine_now_ms(carrier->engine);
}

void carrier_learn_domains(struct carrier *carrier, unsigned domains_max)
{
    carrier->site->domains_max = (uint16_t)MIN(domains_max, (unsigned)UINT16_MAX);
}

void carrier_learn(struct carrier *carrier, uint8_t lesson)
{
    carrier->site->lesson = lesson;
}

uint8_t carrier_lesson(const struct carrier *carrier)
{
    return carrier->site->lesson;
}

/* --- messages -------------------------------------------------------------------------------- */

/* The stricter of two limits, of which 0 is none. */
static uint64_t stricter(uint64_t a, uint64_t b)
{
    return a != 0 && b != 0 ? MIN(a, b) : MAX(a, b);
}

/* For a slot of this egress; the own site may wait for another connection, too. */
static bool others_wait(const struct carrier *carrier)
{
    return egress_has_waiters(carrier->egress->egress, carrier->egress->is_waiting);
}

/* A site's only one, opened for mail that waits for its share of the rate, stays a while for it: or
 * each would end for the next, and none would be there when a share comes. */
static bool may_free_slot(const struct carrier *carrier)
{
    return carrier->has_carried || carrier->site->waiting_count == 0 ||
           carrier->egress->carrier_count > 1 ||
           engine_now_ms(carrier->engine) - carrier->opened_ms >= GIVE_WAY_MS;
}

void carrier_keep_slot(struct carrier *carrier)
{
    if (carrier->is_free)
        egress_idle_end(carrier->egress->holder);
    carrier->is_free = false;
}

static void go_idle(struct carrier *carrier)
{
    struct site *site = carrier->site;

    list_push_back(&site->idle, &carrier->in_idle);
    if (!may_free_slot(carrier))
        return;
    carrier->is_free = true;
    egress_idle_begin(carrier->egress->holder);
    if (others_wait(carrier))
        site_dirty(site);
}

bool carrier_next(struct carrier *carrier, struct pull *pull)
{
    struct site *site = carrier->site;

    carrier_keep_slot(carrier);
    pull->recipients_max = stricter(pull->recipients_max, limits_recipients(&site->limits));
    pull->recipients_max = stricter(pull->recipients_max, PULL_MAX);
    pull->domains_max = stricter(pull->domains_max, site->domains_max);
    pull->pendings = site->delivery->pulled;
    if (!site_next(site, carrier->egress, pull)) {
        go_idle(carrier);
        return false;
    }
    carrier->has_carried = true;
    if (carrier->use.messages[pull->rank] < UINT16_MAX)
        carrier->use.messages[pull->rank]++;
    outcomes_count_in(carrier->outcomes, pull->count);
    return true;
}

bool carrier_may_hold(const struct carrier *carrier)
{
    return !suspensions_is_empty(carrier->site->delivery->suspensions);
}

bool carrier_hold(struct carrier *carrier, struct pending *pending, const struct message *message)
{
    struct delivery *delivery = carrier->site->delivery;

    if (suspensions_match(delivery->suspensions, pending, message) == NULL)
        return false;
    pending_release(pending);
    suspend_hold(delivery, pending);
    carrier_done(carrier, 1);
    return true;
}

void carrier_requeue(struct carrier *carrier, struct pending *pending)
{
    site_requeue(carrier->site->delivery, pending);
}

void carrier_done(struct carrier *carrier, size_t recipients)
{
    outcomes_count_out(carrier->outcomes, recipients);
}

/* --- what it is to do next ------------------------------------------------------------------- */

/* A site with much mail has long been in line for one connection more, before who came since: what
 * it gives up would be its own again. */
static void stand_behind_others(struct site_egress *e)
{
    if (e->is_waiting)
        egress_waiter_last(e->egress, &e->waiter);
}

/* To a higher class, or another tenant, that waits for its slot. */
static bool gives_way(struct carrier *carrier)
{
    struct site_egress *e = carrier->egress;

    if (turns_is_empty(&carrier->site->turns) || !others_wait(carrier))
        return false;
    const struct egress_mail mail = site_mail(carrier->site);

    return egress_gives_way(e->egress, site_egress_waiter(e), &carrier->use, &mail);
}

bool carrier_is_finished(struct carrier *carrier, unsigned messages_done, uint64_t messages_max)
{
    const struct site *site = carrier->site;
    int64_t open_ms = engine_now_ms(carrier->engine) - carrier->opened_ms;
    bool had_its_share =
        messages_done >= GIVE_WAY_AFTER || (messages_done > 0 && open_ms >= GIVE_WAY_MS);

    if (site->delivery->is_stopping || carrier->egress->is_leaving)
        return true;
    if (messages_done > 0 && gives_way(carrier))
        return true;
    if (messages_done < stricter(messages_max, limits_messages(&site->limits)) &&
        !(had_its_share && others_wait(carrier)))
        return false;
    stand_behind_others(carrier->egress);
    return true;
}

bool carrier_idle_is_over(struct carrier *carrier, int64_t idle_ms)
{
    return (others_wait(carrier) && (may_free_slot(carrier) || gives_way(carrier))) ||
           idle_ms >= limits_idle_s(&carrier->site->limits) * 1000LL;
}
