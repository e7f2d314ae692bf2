/*
 * event_committed.h - how far the event files may be read, for who is not the program that writes
 * them.
 *
 * Any thread; blocks.
 */
#pragma once

#include "event/event_bounds.h"
#include "event/event_file.h"

struct event_committed {
    struct event_place place;      /* nothing before it is ever cut */
    struct event_cursors journals; /* every event of a shard before its position is before it */
};

/* 0; -ENOENT: there are no event files; -EBADMSG: what tells is damaged; -ENOTSUP: a later version
 * wrote it; -errno. */
must_use int event_committed_read(const char *directory, struct event_committed *out);
