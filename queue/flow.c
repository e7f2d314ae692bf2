/* flow.c - flows, their tenants and domains, interned. */
#include "queue/flow.h"

#include <stdlib.h>
#include <string.h>

struct flows {
    struct map domains;
    struct map tenants;   /* but the nameless one */
    struct map others;    /* flows that do not stand in their domain */
    struct tenant nobody; /* of mail without a tenant */
    size_t flow_count;
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
    series_put(&tenant_of(node)->counts);
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
    map_init(&flows->domains);
    map_init(&flows->tenants);
    map_init(&flows->others);
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
    map_for_each(&freed->domains, free_domain, NULL);
    map_free(&freed->others);
    map_free(&freed->tenants);
    map_free(&freed->domains);
    series_put(&freed->nobody.counts);
    free(freed);
}

/* --- tenants --------------------------------------------------------------------------------- */

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
    named->tenant.weight = TENANT_WEIGHT_DEFAULT;
    named->tenant.counts = series_begin(&family_tenants, name);
    map_insert(&flows->tenants, &named->tenant.node, (struct bytes){named->name, name.len});
    return &named->tenant;
}

static void tenant_forget(struct flows *flows, struct tenant *tenant)
{
    if (tenant->flow_count > 0 || tenant->weight != TENANT_WEIGHT_DEFAULT ||
        tenant == &flows->nobody)
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
    tenant_forget(flows, tenant);
}

size_t tenants_count(const struct flows *flows)
{
    return flows->tenants.count + (flows->nobody.flow_count > 0);
}

/* --- flows ----------------------------------------------------------------------------------- */

static struct flow *begin(struct flows *flows, struct flow *flow, struct domain *domain,
                          struct tenant *tenant, enum mail_class class)
{
    flow->tenant = tenant;
    flow->class = (uint8_t) class;
    tenant->flow_count++;
    domain->flow_count++;
    flows->flow_count++;
    return flow;
}

static struct flow *other_get(struct flows *flows, struct domain *domain, struct tenant *tenant,
                              enum mail_class class)
{
    struct flow_key key = {domain, tenant, class};
    struct map_node *node = map_find(&flows->others, bytes_range(&key, sizeof(key)));

    if (node != NULL)
        return &container_of(node, struct other_flow, node)->flow;
    if (domain->own.tenant == NULL)
        return begin(flows, &domain->own, domain, tenant, class);
    struct other_flow *other = calloc(1, sizeof(*other));
    check(other != NULL);
    other->key = key;
    map_insert(&flows->others, &other->node, bytes_range(&other->key, sizeof(other->key)));
    return begin(flows, &other->flow, domain, tenant, class);
}

struct flow *flow_get(struct flows *flows, struct bytes tenant_name, enum mail_class class,
                      struct bytes domain_name)
{
    struct tenant *tenant = tenant_get(flows, tenant_name);
    struct domain *domain = domain_get(flows, domain_name);

    if (domain->own.tenant == tenant && domain->own.class == class)
        return &domain->own;
    if (domain->flow_count == 0)
        return begin(flows, &domain->own, domain, tenant, class);
    return other_get(flows, domain, tenant, class);
}

void flow_up(struct flow *flow)
{
    struct domain *domain = flow_domain(flow);

    check(flow->tenant != NULL);
    check(domain->pending_count < UINT32_MAX);
    flow->pending_count++;
    domain->pending_count++;
    series_add(flow->tenant->counts, RECIPIENTS_WAITING, 1);
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
    series_add(left->tenant->counts, RECIPIENTS_WAITING, -1);
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

struct domain *domain_find(struct flows *flows, struct bytes name)
{
    struct map_node *node = map_find(&flows->domains, name);

    return node == NULL ? NULL : domain_of(node);
}

struct domain *domain_get(struct flows *flows, struct bytes name)
{
    struct domain *found = domain_find(flows, name);

    if (found != NULL)
        return found;
    struct named_domain *named = calloc(1, sizeof(*named) + name.len);
    check(named != NULL);
    named->domain.own.is_own = true;
    if (name.len > 0)
        memcpy(named->name, name.ptr, name.len);
    map_insert(&flows->domains, &named->domain.node, (struct bytes){named->name, name.len});
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
    map_remove(&flows->domains, &idle->node);
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

    map_for_each(&flows->domains, visit_domain, &each);
}

size_t domains_count(const struct flows *flows)
{
    return flows->domains.count;
}
