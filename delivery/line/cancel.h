/*
 * cancel.h - recipients that an operator ends, from the command until there is room to end them.
 *
 * Those of one reason stand together: each is ended with the reason it was cancelled for, however
 * many commands come before there is room among the clearings.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/state.h"

/* READY, unlinked, without bits: to be ended. `reason` is copied, up to 255 octets. */
void cancel_add(struct delivery *delivery, struct pending *pending, const char *reason);
/* Ends as many as there is room for. */
void cancel_drive(struct delivery *delivery);
/* For the stop: they stay unfinished on disk. */
void cancel_drop(struct delivery *delivery);
