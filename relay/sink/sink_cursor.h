/*
 * sink_cursor.h - the small file that says how far a sink is: state_dir/events/sinks/<name>.
 *
 *   ringpost-sink 1
 *   at 17 48213 1204417 1795489800123    file, offset, events before it; time of the last one
 *   go 19 0 1209999                      ... but what is before this place was given up
 *   owed 1204417 310 17 1795489800123 webhooks.retry_for
 *                                        a gap record before that place: events before what is left
 *                                        out, how many, how many of them are the sink's; when, why
 *   for 17                               whose cursor it is, where a name may be used again
 *   failing 1795489712004 86399000       since when (wall), and for how long at its last failure
 *   paused
 *   check 5133240219
 *
 * Replaced whole, by rename: a power cut leaves the old one or the new one. Where it is older than
 * what the sink was told, that is told again, under the same ids.
 *
 * Private to relay/sink. Thread: the sink's.
 */
#pragma once

#include "event/event_gap.h"
#include "sink/sink.h"
#include "sink/sink_failing.h"

struct sink_cursor {
    struct event_place at;       /* everything before it was told and answered */
    struct event_place go;       /* number 0: nothing was given up */
    int64_t time_ms;             /* wall, of the last event before `at`; 0: not known */
    struct event_gap owed;       /* events 0: none; reason: one of sink_gap_reason() */
    uint64_t owner;              /* 0: nobody in particular */
    struct sink_failing failing; /* what is of a run is in no file */
    bool is_paused;
};

/* The name as it lives for ever; NULL: no reason of ours. */
const char *sink_gap_reason(struct bytes name);

/* A word of letters, digits and ._- that does not begin with a dot: it becomes a file's name. */
bool sink_name_is_valid(struct bytes name);
/* An operator who pauses it, or lets it go on, means that what it failed for is over. */
void sink_cursor_pause(struct sink_cursor *cursor, bool is_paused);
/* 0; -ENOENT: there is none; -EBADMSG: damaged; -ENOTSUP: of a later version; -errno. */
must_use int sink_cursor_read(int directory_fd, const char *name, struct sink_cursor *out);
must_use int sink_cursor_write(int directory_fd, const char *name,
                               const struct sink_cursor *cursor);

/* Several at once: where they are many, one sync of the file system is for all of them. */
struct sink_cursor_write {
    const char *name;
    const struct sink_cursor *cursor;
    int error; /* 0, or -errno: then the old one stays */
};
void sink_cursors_write(int directory_fd, struct sink_cursor_write *writes, size_t count);
