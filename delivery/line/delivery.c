/*
 * delivery.c - puts the parts together: what is due gets in line, what is dirty is driven.
 */
#include "delivery/line/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/line/cancel.h"
#include "delivery/line/destination.h"
#include "delivery/line/gate.h"
#include "delivery/line/reload.h"
#include "delivery/line/router.h"
#include "delivery/line/store_look.h"
#include "delivery/line/suspend.h"
#include "delivery/outcome/clearing.h"
#include "delivery/outcome/retry.h"

enum {
    NO_MEMORY_MS = 60 * 1000,
    CHECKS_MAX = 1000, /* of what is held, in a turn */
};

static void on_drive(struct turn_end *turn_end);
static void on_tick(struct timeout *timeout);
static void on_idle_timeout(struct timeout *timeout);
static void on_stop_deadline(struct timeout *timeout);

static struct outcome_settings rules_of_outcomes(const struct delivery_settings *settings)
{
    return (struct outcome_settings){
        .hostname = settings->hostname,
        .retry_count = settings->retry_count,
        .retries = settings->retries,
        .returned_max =
            settings->dsn_size_max != 0 ? settings->dsn_size_max : DELIVERY_DSN_SIZE_DEFAULT,
        .notice_wait_s = settings->notice_wait_s,
    };
}

static void on_room(void *context)
{
    struct delivery *delivery = context;

    if (delivery_is_starved(delivery))
        delivery_drive_later(delivery);
}

static void on_outcomes_ended(void *context)
{
    delivery_check_stopped(context);
}

static struct outcomes *make_outcomes(struct delivery *delivery, const struct delivery_setup *setup)
{
    struct outcome_settings settings = rules_of_outcomes(delivery->settings);
    struct outcome_hooks hooks = {.room = on_room, .ended = on_outcomes_ended, .context = delivery};
    struct outcomes *outcomes = outcomes_create(delivery->engine, &settings, &hooks);

    outcomes_set_home(outcomes, setup->home);
    outcomes_sign(outcomes, setup->signer);
    if (setup->ages_sure_from_ms != 0)
        outcomes_trust_ages(outcomes, setup->ages_sure_from_ms);
    return outcomes;
}

struct delivery *delivery_create(const struct delivery_setup *setup)
{
    struct delivery *d = calloc(1, sizeof(*d));

    check(d != NULL);
    d->engine = setup->engine;
    d->resolver = setup->resolver;
    d->flows = setup->flows;
    d->egresses = setup->egresses;
    d->sts = setup->sts;
    d->carriers = *setup->carriers;
    if (setup->store != NULL) {
        d->store = *setup->store;
        d->filers = *setup->store->carriers;
    }
    d->settings_unused = setup->settings_unused;
    d->context = setup->context;
    settings_use(d, setup->settings);
    d->started_ms = engine_now_ms(setup->engine);
    d->outcomes = make_outcomes(d, setup);
    map_init(&d->sites);
    list_init(&d->all_sites);
    list_init(&d->all_destinations);
    list_init(&d->idle_destinations);
    turns_table_init(&d->turns);
    list_init(&d->waiting_lines);
    list_init(&d->dirty_sites);
    list_init(&d->dirty_destinations);
    list_init(&d->starved_sites);
    list_init(&d->starved_destinations);
    list_init(&d->unresolved);
    list_init(&d->held);
    list_init(&d->cancelled);
    list_init(&d->gates);
    list_init(&d->let_through);
    d->suspensions = suspensions_create();
    turn_end_init(&d->drive, on_drive);
    timeout_init(&d->tick, on_tick);
    timeout_init(&d->idle_timeout, on_idle_timeout);
    timeout_init(&d->stop_deadline, on_stop_deadline);
    engine_timeout(d->engine, &d->tick, TICK_MS);
    return d;
}

void delivery_set_home(struct delivery *delivery, struct shard *home)
{
    outcomes_set_home(delivery->outcomes, home);
}

