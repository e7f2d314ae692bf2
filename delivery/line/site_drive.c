/* site_drive.c - what a site does next: open connections, tell its mail of a failure, or rest. */
#include <string.h>

#include "base/log.h"
#include "delivery/line/site.h"

enum {
    RECIPIENTS_PER_OPENING = 4, /* waiting recipients that are worth another connection */
    OPEN_AHEAD_MS = 1000,       /* before its share of the rate is likely to come */
    NO_MEMORY_MS = 1000,
    URGENT_MS = 60 * 1000, /* since a site took a recipient */
    NO_FAMILY_MS = 5 * 60 * 1000,
};

/* Whoever found out about the host said that no connection may be made to it. */
static bool is_refused(struct site *site, struct site_egress *e, struct host *host)
{
    const struct tls_policy *tls = tls_policy_or_default(host->tls);
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    char ip[ADDRESS_TEXT_MAX];
    size_t ip_len = address_format(&host->address, ip);
    struct bytes why = tls->found_why;

    if (tls->level != TLS_LEVEL_REFUSE)
        return false;
    struct site_failure failure = {
        .judgement = judgement_of_ours(
            tls->is_final ? JUDGEMENT_BOUNCED : JUDGEMENT_DEFERRED, 7,
            tls_policy_is_of_message(tls) ? 10 : 5, CLASS_TLS, tls_result_name(tls->found),
            why.len > 0 ? why : BYTES("the policy for TLS forbids to connect to this host")),
        .host = host->name,
        .ip = bytes_range(ip, ip_len),
        .source = bytes_of(e->source->name),
        .tls = {.policy = tls_level_name(tls->level),
                .source = tls_source_name(tls->source),
                .result = tls->found != TLS_RESULT_NONE ? tls_result_name(tls->found) : NULL,
                .reason = why},
        .began_ms = engine_wall_ms(site->delivery->engine),
    };

    host_failed(host, now_ms);
    site_set_failure(site, &failure, tls->is_final);
    return true;
}

static void open_carrier(struct site *site, struct site_egress *e, size_t number)
{
    const struct carrier_kind *kind = site_carriers(site);
    unsigned connect_s = site->delivery->settings->connect_timeout_s;
    struct host *host = &site->hosts->host[number];
    struct carrier_opening opening = {
        .site = site,
        .egress = e,
        .host = host,
        .answer_s = connect_s != 0 ? connect_s : DELIVERY_CONNECT_S_DEFAULT,
    };

    /* The slot is ours; every way out of here gives it back or to the carrier. */
    if (is_refused(site, e, host)) {
        egress_connect_end(e->egress);
        site_dirty(site);
        return;
    }
    if (!kind->open(kind->context, &opening)) {
        egress_connect_end(e->egress);
        site_wake_at(site, engine_now_ms(site->delivery->engine) + NO_MEMORY_MS);
        return;
    }
    host->opening++;
    site->opening_count++;
}

static void on_woken(struct egress_waiter *waiter)
{
    struct site_egress *e = container_of(waiter, struct site_egress, waiter);
    struct site *site = e->site;
    int64_t retry_ms;

    e->is_waiting = false;
    if (e->is_leaving) {
        egress_connect_end(e->egress);
        site_egresses_sweep(site);
        site_check_unused(site);
        return;
    }
    int host = hosts_next(site->hosts, source_has_ipv4(e->source), source_has_ipv6(e->source),
                          engine_now_ms(site->delivery->engine), &retry_ms);

    if (site->waiting_count == 0 || site->delivery->is_stopping || host < 0) {
        egress_connect_end(e->egress);
        site_dirty(site);
        site_check_unused(site);
        return;
    }
    open_carrier(site, e, (size_t)host);
    site_dirty(site);
}

/* It failed: the hosts could not be reached from it, or refused it. What failed for want of TLS
 * says nothing of the source: other sites have the same hosts, and demand less. */
static void blame(struct site *site, const struct site_failure *failure, int64_t now_ms)
{
    if (failure->judgement.is_ours && strcmp(failure->judgement.class, CLASS_TLS) == 0)
        return;
    for (struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        if (!bytes_equal(bytes_of(e->source->name), failure->source))
            continue;
        if (failure->judgement.is_ours)
            egress_failed(e->egress, now_ms);
        else
            egress_refused(e->egress, now_ms);
    }
}

