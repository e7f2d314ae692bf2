/*
 * store_look.h - keeps destinations to what the directory says of their domains.
 *
 * A destination is looked at when it is routed, and again when the directory has changed: a slice a
 * turn, since there may be very many. One whose domain has come to be hosted, or is so no more, is
 * routed anew, and what waits there goes along.
 *
 * Thread: the engine's.
 */
#pragma once

struct delivery;

/* Once a second: has the directory changed? */
void store_look_tick(struct delivery *delivery);
/* A slice, after it did. */
void store_look(struct delivery *delivery);
