/* flow.c - flows, their tenants and domains, interned. */
#include "queue/flow.h"

#include <stdlib.h>
#include <string.h>

struct flows {
    struct map domains[MAIL_TLS_COUNT];
    struct map tenants;   /* but the nameless one */
    struct map others;    /* flows that do not stand in their domain */
    struct tenant nobody; /* of mail without a tenant */
    size_t flow_count;
    struct list all_tenants; /* but the nameless one */
    size_t weigh_left;       /* of the front of these */
    void (*terms)(void *context, struct bytes tenant, struct tenant_terms *out);
    void *context;
};

struct named_domain {
    struct domain domain;
    uint8_t name[];
};

struct named_tenant {
    struct tenant tenant;
    uint8_t name[];
};

static struct domain *domain_of(struct map_node *node)
{
    return container_of(node, struct domain, node);
}

static struct tenant *tenant_of(struct map_node *node)
{
    return container_of(node, struct tenant, node);
}

static void free_domain(void *context, struct map_node *node)
{
    (void)context;
    free(container_of(domain_of(node), struct named_domain, domain));
}

static void free_tenant(void *context, struct map_node *node)
{
    (void)context;
    list_remove(&tenant_of(node)->in_tenants);
    series_put(&tenant_of(node)->counts);
    if (tenant_of(node)->received != NULL)
        series_put(&tenant_of(node)->received);
    free(container_of(tenant_of(node), struct named_tenant, tenant));
}

static void free_other(void *context, struct map_node *node)
{
    (void)context;
    free(container_of(node, struct other_flow, node));
}

struct flows *flows_create(void)
{
    struct flows *flows = calloc(1, sizeof(*flows));

    check(flows != NULL);
    for (size_t i = 0; i < MAIL_TLS_COUNT; i++)
        map_init(&flows->domains[i]);
    map_init(&flows->tenants);
    map_init(&flows->others);
    list_init(&flows->all_tenants);
    flows->nobody.weight = TENANT_WEIGHT_DEFAULT;
    flows->nobody.counts = series_begin(&family_tenants, BYTES_NONE);
    return flows;
}

void flows_free(struct flows **flows)
{
    struct flows *freed = *flows;

    *flows = NULL;
    if (freed == NULL)
        return;
    map_for_each(&freed->others, free_other, NULL);
    map_for_each(&freed->tenants, free_tenant, NULL);
    for (size_t i = 0; i < MAIL_TLS_COUNT; i++)
        map_for_each(&freed->domains[i], free_domain, NULL);
    map_free(&freed->others);
    map_free(&freed->tenants);
    for (size_t i = 0; i < MAIL_TLS_COUNT; i++)
        map_free(&freed->domains[i]);
    series_put(&freed->nobody.counts);
    if (freed->nobody.received != NULL)
        series_put(&freed->nobody.received);
    free(freed);
}

/* --- tenants --------------------------------------------------------------------------------- */

void flows_set_terms(struct flows *flows,
                     void (*terms)(void *context, struct bytes tenant, struct tenant_terms *out),
                     void *context)
{
    flows->terms = terms;
    flows->context = context;
}

void flows_ask_terms(const struct flows *flows, const struct tenant *tenant,
                     struct tenant_terms *out)
{
    *out = (struct tenant_terms){0};
    if (flows->terms != NULL && tenant->node.key.len > 0)
        flows->terms(flows->context, tenant->node.key, out);
    out->weight = MIN(out->weight != 0 ? out->weight : (unsigned)TENANT_WEIGHT_DEFAULT,
                      (unsigned)TENANT_WEIGHT_MAX);
}

static void weigh(struct flows *flows, struct tenant *tenant)
{
    struct tenant_terms terms;

    if (tenant->is_weighed)
        return;
    flows_ask_terms(flows, tenant, &terms);
    tenant->weight = (uint16_t)terms.weight;
}

void flows_weigh_all(struct flows *flows)
{
    flows->weigh_left = flows->tenants.count;
}

