/*
 * demand.h - what TLS each host of a destination has to have: what the receiver publishes, and what
 * our own rule says.
 *
 *   a rule for this domain --> that alone
 *   else, for each host: DANE --says nothing--> MTA-STS --says nothing--> the rule for all
 *
 * Of the receiver's demand and the rule for all the one that demands more counts. DANE goes before
 * MTA-STS, whatever that says (RFC 8461 section 2).
 *
 * Of a message that says "TLS-Required: No" nothing the receiver publishes is asked for. With
 * REQUIRETLS each host has to be verified, by its TLSA records or an authority, and known to be the
 * domain's by DNSSEC or MTA-STS; else it is refused (RFC 8689 section 4.2).
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/tls_policy.h"
#include "dns/mx.h"
#include "queue/message.h"

struct demand;
struct sts_store;

struct demand_request {
    struct bytes domain; /* that the hosts were looked up for; of a route by MX its target */
    enum mail_tls tls;   /* what the message asks */
    bool is_named;       /* the hosts are an operator's route: no domain's policy is for them */
    bool uses_dane;
    struct sts_store *sts;               /* NULL: MTA-STS is not asked for */
    struct tls_policy *rule;             /* NULL: the default. Kept */
    bool is_rule_own;                    /* it is for this domain, and alone decides */
    const struct network *allow_private; /* where a policy host may be; as long as the demand */
    size_t allow_private_count;
};

/* Called later, once: one policy a host, in the order of the set; valid during the call. The demand
 * is gone afterwards. */
typedef void demand_done(void *context, struct tls_policy *const *policies, int64_t expires_ms);

/* `set` and the slices of the request must outlive it. */
struct demand *demand_start(struct resolver *resolver, const struct mx_set *set,
                            const struct demand_request *request, demand_done *done, void *context);
/* done() will not be called. NULL: nothing. */
void demand_cancel(struct demand **demand);
