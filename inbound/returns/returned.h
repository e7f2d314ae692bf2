/*
 * returned.h - what one report comes to. Private to inbound/returns; blocks.
 */
#pragma once

#include "inbound/returns/returns.h"

/* Fills in the answer; the arena is ready. */
void returned_read(struct returned *returned, const struct returns_settings *settings);
