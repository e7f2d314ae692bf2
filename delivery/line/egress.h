/*
 * egress.h - one provider, or one MX set, reached from one source: what all engines share about it.
 *
 * Receivers judge our address, so limits, back-off and health live here, exact for the whole
 * process: the connection count is an atomic, the message rate a GCRA deadline in one 64-bit
 * atomic, the rest changes seldom under a small lock. An engine that finds the limit reached
 * registers as a waiter; who releases capacity, or sees that a share of the rate is due, rings the
 * next waiter's inbox. No message crosses a thread.
 *
 * An MX set of no provider has one egress a source. A set of a provider has one of its own under
 * the provider's, which all its sets share; what is asked of the own one heeds both:
 *
 *   connections, rate   the provider's rules limit the provider's, those of the set's domains and
 *                       hosts the own one; a connection has a slot of each, a message a share.
 *                       Whose turn it is among all its sets is decided where they wait for it
 *   allowed by the      the provider's: what a set with other connections in is told, or a second
 *   receiver            set within ten seconds. What one set alone is told, of which none is in,
 *                       is its own: it may be out of order while the others serve. Three times in
 *                       a row, and it is a failure of its hosts
 *   rest                hosts that cannot be reached are the set's own (and each host's: hosts.h).
 *                       A reply that takes no connection puts the provider's to rest once two sets
 *                       are at rest for one and none of the provider was let in meanwhile, nor in
 *                       the last minute
 *
 * So one dead or misconfigured host of one customer stops nobody else's mail.
 *
 * Slots go to the highest class that waits for one, on whatever engine, and lower classes have
 * their guaranteed part (classes.h); of a class to the tenant that has had less for its weight
 * (tally.h), though every second one is for a tenant that comes anew. A connection that goes on
 * with a lower class than waits ends after its message, and one that goes on with another tenant
 * than comes anew (egress_gives_way()). In line for the process's limit all tenants are one. Where
 * very many sites of a provider wait with one class, the tenants of the first 64 in line are
 * compared, and those of the last 16 that come anew.
 *
 * Who has to wait for a slot rings one that holds some and has nothing to send on one of them, on
 * whatever engine, so that this ends: one for each that waits.
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

#include <limits.h>

#include "delivery/line/classes.h"
#include "io/engine.h"

struct egress_table;
struct egress_line;
struct egress;
struct egress_holder;
struct tally;

/* No limit of connections but that of the provider and of the process. */
enum { EGRESS_CONNECTIONS_ANY = INT_MAX };

struct egress_limits {
    unsigned connections_max;
    double messages_per_s; /* 0: no limit */
    bool is_default;       /* any others count instead */
    unsigned generation;   /* of the settings they are from */
};

/* Read during the call alone. */
struct egress_tenant {
    struct bytes name;
    unsigned weight; /* 0: 1 */
};

enum { EGRESS_TENANTS_MAX = 4 };

/* The next that a site would send. */
struct egress_mail {
    enum rank rank;              /* the highest class that waits at the site */
    bool is_fresh;               /* nothing of the tenant was sent since it came to the site */
    struct egress_tenant tenant; /* whose turn it is there */
    /* Who follows, of those who wait for a slot: one that others send for too has had more the
     * longer they do, unlike one that nobody does. */
    const struct egress_tenant *others;
    unsigned other_count; /* below EGRESS_TENANTS_MAX */
};

/* Set engine and woken, initialise node, zero the rest. */
struct egress_waiter {
    struct engine *engine;
    /* On the engine: a slot was taken for the waiter, as if egress_connect_begin() had returned
     * true. egress_connect_end() if it is not needed any more: the next one gets it. */
    void (*woken)(struct egress_waiter *waiter);
    /* Its site's, which is not rung for it; NULL: none. As is_urgent. */
    const struct egress_holder *own;
    /* Stands in a line of its own for the process's limit: every second slot is for those in it.
     * To be set before egress_connect_begin(). */
    bool is_urgent;
    /* private */
    bool is_waiting;  /* registered */
    bool is_posted;   /* its letter, with a slot, is on the way */
    bool keeps_place; /* its slot was of no use: to the front of the line */
    bool is_fresh;    /* the first of its tenants is */
    uint8_t rank;     /* of its mail; enum rank */
    struct letter letter;
    struct list_node node;
    struct egress *egress;
    struct egress_line *line; /* of the limit it is registered for */
    struct tally **tallies;   /* of its tenants there, EGRESS_TENANTS_MAX; NULL: it is in no line */
};

