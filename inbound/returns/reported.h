/*
 * reported.h - what a DMARC or TLS report says, as events `reported`: one, or a few where it has
 * many rows. Private to inbound/returns.
 *
 * Rows stand in an event's checks (event/event_checks.h): the report itself first, then each row
 * with what it found, how often, and of whom. What failed comes before what passed, and the larger
 * number first; what has no room in RETURNED_EVENTS_MAX events is told as a number.
 */
#pragma once

#include "inbound/report/report.h"
#include "inbound/returns/returns.h"

/* Adds to r->events; false: out of memory. */
must_use bool reported_add(struct returned *r, const struct report *report);
