/*
 * sink_audience.h - who listens to a reader, by tenant: an event costs those of its tenant alone,
 * and those of no tenant in particular.
 *
 * Private to relay/sink. Thread: the host's.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"

struct listener {
    struct list_node node, member; /* of its group, of the audience */
    struct audience_group *group;  /* NULL: it does not listen */
};

struct audience_group {
    struct map_node node;
    struct list listeners;
};

struct audience {
    struct map groups;         /* by tenant; none is empty */
    struct audience_group all; /* who listens to events of any tenant */
    struct list members;
};

void audience_init(struct audience *audience);
void audience_free(struct audience *audience); /* nobody listens */
void listener_init(struct listener *listener);
/* tenant NULL: any. It must not listen anywhere. */
void audience_add(struct audience *audience, struct listener *listener, const char *tenant);
void audience_remove(struct audience *audience, struct listener *listener);
/* Calls hear() for who listens to this tenant's events; it may remove the one that it is given. */
void audience_tell(struct audience *audience, struct bytes tenant,
                   void (*hear)(void *context, struct listener *listener), void *context);
/* Who has listened for the longest; NULL: nobody does. */
struct listener *audience_first(const struct audience *audience);