struct egress_table *egress_table_create(unsigned connections_max /* of the process */);
void egress_table_free(struct egress_table **table);
/* Found or made; referenced. */
struct egress *egress_get(struct egress_table *table, struct bytes site, struct bytes source,
                          const struct egress_limits *limits);
/* The same of a site of a provider, whose egress is found or made along with it. */
struct egress *egress_get_of(struct egress_table *table, struct bytes provider,
                             const struct egress_limits *provider_limits, struct bytes site,
                             struct bytes source, const struct egress_limits *limits);
void egress_put(struct egress **egress);
/* NULL: it is judged by itself. Lives as long as a reference to the site's. What follows says what
 * is of the egress it is given alone, and what heeds its provider's too. */
struct egress *egress_provider(const struct egress *egress);
/* Of this one alone. Engines may know of different domains of a site: of one generation the
 * strictest limits count, default ones only while there are no others; of several the newest. */
void egress_limit(struct egress *egress, const struct egress_limits *limits);

/* A connection slot (of both), or false: then the waiter is registered (once), in line with
 * others. */
must_use bool egress_connect_begin(struct egress *egress, struct egress_waiter *waiter,
                                   const struct egress_mail *mail);
void egress_connect_end(struct egress *egress);
/* Its site would send this now, if it is in line: of another class it is the last there. */
void egress_waiter_change(struct egress *egress, struct egress_waiter *waiter,
                          const struct egress_mail *mail);
/* The last of its class from now on, if it is in line. */
void egress_waiter_last(struct egress *egress, struct egress_waiter *waiter);
/* Forgets a registration. False: the letter is on its way and woken() will still be called. */
bool egress_waiter_cancel(struct egress *egress, struct egress_waiter *waiter);
/* Somebody waits for a slot, besides the caller where that one waits itself: a connection should
 * give way. */
bool egress_has_waiters(const struct egress *egress, bool is_waiting);
unsigned egress_connections(const struct egress *egress); /* of this one alone */

/* The messages on one connection, by class, which egress_gives_way() and egress_used() count and
 * clear. */
struct egress_use {
    uint16_t messages[RANK_COUNT];
};
/* Whether a connection that would go on with `next` is to end, so that its slot is for a higher
 * class or another tenant which waits for one, and whose turn it is: as many end as wait. The
 * caller lets it end if so. `own`: its site's where that one waits, for which it does not end; else
 * NULL. */
must_use bool egress_gives_way(struct egress *egress, const struct egress_waiter *own,
                               struct egress_use *use, const struct egress_mail *next);
/* A site has a connection on its engine, the first; made where it is NULL. `rung`, on the engine:
 * somebody waits for a slot, see egress_idle_gives_way(). */
void egress_hold(struct egress_holder **holder, struct egress *egress, struct engine *engine,
                 void (*rung)(void *context), void *context);
/* It has none any more. False: rung() will still be called, to be ended again in it. */
bool egress_hold_end(struct egress_holder **holder);
/* One more of its connections has nothing to send: whoever waits for a slot rings it, or is there
 * already: to be looked for behind this. Or one less. */
void egress_idle_begin(struct egress_holder *holder);
void egress_idle_end(struct egress_holder *holder);
/* Whether somebody waits for a slot of it, or of its provider's: where not, none gives way. */
must_use bool egress_is_waited_for(struct egress *egress, const struct egress_waiter *own);
/* Whether an idle connection is to end for who waits for a slot of this egress, or its provider's:
 * as many end as wait. The caller lets it end if so. `own`: as above. */
