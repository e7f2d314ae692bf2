/*
 * carrier.h - the contract between what waits in line and what takes it away.
 *
 * A carrier is one way out to a site: an SMTP connection, or the filing into a store. It pulls:
 * once it is ready it asks for one message after the other and gets all recipients of that message
 * which wait for its site. Each of them it ends in an outcome (outcome.h) or gives back to the
 * line.
 *
 *   open() --> opening --ready--> next --message--> next ... --none--> idle --wake()--> next
 *                 |                 '------------------------------------+
 *     failed or given up                                                left
 *                 '------------------------------------------------------+--> gone
 *
 * The line calls the four functions of a carrier_kind; the carrier calls the functions below. It
 * tells how it fared by exactly one of failed(), given_up() and ready() for each open(), and by
 * left() and gone() in the end. Between a message and the next it tells nothing.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/list.h"
#include "delivery/line/egress.h"
#include "delivery/line/source.h"
#include "delivery/outcome/outcome.h"
#include "io/address.h"

struct host;
struct hosts;
struct site;
struct site_egress;

/* Of the carrier's own struct, which embeds it. The first fields are the line's. */
struct carrier {
    struct list_node in_site, in_idle;
    struct site *site;
    struct site_egress *egress;
    struct hosts *hosts; /* keeps host_name and tls alive */
    bool is_opening;     /* told neither ready() nor failed() nor given_up() */
    struct engine *engine;
    struct outcomes *outcomes;
    struct bytes host_name;
    const struct tls_policy
        *tls;               /* what the connection has to be (tls_policy.h); kept by `hosts` */
    struct address address; /* of the host */
    int64_t opened_ms, opened_wall_ms;
    struct attempt_tls seen; /* the carrier's: of its TLS, as far as that came */
    struct egress_use use;   /* the line's, as what follows */
    bool has_carried;        /* a message */
    bool is_free;            /* idle, and its slot is for who waits for one */
};

/* Where to. Valid during open(). */
struct carrier_opening {
    struct site *site;
    struct site_egress *egress;
    const struct host *host;
    unsigned answer_s; /* the host has so long to be reached */
};

/* What every carrier of a kind does. One of each engine. */
struct carrier_kind {
    void *context;
    /* Begins: carrier_init(), and nothing else of what is below before it returns. False when it
     * has no room for one more: nothing was begun. */
    bool (*open)(void *context, const struct carrier_opening *opening);
    /* An idle one, no longer idle: ask for mail. */
    void (*wake)(struct carrier *carrier);
    /* Ends it after its message; at once where it has none. */
    void (*leave)(struct carrier *carrier);
    /* Ends it now; the recipients that it has stay unfinished. */
    void (*abort)(struct carrier *carrier);
};

/* --- what a carrier calls -------------------------------------------------------------------- */

void carrier_init(struct carrier *carrier, const struct carrier_opening *opening);
const struct source *carrier_source(const struct carrier *carrier);
struct bytes carrier_site_name(const struct carrier *carrier);
struct series *carrier_counts(const struct carrier *carrier); /* its site's */

void carrier_ready(struct carrier *carrier);
/* It never became ready: `judgement` says why. */
void carrier_failed(struct carrier *carrier, const struct judgement *judgement);
/* Nor that: not worth waiting for any more. */
void carrier_given_up(struct carrier *carrier);
/* It is not ready any more, and not idle. */
void carrier_left(struct carrier *carrier);
/* The last call: it can be freed. The site may be gone afterwards. */
void carrier_gone(struct carrier *carrier);

/* What the line makes of it: whether a host rests, whether the site may have another carrier. */

/* A recipient was accepted. */
void carrier_took(struct carrier *carrier);
/* A message came to an end on it, well or not: the site serves. */
void carrier_fruitful(struct carrier *carrier);
/* It became ready and broke before any message was tried on it. */
void carrier_useless(struct carrier *carrier, const struct judgement *judgement);
/* It became ready, and the peer ended it before any message came to an end on it. A few of these
 * one after the other, and its host rests as one that does not answer. */
void carrier_fruitless(struct carrier *carrier, const struct judgement *judgement);
/* Whether others carry mail, of whatever engine, while the peer turned this one away: then the site
 * has as many connections as it may have now. */
bool carrier_is_surplus(struct carrier *carrier, const struct judgement *judgement);

/* The rule of a failure that says nothing of the host but of our own address. */
#define FAILED_SOURCE "source-address"

/* --- messages -------------------------------------------------------------------------------- */

enum { PULL_MAX = 1000 /* recipients at a time */ };

/* What of a message it is to take away. */
struct pull {
    uint64_t recipients_max; /* asked for: no more than these; 0: as the line's limits say */
    uint64_t domains_max;    /* of different domains; 0: any number */
    struct shard *shard;
    struct stub *stub;
    enum rank rank;            /* of its class */
    struct pending **pendings; /* until the next one is asked for: READY and busy */
    size_t count;
    int64_t lookup_began_ms; /* of the first one's domain */
    int64_t lookup_ms;
};
/* The next message for a ready carrier. False: there is nothing for it now; it is idle. */
must_use bool carrier_next(struct carrier *carrier, struct pull *pull);
static inline bool carrier_is_idle(const struct carrier *carrier)
{
    return list_is_linked(&carrier->in_idle);
}

/* Whether some of its recipients may be held back now that the message is in memory: ask for each.
 * Once, before anything is sent. */
bool carrier_may_hold(const struct carrier *carrier);
/* True: it is, and so out of the carrier's hands. */
bool carrier_hold(struct carrier *carrier, struct pending *pending, const struct message *message);
/* In front of the line again, without an attempt. */
void carrier_requeue(struct carrier *carrier, struct pending *pending);
/* So many of what it pulled are out of its hands, whatever became of them. */
void carrier_done(struct carrier *carrier, size_t recipients);

/* --- what it is to do next ------------------------------------------------------------------- */

/* It carries no more after this message: by the limits, as the program stops, for others wait, or
 * a higher class than waits at its site.
 * `messages_max` is what the peer says; 0: nothing. */
bool carrier_is_finished(struct carrier *carrier, unsigned messages_done, uint64_t messages_max);
/* An idle one has no reason to stay: to be asked once a second. Where its slot is wanted the line
 * lets it leave() before that. */
bool carrier_idle_is_over(struct carrier *carrier, int64_t idle_ms);

/* What the hosts of a site have shown to its carriers: the domains they take at a time, and one
 * byte whose meaning is the carriers' own, 0 at first. */
void carrier_learn_domains(struct carrier *carrier, unsigned domains_max);
void carrier_learn(struct carrier *carrier, uint8_t lesson);
uint8_t carrier_lesson(const struct carrier *carrier);
