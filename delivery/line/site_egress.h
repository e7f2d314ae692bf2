/*
 * site_egress.h - a site's ways out: one of each of our sources, while the settings have it.
 *
 * A source that the settings no longer have, or have otherwise, leaves: nothing new is opened from
 * it, what is idle or opening ends at once, what carries a message ends behind it. The others stay
 * with all they have learned, and so do their connections. The same where the site comes to belong
 * to another provider.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/delivery.h"
#include "delivery/line/egress.h"

struct settings_use;
struct site;

struct site_egress {
    struct site_egress *next; /* of the site's: in the order of the settings' sources */
    struct site *site;
    struct settings_use *use; /* of the settings that `source` is of */
    const struct source *source;
    struct series *counts; /* of family_sources: the source's on this engine */
    struct egress *egress;
    struct egress_waiter waiter;
    struct egress_holder *holder; /* while it has a connection, or is rung */
    unsigned carrier_count;
    bool is_waiting;             /* for a slot */
    bool is_leaving;             /* nothing new from it */
    uint16_t waits_as;           /* the mail it waits for a slot for, in short */
    struct egress_sender sender; /* shares of the message rate */
};

/* Of the delivery's settings and of the site's provider and limits: those that fit stay, others
 * leave, missing ones are made. `is_of_provider_before`: the site belonged to the provider that it
 * belongs to now. */
void site_egresses_adapt(struct site *site, bool is_of_provider_before);
/* To all engines: the strictest that any of them knows of counts. */
void site_egresses_limit(struct site *site);
/* Out of every line, for slots and for shares of the rate. True when no letter is on its way. */
bool site_cancel_waiters(struct site *site);
/* Lets go of those that have left. */
void site_egresses_sweep(struct site *site);
/* Of a site that goes; none waits or has a connection. */
void site_egresses_free(struct site *site);

/* A connection of it, and no longer: it may be gone after that. `rung`: egress_hold(). */
void site_egress_opened(struct site_egress *egress, void (*rung)(void *egress));
void site_egress_closed(struct site_egress **egress);

/* Its place in line for a slot; NULL: it does not wait. */
static inline struct egress_waiter *site_egress_waiter(struct site_egress *egress)
{
    return egress->is_waiting ? &egress->waiter : NULL;
}
/* So many recipients of this mail are sent from it: egress_charge(). */
uint64_t site_egress_charge(struct site_egress *egress, const struct egress_mail *mail,
                            unsigned count);
/* It waits for a share of the message rate: site_next() asks for it. */
static inline bool site_egress_is_throttled(const struct site_egress *egress)
{
    return egress_share_is_waiting(&egress->sender);
}
/* It had to wait for one since its site has mail: what it sends is as much as the rate allows. */
static inline bool site_egress_is_paced(const struct site_egress *egress)
{
    return egress->sender.share != NULL;
}
/* The first of its sources may send again about then; 0: none has to wait. */
int64_t site_share_at_ms(const struct site *site);