must_use bool egress_idle_gives_way(struct egress *egress, const struct egress_waiter *own);
/* Mail of this tenant is sent, so many recipients, which counts while others wait, and some time
 * after. How many the tenant had in all of this egress, on all engines, since it has been counted;
 * 0: it is not. */
uint64_t egress_charge(struct egress *egress, const struct egress_waiter *own,
                       const struct egress_mail *mail, unsigned count);
/* The connection is about to end. */
void egress_used(struct egress *egress, struct egress_use *use);

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
/* An operator says that things are different now; of both. */
void egress_forget_allowed(struct egress *egress);
/* What this one alone allows as far as is known; 0: nothing was learned. */
unsigned egress_allowed(const struct egress *egress);
/* It has as many connections as the receiver allows, this one or its provider's. */
bool egress_is_full_by_receiver(const struct egress *egress);

/*
 * A site of one engine takes a share of the rate for each message: at once where one is due and
 * nobody waits, else it stands in line and is told. When a share is due it is given to whoever's
 * turn it is then, of however many engines, and of a provider's rate of all its sites: the highest
 * class that waits goes first, and the lower ones have their guaranteed turns (classes.h); of a
 * class the tenant that has had less for its weight (tally.h), though every second one is for a
 * tenant that comes anew; of the tenant who came first. Where more than 64 tenants wait with one
 * class, the first 64 in line and the last 16 are compared, and of the first the one that has had
 * the most goes to the end.
 *
 * Where both the set and its provider have a rate, the set's comes first: who waits for the
 * provider's has its share of the set's already, so that nothing of the provider's is held by
 * somebody who may not send yet.
 *
 * A share is to be used at once, or passed on by who has to wait for a slot or for room first. The
 * one thing it may be kept for is a connection that is being opened: a share that was given is void
 * five seconds later.
 */
struct egress_share;
/* Set engine and woken, zero the rest. */
struct egress_sender {
    struct engine *engine;
    /* On the engine: a share was given to it, to be taken. Also without one, where it was dropped
     * while that was on its way. */
    void (*woken)(struct egress_sender *sender);
    struct egress_share *share; /* private; NULL before the first wait */
};
/* For this mail. False: it waits in line, and woken() will be called. */
must_use bool egress_share_take(struct egress *egress, struct egress_sender *sender,
                                const struct egress_mail *mail, int64_t now_ms);
/* If it waits, it waits for this mail now: of another class or tenant it is the last there. */
void egress_share_change(struct egress *egress, struct egress_sender *sender,
                         const struct egress_mail *mail);
bool egress_share_is_waiting(const struct egress_sender *sender);
/* It does, or woken() is on its way. */
bool egress_share_is_awaited(const struct egress_sender *sender);
/* When its turn may be, as far as is known now: for operators. 0: it does not wait. */
int64_t egress_share_at_ms(const struct egress_sender *sender, int64_t now_ms);
/* What it was given just now, if anything, is the next one's in line: it cannot send. */
void egress_share_pass(struct egress_sender *sender);
/* It neither waits nor has a share any more; one that it was given just now, or has of its set's
 * rate while it waits for its provider's, is the next one's in line. False: woken() is on its way
 * and will still be called; to be dropped again after it. */
bool egress_share_drop(struct egress_sender *sender);

/* Health: consecutive connection-level failures put the egress to rest, doubling from 30 s to
 * 30 min; any success ends it. Of the site's alone: its hosts could not be reached. */
void egress_failed(struct egress *egress, int64_t now_ms);
/* The same, because of what a host said to our connection: perhaps the provider's word. */
void egress_refused(struct egress *egress, int64_t now_ms);
void egress_succeeded(struct egress *egress);                 /* of both */
int64_t egress_resting_until_ms(const struct egress *egress); /* of both; 0: not resting */
