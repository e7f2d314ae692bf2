/*
 * state.h - struct delivery as the files of this folder see it. Private to them.
 *
 * Everything that changes marks its site or destination dirty; the dirty ones are driven once, at
 * the end of the turn, when all recipients that became due together stand in their lists: that is
 * what lets a message with many recipients leave in one transaction.
 */
#pragma once

#include "base/map.h"
#include "delivery/line/carrier.h"
#include "delivery/line/delivery.h"
#include "delivery/line/egress.h"
#include "delivery/line/turns.h"
#include "delivery/line/unheld.h"
#include "delivery/mta_sts/sts_refresh.h"
#include "delivery/outcome/outcomes.h"
#include "delivery/outcome/place.h"

enum {
    DRIVE_MAX = 10000, /* recipients handled in one drive of one site or destination */
    FAIL_MAX = 1000,   /* recipients that one failed try of a site is an attempt for */
    DESTINATIONS_MAX = 2000000,
    LOOKUPS_MAX = 2048,      /* of destinations, at a time: twice what the resolver has in flight */
    DESTINATION_KEPT_S = 60, /* without recipients, for the sake of its routing */
    TICK_MS = 1000,
};

struct suspensions;

/* Settings and who uses them: the newest, and old ones while a connection from a source of theirs
 * is left. */
struct settings_use {
    const struct delivery_settings *settings;
    size_t references;           /* sites' sources, and one while they are the newest */
    struct series *of_sources[]; /* as the settings have them; all sites count in the same */
};

struct delivery {
    struct engine *engine;
    struct resolver *resolver;
    struct flows *flows;
    struct egress_table *egresses;
    struct sts_store *sts;
    struct sts_refresh sts_refresh;
    const struct delivery_settings *settings;
    struct settings_use *use; /* of them */
    void (*settings_unused)(void *context, const struct delivery_settings *settings);
    void *context;
    unsigned generation; /* of the settings */
    struct shard *shards[MESSAGE_ID_SHARDS_MAX];

    struct outcomes *outcomes;
    struct carrier_kind carriers;
    struct delivery_store store; /* is_hosted NULL: there is none */
    struct carrier_kind filers;  /* its carriers */
    uint64_t store_version;      /* by which destinations are */
    size_t store_looks;          /* destinations still to be looked at for a new one */
    struct map sites;            /* by name */
    struct list all_sites;
    struct list all_destinations;
    struct list idle_destinations; /* longest idle first */
    struct turns_table turns;      /* of its sites */
    struct list waiting_lines;     /* the next to be looked at for its age */
    struct list_node *look;        /* in the first of these; NULL: at its front */
    struct list dirty_sites, dirty_destinations;
    struct list starved_sites, starved_destinations; /* wait for room among clearings, commits */
    struct list unresolved; /* destinations that wait for their lookup, with waiting mail */
    size_t lookup_count;
    struct turn_end drive;
    struct timeout tick;
    struct timeout idle_timeout; /* more idle destinations are to be freed */

    struct suspensions *suspensions;
    struct list held;
    size_t held_count;
    size_t held_to_check;    /* of the front of `held`: rules changed */
    struct list gates;       /* gate.c's; the next to be looked at */
    struct list let_through; /* of gates, in this turn */
    size_t gate_count, gated_count;
    size_t gates_to_check; /* of the front of `gates`: limits changed */

    struct list cancelled; /* cancel.c's batches, which wait for room among the clearings */
    struct pending *pulled[PULL_MAX]; /* of the message being pulled */

    size_t site_count, destination_count, waiting_count, carrier_count;
    size_t site_states[SITE_STATE_COUNT]; /* sites in each */
    struct unheld_round unheld;
    int64_t started_ms; /* monotonic */

    bool is_stopping, has_stopped;
    struct timeout stop_deadline;
    void (*stopped)(void *context);
    void *stopped_context;
};

/* The shard of a stub: ids carry its index. */
static inline struct shard *delivery_shard(const struct delivery *delivery, const struct stub *stub)
{
    struct shard *shard = delivery->shards[message_id_shard(stub->id)];

    check(shard != NULL);
    return shard;
}

/* What a monotonic time is on the wall clock, as that stands now. */
static inline int64_t delivery_wall_ms(const struct delivery *delivery, int64_t monotonic_ms)
{
    return monotonic_ms - engine_now_ms(delivery->engine) + engine_wall_ms(delivery->engine);
}

static inline struct pending *first_pending(const struct list *pendings)
{
    struct list_node *node = list_first(pendings);

    check(node != NULL);
    return container_of(node, struct pending, link);
}

static inline bool delivery_is_starved(const struct delivery *delivery)
{
    return !list_is_empty(&delivery->starved_sites) ||
           !list_is_empty(&delivery->starved_destinations) || !list_is_empty(&delivery->cancelled);
}

/* Drives what is dirty at the end of this turn. */
static inline void delivery_drive_later(struct delivery *delivery)
{
    engine_at_turn_end(delivery->engine, &delivery->drive);
}

/* These are the newest from now on. */
void settings_use(struct delivery *delivery, const struct delivery_settings *settings);
/* One that used these is gone. */
void settings_release(struct delivery *delivery, struct settings_use **use);
/* Nobody uses them. */
void settings_give_back(struct delivery *delivery, const struct delivery_settings *settings);

bool delivery_holds_nothing(const struct delivery *delivery);
/* Something that delivery_stop() waits for has gone. */
void delivery_check_stopped(struct delivery *delivery);
