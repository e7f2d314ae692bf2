/*
 * egress_state.h - struct egress as the files egress*.c see it. Private to them.
 *
 * The ways that are taken for every message (a slot, a share of the rate, "does anybody wait?")
 * are atomics. Who finds a limit reached, and who releases while somebody waits, takes the table's
 * lock: that happens at most once a connection, not once a message, but where a higher class waits
 * for the slot of a connection that carries a lower one.
 */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "delivery/line/egress.h"

enum { EGRESS_ANY = INT_MAX /* connections that a receiver allows which taught nothing */ };

/* Who waits for one limit: by classes, of each first come first served. */
struct egress_line {
    _Atomic int count;       /* also of those who are about to stand in it */
    _Atomic uint8_t waiting; /* RANK_BIT() of those who do; written under the lock */
    uint8_t gives_way;       /* connections that end for who stands here */
    struct classes classes;  /* who got a slot, and the messages on it while others waited */
    struct list_node *waiters[RANK_COUNT]; /* rings */
};

struct egress {
    struct map_node node; /* key: what egress_get() makes of the names */
    struct egress_table *table;
    struct egress *provider; /* referenced; NULL: it is judged by itself, or is a provider's */
    unsigned references;     /* under the lock, as all that is not atomic */
    unsigned generation;     /* of the limits */
    bool has_default_limits, is_provider;
    _Atomic unsigned connections_max;
    _Atomic int64_t interval_us;  /* between messages; 0: no limit */
    _Atomic unsigned rate_number; /* counts its changes */
    _Atomic int connections;
    _Atomic int ready;         /* of these, let in */
    _Atomic int allowed;       /* of these, by the receiver; EGRESS_ANY */
    _Atomic int64_t let_in_ms; /* one was, for the last time; 0: never */
    _Atomic int64_t served_ms; /* a message came to an end, to the second */
    int known;                 /* so many were in at once since one was turned away */
    _Atomic unsigned failures; /* connections in a row */
    int64_t probe_at_ms, probe_wait_ms;
    bool is_probing; /* one more than is known to be allowed was let try */
    /* Times in a row, of a provider's site with no other connection in. */
    _Atomic unsigned turned_away;
    int64_t turned_away_ms;       /* of a provider: one of its sites was */
    struct egress_line line;      /* of a provider's: those of all its sites that wait for it */
    struct list_node *shares;     /* of the rate, that lie ahead; a ring */
    _Atomic int64_t next_us;      /* GCRA: when the next message would be exactly on time */
    struct classes share_classes; /* whose shares were used */
    _Atomic int64_t resting_until_ms;
};

/* The egress of a provider knows whose word it was, by the address of what may be gone meanwhile:
 * another in the same place is taken for the same, which only asks for one witness more. */
struct provider_egress {
    struct egress egress;
    uintptr_t turned_away_by;     /* a site's that had no other connection in, last; 0: nobody */
    _Atomic uintptr_t refused_by; /* at rest for what a host said, since any was let in; 0: none */
};

static inline struct provider_egress *egress_as_provider(struct egress *egress)
{
    check(egress->is_provider);
    return container_of(egress, struct provider_egress, egress);
}

struct egress_table {
    pthread_mutex_t lock; /* of the map, the lines and what changes seldom */
    struct map egresses;
    int connections_max;
    _Atomic int connections;
    struct egress_line line;              /* for a slot of the process */
    struct list_node *urgent[RANK_COUNT]; /* likewise; every second slot is for them */
    bool is_turn_of_urgent;
    _Atomic int64_t now_ms; /* of the last failure: good enough to forget by */
    size_t sweep_at;
};

/* egress_slots.c; under the lock: slots go to whoever waits and may have one now, by every limit
 * that stands in its way. */
void egress_grant_waiting(struct egress *egress);
