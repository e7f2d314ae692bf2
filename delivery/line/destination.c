/* destination.c - recipients in line, and the lookup that says where they go. */
#include "delivery/line/destination.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/line/lookup.h"
#include "delivery/line/router.h"
#include "delivery/line/store_route.h"
#include "delivery/outcome/clearing.h"
#include "delivery/outcome/retry.h"

enum {
    FAILED_TTL_MS = 30 * 1000,
    REFUSED_TTL_MIN_MS = 5 * 1000,
    FREES_MAX = 200, /* idle destinations at a time, each with its site perhaps */
    FREES_PAUSE_MS = 5,
    EXPIRY_LOOKS_MAX = 10000, /* a second: about a millisecond */
    SOON_MS = 2000,           /* what will be tried within this keeps its message in memory */
    SOON_COUNT = 256,         /* at a site that has not taken anything for so long */
};

/* What each answer without hosts means to a recipient. */
static const struct {
    enum judgement_kind kind;
    uint16_t subject, detail; /* RFC 3463, RFC 7505 section 4.1 */
    const char *class;
    const char *rule;
} refusals[] = {
    [MX_OK] = {JUDGEMENT_DEFERRED, 4, 4, "routing", "dns"},
    [MX_NXDOMAIN] = {JUDGEMENT_BOUNCED, 1, 2, "bad-domain", "dns-nxdomain"},
    [MX_NULL] = {JUDGEMENT_BOUNCED, 1, 10, "null-mx", "dns-null-mx"},
    [MX_NO_ADDRESS] = {JUDGEMENT_BOUNCED, 4, 4, "routing", "dns-no-address"},
    [MX_LOOP] = {JUDGEMENT_BOUNCED, 4, 6, "routing", "dns-loop"},
    [MX_UNROUTABLE] = {JUDGEMENT_BOUNCED, 4, 4, "routing", "dns-unroutable"},
    [MX_FAILED] = {JUDGEMENT_DEFERRED, 4, 3, "dns", "dns-failed"},
};

static void go_idle(struct destination *d)
{
    d->idle_since_ms = engine_now_ms(d->delivery->engine);
    list_push_back(&d->delivery->idle_destinations, &d->in_idle);
}

struct destination *destination_get(struct delivery *delivery, struct domain *domain)
{
    struct destination *d = domain->destination;
    struct list_node *node;

    if (d != NULL)
        return d;
    if (delivery->destination_count >= DESTINATIONS_MAX &&
        (node = list_first(&delivery->idle_destinations)) != NULL) {
        struct destination *oldest = container_of(node, struct destination, in_idle);

        destination_free(&oldest);
    }
    /* Not of a slab: of very many a few stay for long, and would keep the chunks of all. */
    d = delivery->destination_count < DESTINATIONS_MAX ? calloc(1, sizeof(*d)) : NULL;
    if (d == NULL)
        return NULL;
    d->delivery = delivery;
    d->domain = domain;
    d->generation = delivery->generation;
    lines_init(&d->lines);
    list_node_init(&d->in_all);
    list_node_init(&d->in_idle);
    list_node_init(&d->in_dirty);
    list_node_init(&d->in_starved);
    list_push_back(&delivery->all_destinations, &d->in_all);
    delivery->destination_count++;
    domain->destination = d;
    go_idle(d);
    return d;
}

static void resolve_next(struct delivery *delivery)
{
    struct list_node *node = list_pop_front(&delivery->unresolved);

    if (node != NULL)
        destination_dirty(container_of(node, struct destination, in_starved));
}

static void lookup_over(struct delivery *delivery)
{
    check(delivery->lookup_count > 0);
    delivery->lookup_count--;
    resolve_next(delivery);
}

static void cancel_lookup(struct destination *d)
{
    if (d->lookup == NULL)
        return;
    lookup_cancel(&d->lookup);
    lookup_over(d->delivery);
}

/* Out of its site, which is the caller's to put; NULL: it was in none. */
static struct site *leave_site(struct destination *d)
{
    struct site *site = d->site;

    if (site == NULL)
        return NULL;
    d->site = NULL;
    lines_leave(&d->lines, site);
    if (site->waiting_count == 0)
        site_emptied(site);
    return site;
}

static void put(struct site *site)
{
    if (site != NULL)
        site_put(&site);
}

static void put_former(struct destination *d)
{
    struct site *former = d->former;

    d->former = NULL;
    put(former);
}

