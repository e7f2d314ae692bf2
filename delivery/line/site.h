/*
 * site.h - all destinations that share one MX set: their waiting mail and the connections for it.
 *
 *   lines of flows, in their turns (turns.h) -+                 +-- idle connections
 *                                             +-- site_drive() -+-- new ones: source, host, egress
 *   rest, rate, slots: what it waits for   ---+                 +-- none possible: defer, then rest
 *
 * site_drive() is called after any change, at the end of the turn: it looks at everything, does
 * what can be done, or makes sure that something will wake it (a connection's end, a slot's waiter,
 * the timeout), and leaves the site in the state that says which (site_state.h). Carriers pull
 * (carrier.h): site_next() gives a ready one its next recipients.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/hosts.h"
#include "delivery/line/limits.h"
#include "delivery/line/site_egress.h"
#include "delivery/line/site_state.h"
#include "delivery/line/source.h"
#include "delivery/line/state.h"
#include "delivery/outcome/outcome.h"

struct destination;

/* The last connection that did not become ready; one allocation. */
struct site_failure {
    struct judgement judgement;
    struct bytes host; /* empty: none was tried */
    struct bytes ip;
    struct bytes source; /* its name; empty: none was tried */
    struct attempt_tls tls;
    int64_t began_ms; /* wall */
};

/* What connections came to since one was let in, or since the last rest began. */
enum site_trouble {
    SITE_TROUBLE_NONE,
    SITE_TROUBLE_FAILED,  /* some failed */
    SITE_TROUBLE_REFUSED, /* likewise, each of them for good */
};

struct site_rest {
    int64_t until_ms; /* no host can be reached until then; 0: there is no rest, or none any more */
    int32_t spread_ms; /* over which what waited for that is spread behind it */
    bool has_scout;    /* one recipient is due at once then */
};

struct site {
    struct delivery *delivery;
    struct map_node node;    /* in delivery->sites; key: name, and what it demands of TLS */
    struct list_node in_all; /* delivery->all_sites */
    struct list_node in_dirty;
    struct list_node in_starved;
    struct bytes name; /* of the MX set: sites that demand other TLS of it have the same */
    struct hosts *hosts;
    const struct provider_rule *provider; /* of the newest settings; NULL: judged by itself */
    struct limits own;                    /* by rules for its hosts and domains */
    struct limits limits;                 /* with those of its provider */
    size_t destination_count;             /* references */
    struct turns turns;                   /* lines with waiting mail */
    size_t waiting_count;                 /* recipients: site_count_waiting() */
    struct series *counts;                /* by its provider's name, or its own */
    struct list carriers;
    unsigned carrier_count, opening_count, ready_count;
    unsigned fail_left;           /* FAILING: recipients still to be told of it */
    struct list idle;             /* ready ones without mail */
    struct site_egress *egresses; /* one a source of the settings */
    struct site_egress *leaving;  /* others, which still have a connection */
    struct timeout timeout;       /* FAILING, RESTING: the end of the rest; else a wake */
    int64_t timeout_at_ms;        /* 0: not armed */
    struct site_rest rest;        /* FAILING, RESTING */
    uint8_t state;                /* site_enter() */
    uint8_t lesson;               /* its carriers' own */
    uint8_t trouble;              /* enum site_trouble */
    bool is_store;                /* accounts' mail: no host, no source, limits of its own */
    uint8_t fruitless;            /* connections, since a message last came to an end on one */
    uint16_t domains_max;         /* of one transaction, as its hosts have shown; 0: not known */
    int64_t took_ms;              /* a recipient was accepted last; 0: never */
    struct site_failure *failure; /* NULL: there was none */
};

static inline const struct carrier_kind *site_carriers(const struct site *site)
{
    return site->is_store ? &site->delivery->filers : &site->delivery->carriers;
}

/* So many more, or less, wait. */
static inline void site_count_waiting(struct site *site, int64_t change)
{
    site->waiting_count += (size_t)change;
    series_add(site->counts, RECIPIENTS_WAITING, change);
}

static inline struct bytes site_failure_text(const struct site *site)
{
    return site->failure == NULL ? BYTES_NONE : site->failure->judgement.text;
}

/* Found or made; the caller is a destination and holds it until site_put(). `policies`: one for
 * each host of the set, which are kept; NULL: the default for all. */
struct site *site_get(struct delivery *delivery, const struct mx_set *set,
                      struct tls_policy *const *policies, struct bytes domain);
void site_put(struct site **site);
/* Settings are new, in three steps: only the rules for its hosts count, */
void site_forget_domains(struct site *site);
/* those for one of its domains do too, */
void site_add_domain(struct site *site, struct bytes domain);
/* and it is told. What fits the settings stays: connections, and what was learned. */
void site_reconfigure(struct site *site);
void site_dirty(struct site *site);
/* A letter to one of its egresses was opened, which may have left: it is driven, or gone then. */
void site_told(struct site *site);
/* Copies all of `failure`; `is_final`: the host refused us for good. */
void site_set_failure(struct site *site, const struct site_failure *failure, bool is_final);
/* Nothing waits any more. */
void site_emptied(struct site *site);
/* Driven again when there is room among clearings and commits; its shares are for others. */
void site_starve(struct site *site);
void site_drive(struct site *site); /* site_drive.c */
/* Frees sites that nothing uses; the one given may be gone after it. */
void site_check_unused(struct site *site);

/* FAILING if there was trouble, else RESTING; no connection is left, and none is asked for. */
void site_rest(struct site *site, int64_t until_ms);
/* All are told. */
void site_failed(struct site *site);
/* It may be tried again, RESTING or not. */
void site_end_rest(struct site *site);

/* Wakes it at that time, unless something earlier does. */
void site_wake_at(struct site *site, int64_t at_ms);
/* pull.c: a slice of telling what waits of the failure, or of giving it back until the rest is
 * over; both mark the site dirty again while there is more. */
void site_fail_some(struct site *site);
void site_postpone_some(struct site *site);

/* pull.c: whose turn it is; something waits. */
struct egress_mail site_mail(struct site *site);
/* The same with who follows, for who waits for a slot. */
struct egress_mail site_mails(struct site *site,
                              struct egress_tenant others[static EGRESS_TENANTS_MAX - 1]);
/* pull.c: the next message's recipients for a ready carrier on this egress, each READY and busy
 * from here on; false: nothing can be sent now. */
must_use bool site_next(struct site *site, struct site_egress *egress, struct pull *pull);
/* Puts recipients back in front, without an attempt. */
void site_requeue(struct delivery *delivery, struct pending *pending);

/* carrier.c: its slot is not for others, as it is going to send or to end. */
void carrier_keep_slot(struct carrier *carrier);
/* An operator's: it may be tried at once. */
void site_wake(struct site *site);
