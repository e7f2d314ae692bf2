/*
 * egress_state.h - struct egress as the files egress*.c see it. Private to them.
 *
 * The ways that are taken for every message (a slot, a share of the rate, "does anybody wait?")
 * are atomics. Who finds a limit reached, and who releases while somebody waits, takes the table's
 * lock: that happens at most once a connection, not once a message, but where a higher class waits
 * for the slot of a connection that carries a lower one, and where a message has to wait for its
 * share of the rate.
 */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "delivery/line/egress.h"
#include "delivery/line/egress_memory.h"
#include "delivery/line/tally.h"

enum { EGRESS_ANY = INT_MAX /* connections that a receiver allows which taught nothing */ };
#define EGRESS_TENANTS_MANY UINT64_MAX

/* What tenants had of a limit while others waited for it; written under the lock. */
struct egress_tenants {
    struct tallies *tallies;
    /* The hash of its name where those who wait are of one tenant; 0: nobody waits;
     * EGRESS_TENANTS_MANY. */
    _Atomic uint64_t waiting;
    /* Recipients that still count though nobody else waits: whoever has had more than another is
     * not to be so for ever. */
    _Atomic int32_t counting;
};

/* Who waits for a share of the rate: by classes, of each by tenants, then first come first served.
 * All under the lock. */
struct egress_queue {
    struct classes classes;                /* who got a share while others waited */
    struct list_node *tenants[RANK_COUNT]; /* rings of tallies, by `in_rank` */
    unsigned counts[RANK_COUNT];           /* shares that wait */
    uint8_t anew; /* RANK_BIT() of those whose last one went to a tenant that came anew */
    struct egress_share *bell; /* is there when the next is due; NULL: nobody waits */
};

/* Of slots and of the rate. Made when somebody has to wait: most never do. */
struct egress_fairness {
    struct egress_tenants slots, shares;
    struct egress_queue queue;
};

/* Who waits for one limit: by classes, of each by what their tenants had, then first come first
 * served. */
struct egress_line {
    _Atomic int count;       /* also of those who are about to stand in it */
    _Atomic uint8_t waiting; /* RANK_BIT() of those who do; written under the lock */
    uint8_t gives_way;       /* connections that end for who stands here */
    uint8_t anew; /* RANK_BIT() of those whose last slot went to a tenant that came anew */
    struct classes classes; /* who got a slot, and the messages on it while others waited */
    struct list_node *waiters[RANK_COUNT];      /* rings */
    _Atomic(struct egress_fairness *) fairness; /* NULL: nobody has waited yet */
};

struct egress {
    struct map_node node; /* key: what egress_get() makes of the names */
    struct egress_table *table;
    struct egress *provider; /* referenced; NULL: it is judged by itself, or is a provider's */
    unsigned references;     /* under the lock, as all that is not atomic */
    unsigned generation;     /* of the limits */
    bool has_default_limits, is_provider;
    _Atomic unsigned connections_max;
    _Atomic unsigned throttled; /* shares that wait for the rate; written under the lock */
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
    int64_t turned_away_ms;      /* of a provider: one of its sites was */
    struct egress_line line;     /* of a provider's: those of all its sites that wait for it */
    struct list_node *holders;   /* a ring; of a provider's site: in its provider's. NULL: none */
    _Atomic int64_t interval_us; /* between messages; 0: no limit */
    _Atomic int64_t next_us;     /* GCRA: when the next message would be exactly on time */
    _Atomic int64_t resting_until_ms;
};

/* The egress of a provider knows whose word it was, by egress_witness(). */
struct provider_egress {
    struct egress egress;
    uint64_t turned_away_by;     /* a site's that had no other connection in, last; 0: nobody */
    _Atomic uint64_t refused_by; /* at rest for what a host said, since any was let in; 0: none */
};

/* Of its names, so that it is the same one again after it was gone. Never 0. */
static inline uint64_t egress_witness(const struct egress *egress)
{
    return egress->node.hash | 1;
}

static inline struct provider_egress *egress_as_provider(struct egress *egress)
{
    check(egress->is_provider);
    return container_of(egress, struct provider_egress, egress);
}

struct egress_table {
    pthread_mutex_t lock; /* of the map, the lines and what changes seldom */
    struct map egresses;
    struct egress_memories memories; /* of those that nobody uses */
    int connections_max;
    _Atomic int connections;
    struct egress_line line;              /* for a slot of the process */
    struct list_node *urgent[RANK_COUNT]; /* likewise; every second slot is for them */
    bool is_turn_of_urgent;
    _Atomic int64_t now_ms; /* when a connection was made or failed: good enough to forget by */
    size_t sweep_at;
};