void destination_free(struct destination **destination)
{
    struct destination *d = *destination;
    struct delivery *delivery = d->delivery;
    struct domain *domain = d->domain;

    *destination = NULL;
    check(d->lines.count == 0);
    cancel_lookup(d);
    put_former(d);
    put(leave_site(d));
    list_remove(&d->in_all);
    list_remove(&d->in_idle);
    list_remove(&d->in_dirty);
    list_remove(&d->in_starved);
    free(d->note);
    domain->destination = NULL;
    delivery->destination_count--;
    free(d);
    if (!delivery->is_stopping)
        domain_forget(delivery->flows, &domain);
}

/* --- in line --------------------------------------------------------------------------------- */

/* How many of those in line are expected to be tried within SOON_MS. */
static size_t soon_max(const struct destination *d)
{
    const struct site *site = d->site;

    if (site == NULL)
        return SOON_COUNT;
    if (limits_rate(&site->limits) != 0)
        return (size_t)(limits_rate(&site->limits) * SOON_MS / 1000);
    if (site->took_ms != 0 && engine_now_ms(d->delivery->engine) - site->took_ms < SOON_MS)
        return SIZE_MAX;
    return SOON_COUNT;
}

static size_t in_line(const struct destination *d)
{
    return d->site != NULL ? d->site->waiting_count : d->lines.count;
}

void destination_add(struct destination *d, struct pending *pending, bool in_front)
{
    list_remove(&d->in_idle);
    lines_add(&d->lines, d->delivery, d->site, pending, in_front);
    if (d->site != NULL)
        site_dirty(d->site);
    if (!in_front && in_line(d) > soon_max(d))
        shard_let_go(delivery_shard(d->delivery, pending_stub(pending)), pending);
    if (d->state != DESTINATION_ROUTED || engine_now_ms(d->delivery->engine) >= d->expires_ms)
        destination_dirty(d);
}

void destination_remove(struct destination *d, struct pending *pending)
{
    lines_remove(&d->lines, d->delivery, d->site, pending);
    if (d->site != NULL && d->site->waiting_count == 0)
        site_emptied(d->site);
    if (d->lines.count > 0)
        return;
    list_remove(&d->in_starved);
    go_idle(d);
}

void destination_dirty(struct destination *d)
{
    if (list_is_linked(&d->in_dirty))
        return;
    list_push_back(&d->delivery->dirty_destinations, &d->in_dirty);
    delivery_drive_later(d->delivery);
}

/* --- routing --------------------------------------------------------------------------------- */

static void refuse(struct destination *d, enum mx_status status, const char *note,
                   int64_t expires_ms)
{
    int64_t now_ms = engine_now_ms(d->delivery->engine);

    put_former(d);
    put(leave_site(d));
    free(d->note);
    d->note = strdup(note);
    check(d->note != NULL);
    d->state = DESTINATION_REFUSED;
    d->refused_for = (uint8_t)status;
    d->expires_ms = MAX(expires_ms, now_ms + REFUSED_TTL_MIN_MS);
    if (status == MX_FAILED)
        d->expires_ms = MIN(d->expires_ms, now_ms + FAILED_TTL_MS);
}

struct judgement destination_refusal(const struct destination *d)
{
    enum mx_status status = d->refused_for;

    check(d->state == DESTINATION_REFUSED);
    return judgement_of_ours(refusals[status].kind, refusals[status].subject,
                             refusals[status].detail, refusals[status].class, refusals[status].rule,
                             bytes_of(d->note));
}

static void route_to(struct destination *d, const struct mx_set *set,
                     struct tls_policy *const *policies)
{
    struct site *site = site_get(d->delivery, set, policies, domain_name(d->domain));

    if (d->wants_wake)
        site_wake(site);
    d->wants_wake = false;
    d->state = DESTINATION_ROUTED;
    d->expires_ms = set->expires_ms;
    free(d->note);
    d->note = NULL;
    if (site == d->site) {
        site_put(&site); /* it was referenced already */
        site_dirty(d->site);
        return;
    }
    put(leave_site(d));
    put_former(d);
    d->site = site;
    lines_enter(&d->lines, site);
    site_dirty(site);
}

static void on_looked_up(void *context, const struct mx_set *set,
                         struct tls_policy *const *policies)
{
    struct destination *d = context;
    int64_t now_ms = engine_now_ms(d->delivery->engine);

