/* domain.c - recipient domains, interned. */
#include "queue/domain.h"

#include <stdlib.h>
#include <string.h>

struct domains {
    struct map map;
};

struct named_domain {
    struct domain domain;
    uint8_t name[];
};

static struct domain *domain_of(struct map_node *node)
{
    return container_of(node, struct domain, node);
}

static void free_visited(void *context, struct map_node *node)
{
    (void)context;
    free(container_of(domain_of(node), struct named_domain, domain));
}

struct domains *domains_create(void)
{
    struct domains *domains = calloc(1, sizeof(*domains));

    check(domains != NULL);
    map_init(&domains->map);
    return domains;
}

void domains_free(struct domains **domains)
{
    if (*domains == NULL)
        return;
    map_for_each(&(*domains)->map, free_visited, NULL);
    map_free(&(*domains)->map);
    free(*domains);
    *domains = NULL;
}

struct domain *domain_find(struct domains *domains, struct bytes name)
{
    struct map_node *node = map_find(&domains->map, name);

    return node == NULL ? NULL : domain_of(node);
}

struct domain *domain_get(struct domains *domains, struct bytes name)
{
    struct domain *found = domain_find(domains, name);

    if (found != NULL)
        return found;
    struct named_domain *named = calloc(1, sizeof(*named) + name.len);
    check(named != NULL);
    if (name.len > 0)
        memcpy(named->name, name.ptr, name.len);
    map_insert(&domains->map, &named->domain.node, (struct bytes){named->name, name.len});
    return &named->domain;
}

struct bytes domain_name(const struct domain *domain)
{
    return domain->node.key;
}

void domain_forget(struct domains *domains, struct domain **domain)
{
    struct domain *idle = *domain;

    *domain = NULL;
    if (idle->pending_count > 0 || idle->destination != NULL)
        return;
    map_remove(&domains->map, &idle->node);
    free(container_of(idle, struct named_domain, domain));
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

void domains_for_each(struct domains *domains, void (*visit)(void *context, struct domain *domain),
                      void *context)
{
    struct visit each = {visit, context};

    map_for_each(&domains->map, visit_domain, &each);
}

size_t domains_count(const struct domains *domains)
{
    return domains->map.count;
}