void delivery_configure(struct delivery *delivery, const struct delivery_settings *settings)
{
    struct settings_use *old = delivery->use;

    if (delivery->is_stopping) {
        settings_give_back(delivery, settings);
        return;
    }
    settings_use(delivery, settings);
    struct outcome_settings rules = rules_of_outcomes(settings);

    outcomes_configure(delivery->outcomes, &rules);
    delivery->generation++;
    reload_apply(delivery, old->settings);
    settings_release(delivery, &old);
}

/* --- hooks of the shard ---------------------------------------------------------------------- */

static void clear_damaged(struct delivery *delivery, struct pending *pending)
{
    struct judgement judgement = clearing_damaged();
    struct attempt_facts facts = {.times = {-1, -1, -1, -1, -1, -1}};

    clearing_start_one(delivery->outcomes, delivery_shard(delivery, pending_stub(pending)), pending,
                       &judgement, &facts);
}

void delivery_due(void *context, struct shard *shard, struct pending *pending)
{
    struct delivery *delivery = context;

    check(pending->state == PENDING_READY);
    check(!list_is_linked(&pending->link));
    check((pending->flags & PENDING_PLACES) == 0);
    delivery->shards[message_id_shard(pending_stub(pending)->id)] = shard;
    if (delivery->is_stopping)
        return;
    /* Before anything that could hold it: what is damaged keeps its segment until it ends. */
    if (shard_is_damaged(shard, pending_stub(pending)) && clearing_has_room(delivery->outcomes)) {
        gate_forget(delivery, pending);
        clear_damaged(delivery, pending);
        return;
    }
    if (pending->is_gated && gate_holds(delivery, pending))
        return;
    if (!suspensions_is_empty(delivery->suspensions) &&
        suspensions_match(delivery->suspensions, pending, stub_message(pending_stub(pending))) !=
            NULL) {
        suspend_hold(delivery, pending);
        return;
    }
    if (destination_is_overdue(delivery, pending) && clearing_has_room(delivery->outcomes)) {
        destination_expire(delivery, pending, "waited until its time was over");
        return;
    }
    struct destination *destination = destination_get(delivery, pending_domain(pending));

    if (destination == NULL) {
        metric_inc(METRIC_DELIVERY_POSTPONED);
        shard_postpone(shard, pending, engine_now_ms(delivery->engine) + NO_MEMORY_MS);
        return;
    }
    destination_add(destination, pending, false);
}

int64_t delivery_delay_max_ms(void *context, const struct domain *domain)
{
    const struct delivery *delivery = context;

    return retry_delay_max_ms(router_retry(delivery->settings, domain_name(domain)));
}

void delivery_domain_idle(void *context, struct domain *domain)
{
    /* Its destination, if there is one, is idle already and frees the domain when it goes. */
    (void)context;
    (void)domain;
}

/* --- driving --------------------------------------------------------------------------------- */

static void drive_starved(struct delivery *delivery)
{
    struct list_node *node;

    /* Half of it at least, or all of them would wake for one that gets on. */
    if (!outcomes_have_ample_room(delivery->outcomes))
        return;
    while ((node = list_pop_front(&delivery->starved_sites)) != NULL)
        site_dirty(container_of(node, struct site, in_starved));
    while ((node = list_pop_front(&delivery->starved_destinations)) != NULL)
        destination_dirty(container_of(node, struct destination, in_starved));
}

/* A slice of what is held: which holds again what a rule still does. */
static void check_held(struct delivery *delivery)
{
    struct pending *pending;

    for (size_t i = 0; i < CHECKS_MAX && (pending = suspend_next(delivery)) != NULL; i++)
        delivery_due(delivery, delivery_shard(delivery, pending_stub(pending)), pending);
    if (delivery->held_to_check > 0)
        delivery_drive_later(delivery);
}

static void tell_stopped(struct delivery *delivery);

