/*
 * sink_find.h - the place of a time in the event files.
 *
 * Private to relay/sink. Thread: any; reads all files from there on, which takes long.
 */
#pragma once

#include "event/event_bounds.h"

/* Of the first event since `since_ms` (wall), or of what is committed. -ECANCELED once *stop is
 * true; or -errno. */
must_use int sink_find_time(const char *directory, struct event_bounds *bounds, int64_t since_ms,
                            const _Atomic bool *stop, struct event_place *place_out);