    d->lookup = NULL;
    lookup_over(d->delivery);
    d->lookup_ms = now_ms - d->lookup_began_ms;
    destination_dirty(d);
    if (set->status == MX_OK && set->host_count > 0) {
        route_to(d, set, policies);
        return;
    }
    /* Where mail went a moment ago it may still go while DNS is in trouble. */
    if (set->status == MX_FAILED && d->state == DESTINATION_ROUTED) {
        d->expires_ms = now_ms + FAILED_TTL_MS;
        return;
    }
    refuse(d, set->status, set->note != NULL ? set->note : "no host takes mail for this domain",
           set->expires_ms);
}

static void on_taken(void *context, struct pending *pending)
{
    destination_remove(context, pending);
}

static void refuse_waiting(struct destination *d)
{
    struct delivery *delivery = d->delivery;
    const struct judgement judgement = destination_refusal(d);
    struct line *line;
    struct attempt_facts facts = {
        .is_attempt = true,
        .started_ms = engine_wall_ms(delivery->engine) - d->lookup_ms,
        .times = {-1, (int32_t)MIN(d->lookup_ms, (int64_t)INT32_MAX), -1, -1, -1, -1},
    };

    while ((line = lines_first(&d->lines)) != NULL) {
        if (!clearing_has_room(delivery->outcomes)) {
            if (!list_is_linked(&d->in_starved))
                list_push_back(&delivery->starved_destinations, &d->in_starved);
            return;
        }
        struct shard *shard = delivery_shard(delivery, pending_stub(first_pending(&line->waiting)));

        clearing_start(delivery->outcomes, shard, &line->waiting, CLEARING_RECIPIENTS_MAX,
                       &judgement, &facts, on_taken, d);
    }
}

/* As many at a time as keep the resolver busy: a queue's destinations may all be due at once. */
static void start_lookup(struct destination *d)
{
    struct delivery *delivery = d->delivery;

    if (delivery->lookup_count >= LOOKUPS_MAX) {
        if (!list_is_linked(&d->in_starved))
            list_push_back(&delivery->unresolved, &d->in_starved);
        return;
    }
    list_remove(&d->in_starved);
    delivery->lookup_count++;
    d->route = router_route(delivery->settings, domain_name(d->domain));
    d->lookup_began_ms = engine_now_ms(delivery->engine);
    d->lookup = lookup_start(delivery, d->route, d->domain, on_looked_up, d);
}

/* Without the directory nobody knows whether mail stays here: it waits until store_look(). */
static void route(struct destination *d)
{
    struct mx_host host;
    struct mx_set set;

    if (!store_is_known(d->delivery))
        return;
    d->is_filed = store_takes(d->delivery, d->domain);
    if (!d->is_filed) {
        start_lookup(d);
        return;
    }
    list_remove(&d->in_starved); /* it waits for no lookup */
    d->route = NULL;
    d->lookup_ms = 0;
    store_set(d->delivery, &set, &host);
    route_to(d, &set, NULL);
}

void destination_drive(struct destination *d)
{
    struct delivery *delivery = d->delivery;
    int64_t now_ms = engine_now_ms(delivery->engine);
    bool is_current = d->state != DESTINATION_NEW && now_ms < d->expires_ms;

    if (delivery->is_stopping)
        return;
    if (d->lines.count == 0) {
        if (delivery->lookup_count < LOOKUPS_MAX)
            resolve_next(delivery); /* it may have been this one's turn */
        return;
    }
    if (!is_current && d->lookup == NULL) {
        route(d);
        return;
    }
    if (d->state == DESTINATION_REFUSED && d->lookup == NULL)
        refuse_waiting(d);
}

void destination_reroute(struct destination *d)
{
    struct site *site = leave_site(d);

    cancel_lookup(d);
    if (site != NULL) {
        put_former(d);
        d->former = site;
    }
    d->state = DESTINATION_NEW;
    d->route = NULL; /* of settings that may go now */
    d->generation = d->delivery->generation;
    destination_dirty(d);
}

void destination_keep_route(struct destination *d, const struct route *route)
{
    bool was_looking_up = d->lookup != NULL;

    check(d->state != DESTINATION_NEW);
    cancel_lookup(d); /* by a route of settings that may go now */
    d->route = route;
    d->generation = d->delivery->generation;
    if (d->site != NULL)
        site_add_domain(d->site, domain_name(d->domain));
    if (was_looking_up)
        destination_dirty(d);
}

/* --- its end --------------------------------------------------------------------------------- */