/* Nobody can be reached: what waits is told, then the site rests. */
static void exhausted(struct site *site, int64_t until_ms)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);

    if (site->trouble == SITE_TROUBLE_NONE && until_ms == INT64_MAX) {
        struct site_failure failure = {
            .judgement = judgement_of_ours(
                JUDGEMENT_DEFERRED, 4, 4, "connection", "no-source",
                BYTES("none of the site's addresses can be reached from our source addresses")),
            .began_ms = engine_wall_ms(site->delivery->engine),
        };

        site_set_failure(site, &failure, false);
    }
    until_ms = until_ms == INT64_MAX ? now_ms + NO_FAMILY_MS : MAX(until_ms, now_ms + 1000);
    if (site->trouble != SITE_TROUBLE_NONE) {
        struct site_failure *failure = site->failure;

        failure->judgement.kind =
            site->trouble == SITE_TROUBLE_REFUSED ? JUDGEMENT_BOUNCED : JUDGEMENT_DEFERRED;
        blame(site, failure, now_ms);
        log_limited(LOG_LEVEL_WARN, "site=%s resting_s=%lld host=%s ip=%s why=%s",
                    LOG_TEXT(site->name), (long long)(until_ms - now_ms) / 1000,
                    LOG_TEXT(failure->host), LOG_TEXT(failure->ip),
                    LOG_TEXT(failure->judgement.text));
    }
    site_rest(site, until_ms);
}

/* What keeps a site's sources from another connection now. */
struct survey {
    uint64_t usable; /* a bit each */
    int hosts[SOURCES_MAX];
    bool is_held_up;  /* one waits for a slot or its share of the rate: it will be woken */
    int64_t until_ms; /* all others may be tried again then, at the earliest */
};

/* Its share is about to come, and it has nothing to send on. */
static bool is_to_open_ahead(const struct site_egress *e, int64_t now_ms)
{
    return e->carrier_count == 0 &&
           egress_share_at_ms(&e->sender, now_ms) - now_ms <= OPEN_AHEAD_MS;
}

static void survey_source(const struct site *site, const struct site_egress *e, size_t number,
                          int64_t now_ms, struct survey *survey)
{
    int64_t resting_ms = egress_resting_until_ms(e->egress);
    int64_t retry_ms;

    survey->is_held_up |= e->is_waiting;
    if (resting_ms > now_ms) {
        survey->until_ms = MIN(survey->until_ms, resting_ms);
        return;
    }
    int host = hosts_next(site->hosts, source_has_ipv4(e->source), source_has_ipv6(e->source),
                          now_ms, &retry_ms);

    survey->hosts[number] = host;
    if (host < 0)
        survey->until_ms = MIN(survey->until_ms, retry_ms);
    else if (site_egress_is_throttled(e) && !is_to_open_ahead(e, now_ms))
        survey->is_held_up = true;
    else if (!e->is_waiting)
        survey->usable |= 1ULL << number;
}

/* What a waiter was told of the mail, in one number: its class exactly, of its tenants as much as
 * there is room for. */
static uint16_t waits_as(const struct egress_mail *mail)
{
    uint64_t first = bytes_hash(mail->tenant.name);
    uint64_t sum = first * (mail->is_fresh ? 3 : 1); /* else in any order */

    for (unsigned i = 0; i < mail->other_count; i++)
        sum += bytes_hash(mail->others[i].name);
    return (uint16_t)((sum ^ sum >> 32) << 3 | mail->rank << 1 | mail->is_fresh);
}

/* Opens one connection or finds out why not; false: nothing more to try now. */
static bool open_one(struct site *site)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    struct survey survey = {.until_ms = INT64_MAX};
    size_t count = 0;

    for (struct site_egress *e = site->egresses; e != NULL; e = e->next)
        survey_source(site, e, count++, now_ms, &survey);
    int pick = source_pick(site->delivery->settings->sources, count, survey.usable);

    if (pick < 0) {
        /* Every connection's end drives the site again, and so does a slot. */
        if (site->carrier_count == 0 && !survey.is_held_up)
            exhausted(site, survey.until_ms);
        return false;
    }
    struct site_egress *e = site->egresses;

    for (int i = 0; i < pick; i++)
        e = e->next;
    /* Where thousands of sites wait for a slot because a backlog became due, one that takes mail
     * must not stand in line with them whenever a connection of it ends. */
    e->waiter.is_urgent = site->took_ms != 0 && now_ms - site->took_ms < URGENT_MS;
    e->waiter.own = e->holder;
    e->waiter.woken = on_woken;
    struct egress_tenant others[EGRESS_TENANTS_MAX - 1];
    const struct egress_mail mail = site_mails(site, others);

    if (!egress_connect_begin(e->egress, &e->waiter, &mail)) {
        e->waits_as = waits_as(&mail);
        e->is_waiting = true;
        return true; /* another source may have one */
    }
    size_t before = site->carrier_count;

    open_carrier(site, e, (size_t)survey.hosts[pick]);
    return site->carrier_count > before;
}

/* One that may send: others are woken when their share of the rate has come. */
static bool has_idle(const struct site *site)
{
    list_for_each(node, &site->idle)
        if (!site_egress_is_throttled(container_of(node, struct carrier, in_idle)->egress))
            return true;
    return false;
}

static bool is_paced(const struct site *site)
{
    for (const struct site_egress *e = site->egresses; e != NULL; e = e->next)
        if (!site_egress_is_paced(e))
            return false;
    return true;
}

/* A share of the rate is for one message: where that is what keeps its mail waiting, another one is
 * opened when those that are there have something to do, not one for each few that wait. */
