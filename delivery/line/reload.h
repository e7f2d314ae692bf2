/*
 * reload.h - what a change of the settings concerns, and what it leaves as it is.
 *
 * Sites stay, with their hosts' health and what they learned, and take their limits anew. Of their
 * sources those stay, with their connections, that the settings still have (site_egress.h). A
 * destination keeps its route and its site unless the route for it, or the rules by which mail
 * hosts are looked up, are others now: then it is looked up again, and the site waits for that, as
 * it may be the same.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/delivery.h"

/* The settings of `delivery` are new; `before` are still there. */
void reload_apply(struct delivery *delivery, const struct delivery_settings *before);
