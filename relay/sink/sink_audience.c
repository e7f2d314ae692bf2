/* sink_audience.c - lists of listeners, one a tenant. */
#include "sink/sink_audience.h"

#include <stdlib.h>
#include <string.h>

void audience_init(struct audience *audience)
{
    map_init(&audience->groups);
    list_init(&audience->all.listeners);
    list_init(&audience->members);
}

void audience_free(struct audience *audience)
{
    check(list_is_empty(&audience->members));
    map_free(&audience->groups);
}

void listener_init(struct listener *listener)
{
    *listener = (struct listener){.group = NULL};
    list_node_init(&listener->node);
    list_node_init(&listener->member);
}

static struct audience_group *group_of_node(struct map_node *node)
{
    return (struct audience_group *)(void *)((char *)node - offsetof(struct audience_group, node));
}

static struct audience_group *find(struct audience *audience, struct bytes tenant)
{
    struct map_node *node = map_find(&audience->groups, tenant);

    return node == NULL ? NULL : group_of_node(node);
}

/* Its name stands behind it. */
static struct audience_group *make(struct audience *audience, struct bytes tenant)
{
    struct audience_group *group = calloc(1, sizeof(*group) + tenant.len);

    check(group != NULL);
    list_init(&group->listeners);
    uint8_t *name = (uint8_t *)(group + 1);
    if (tenant.len > 0)
        memcpy(name, tenant.ptr, tenant.len);
    map_insert(&audience->groups, &group->node, (struct bytes){name, tenant.len});
    return group;
}

void audience_add(struct audience *audience, struct listener *listener, const char *tenant)
{
    struct audience_group *group = &audience->all;

    check(listener->group == NULL);
    if (tenant != NULL)
        group = find(audience, bytes_of(tenant));
    if (group == NULL)
        group = make(audience, bytes_of(tenant));
    listener->group = group;
    list_push_back(&group->listeners, &listener->node);
    list_push_back(&audience->members, &listener->member);
}

void audience_remove(struct audience *audience, struct listener *listener)
{
    struct audience_group *group = listener->group;

    check(group != NULL);
    list_remove(&listener->node);
    list_remove(&listener->member);
    listener->group = NULL;
    if (group == &audience->all || !list_is_empty(&group->listeners))
        return;
    map_remove(&audience->groups, &group->node);
    free(group);
}

static struct listener *listener_of(struct list_node *node)
{
    return (struct listener *)(void *)((char *)node - offsetof(struct listener, node));
}

/* The last one that goes takes its list along: what comes behind it is looked at before. */
static void tell_group(struct audience_group *group,
                       void (*hear)(void *context, struct listener *listener), void *context)
{
    struct list_node *end = &group->listeners.head, *node = end->next;

    while (node != end) {
        struct list_node *next = node->next;

        hear(context, listener_of(node));
        node = next;
    }
}

void audience_tell(struct audience *audience, struct bytes tenant,
                   void (*hear)(void *context, struct listener *listener), void *context)
{
    struct audience_group *group = tenant.ptr == NULL ? NULL : find(audience, tenant);

    tell_group(&audience->all, hear, context);
    if (group != NULL)
        tell_group(group, hear, context);
}

struct listener *audience_first(const struct audience *audience)
{
    struct list_node *first = list_first(&audience->members);

    return first == NULL
               ? NULL
               : (struct listener *)(void *)((char *)first - offsetof(struct listener, member));
}
