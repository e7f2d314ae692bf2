/*
 * event_checks.h - the record of what was checked of a received message, and what it weighed.
 *
 * A line a check: name, result, weight and detail, with tabs between them. The weight is what came
 * of it: "" for nothing, "tag", "defer", "refuse", or a number of points. As it stands in a
 * message's tail, in events and in the log; in JSON it is an array of objects.
 *
 * Pure functions over bytes; any thread.
 */
#pragma once

#include "base/buf.h"

enum {
    EVENT_CHECKS_COUNT_MAX = 48, /* lines; what follows counts to the last one's detail */
    EVENT_CHECKS_FRAME_LEN = 64, /* of JSON around the texts of one */
};

struct event_check {
    struct bytes name, result, weight, detail;
};

/* Adds a line; what would break it is a space there. False (nothing appended): `out` is full. */
must_use bool event_checks_add(struct buf *out, const struct event_check *check);
/* Takes a line off the front; false at the end. Texts that are not there are empty. `number` is
 * that of the line, from 0. */
must_use bool event_checks_next(struct bytes *checks, unsigned number, struct event_check *out);
