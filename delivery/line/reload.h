/*
 * reload.h - what a change of the settings concerns, and what it leaves as it is.
 *
 * Sites keep their connections, their hosts' health and what they learned, and take their limits
 * anew, unless the sources change: then each is made again. A destination keeps its route and its
 * site unless the route for it, or the rules by which mail hosts are looked up, are others now.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/delivery.h"

/* The settings of `delivery` are new; `before` are still there. */
void reload_apply(struct delivery *delivery, const struct delivery_settings *before);
