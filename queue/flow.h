/*
 * flow.h - flows: (tenant, priority class, recipient domain) of unfinished mail, interned once an
 * engine. What is of one flow stands in one line and is served fairly against other flows.
 *
 * Mail that was received is in flows of its own: it counts apart, and waits for no rates.
 *
 * What the sender asks of TLS tells domains apart, since such mail finds other ways there: there
 * may be three of a name (enum mail_tls).
 *
 * Each unfinished recipient points to its flow, a flow knows its tenant and its domain; the same
 * names give the same pointers. A domain's first flow stands in the domain's own allocation, so
 * that flows of a domain each cost hardly more than the domains do; the others have a map. Without
 * a tenant the name is empty.
 *
 * A flow lives while recipients count in it or its `line` is set, a tenant while it has flows or a
 * weight of its own, a domain while it has flows or its `destination` is set.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/families.h"
#include "queue/allowance.h"
#include "queue/stub.h"

struct gate;

struct tenant {
    struct map_node node;    /* key: its name */
    struct series *counts;   /* of family_tenants */
    struct series *received; /* of family_received; NULL: nothing was */
    size_t flow_count;
    struct list_node in_tenants; /* of the flows: the next to be weighed again */
    struct gate *gate;           /* delivery's, while something of it waits for its rates */
    uint16_t weight;             /* its share against other tenants' */
    bool is_weighed;             /* by tenant_weigh(), whatever its terms say */
};

/* What somebody above says of a tenant. */
struct tenant_terms {
    unsigned weight;             /* 0: the default */
    struct allowance *allowance; /* NULL: it has no limits */
    struct allowance_limits limits;
};

enum { TENANT_WEIGHT_DEFAULT = 1, TENANT_WEIGHT_MAX = 1000 };

struct flow {
    struct tenant *tenant;  /* in a domain's own flow NULL while that is not in use */
    void *line;             /* delivery's; whoever clears it calls flow_forget() */
    uint32_t pending_count; /* unfinished recipients */
    uint8_t class;          /* enum mail_class */
    bool is_received;       /* service_is_received() */
    bool is_own;            /* stands in its domain: flow_domain() */
};

struct domain {
    struct map_node node;   /* key: normalised name */
    void *destination;      /* delivery's; freed through the hook when pending_count falls to 0 */
    uint32_t pending_count; /* of all its flows */
    uint32_t flow_count : 30;
    uint32_t tls : 2; /* enum mail_tls */
    struct flow own;
};

/* A flow that its domain has besides its own. */
struct other_flow {
    struct flow flow;
    struct map_node node;
    struct flow_key {
        struct domain *domain;
        struct tenant *tenant;
        uint32_t class, is_received; /* as wide as the rest: no padding in what is hashed */
    } key;
};

struct flows;

struct flows *flows_create(void);
void flows_free(struct flows **flows);

/* Whom to ask for the terms of a tenant that has a name: when it is interned, and when delivery
 * holds it to its rates. Nobody is asked without it. */
void flows_set_terms(struct flows *flows,
                     void (*terms)(void *context, struct bytes tenant, struct tenant_terms *out),
                     void *context);
void flows_ask_terms(const struct flows *flows, const struct tenant *tenant,
                     struct tenant_terms *out);
/* Terms changed: every tenant's weight is asked again, at most `max` of them a call; false: all
 * were. */
void flows_weigh_all(struct flows *flows);
bool flows_weigh_some(struct flows *flows, size_t max);

/* What the flows of a message's recipients have in common. */
struct flow_part {
    struct bytes tenant;
    enum mail_class class;
    enum mail_tls tls; /* mail_tls_of_flow() */
    bool is_received;
};

/* Made if new, never NULL. It has no recipients then: count one (flow_up()) or forget it. */
struct flow *flow_get(struct flows *flows, const struct flow_part *part, struct bytes domain);
/* Of a message's recipients. */
static inline struct flow_part flow_part_of(const struct message *message)
{
    return (struct flow_part){message->tenant, message->class,
                              mail_tls_of_flow(message->tls, message->reverse_path),
                              service_is_received(message->service)};
}
/* Counts to its tenant what became of recipients (enum recipient_value), both in one. */
void flow_count(const struct flow *flow, size_t value, int64_t amount);
void flow_count_two(const struct flow *flow, size_t a, int64_t of_a, size_t b, int64_t of_b);
/* A recipient more. */
void flow_up(struct flow *flow);
/* A recipient less. *idle_out: the domain where that was its last one, else NULL; the domain stays
 * until domain_forget(). The flow may be gone afterwards. */
void flow_down(struct flows *flows, struct flow **flow, struct domain **idle_out);
/* Frees a flow that nothing uses: no recipients, no line. Otherwise it stays. Its domain stays. */
void flow_forget(struct flows *flows, struct flow **flow);
size_t flows_count(const struct flows *flows);

static inline struct domain *flow_domain(const struct flow *flow)
{
    if (flow->is_own)
        return container_of(flow, struct domain, own);
    return container_of(flow, struct other_flow, flow)->key.domain;
}

static inline struct domain *pending_domain(const struct pending *pending)
{
    return flow_domain(pending->flow);
}

static inline struct bytes flow_tenant(const struct flow *flow)
{
    return flow->tenant->node.key;
}

/* Made if new; never NULL. */
struct domain *domain_get(struct flows *flows, enum mail_tls tls, struct bytes name);
/* NULL when absent. */
struct domain *domain_find(struct flows *flows, enum mail_tls tls, struct bytes name);
struct bytes domain_name(const struct domain *domain);
/* Frees a domain that nothing uses: no flow, no destination. Otherwise it stays. Without this every
 * domain ever seen would stay in memory: to be called when the last recipient is gone, after the
 * hook, and by delivery when it frees a destination it kept longer. */
void domain_forget(struct flows *flows, struct domain **domain);
/* visit may forget the domain it is given, and no other. */
void domains_for_each(struct flows *flows, void (*visit)(void *context, struct domain *domain),
                      void *context);
size_t domains_count(const struct flows *flows);
size_t tenants_count(const struct flows *flows); /* with flows, or a weight of their own */

/* What it gets where others have mail for the same site, from now on and whether or not it has any:
 * that many recipients to their one. 1 to TENANT_WEIGHT_MAX. */
void tenant_weigh(struct flows *flows, struct bytes name, unsigned weight);
