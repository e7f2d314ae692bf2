/*
 * domain.h - the recipient domains that unfinished mail goes to, interned once an engine.
 *
 * Thread: the engine's.
 */
#pragma once

#include "queue/stub.h"

struct domains;

struct domains *domains_create(void);
void domains_free(struct domains **domains);
struct domain *domain_get(struct domains *domains, struct bytes name); /* made if new; never NULL */
struct domain *domain_find(struct domains *domains, struct bytes name); /* NULL when absent */
struct bytes domain_name(const struct domain *domain);
void domains_for_each(struct domains *domains, void (*visit)(void *context, struct domain *domain),
                      void *context);
size_t domains_count(const struct domains *domains);