static void on_drive(struct turn_end *turn_end)
{
    struct delivery *delivery = container_of(turn_end, struct delivery, drive);
    struct pending *pending;
    struct list dirty;
    struct list_node *node;

    if (delivery->is_stopping) {
        tell_stopped(delivery);
        return;
    }
    gates_drive(delivery);
    while ((pending = gate_next(delivery)) != NULL)
        delivery_due(delivery, delivery_shard(delivery, pending_stub(pending)), pending);
    cancel_drive(delivery);
    drive_starved(delivery);
    /* What becomes dirty from here on is for the next turn: no loop without end. */
    list_init(&dirty);
    list_splice(&dirty, &delivery->dirty_destinations);
    while ((node = list_pop_front(&dirty)) != NULL)
        destination_drive(container_of(node, struct destination, in_dirty));
    list_splice(&dirty, &delivery->dirty_sites);
    while ((node = list_pop_front(&dirty)) != NULL)
        site_drive(container_of(node, struct site, in_dirty));
    check_held(delivery);
    store_look(delivery);
}

static void refresh_policies(struct delivery *delivery)
{
    const struct mx_rules *mx = &delivery->settings->mx;
    const struct sts_rules rules = {mx->allow_private, mx->allow_private_count, true};

    if (delivery->sts != NULL && delivery->settings->mta_sts)
        sts_refresh_tick(&delivery->sts_refresh, delivery->sts, delivery->resolver, &rules);
}

static void on_tick(struct timeout *timeout)
{
    struct delivery *delivery = container_of(timeout, struct delivery, tick);

    if (delivery->is_stopping)
        return;
    engine_timeout(delivery->engine, &delivery->tick, TICK_MS);
    suspend_tick(delivery);
    gates_tick(delivery);
    store_look_tick(delivery);
    destinations_expire_waiting(delivery);
    destinations_free_idle(delivery);
    if (delivery_is_starved(delivery)) /* the disk may have room again, which tells nobody */
        delivery_drive_later(delivery);
    unheld_tick(delivery);
    refresh_policies(delivery);
}

static void on_idle_timeout(struct timeout *timeout)
{
    destinations_free_idle(container_of(timeout, struct delivery, idle_timeout));
}

/* --- stop ------------------------------------------------------------------------------------ */

static void tell_stopped(struct delivery *delivery)
{
    if (delivery->has_stopped || !delivery_holds_nothing(delivery))
        return;
    delivery->has_stopped = true;
    engine_timeout_cancel(delivery->engine, &delivery->stop_deadline);
    delivery->stopped(delivery->stopped_context);
}

static void drop(struct list *pendings)
{
    struct list_node *node;

    while ((node = list_pop_front(pendings)) != NULL) {
        struct pending *pending = container_of(node, struct pending, link);

        pending->flags &= (uint8_t)~PENDING_PLACES;
    }
}

/* What only waits stays unfinished on disk. */
static void drop_waiting(struct delivery *delivery)
{
    struct list_node *node;

    sts_refresh_stop(&delivery->sts_refresh);
    drop(&delivery->held);
    gates_drop(delivery);
    cancel_drop(delivery);
    while ((node = list_first(&delivery->all_destinations)) != NULL) {
        struct destination *destination = container_of(node, struct destination, in_all);

        lines_drop(&destination->lines, delivery, destination->site);
        destination_free(&destination);
    }
    delivery->held_count = 0;
}

static void for_each_carrier(struct delivery *delivery,
                             void (*visit)(const struct carrier_kind *kind,
                                           struct carrier *carrier))
{
    list_for_each(site_node, &delivery->all_sites) {
        struct site *site = container_of(site_node, struct site, in_all);

        list_for_each(node, &site->carriers)
            visit(site_carriers(site), container_of(node, struct carrier, in_site));
    }
}

static void visit_leave(const struct carrier_kind *kind, struct carrier *carrier)
{
    kind->leave(carrier);
}

static void visit_abort(const struct carrier_kind *kind, struct carrier *carrier)
{
    kind->abort(carrier);
}

