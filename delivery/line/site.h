/*
 * site.h - all destinations that share one MX set: their waiting mail and the connections for it.
 *
 *   destinations with waiting mail, in turn --+                 +-- idle connections
 *                                             +-- site_drive() -+-- new ones: source, host, egress
 *   rest, rate, slots: what it waits for   ---+                 +-- none possible: defer, then rest
 *
 * site_drive() is called after any change, at the end of the turn: it looks at the whole state and
 * does what can be done, or makes sure that something will wake it (a connection's end, a slot's
 * waiter, the timeout). Carriers pull (carrier.h): site_next() gives a ready one its next
 * recipients.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/hosts.h"
#include "delivery/line/limits.h"
#include "delivery/line/source.h"
#include "delivery/line/state.h"
#include "delivery/outcome/outcome.h"

struct destination;

/* One of our sources towards the site. */
struct site_egress {
    struct site *site;
    const struct source *source;
    struct egress *egress;
    struct egress_waiter waiter;
    bool is_waiting; /* for a slot */
};

/* The last connection that did not become ready; one allocation. */
struct site_failure {
    struct judgement judgement;
    struct bytes host; /* empty: none was tried */
    struct bytes ip;
    const struct source *source; /* NULL: none was tried */
    int64_t began_ms;            /* wall */
};

struct site {
    struct delivery *delivery;
    struct map_node node;    /* in delivery->sites; key: name */
    struct list_node in_all; /* delivery->all_sites */
    struct list_node in_dirty;
    struct list_node in_starved;
    struct bytes name;
    bool is_current; /* of the present settings: in the map */
    struct settings_use *use;
    struct hosts *hosts;
    struct limits limits;
    size_t destination_count; /* references */
    struct list turns;        /* destinations with waiting mail */
    size_t waiting_count;     /* recipients */
    struct list carriers;
    size_t carrier_count, opening_count, ready_count;
    struct list idle; /* ready ones without mail */
    struct timeout timeout;
    int64_t timeout_at_ms;    /* 0: not armed */
    int64_t rate_until_ms;    /* the message rate allows the next one then */
    int64_t resting_until_ms; /* no host can be reached until then; 0: it does not rest */
    struct timeout rest_timeout;
    int64_t spread_ms;            /* over which what waited for that is spread behind it */
    bool has_scout;               /* one recipient is due at once then */
    int64_t took_ms;              /* a recipient was accepted last; 0: never */
    uint8_t lesson;               /* its carriers' own */
    unsigned domains_max;         /* of one transaction, as its hosts have shown; 0: not known */
    unsigned fruitless;           /* connections, since a message last came to an end on one */
    struct site_failure *failure; /* NULL: there was none */
    bool has_failed;              /* since the last success or rest */
    bool is_refused;              /* every failure since then was permanent */
    size_t fail_left;             /* recipients still to be told of it */
    size_t egress_count;
    struct site_egress egresses[]; /* one a source */
};

static inline struct bytes site_failure_text(const struct site *site)
{
    return site->failure == NULL ? BYTES_NONE : site->failure->judgement.text;
}

/* Found or made; the caller is a destination and holds it until site_put(). */
struct site *site_get(struct delivery *delivery, const struct mx_set *set, struct bytes domain);
void site_put(struct site **site);
/* The rules for one of its domains count for it. */
void site_add_domain(struct site *site, struct bytes domain);
/* Of these settings from now on, which have the same sources; rules for its domains are to be added
 * again. */
void site_reconfigure(struct site *site);
void site_dirty(struct site *site);
/* Copies all of `failure`; has_failed from now on. */
void site_set_failure(struct site *site, const struct site_failure *failure);
/* Driven again when there is room among clearings and commits. */
void site_starve(struct site *site);
void site_drive(struct site *site); /* site_drive.c */
/* Out of every line for a slot. True when no letter is on its way. */
bool site_cancel_waiters(struct site *site);
/* Frees sites that nothing uses; the one given may be gone after it. */
void site_check_unused(struct site *site);

/* No host can be reached until then; 0: there is no rest (any more). The only way to say so, as the
 * sites that rest are counted. */
void site_rest(struct site *site, int64_t until_ms);

/* Wakes it at that time, unless something earlier does. */
void site_wake_at(struct site *site, int64_t at_ms);
/* pull.c: a slice of telling what waits of the failure, or of giving it back until the rest is
 * over; both mark the site dirty again while there is more. */
void site_fail_some(struct site *site);
void site_postpone_some(struct site *site);

/* pull.c: the next message's recipients for a ready carrier on this egress, each READY and busy
 * from here on; false: nothing can be sent now. */
must_use bool site_next(struct site *site, struct site_egress *egress, struct pull *pull);
/* Puts recipients back in front, without an attempt. */
void site_requeue(struct delivery *delivery, struct pending *pending);

/* For explain and status. */
const char *site_constraint(const struct site *site, int64_t *until_ms_out);
void site_wake(struct site *site);
/* Lets go of everything, for the end. */
void site_abandon(struct site *site);
