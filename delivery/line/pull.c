/* pull.c - taking waiting recipients out of a site: to send, to tell of a failure, to give back. */
#include "base/metric.h"
#include "base/random.h"
#include "delivery/line/destination.h"
#include "delivery/line/suspend.h"
#include "delivery/outcome/clearing.h"

enum {
    SKIPS_MAX = 1000, /* recipients that turn out not to be sent, in one pull */
    NO_MEMORY_MS = 60 * 1000,
    GATHER_MAX = 4096, /* recipients of a message that are looked at for one transaction */
    DOMAINS_MAX = 32,  /* in one transaction, where their number is limited at all */
};

static const enum metric turns_metrics[RANK_COUNT] = {
    [RANK_HIGH] = METRIC_TURNS_HIGH,
    [RANK_NORMAL] = METRIC_TURNS_NORMAL,
    [RANK_BULK] = METRIC_TURNS_BULK,
};

/* Whose turn it is; NULL: nothing waits. */
static struct line *next_line(struct site *site)
{
    enum rank rank;
    struct turn *turn = turns_next(&site->turns, &site->delivery->turns, &rank);

    return turn != NULL ? container_of(turn, struct line, turn) : NULL;
}

static struct egress_tenant tenant_of(const struct line *line)
{
    const struct tenant *tenant = line->flow->tenant;

    return (struct egress_tenant){tenant->node.key, tenant->weight};
}

static struct egress_mail mail_of(const struct site *site, const struct line *line)
{
    return (struct egress_mail){
        .rank = turns_best(&site->turns),
        .tenant = tenant_of(line),
        .is_fresh = turns_is_fresh(&site->turns, &line->turn),
    };
}

struct egress_mail site_mail(struct site *site)
{
    const struct line *line = next_line(site);

    check(line != NULL);
    return mail_of(site, line);
}

struct egress_mail site_mails(struct site *site,
                              struct egress_tenant others[static EGRESS_TENANTS_MAX - 1])
{
    struct turn *turns[EGRESS_TENANTS_MAX - 1];
    const struct line *line = next_line(site);

    check(line != NULL);
    struct egress_mail mail = mail_of(site, line);

    mail.others = others;
    mail.other_count =
        (unsigned)turns_others(&site->turns, &line->turn, turns, EGRESS_TENANTS_MAX - 1);
    for (unsigned i = 0; i < mail.other_count; i++)
        others[i] = tenant_of(container_of(turns[i], struct line, turn));
    return mail;
}

/* Held back by an operator, or too old: out of line without being sent. */
static bool is_taken_aside(struct delivery *delivery, struct pending *pending)
{
    struct destination *destination = destination_of(pending);

    if (!suspensions_is_empty(delivery->suspensions) &&
        suspensions_match(delivery->suspensions, pending, stub_message(pending_stub(pending))) !=
            NULL) {
        destination_remove(destination, pending);
        suspend_hold(delivery, pending);
        return true;
    }
    if (destination_is_overdue(delivery, pending) && clearing_has_room(delivery->outcomes)) {
        destination_remove(destination, pending);
        destination_expire(delivery, pending,
                           "waited for a connection to its site until its time was over");
        return true;
    }
    return false;
}

/* The domains of a transaction that must not have many. */
struct domains_seen {
    size_t count, count_max; /* 0: any number */
    const struct destination *seen[DOMAINS_MAX];
};

static bool admit_domain(struct domains_seen *domains, const struct destination *destination)
{
    if (domains->count_max == 0)
        return true;
    for (size_t i = 0; i < domains->count; i++)
        if (domains->seen[i] == destination)
            return true;
    if (domains->count == domains->count_max)
        return false;
    domains->seen[domains->count++] = destination;
    return true;
}

/* Everything of this message that waits for this site, whatever the domain unless the peer takes
 * only so many: from the first on, then what is in front of it, whose turn comes later. It stays in
 * line. */
static void gather(struct site *site, struct pending *first, struct pull *pull)
{
    struct stub *stub = pending_stub(first);
    uint32_t number = pending_number(first);
    uint32_t left = MIN((uint32_t)stub->recipient_count, (uint32_t)GATHER_MAX);

    struct domains_seen domains = {.count_max =
                                       (size_t)MIN(pull->domains_max, (uint64_t)DOMAINS_MAX)};

    pull->stub = stub;
    pull->count = 0;
    for (; left > 0 && pull->count < pull->recipients_max; left--, number++) {
        struct pending *pending = &stub->pendings[number % stub->recipient_count];

        if (pending->state != PENDING_READY || (pending->flags & PENDING_AT_DESTINATION) == 0)
            continue;
        struct destination *destination = destination_of(pending);

        if (destination->site == site && admit_domain(&domains, destination))
            pull->pendings[pull->count++] = pending;
    }
    check(pull->count > 0);
}

/* The turn of this line: one message, all of whose recipients are of one tenant and class. */
static void take_turn(struct site *site, struct line *line, struct site_egress *egress,
                      struct pull *pull)
{
    struct delivery *delivery = site->delivery;
    struct pending *pending = first_pending(&line->waiting);
    const struct destination *destination = destination_of(pending);
    const struct egress_mail mail = mail_of(site, line);
    enum rank rank = line_rank(line);

