/*
 * site.h - all destinations that share one MX set: their waiting mail and the connections for it.
 *
 *   destinations with waiting mail, in turn --+                 +-- idle connections
 *                                             +-- site_drive() -+-- new ones: source, host, egress
 *   rest, rate, slots: what it waits for   ---+                 +-- none possible: defer, then rest
 *
 * site_drive() is called after any change, at the end of the turn: it looks at the whole state and
 * does what can be done, or makes sure that something will wake it (a connection's end, a slot's
 * waiter, the timeout). Connections pull: site_next() gives a ready one its next recipients.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/hosts.h"
#include "delivery/line/limits.h"
#include "delivery/line/source.h"
#include "delivery/line/state.h"
#include "delivery/outcome/outcome.h"

struct smtp_client;
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
    struct verdict verdict;
    struct bytes host; /* empty: none was tried */
    struct bytes ip;
    const struct source *source; /* NULL: none was tried */
    int64_t began_ms;            /* wall */
};

/* Whether the 2xx of this site's hosts say by their enhanced codes which step they answer: 2.1.X to
 * MAIL and RCPT, another to the content. Then one reply too many is noticed before it is taken for
 * the word on a message that went along with its envelope (client_replies.c). Once they did not
 * they are not trusted again. */
enum site_codes { SITE_CODES_UNSEEN, SITE_CODES_TELL, SITE_CODES_DO_NOT_TELL };

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
    struct list clients;
    size_t client_count, opening_count, ready_count;
    struct list idle; /* ready connections without mail */
    struct timeout timeout;
    int64_t timeout_at_ms;    /* 0: not armed */
    int64_t rate_until_ms;    /* the message rate allows the next one then */
    int64_t resting_until_ms; /* no host can be reached until then; 0: it does not rest */
    struct timeout rest_timeout;
    int64_t spread_ms; /* over which what waited for that is spread behind it */
    bool has_scout;    /* one recipient is due at once then */
    int64_t took_ms;   /* a recipient was accepted last; 0: never */
    enum site_codes codes;
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
    return site->failure == NULL ? BYTES_NONE : site->failure->verdict.text;
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
/* site_drive.c */
void site_drive(struct site *site);
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

/* From connections: */
void site_client_ready(struct site *site, struct smtp_client *client);
/* It never became ready: `verdict` says why. */
void site_client_failed(struct site *site, struct smtp_client *client,
                        const struct verdict *verdict);
/* It became ready and broke before any message was tried on it. */
void site_client_useless(struct site *site, struct smtp_client *client,
                         const struct verdict *verdict);
/* It became ready, and the peer ended it before any message came to an end on it. A few of these
 * one after the other, and its host rests as one that does not answer. */
void site_client_fruitless(struct site *site, struct smtp_client *client,
                           const struct verdict *verdict);
/* A message came to an end on it, well or not: the site serves. */
void site_client_fruitful(struct site *site, struct smtp_client *client);
/* Whether others carry mail, of whatever engine, while the peer turned this one away: then the site
 * has as many connections as it may have now. */
bool site_client_is_surplus(struct site *site, struct smtp_client *client,
                            const struct verdict *verdict);
/* It is not ready any more. */
void site_client_left(struct site *site, struct smtp_client *client);
/* Not worth waiting for any more: no failure. */
void site_client_given_up(struct site *site, struct smtp_client *client);
void site_client_gone(struct site *site, struct smtp_client *client);

/* What a pulled message consists of. */
struct pull {
    struct stub *stub;
    struct destination *destination; /* of the first recipient */
    size_t count;
    struct pending **pendings; /* room for count_max */
    size_t count_max;
    size_t domains_max; /* of the recipients; 0: any number */
};
/* The next message's recipients for a ready connection; false: nothing can be sent now. */
must_use bool site_next(struct site *site, struct smtp_client *client, struct pull *pull);
/* Puts recipients back in front, without an attempt. */
void site_requeue(struct delivery *delivery, struct pending *pending);

/* For explain and status. */
const char *site_constraint(const struct site *site, int64_t *until_ms_out);
void site_wake(struct site *site);
/* Lets go of everything, for the end. */
void site_abandon(struct site *site);
