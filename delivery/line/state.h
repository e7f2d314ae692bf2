/*
 * state.h - struct delivery as the files of this folder see it. Private to delivery/.
 *
 * Everything that changes marks its site or destination dirty; the dirty ones are driven once, at
 * the end of the turn, when all recipients that became due together stand in their lists: that is
 * what lets a message with many recipients leave in one transaction.
 *
 * A READY pending is in exactly one place: at its destination (PENDING_AT_DESTINATION), held by a
 * suspension (PENDING_HELD), or in a transaction or clearing, both of which have deadlines
 * (PENDING_BUSY). The bits are delivery's and are cleared before the shard gets a pending back.
 */
#pragma once

#include "base/slab.h"
#include "delivery/line/delivery.h"
#include "delivery/line/egress.h"
#include "delivery/line/unheld.h"

enum {
    PENDING_AT_DESTINATION = 1 << 4,
    PENDING_HELD = 1 << 5,
    PENDING_BUSY = 1 << 6,
    PENDING_PLACES = PENDING_AT_DESTINATION | PENDING_HELD | PENDING_BUSY,
};

enum {
    SHARDS_MAX = 256,        /* a message id has one byte for it */
    CLIENTS_MAX = 20000,     /* of one engine; the process's limit is the egress table's */
    CLEARINGS_MAX = 1000,    /* messages whose recipients are being told of a failure */
    CLEARING_LOADS_MAX = 64, /* of these, read from disk at a time */
    COMMITS_MAX = 10000,     /* settlements that wait to be durable; while there are more, as when
                                the disk is full, nothing new is begun */
    DRIVE_MAX = 10000,       /* recipients handled in one drive of one site or destination */
    FAIL_MAX = 1000,         /* recipients that one failed try of a site is an attempt for */
    PULL_MAX = 1000,         /* recipients of one transaction */
    DESTINATIONS_MAX = 2000000,
    LOOKUPS_MAX = 2048,      /* of destinations, at a time: twice what the resolver has in flight */
    DESTINATION_KEPT_S = 60, /* without recipients, for the sake of its routing */
    TICK_MS = 1000,
};

struct suspensions;

/* Settings and who uses them: the newest, and old ones while a site of theirs is left. */
struct settings_use {
    const struct delivery_settings *settings;
    size_t references; /* sites, and one while they are the newest */
};

struct delivery {
    struct engine *engine;
    struct resolver *resolver;
    struct flows *flows;
    struct egress_table *egresses;
    struct shard *home;
    const struct delivery_settings *settings;
    struct settings_use *use; /* of them */
    void (*settings_unused)(void *context, const struct delivery_settings *settings);
    void *context;
    unsigned generation; /* of the settings */
    struct shard *shards[SHARDS_MAX];

    struct slab clients, settlements, clearings;
    struct map sites; /* those of the present settings */
    struct list all_sites;
    struct list all_destinations;
    struct list idle_destinations;    /* longest idle first */
    struct list waiting_destinations; /* with waiting mail; the next to be looked at for its age */
    struct list dirty_sites, dirty_destinations;
    struct list starved_sites, starved_destinations; /* wait for room among clearings, commits */
    struct list unresolved; /* destinations that wait for their lookup, with waiting mail */
    size_t lookup_count;
    struct list gatherings; /* failures that wait for others of their message, oldest first */
    size_t gathering_count;
    struct timeout gathering_timeout;
    struct list waiting_clearings; /* for a load */
    size_t clearing_loads;
    struct turn_end drive;
    struct timeout tick;
    struct timeout idle_timeout; /* more idle destinations are to be freed */

    struct suspensions *suspensions;
    struct list held;
    size_t held_count;
    size_t held_to_check; /* of the front of `held`: rules changed */

    struct list cancelled; /* cancel.c's batches, which wait for room among the clearings */
    struct pending *pulled[PULL_MAX]; /* of the message being pulled */
    struct buf scratch;               /* of content being stuffed */

    size_t site_count, destination_count, waiting_count, in_attempt_count, client_count;
    size_t settled_count; /* recipients whose outcomes are not durable yet */
    size_t resting_count; /* sites */
    struct unheld_round unheld;
    int64_t started_ms; /* monotonic */

    bool is_stopping, has_stopped;
    struct timeout stop_deadline;
    void (*stopped)(void *context);
    void *stopped_context;
};

_Static_assert((PENDING_PLACES & (PENDING_FLAGS_STORED | PENDING_HOLDS)) == 0,
               "the shard has the other bits");

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

/* Recipients that may get into attempts now, of mail in `shard`: as many as have room for what will
 * become of them, in the spool and in the event files, also should the disk be full meanwhile. What
 * other shards' attempts need is counted as if it were this one's. */
static inline size_t delivery_room(const struct delivery *delivery, const struct shard *shard)
{
    size_t taken = delivery->in_attempt_count + delivery->settled_count;
    size_t room = shard_outcome_room(shard);

    return room > taken ? room - taken : 0;
}

/* Outcomes do not wait to be durable in such a number that more must not be made, and what they say
 * has room. */
static inline bool delivery_may_begin(const struct delivery *delivery)
{
    return delivery->settlements.count < COMMITS_MAX && delivery_room(delivery, delivery->home) > 0;
}

static inline bool delivery_is_starved(const struct delivery *delivery)
{
    return !list_is_empty(&delivery->starved_sites) ||
           !list_is_empty(&delivery->starved_destinations) || !list_is_empty(&delivery->cancelled);
}

/* Into a transaction or clearing, and out of it. */
static inline void pending_occupy(struct pending *pending)
{
    check((pending->flags & PENDING_PLACES) == 0);
    pending->flags |= PENDING_BUSY;
}

static inline void pending_release(struct pending *pending)
{
    check((pending->flags & PENDING_PLACES) == PENDING_BUSY);
    pending->flags &= (uint8_t)~PENDING_BUSY;
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