void delivery_stop(struct delivery *delivery, int64_t deadline_ms, void (*stopped)(void *context),
                   void *context)
{
    int64_t left_ms = deadline_ms - engine_now_ms(delivery->engine);

    check(!delivery->is_stopping);
    delivery->is_stopping = true;
    delivery->stopped = stopped;
    delivery->stopped_context = context;
    engine_timeout_cancel(delivery->engine, &delivery->tick);
    engine_timeout_cancel(delivery->engine, &delivery->idle_timeout);
    outcomes_stop(delivery->outcomes);
    for_each_carrier(delivery, visit_leave);
    drop_waiting(delivery);
    engine_timeout(delivery->engine, &delivery->stop_deadline, MAX(left_ms, (int64_t)1));
    delivery_drive_later(delivery);
}

void delivery_abort(struct delivery *delivery)
{
    for_each_carrier(delivery, visit_abort);
}

static void on_stop_deadline(struct timeout *timeout)
{
    struct delivery *delivery = container_of(timeout, struct delivery, stop_deadline);

    log_warn("connections=%zu what=\"attempts broken off: the time to stop is over\"",
             delivery->carrier_count);
    delivery_abort(delivery);
}

void delivery_free(struct delivery **delivery)
{
    struct delivery *d = *delivery;

    *delivery = NULL;
    if (d == NULL)
        return;
    if (!d->is_stopping) { /* nothing ever ran */
        d->is_stopping = true;
        d->has_stopped = true;
        outcomes_stop(d->outcomes);
        drop_waiting(d);
    }
    check(delivery_holds_nothing(d));
    settings_release(d, &d->use);
    engine_timeout_cancel(d->engine, &d->tick);
    engine_timeout_cancel(d->engine, &d->idle_timeout);
    engine_timeout_cancel(d->engine, &d->stop_deadline);
    engine_turn_end_cancel(d->engine, &d->drive);
    suspensions_free(&d->suspensions);
    map_free(&d->sites);
    turns_table_free(&d->turns);
    check(d->destination_count == 0);
    outcomes_free(&d->outcomes);
    free(d);
}

/* --- the operator's side --------------------------------------------------------------------- */

void delivery_suspend(struct delivery *delivery, size_t count, const struct suspension *rules)
{
    suspensions_set(delivery->suspensions, count, rules);
    if (!delivery->is_stopping)
        suspend_check_all(delivery);
}

void delivery_terms_changed(struct delivery *delivery)
{
    if (!delivery->is_stopping)
        gates_check_all(delivery);
}

bool delivery_is_busy(const struct pending *pending)
{
    return pending->state == PENDING_READY && (pending->flags & PENDING_BUSY) != 0;
}

bool delivery_cancel(struct delivery *delivery, struct shard *shard, struct pending *pending,
                     const char *reason)
{
    if (pending->state != PENDING_READY || delivery_is_busy(pending) || delivery->is_stopping)
        return false;
    delivery->shards[message_id_shard(pending_stub(pending)->id)] = shard;
    if (pending->is_gated)
        gate_forget(delivery, pending);
    else if ((pending->flags & PENDING_AT_DESTINATION) != 0)
        destination_remove(destination_of(pending), pending);
    else if ((pending->flags & PENDING_HELD) != 0)
        suspend_unhold(delivery, pending);
    cancel_add(delivery, pending, reason);
    return true;
}

void delivery_wake(struct delivery *delivery, struct domain *domain)
{
    struct destination *destination =
        delivery->is_stopping ? NULL : destination_get(delivery, domain);

    if (destination == NULL)
        return;
    if (destination->site != NULL) {
        site_wake(destination->site);
        return;
    }
    if (destination->wants_wake && list_is_linked(&destination->in_dirty))
        return; /* by another recipient just now */
    destination->wants_wake = true;
    if (destination->lookup == NULL) {
        resolver_flush(delivery->resolver, domain_name(domain));
        destination->expires_ms = 0;
    }
    destination_dirty(destination);
}
