/*
 * egress.h - one site reached from one source: what all engines share about it.
 *
 * Receivers judge (site, source IP), so limits, back-off and health live here, exact for the whole
 * process: the connection count is an atomic, the message rate a GCRA deadline in one 64-bit
 * atomic, the rest changes seldom under a small lock. An engine that finds the limit reached
 * registers as a waiter; who releases capacity rings the next waiter's inbox. No message crosses a
 * thread.
 *
 * How many connections the receiver allows is learned here too, so that an engine it turned away
 * waits in the same line and those that were let in give way to it:
 *
 *   unknown --turned away--> as many as are in --5 s to 1 min--> one more --let in--> and one more
 *                                   ^------------turned away--------'
 *
 * Where none of ours is in, but one was a moment ago (it has not counted down yet), the next is
 * tried after a second; where none was, it is a failure, which is the host's and the site's.
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
    double messages_per_s; /* 0: no limit */
    unsigned generation;   /* of the settings they are from */
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
    bool is_waiting;  /* registered */
    bool is_posted;   /* its letter, with a slot, is on the way */
    bool keeps_place; /* its slot was of no use: to the front of the line */
    bool of_process;  /* registered for the process's limit, else for the egress's */
};

struct egress_table *egress_table_create(unsigned connections_max /* of the process */);
void egress_table_free(struct egress_table **table);
/* Found or made; referenced. */
struct egress *egress_get(struct egress_table *table, struct bytes site, struct bytes source,
                          const struct egress_limits *limits);
void egress_put(struct egress **egress);
/* Engines may know of different domains of a site: of one generation the strictest limits count, of
 * several the newest. */
void egress_limit(struct egress *egress, const struct egress_limits *limits);

/* A connection slot, or false: then the waiter is registered (once), in line with others. */
must_use bool egress_connect_begin(struct egress *egress, struct egress_waiter *waiter);
void egress_connect_end(struct egress *egress);
/* Forgets a registration. False: the letter is on its way and woken() will still be called. */
bool egress_waiter_cancel(struct egress *egress, struct egress_waiter *waiter);
/* Somebody waits for a slot, besides the caller where that one waits itself: a connection should
 * give way. */
bool egress_has_waiters(const struct egress *egress, bool is_waiting);
unsigned egress_connections(const struct egress *egress);

/* The site let a connection in. */
void egress_let_in(struct egress *egress, int64_t now_ms);
/* One that was let in is so no more. */
void egress_left(struct egress *egress, int64_t now_ms);
/* The site let none in just now that asked; `by_reply`: it said so, for the time being. True: it
 * has enough of ours, which counts for all engines from now on. False: that is not the reason. To
 * be called while the connection still has its slot. */
must_use bool egress_turned_away(struct egress *egress, struct egress_waiter *waiter, bool by_reply,
                                 int64_t now_ms);
/* A message came to an end on a connection. */
void egress_served(struct egress *egress, int64_t now_ms);
/* The site turned one out that it had let in, before a message came to an end on it. True: others
 * of ours are in and were served just now; it counts as turned away. */
must_use bool egress_turned_out(struct egress *egress, int64_t now_ms);
/* For who waits: lets one more than the site is known to allow try, when it is time to, and tells
 * when that will be the next time; 0: nothing was learned. */
int64_t egress_probe(struct egress *egress, int64_t now_ms);
/* An operator says that things are different now. */
void egress_forget_allowed(struct egress *egress);
/* What it allows as far as is known; 0: nothing was learned. */
unsigned egress_allowed(const struct egress *egress);

/* Takes one message's share of the rate: 0 = send now, else milliseconds to wait. */
int64_t egress_rate_take(struct egress *egress, int64_t now_ms);

/* Health: consecutive connection-level failures put the egress to rest, doubling from 30 s to
 * 30 min; any success ends it. */
void egress_failed(struct egress *egress, int64_t now_ms);
void egress_succeeded(struct egress *egress);
int64_t egress_resting_until_ms(const struct egress *egress); /* 0: not resting */