void destinations_free_idle(struct delivery *delivery)
{
    int64_t now_ms = engine_now_ms(delivery->engine);
    struct list_node *node;

    for (unsigned i = 0; i < FREES_MAX; i++) {
        if ((node = list_first(&delivery->idle_destinations)) == NULL)
            return;
        struct destination *d = container_of(node, struct destination, in_idle);

        if (now_ms - d->idle_since_ms < (int64_t)DESTINATION_KEPT_S * 1000)
            return;
        destination_free(&d);
    }
    engine_timeout(delivery->engine, &delivery->idle_timeout, FREES_PAUSE_MS);
}

bool destination_is_overdue(const struct delivery *delivery, const struct pending *pending)
{
    const struct retry_rule *rule =
        router_retry(delivery->settings, domain_name(pending_domain(pending)));

    int64_t now_ms = engine_now_ms(delivery->engine);
    int64_t accepted_ms = outcomes_age_from_ms(delivery->outcomes, rule, pending);

    /* The age of what the start found is the wall clock's word, which may have been set since:
     * before a try only the time since then counts. */
    if ((pending->flags & PENDING_UNTRIED) != 0)
        accepted_ms = MAX(accepted_ms, delivery->started_ms);
    return retry_is_overdue(rule, accepted_ms, now_ms);
}

int64_t destination_end_ms(const struct delivery *delivery, const struct pending *pending)
{
    const struct retry_rule *rule =
        router_retry(delivery->settings, domain_name(pending_domain(pending)));

    return retry_end_ms(rule, outcomes_age_from_ms(delivery->outcomes, rule, pending));
}

/* From where the last look stopped, or from its front. True: it was looked at to its end. */
static bool expire_line(struct delivery *delivery, struct line *line, unsigned *looks_left)
{
    if (delivery->look == NULL || delivery->look == &line->waiting.head)
        delivery->look = line->waiting.head.next;
    while (delivery->look != &line->waiting.head) {
        struct pending *pending = container_of(delivery->look, struct pending, link);
        bool is_last = line->count == 1;

        if (*looks_left == 0 || !clearing_has_room(delivery->outcomes))
            return false;
        (*looks_left)--;
        delivery->look = delivery->look->next;
        if (!destination_is_overdue(delivery, pending))
            continue;
        destination_remove(destination_of(pending), pending);
        destination_expire(delivery, pending, "waited for its site until its time was over");
        if (is_last)
            return true;
    }
    delivery->look = NULL;
    list_remove(&line->in_waiting);
    list_push_back(&delivery->waiting_lines, &line->in_waiting);
    return true;
}

/* A site whose few connections are busy for hours pulls nothing, and so finds nothing too old. */
void destinations_expire_waiting(struct delivery *delivery)
{
    struct list *list = &delivery->waiting_lines;
    struct list_node *first = list_first(list), *node;
    unsigned left = EXPIRY_LOOKS_MAX;

    while ((node = list_first(list)) != NULL) {
        if (!expire_line(delivery, container_of(node, struct line, in_waiting), &left))
            return; /* it goes on here */
        if (list_first(list) == first)
            return; /* everything was looked at once */
    }
}

/* Its hosts have no TLS that is good enough: that is what the sender is to know. */
static bool rests_for_tls(const struct site *site)
{
    return (site->state == SITE_FAILING || site->state == SITE_RESTING) && site->failure != NULL &&
           site->failure->judgement.is_ours &&
           strcmp(site->failure->judgement.class, CLASS_TLS) == 0;
}

void destination_expire(struct delivery *delivery, struct pending *pending, const char *why)
{
    struct judgement judgement =
        judgement_of_ours(JUDGEMENT_EXPIRED, 4, 7, "expired", "retry.max_age", bytes_of(why));
    const struct destination *d = destination_of(pending);
    const struct site *site = d != NULL ? d->site : NULL;
    struct attempt_facts facts = {
        .counts = site != NULL ? site->counts : NULL,
        .times = {-1, -1, -1, -1, -1, -1},
    };

    if (site != NULL && rests_for_tls(site)) {
        judgement = site->failure->judgement;
        judgement.kind = JUDGEMENT_EXPIRED;
        judgement.enhanced.class = 5;
        facts.tls = site->failure->tls;
    }

    clearing_start_one(delivery->outcomes, delivery_shard(delivery, pending_stub(pending)), pending,
                       &judgement, &facts);
}
