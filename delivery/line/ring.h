/*
 * ring.h - an intrusive list without a head: one pointer, to whoever is first, NULL where it is
 * empty. What stands in one knows it by other means: a ring of one node looks unlinked.
 */
#pragma once

#include "base/list.h"

static inline void ring_push_back(struct list_node **ring, struct list_node *node)
{
    if (*ring == NULL)
        *ring = node;
    else
        list_insert_before(*ring, node);
}

static inline void ring_push_front(struct list_node **ring, struct list_node *node)
{
    ring_push_back(ring, node);
    *ring = node;
}

static inline void ring_remove(struct list_node **ring, struct list_node *node)
{
    if (*ring == node)
        *ring = list_is_linked(node) ? node->next : NULL;
    list_remove(node);
}