    pull->rank = rank;
    pull->shard = delivery_shard(delivery, pending_stub(pending));
    pull->lookup_began_ms = destination->lookup_began_ms;
    pull->lookup_ms = destination->lookup_ms;
    gather(site, pending, pull);
    metric_inc(turns_metrics[rank]);
    turns_served(&site->turns, &line->turn, rank, (unsigned)pull->count);
    turns_served_elsewhere(&line->turn, (unsigned)pull->count,
                           site_egress_charge(egress, &mail, (unsigned)pull->count));
    for (size_t i = 0; i < pull->count; i++) {
        destination_remove(destination_of(pull->pendings[i]), pull->pendings[i]);
        pending_occupy(pull->pendings[i]);
    }
}

static void take_aside(struct site *site)
{
    struct line *line;

    for (unsigned i = 0; i < SKIPS_MAX && (line = next_line(site)) != NULL; i++)
        if (!is_taken_aside(site->delivery, first_pending(&line->waiting)))
            break;
}

/* A share of the rate is there, or nothing is in its way any more that one was on the way. Where
 * all its mail is held back the share is the next one's before a connection is opened for it. */
static void on_share(struct egress_sender *sender)
{
    struct site *site = container_of(sender, struct site_egress, sender)->site;

    if (!site->delivery->is_stopping)
        take_aside(site);
    site_told(site);
}

bool site_next(struct site *site, struct site_egress *egress, struct pull *pull)
{
    struct delivery *delivery = site->delivery;
    int64_t now_ms = engine_now_ms(delivery->engine);
    struct line *line;

    if (delivery->is_stopping)
        return false;
    if (!outcomes_may_begin(delivery->outcomes)) {
        site_starve(site);
        return false;
    }
    for (unsigned i = 0; i < SKIPS_MAX; i++) {
        if ((line = next_line(site)) == NULL)
            return false;
        struct pending *pending = first_pending(&line->waiting);
        size_t room =
            outcomes_room(delivery->outcomes, delivery_shard(delivery, pending_stub(pending)));

        if (room == 0) {
            site_starve(site);
            return false;
        }
        pull->recipients_max = MIN(pull->recipients_max, (uint64_t)room);
        if (is_taken_aside(delivery, pending))
            continue;
        const struct egress_mail mail = mail_of(site, line);

        egress->sender.woken = on_share;
        if (!egress_share_take(egress->egress, &egress->sender, &mail, now_ms)) {
            site_enter(site, SITE_THROTTLED);
            return false;
        }
        take_turn(site, line, egress, pull);
        return true;
    }
    site_dirty(site);
    return false;
}

void site_requeue(struct delivery *delivery, struct pending *pending)
{
    pending_release(pending);
    /* What is in line when the program stops is just left: it is unfinished on disk. */
    if (delivery->is_stopping)
        return;
    struct destination *destination = destination_get(delivery, pending_domain(pending));

    if (destination == NULL) {
        metric_inc(METRIC_DELIVERY_POSTPONED);
        shard_postpone(delivery_shard(delivery, pending_stub(pending)), pending,
                       engine_now_ms(delivery->engine) + NO_MEMORY_MS);
        return;
    }
    destination_add(destination, pending, true);
}

static void on_taken(void *context, struct pending *pending)
{
    (void)context;
    destination_remove(destination_of(pending), pending);
}

void site_fail_some(struct site *site)
{
    struct delivery *delivery = site->delivery;
    const struct site_failure *failure = site->failure; /* there was one: fail_left is its */
    struct line *line;
    struct attempt_facts facts = {
        .counts = site->counts,
        .is_attempt = true,
        .started_ms = failure->began_ms,
        .times = {-1, -1, -1, -1, -1, -1},
        .source = failure->source,
        .site = site->name,
        .mx_host = failure->host,
        .mx_ip = failure->ip,
        .tls = failure->tls,
    };

    while (site->fail_left > 0 && (line = next_line(site)) != NULL) {
        if (!clearing_has_room(delivery->outcomes)) {
            site_starve(site);
            return;
        }
        struct stub *stub = pending_stub(first_pending(&line->waiting));

        site->fail_left -=
            (unsigned)clearing_start(delivery->outcomes, delivery_shard(delivery, stub),
                                     &line->waiting, site->fail_left, &failure->judgement, &facts,
                                     on_taken, NULL);
    }
    site_failed(site);
}

/* One recipient finds out whether the site is back; the others follow one by one, instead of all
 * in the first second after an hour. */
static int64_t spread(struct site *site)
{
    if (site->rest.has_scout)
        return (int64_t)random_below((uint64_t)site->rest.spread_ms);
    site->rest.has_scout = true;
    return 0;
}

/* Until the site's rest is over, or the recipient's time: a rest may be longer than that. */
static void postpone_or_expire(struct site *site, struct pending *pending)
{
    struct delivery *delivery = site->delivery;
    int64_t now_ms = engine_now_ms(delivery->engine);
    int64_t end_ms = destination_end_ms(delivery, pending);

    if (now_ms >= end_ms && clearing_has_room(delivery->outcomes)) {
        destination_expire(delivery, pending,
                           "no host of its site could be reached until its time was over");
        return;
    }
    int64_t due_ms = site->rest.until_ms + spread(site);

    metric_inc(METRIC_DELIVERY_POSTPONED);
    if (end_ms > now_ms)
        due_ms = MIN(due_ms, end_ms);
    shard_postpone(delivery_shard(delivery, pending_stub(pending)), pending, due_ms);
}

void site_postpone_some(struct site *site)
{
    struct line *line;

    for (unsigned i = 0; i < DRIVE_MAX && (line = next_line(site)) != NULL; i++) {
        struct pending *pending = first_pending(&line->waiting);

        destination_remove(destination_of(pending), pending);
        postpone_or_expire(site, pending);
    }
    if (site->waiting_count > 0)
        site_dirty(site);
}
