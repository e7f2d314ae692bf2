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
/* Frees a domain that nothing uses: no unfinished recipients, no destination. Otherwise it stays.
 * Without this every domain ever seen would stay in memory: to be called when the last recipient is
 * gone, after the hook, and by delivery when it frees a destination it kept longer. */
void domain_forget(struct domains *domains, struct domain **domain);
/* visit may forget the domain it is given, and no other. */
void domains_for_each(struct domains *domains, void (*visit)(void *context, struct domain *domain),
                      void *context);
size_t domains_count(const struct domains *domains);
