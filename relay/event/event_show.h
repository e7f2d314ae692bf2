/*
 * event_show.h - an event for people. Pure; any thread.
 */
#pragma once

#include "base/buf.h"

/* A line as one line for people: "<time> <kind> id=... to=... ..."; false when it is no event. */
must_use bool event_show(struct bytes line, struct buf *out);