bool flows_weigh_some(struct flows *flows, size_t max)
{
    for (; max > 0 && flows->weigh_left > 0; max--, flows->weigh_left--) {
        struct list_node *node = list_pop_front(&flows->all_tenants);

        if (node == NULL)
            break;
        list_push_back(&flows->all_tenants, node);
        weigh(flows, container_of(node, struct tenant, in_tenants));
    }
    return flows->weigh_left > 0 && !list_is_empty(&flows->all_tenants);
}

static struct tenant *tenant_get(struct flows *flows, struct bytes name)
{
    if (name.len == 0)
        return &flows->nobody;
    struct map_node *node = map_find(&flows->tenants, name);

    if (node != NULL)
        return tenant_of(node);
    struct named_tenant *named = calloc(1, sizeof(*named) + name.len);
    check(named != NULL);
    memcpy(named->name, name.ptr, name.len);
    named->tenant.counts = series_begin(&family_tenants, name);
    map_insert(&flows->tenants, &named->tenant.node, (struct bytes){named->name, name.len});
    list_node_init(&named->tenant.in_tenants);
    list_push_back(&flows->all_tenants, &named->tenant.in_tenants);
    weigh(flows, &named->tenant);
    return &named->tenant;
}

static void tenant_forget(struct flows *flows, struct tenant *tenant)
{
    if (tenant->flow_count > 0 || tenant->is_weighed || tenant == &flows->nobody)
        return;
    map_remove(&flows->tenants, &tenant->node);
    free_tenant(NULL, &tenant->node);
}

static void tenant_leave(struct flows *flows, struct tenant *tenant)
{
    check(tenant->flow_count > 0);
    tenant->flow_count--;
    tenant_forget(flows, tenant);
}

void tenant_weigh(struct flows *flows, struct bytes name, unsigned weight)
{
    struct tenant *tenant = tenant_get(flows, name);

    check(weight >= 1);
    check(weight <= TENANT_WEIGHT_MAX);
    tenant->weight = (uint16_t)weight;
    tenant->is_weighed = weight != TENANT_WEIGHT_DEFAULT;
    tenant_forget(flows, tenant);
}

size_t tenants_count(const struct flows *flows)
{
    return flows->tenants.count + (flows->nobody.flow_count > 0);
}

/* --- flows ----------------------------------------------------------------------------------- */

static struct flow *begin(struct flows *flows, struct flow *flow, struct domain *domain,
                          struct tenant *tenant, const struct flow_part *part)
{
    if (part->is_received && tenant->received == NULL)
        tenant->received = series_begin(&family_received, tenant->node.key);
    flow->tenant = tenant;
    flow->class = (uint8_t)part->class;
    flow->is_received = part->is_received;
    tenant->flow_count++;
    domain->flow_count++;
    flows->flow_count++;
    return flow;
}

static struct flow *other_get(struct flows *flows, struct domain *domain, struct tenant *tenant,
                              const struct flow_part *part)
{
    struct flow_key key = {domain, tenant, part->class, part->is_received};
    struct map_node *node = map_find(&flows->others, bytes_range(&key, sizeof(key)));

    if (node != NULL)
        return &container_of(node, struct other_flow, node)->flow;
    if (domain->own.tenant == NULL)
        return begin(flows, &domain->own, domain, tenant, part);
    struct other_flow *other = calloc(1, sizeof(*other));
    check(other != NULL);
    other->key = key;
    map_insert(&flows->others, &other->node, bytes_range(&other->key, sizeof(other->key)));
    return begin(flows, &other->flow, domain, tenant, part);
}

struct flow *flow_get(struct flows *flows, const struct flow_part *part, struct bytes domain_name)
{
    struct tenant *tenant = tenant_get(flows, part->tenant);
    struct domain *domain = domain_get(flows, part->tls, domain_name);

    if (domain->own.tenant == tenant && domain->own.class == part->class &&
        domain->own.is_received == part->is_received)
        return &domain->own;
    if (domain->flow_count == 0)
        return begin(flows, &domain->own, domain, tenant, part);
    return other_get(flows, domain, tenant, part);
}

