/*
 * destination.h - one recipient domain: its waiting recipients and where they go.
 *
 *   NEW --lookup--> ROUTED (to a site) --expired--> ROUTED, looking up again
 *                   REFUSED (what waits is told why; asked again when the answer expires)
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/line.h"
#include "delivery/line/site.h"
#include "delivery/outcome/outcome.h"

struct lookup;

enum destination_state { DESTINATION_NEW, DESTINATION_ROUTED, DESTINATION_REFUSED };

struct destination {
    struct delivery *delivery;
    struct domain *domain;
    struct lines lines; /* what waits */
    struct list_node in_all;
    struct list_node in_idle; /* while nothing waits */
    struct list_node in_dirty;
    struct list_node in_starved; /* or in `unresolved` */
    unsigned generation;         /* of the settings it was routed by */
    uint8_t state;               /* enum destination_state */
    uint8_t refused_for;         /* REFUSED: enum mx_status */
    bool wants_wake;             /* its site's rest ends when it is found */
    bool is_filed;               /* by the directory, when it was routed */
    struct site *site;
    struct site *former; /* held while it is looked up again: it may be the same */
    const struct route *route;
    struct lookup *lookup;
    int64_t lookup_began_ms, lookup_ms;
    int64_t expires_ms;    /* monotonic: ask again then */
    int64_t idle_since_ms; /* nothing waits */
    char *note;            /* REFUSED: why; else NULL */
};

/* Found or made; NULL when there are too many. One in which nothing waits is kept for a while for
 * the sake of its routing, then freed: deferred recipients need none. */
struct destination *destination_get(struct delivery *delivery, struct domain *domain);
void destination_free(struct destination **destination);

/* READY, unlinked, without bits: in line, at the end or in front. */
void destination_add(struct destination *destination, struct pending *pending, bool in_front);
/* Out of line, for whoever takes it. */
void destination_remove(struct destination *destination, struct pending *pending);
static inline struct destination *destination_of(const struct pending *pending)
{
    return pending_domain(pending)->destination;
}

/* REFUSED: what its recipients are told. */
struct judgement destination_refusal(const struct destination *destination);

void destination_dirty(struct destination *destination);
void destination_drive(struct destination *destination);
/* Settings changed: route it anew, */
void destination_reroute(struct destination *destination);
/* or leave it where it is: `route` of the new settings leads there too. Its rules count for its
 * site. */
void destination_keep_route(struct destination *destination, const struct route *route);
/* Ends what became too old while it waits in line, a bounded number of looks a call. */
void destinations_expire_waiting(struct delivery *delivery);
/* Frees those that have been idle for long enough, a bounded number at a time. */
void destinations_free_idle(struct delivery *delivery);

/* READY, unlinked, without bits: too old. `why` is a sentence. */
void destination_expire(struct delivery *delivery, struct pending *pending, const char *why);
bool destination_is_overdue(const struct delivery *delivery, const struct pending *pending);
/* Monotonic time at which it reaches max_age. */
int64_t destination_end_ms(const struct delivery *delivery, const struct pending *pending);
