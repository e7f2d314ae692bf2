/*
 * egress.h - one site reached from one source: what all engines share about it.
 *
 * Receivers judge (site, source IP), so limits, back-off and health live here, exact for the whole
 * process: the connection count is an atomic, the message rate a GCRA deadline in one 64-bit
 * atomic, the rest changes seldom under a small lock. An engine that finds the limit reached
 * registers as a waiter; who releases capacity rings the next waiter's inbox. No message crosses a
 * thread.
 *
 * Thread: any, unless a function says otherwise. A waiter belongs to its engine. Who holds a
 * reference may use an egress; one without is forgotten when it has nothing to remember.
 */
#pragma once

#include "io/engine.h"

struct egress_table;
struct egress;

struct egress_limits {
    unsigned connections_max;
    double messages_per_s;
};

/* Set engine and woken, initialise node, zero the rest. */
struct egress_waiter {
    struct engine *engine;
    /* Stands in a line of its own for the process's limit: every second slot is for those in it.
     * To be set before egress_connect_begin(). */
    bool is_urgent;
    /* On the engine: a slot was taken for the waiter, as if egress_connect_begin() had returned
     * true. egress_connect_end() if it is not needed any more: the next one gets it. */
    void (*woken)(struct egress_waiter *waiter);
    /* private */
    struct letter letter;
    struct list_node node;
    struct egress *egress;
    bool is_waiting; /* registered */
    bool is_posted;  /* its letter, with a slot, is on the way */
    bool of_process; /* registered for the process's limit, else for the egress's */
};

struct egress_table *egress_table_create(unsigned connections_max /* of the process */);
void egress_table_free(struct egress_table **table);
/* Found or made; referenced. */
struct egress *egress_get(struct egress_table *table, struct bytes site, struct bytes source,
                          const struct egress_limits *limits);
void egress_put(struct egress **egress);

/* A connection slot, or false: then the waiter is registered (once), in line with others. */
must_use bool egress_connect_begin(struct egress *egress, struct egress_waiter *waiter);
void egress_connect_end(struct egress *egress);
/* Forgets a registration. False: the letter is on its way and woken() will still be called. */
bool egress_waiter_cancel(struct egress *egress, struct egress_waiter *waiter);
/* Somebody waits for a slot, besides the caller where that one waits itself: a connection should
 * give way. */
bool egress_has_waiters(const struct egress *egress, bool is_waiting);
unsigned egress_connections(const struct egress *egress);
/* Of these, how many the site has let in: by `change` more, or (0) as it is. */
int egress_ready(struct egress *egress, int change);

/* Takes one message's share of the rate: 0 = send now, else milliseconds to wait. */
int64_t egress_rate_take(struct egress *egress, int64_t now_ms);

/* Health: consecutive connection-level failures put the egress to rest, doubling from 30 s to
 * 30 min; any success ends it. */
void egress_failed(struct egress *egress, int64_t now_ms);
void egress_succeeded(struct egress *egress);
int64_t egress_resting_until_ms(const struct egress *egress); /* 0: not resting */
