/* sink_find.c - looks for a time, and counts from there on. */
#include "sink/sink_find.h"

#include <errno.h>
#include <stdatomic.h>

#include "event/event_line.h"
#include "event/event_reader.h"

/* From where the reader is on; the events of the place are not set. */
static int find_from(struct event_reader *reader, int64_t since_ms, struct event_place committed,
                     const _Atomic bool *stop, struct event_place *place_out)
{
    struct event_line parts;
    struct bytes line;
    int got;

    for (;;) {
        struct event_place at = event_reader_place(reader);

        got = event_reader_next(reader, committed, &line);
        if (got <= 0) {
            *place_out = event_reader_place(reader);
            return got;
        }
        if (atomic_load(stop))
            return -ECANCELED;
        if (!event_line_parse(line, &parts) || parts.time_ms < since_ms)
            continue;
        *place_out = at;
        return 0;
    }
}

static int find(struct event_reader *reader, int64_t since_ms, struct event_place committed,
                const _Atomic bool *stop, struct event_place *place_out)
{
    struct event_place place = {0};
    uint64_t count = 0;

    int error = event_reader_since(reader, since_ms, committed, &place.number);
    if (error == 0) {
        event_reader_seek(reader, place);
        error = find_from(reader, since_ms, committed, stop, &place);
    }
    if (error == 0) {
        event_reader_seek(reader, place);
        error = event_reader_count(reader, committed, stop, &count);
    }
    place.events = committed.events - count;
    *place_out = place;
    return error;
}

int sink_find_time(const char *directory, struct event_bounds *bounds, int64_t since_ms,
                   const _Atomic bool *stop, struct event_place *place_out)
{
    struct event_place committed = event_bounds_committed(bounds);
    struct event_reader *reader;

    int error = event_reader_open(directory, (struct event_place){.number = 1}, &reader);
    if (error < 0)
        return error;
    error = find(reader, since_ms, committed, stop, place_out);
    event_reader_close(&reader);
    return error;
}