static bool wants_more(const struct site *site)
{
    size_t wanted = (site->waiting_count + RECIPIENTS_PER_OPENING - 1) / RECIPIENTS_PER_OPENING;

    if (is_paced(site))
        wanted = MIN(wanted, (size_t)1);
    return site->opening_count < wanted && !has_idle(site);
}

/* Its mail may be another than when it got in line for a slot, or for a share of the rate. */
static void tell_waiters(struct site *site)
{
    struct egress_tenant others[EGRESS_TENANTS_MAX - 1];
    const struct egress_mail mail = site_mails(site, others);

    for (struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        if (e->is_waiting && e->waits_as != waits_as(&mail)) {
            egress_waiter_change(e->egress, &e->waiter, &mail);
            e->waits_as = waits_as(&mail);
        }
        egress_share_change(e->egress, &e->sender, &mail);
    }
}

/* The peer may allow one more than it did: somebody has to ask now and then. */
static void probe_limits(struct site *site)
{
    for (struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        if (!e->is_waiting)
            continue;
        int64_t at_ms = egress_probe(e->egress, engine_now_ms(site->delivery->engine));

        if (at_ms != 0)
            site_wake_at(site, at_ms);
    }
}

static void wake_idle(struct site *site)
{
    struct list ready;
    struct list_node *node;

    list_init(&ready);
    list_splice(&ready, &site->idle); /* who finds nothing to send goes back */
    while (site->waiting_count > 0 && (node = list_pop_front(&ready)) != NULL)
        site_carriers(site)->wake(container_of(node, struct carrier, in_idle));
    list_splice(&site->idle, &ready);
}

static bool is_waited_for(const struct site *site)
{
    for (struct site_egress *e = site->egresses; e != NULL; e = e->next)
        if (egress_is_waited_for(e->egress, site_egress_waiter(e)))
            return true;
    return false;
}

/* Those that cannot send now, and whose slots somebody waits for. */
static void end_idle(struct site *site)
{
    if (!is_waited_for(site))
        return; /* else every drive would walk over all that are idle */
    list_for_each(node, &site->idle) {
        struct carrier *carrier = container_of(node, struct carrier, in_idle);
        struct site_egress *e = carrier->egress;

        if (!carrier->is_free || (site->waiting_count > 0 && !site_egress_is_throttled(e)) ||
            !egress_idle_gives_way(e->egress, site_egress_waiter(e)))
            continue;
        carrier_keep_slot(carrier);
        site_carriers(site)->leave(carrier);
    }
}

/* What the drive left it waiting for; of several, what would hold it the longest. */
static enum site_state look(const struct site *site)
{
    bool may_all_send = true, is_waiting = false;

    if (site->waiting_count == 0)
        return SITE_IDLE;
    if (list_is_linked(&site->in_starved))
        return SITE_STARVED;
    for (const struct site_egress *e = site->egresses; e != NULL; e = e->next) {
        may_all_send = may_all_send && !site_egress_is_throttled(e);
        is_waiting = is_waiting || e->is_waiting;
    }
    if (!may_all_send)
        return SITE_THROTTLED;
    if (is_waiting)
        return SITE_LIMITED;
    return site->ready_count > 0 ? SITE_SERVING : SITE_CONNECTING;
}

/* A share of the rate is for who can send now: what came for a site that has to wait for a slot
 * first is the next one's. Or those would be used together once slots come free. */
static void pass_shares(struct site *site)
{
    for (struct site_egress *e = site->egresses; e != NULL; e = e->next)
        if (e->is_waiting && e->carrier_count == 0)
            egress_share_pass(&e->sender);
}

static void drive_working(struct site *site)
{
    if (site->waiting_count == 0) {
        site_emptied(site);
        end_idle(site);
        return;
    }
    if (!outcomes_may_begin(site->delivery->outcomes)) {
        site_starve(site);
        return;
    }
    end_idle(site);
    wake_idle(site);
    if (site->waiting_count > 0)
        tell_waiters(site);
    while (site->waiting_count > 0 && wants_more(site))
        if (!open_one(site))
            break;
    if (site->state == SITE_FAILING || site->state == SITE_RESTING)
        return;
    pass_shares(site);
    probe_limits(site);
    site_enter(site, look(site));
}

void site_drive(struct site *site)
{
    struct delivery *delivery = site->delivery;

    if (delivery->is_stopping)
        return;
    if (site->state == SITE_RESTING && site->rest.until_ms <= engine_now_ms(delivery->engine))
        site_end_rest(site); /* its timeout is about to tell */
    switch ((enum site_state)site->state) {
    case SITE_FAILING:
        site_fail_some(site);
        return;
    case SITE_RESTING:
        site_postpone_some(site);
        return;
    case SITE_IDLE:
    case SITE_CONNECTING:
    case SITE_SERVING:
    case SITE_THROTTLED:
    case SITE_LIMITED:
    case SITE_STARVED:
    case SITE_STATE_COUNT:
        break;
    }
    drive_working(site);
}