/* Written once a second at most: all engines read it. */
static inline void egress_table_saw(struct egress_table *table, int64_t now_ms)
{
    if (now_ms - atomic_load_explicit(&table->now_ms, memory_order_relaxed) >= 1000)
        atomic_store_explicit(&table->now_ms, now_ms, memory_order_relaxed);
}

/* egress_tenants.c */
uint64_t egress_tenant_hash(struct bytes tenant); /* neither 0 nor EGRESS_TENANTS_MANY */
/* Under the lock. Made if there is none. */
struct egress_fairness *egress_fairness(struct egress_line *line);
void egress_fairness_free(struct egress_line *line);
static inline struct egress_queue *egress_queue_of(struct egress *place)
{
    return &egress_fairness(&place->line)->queue;
}
/* Under the lock. The tally of this tenant, made if there is none; referenced. */
struct tally *egress_tally_of(struct egress_tenants *tenants, const struct egress_tenant *tenant);
/* Under the lock: it stands in its line with the tenants of this mail, */
void egress_tallies_take(struct egress_waiter *waiter, const struct egress_mail *mail);
/* in this one with those it had in its line, */
void egress_tallies_move(struct egress_waiter *waiter, struct egress_line *line);
/* or in none any more. */
void egress_tallies_put(struct egress_waiter *waiter);
/* Under the lock: they wait, or do no more. */
void egress_tallies_wait(struct egress_waiter *waiter, bool waits);
/* Under the lock: who is to be next of those of this class in the line, of whom there are some. Who
 * comes anew goes first every second time at the most: where others send one message after another,
 * each of them anew, whoever has had less gets on as well. */
struct egress_waiter *egress_first_by_tenant(const struct egress_line *line, enum rank rank);
/* Under the lock: waiters in the ring for whom a connection with this mail is to end, `most` at the
 * most; `own` is none. */
unsigned egress_count_before(const struct egress_line *line, const struct egress_waiter *own,
                             const struct egress_mail *mail, unsigned most);
/* Another tenant than this waits, or several do. */
static inline bool egress_has_other(const struct egress_tenants *tenants, uint64_t tenant)
{
    uint64_t waiting = atomic_load_explicit(&tenants->waiting, memory_order_relaxed);

    return waiting != 0 && waiting != tenant;
}

struct egress_share {
    struct list_node ring; /* of its tenant and class, where it stands */
    struct egress *egress; /* its site's */
    struct egress *place;  /* in whose queue it stands; NULL: in none. Under the lock */
    struct tally *tally;   /* of its tenant there; likewise, as what follows */
    uint8_t rank;          /* enum rank */
    bool is_fresh;
    _Atomic bool is_waiting;    /* in a queue or on its way to one; written under the lock */
    _Atomic int64_t granted_ms; /* when it was; 0: it is not, or it was used */
    _Atomic bool is_posted;     /* its letter is on the way */
    int64_t own_next_us;        /* its site's next_us, when it went on to the provider's queue */
    uint64_t told;              /* the mail it waits for, in short; its engine's alone */
    struct egress_sender *sender;
    struct letter letter;
    struct timeout timeout; /* its engine's: rings the bell */
};

/* egress_queue.c; under the lock. It gets in line, behind those of its class and tenant; the bell
 * if nobody has it. */
void egress_queue_enter(struct egress_share *share, struct egress *place,
                        const struct egress_tenant *tenant);
/* It is in no queue, and has no bell; its tally is still its own. */
void egress_queue_leave(struct egress_share *share);
/* In its queue, with this mail: of another class or tenant it is the last there. */
void egress_queue_change(struct egress_share *share, const struct egress_mail *mail);
/* Whose turn it is, which counts as served; somebody waits. */
struct egress_share *egress_queue_take(struct egress *place);
/* The one that is likely to be served last; somebody waits. */
struct egress_share *egress_queue_last(struct egress *place);
/* So many go before it, where its tenant and the others of its class take turns. */
int64_t egress_queue_foresee(const struct egress_share *share);

/* egress_shares.c; under the lock: the next share may be due at another time than was known. */
void egress_ring_bell(struct egress *egress);

/* egress_idle.c; under the lock: somebody waits in this line, of this egress or its provider's. A
 * holder with an idle connection whose end would be of use is rung; `own` is none. */
void egress_ring_idle(struct egress *egress, const struct egress_line *line,
                      const struct egress_holder *own);

/* egress_slots.c; under the lock: slots go to whoever waits and may have one now, by every limit
 * that stands in its way. */
void egress_grant_waiting(struct egress *egress);
