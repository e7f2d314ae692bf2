/* site_drive.c - what a site does next: open connections, tell its mail of a failure, or rest. */
#include "base/log.h"
#include "delivery/line/site.h"

enum {
    RECIPIENTS_PER_OPENING = 4, /* waiting recipients that are worth another connection */
    NO_MEMORY_MS = 1000,
    SPREAD_PART = 4,       /* of a rest: as much longer some of what waited may wait */
    URGENT_MS = 60 * 1000, /* since a site took a recipient */
    NO_FAMILY_MS = 5 * 60 * 1000,
};

static void open_carrier(struct site *site, struct site_egress *e, size_t number)
{
    const struct carrier_kind *kind = &site->delivery->carriers;
    unsigned connect_s = site->delivery->settings->connect_timeout_s;
    struct host *host = &site->hosts->host[number];
    struct carrier_opening opening = {
        .site = site,
        .egress = e,
        .host = host,
        .answer_s = connect_s != 0 ? connect_s : DELIVERY_CONNECT_S_DEFAULT,
    };

    /* The slot is ours; every way out of here gives it back or to the carrier. */
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

/* Nobody can be reached: what waits is told, then the site rests. */
static void exhausted(struct site *site, int64_t until_ms)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);

    if (!site->has_failed && until_ms == INT64_MAX) {
        struct site_failure failure = {
            .judgement = judgement_of_ours(
                JUDGEMENT_DEFERRED, 4, 4, "connection", "no-source",
                BYTES("none of the site's addresses can be reached from our source addresses")),
            .began_ms = engine_wall_ms(site->delivery->engine),
        };

        site_set_failure(site, &failure);
        until_ms = now_ms + NO_FAMILY_MS;
    }
    until_ms = until_ms == INT64_MAX ? now_ms + NO_FAMILY_MS : MAX(until_ms, now_ms + 1000);
    site_rest(site, until_ms);
    site->spread_ms = MAX((until_ms - now_ms) / SPREAD_PART, (int64_t)1000);
    site->has_scout = false;
    if (site->has_failed) {
        struct site_failure *failure = site->failure;

        failure->judgement.kind = site->is_refused ? JUDGEMENT_BOUNCED : JUDGEMENT_DEFERRED;
        site->fail_left = MIN(site->waiting_count, (size_t)FAIL_MAX);
        for (size_t i = 0; i < site->egress_count; i++)
            if (site->egresses[i].source == failure->source)
                egress_failed(site->egresses[i].egress, now_ms);
        log_limited(LOG_LEVEL_WARN, "site=%s resting_s=%lld host=%s ip=%s why=%s",
                    LOG_TEXT(site->name), (long long)(until_ms - now_ms) / 1000,
                    LOG_TEXT(failure->host), LOG_TEXT(failure->ip),
                    LOG_TEXT(failure->judgement.text));
    }
    site->has_failed = false;
    site_dirty(site);
}

/* Opens one connection or finds out why not; false: nothing more to try now. */
static bool open_one(struct site *site)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    int64_t until_ms = INT64_MAX;
    uint64_t usable = 0;
    bool is_waiting = false;
    int hosts[SOURCES_MAX];

    for (size_t i = 0; i < site->egress_count; i++) {
        struct site_egress *e = &site->egresses[i];
        int64_t resting_ms = egress_resting_until_ms(e->egress);
        int64_t retry_ms;

        is_waiting = is_waiting || e->is_waiting;
        if (resting_ms > now_ms) {
            until_ms = MIN(until_ms, resting_ms);
            continue;
        }
        hosts[i] = hosts_next(site->hosts, source_has_ipv4(e->source), source_has_ipv6(e->source),
                              now_ms, &retry_ms);
        if (hosts[i] >= 0 && !e->is_waiting)
            usable |= 1ULL << i;
        else if (hosts[i] < 0)
            until_ms = MIN(until_ms, retry_ms);
    }
    int pick = source_pick(site->use->settings->sources, site->egress_count, usable);

    if (pick < 0) {
        /* Every connection's end drives the site again, and so does a slot. */
        if (site->carrier_count == 0 && !is_waiting)
            exhausted(site, until_ms);
        return false;
    }
    struct site_egress *e = &site->egresses[pick];

    e->waiter.woken = on_woken;
    /* Where thousands of sites wait for a slot because a backlog became due, one that takes mail
     * must not stand in line with them whenever a connection of it ends. */
    e->waiter.is_urgent = site->took_ms != 0 && now_ms - site->took_ms < URGENT_MS;
    if (!egress_connect_begin(e->egress, &e->waiter)) {
        e->is_waiting = true;
        return true; /* another source may have one */
    }
    size_t before = site->carrier_count;

    open_carrier(site, e, (size_t)hosts[pick]);
    return site->carrier_count > before;
}

static bool wants_more(struct site *site)
{
    int64_t now_ms = engine_now_ms(site->delivery->engine);
    size_t wanted = (site->waiting_count + RECIPIENTS_PER_OPENING - 1) / RECIPIENTS_PER_OPENING;

    if (site->opening_count >= wanted || !list_is_empty(&site->idle))
        return false;
    if (site->rate_until_ms > now_ms) {
        site_wake_at(site, site->rate_until_ms);
        return false;
    }
    return true;
}

/* The peer may allow one more than it did: somebody has to ask now and then. */
static void probe_limits(struct site *site)
{
    for (size_t i = 0; i < site->egress_count; i++) {
        struct site_egress *e = &site->egresses[i];

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
        site->delivery->carriers.wake(container_of(node, struct carrier, in_idle));
    list_splice(&site->idle, &ready);
}

void site_drive(struct site *site)
{
    struct delivery *delivery = site->delivery;

    if (delivery->is_stopping)
        return;
    if (site->fail_left > 0) {
        site_fail_some(site);
        return;
    }
    if (site->waiting_count == 0) {
        (void)site_cancel_waiters(site);
        return;
    }
    if (site->resting_until_ms > engine_now_ms(delivery->engine)) {
        site_postpone_some(site);
        return;
    }
    if (!outcomes_may_begin(delivery->outcomes)) {
        site_starve(site);
        return;
    }
    wake_idle(site);
    while (site->waiting_count > 0 && wants_more(site))
        if (!open_one(site))
            break;
    probe_limits(site);
}
