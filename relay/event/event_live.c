/* event_live.c - reads on behind what is committed, over files that go. */
#include "event/event_live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/event_committed.h"
#include "event/event_reader.h"

struct event_live {
    char *directory;
    struct event_filter filter;
    struct event_reader *reader;
    struct event_place until;
    struct event_gap gap;
    bool is_open; /* the files were there */
};

/* Events before the beginning of a file: those before `until`, less those in between. */
static int count_before(struct event_live *live, struct event_place *place)
{
    static const _Atomic bool never;
    uint64_t count;

    event_reader_seek(live->reader, *place);
    int error = event_reader_count(live->reader, live->until, &never, &count);
    if (error < 0)
        return error;
    place->events = live->until.events - MIN(count, live->until.events);
    event_reader_seek(live->reader, *place);
    return 0;
}

/* Once there is something. 0: not yet. */
static int begin(struct event_live *live)
{
    struct event_place from = {0};

    int error = event_reader_since(live->reader, live->filter.since_ms, live->until, &from.number);
    if (error == 0 && from.number > 1)
        error = count_before(live, &from);
    else if (error == 0)
        event_reader_seek(live->reader, from);
    live->is_open = error == 0;
    /* A file went while it was counted: the next look begins behind it. */
    return error == -ENOENT ? 0 : error;
}

/* Reads how far may be read. 1: further than before. */
static int look(struct event_live *live)
{
    struct event_committed committed;

    int error = event_committed_read(live->directory, &committed);
    if (error == -ENOENT)
        return 0;
    if (error < 0)
        return error;
    bool is_further = event_place_compare(live->until, committed.place) < 0;
    live->until = committed.place;
    if (live->is_open)
        return is_further;
    error = begin(live);
    return error < 0 ? error : live->is_open;
}

/* The file at the reader's place was removed. 1: it goes on at the oldest there is. */
static int step_over(struct event_live *live)
{
    struct event_place missed = event_reader_place(live->reader), next = {0};

    int error = event_reader_oldest(live->reader, missed.number + 1, live->until, &next.number);
    if (error == 0)
        error = count_before(live, &next);
    if (error == -ENOENT) {
        event_reader_seek(live->reader, missed); /* that went as well, meanwhile */
        return 0;
    }
    if (error < 0)
        return error;
    live->gap = (struct event_gap){
        .from_events = missed.events,
        .events = next.events - MIN(missed.events, next.events),
        .wanted = next.events - MIN(missed.events, next.events),
        .time_ms = clock_wall_ms(),
        .reason = "events.retention",
    };
    return 1;
}

int event_live_open(const char *directory, const struct event_filter *filter,
                    struct event_live **live_out)
{
    struct event_live *live = calloc(1, sizeof(*live));

    check(live != NULL);
    live->filter = *filter;
    live->directory = strdup(directory);
    check(live->directory != NULL);
    int error = event_reader_open(directory, (struct event_place){0}, &live->reader);
    if (error == 0) {
        *live_out = live;
        return 0;
    }
    free(live->directory);
    free(live);
    return error;
}

void event_live_close(struct event_live **live)
{
    event_reader_close(&(*live)->reader);
    free((*live)->directory);
    free(*live);
    *live = NULL;
}

int event_live_next(struct event_live *live, struct bytes *line_out)
{
    for (;;) {
        int got = live->is_open ? event_reader_next(live->reader, live->until, line_out) : 0;

        if (got > 0 && event_filter_matches(&live->filter, *line_out))
            return EVENT_LIVE_EVENT;
        if (got == -ENOENT) {
            got = step_over(live);
            if (got > 0)
                return EVENT_LIVE_GAP;
        }
        if (got == 0)
            got = look(live);
        if (got <= 0)
            return got < 0 ? got : EVENT_LIVE_NOTHING;
    }
}

struct event_gap event_live_gap(const struct event_live *live)
{
    return live->gap;
}
