/*
 * toy_carriers.h - connections of a world that need no peer: one is ready when it is first stepped,
 * and delivers each message it pulls at once, when the test says so.
 *
 * For tests of delivery/line. Programs with one source file include toy_carriers.c behind world.c.
 */
#pragma once

#include "delivery/line/carrier.h"
#include "unit/delivery/world.h"

struct toy_carrier {
    struct carrier carrier;
    struct list_node node; /* in toy_carriers */
    struct world *world;
    unsigned messages;
    bool is_leaving;   /* it was told to; the end of the turn ends it */
    int64_t lookup_ms; /* as the message said that it pulled last */
};

extern struct list toy_carriers; /* of all worlds, in the order in which they were opened */

size_t toy_carriers_count(void);
struct toy_carrier *toy_carrier_of(struct list_node *node);
/* An engine whose turns end what is to leave. */
struct engine *toy_engine_create(void);
/* Until then no mail waited that nothing would have woken. */
void toy_engine_destroy(struct engine **engine);
/* The started world's sites open these from now on. */
void toy_carriers_use(struct world *world);
/* Lets it do what it would do next: the first letter of the tenant whose message it carried; 0: it
 * carried none, and may be gone. */
char toy_carrier_step(struct toy_carrier *toy);
void toy_carrier_end(struct toy_carrier *toy);
/* The first that has something does: whose message it was, as above; 0: nothing goes any more. */
char toy_slot(struct engine *engine);