void flow_count(const struct flow *flow, size_t value, int64_t amount)
{
    series_add(flow->tenant->counts, value, amount);
    if (flow->is_received)
        series_add(flow->tenant->received, value, amount);
}

void flow_count_two(const struct flow *flow, size_t a, int64_t of_a, size_t b, int64_t of_b)
{
    series_add_two(flow->tenant->counts, a, of_a, b, of_b);
    if (flow->is_received)
        series_add_two(flow->tenant->received, a, of_a, b, of_b);
}

void flow_up(struct flow *flow)
{
    struct domain *domain = flow_domain(flow);

    check(flow->tenant != NULL);
    check(domain->pending_count < UINT32_MAX);
    flow->pending_count++;
    domain->pending_count++;
}

void flow_down(struct flows *flows, struct flow **flow, struct domain **idle_out)
{
    struct flow *left = *flow;
    struct domain *domain = flow_domain(left);

    *flow = NULL;
    check(left->pending_count > 0);
    check(domain->pending_count > 0);
    left->pending_count--;
    domain->pending_count--;
    flow_forget(flows, &left);
    *idle_out = domain->pending_count == 0 ? domain : NULL;
}

void flow_forget(struct flows *flows, struct flow **flow)
{
    struct flow *idle = *flow;

    *flow = NULL;
    if (idle->pending_count > 0 || idle->line != NULL)
        return;
    struct domain *domain = flow_domain(idle);

    check(domain->flow_count > 0);
    domain->flow_count--;
    flows->flow_count--;
    tenant_leave(flows, idle->tenant);
    if (idle->is_own) {
        idle->tenant = NULL;
        return;
    }
    struct other_flow *other = container_of(idle, struct other_flow, flow);
    map_remove(&flows->others, &other->node);
    free(other);
}

size_t flows_count(const struct flows *flows)
{
    return flows->flow_count;
}

/* --- domains --------------------------------------------------------------------------------- */

struct domain *domain_find(struct flows *flows, enum mail_tls tls, struct bytes name)
{
    check((unsigned)tls < MAIL_TLS_COUNT);
    struct map_node *node = map_find(&flows->domains[tls], name);

    return node == NULL ? NULL : domain_of(node);
}

struct domain *domain_get(struct flows *flows, enum mail_tls tls, struct bytes name)
{
    struct domain *found = domain_find(flows, tls, name);

    if (found != NULL)
        return found;
    struct named_domain *named = calloc(1, sizeof(*named) + name.len);
    check(named != NULL);
    named->domain.own.is_own = true;
    named->domain.tls = (unsigned)tls & 3;
    if (name.len > 0)
        memcpy(named->name, name.ptr, name.len);
    map_insert(&flows->domains[tls], &named->domain.node, (struct bytes){named->name, name.len});
    return &named->domain;
}

struct bytes domain_name(const struct domain *domain)
{
    return domain->node.key;
}

void domain_forget(struct flows *flows, struct domain **domain)
{
    struct domain *idle = *domain;

    *domain = NULL;
    if (idle->flow_count > 0 || idle->destination != NULL)
        return;
    map_remove(&flows->domains[idle->tls], &idle->node);
    free_domain(NULL, &idle->node);
}

struct visit {
    void (*visit)(void *context, struct domain *domain);
    void *context;
};

static void visit_domain(void *context, struct map_node *node)
{
    struct visit *visit = context;

    visit->visit(visit->context, domain_of(node));
}

void domains_for_each(struct flows *flows, void (*visit)(void *context, struct domain *domain),
                      void *context)
{
    struct visit each = {visit, context};

    for (size_t i = 0; i < MAIL_TLS_COUNT; i++)
        map_for_each(&flows->domains[i], visit_domain, &each);
}

size_t domains_count(const struct flows *flows)
{
    size_t count = 0;

    for (size_t i = 0; i < MAIL_TLS_COUNT; i++)
        count += flows->domains[i].count;
    return count;
}
