/*
 * sink_readers.c - the head, which all listen to that have been told everything, and turns of those
 * that are behind.
 *
 * The head and a turn meet: whichever is behind reads no farther than where the other stands. A
 * turn begins where the one stands that has waited for the longest, takes along those whose places
 * it passes, and ends when it met the head, when nobody wants to hear more, or, as long as others
 * wait, after TURN_LINES.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/sink_private.h"

enum {
    SLICE_LINES = 512,
    TURN_LINES = 64 * SLICE_LINES,
};

void sink_readers_init(struct sink_readers *readers, struct event_place head)
{
    *readers = (struct sink_readers){.head.place = head};
    audience_init(&readers->head.audience);
    audience_init(&readers->turn.audience);
    list_init(&readers->waiting);
}

void sink_readers_free(struct sink_readers *readers)
{
    if (readers->head.events != NULL)
        event_reader_close(&readers->head.events);
    for (size_t i = 0; i < CATCH_UP_READERS; i++)
        if (readers->catch_up[i] != NULL)
            event_reader_close(&readers->catch_up[i]);
    audience_free(&readers->head.audience);
    audience_free(&readers->turn.audience);
    free(readers->joining);
}

static struct sink *first_listener(const struct sink_reader *reader)
{
    struct listener *first = audience_first(&reader->audience);

    return first == NULL ? NULL : SINK_OF(first, listener);
}

/* 0 or -errno. */
static int open_at(const struct sink_host *host, struct event_reader **events,
                   struct event_place place)
{
    if (*events == NULL)
        return event_reader_open(host->directory, place, events);
    if (event_place_compare(event_reader_place(*events), place) != 0 ||
        event_reader_place(*events).events != place.events)
        event_reader_seek(*events, place);
    return 0;
}

/* --- what does not read ----------------------------------------------------------------------- */

/* The place of the first line behind what is gone or damaged: all events less those from there on.
 * Many sinks meet the same one. 0 or -errno. */
static int find_behind(struct sink_host *host, struct event_reader *events, int why,
                       struct event_place *to_out)
{
    struct sink_readers *readers = &host->readers;
    struct event_place from = event_reader_place(events), to = {.number = from.number + 1};
    uint64_t count;
    int error = 0;

    if (readers->known.to.number != 0 && event_place_compare(readers->known.from, from) == 0) {
        *to_out = readers->known.to;
        return 0;
    }
    if (why == -ENOENT)
        error = event_reader_oldest(events, from.number, readers->committed, &to.number);
    else if (why != -EBADMSG)
        error = why;
    event_reader_seek(events, to);
    if (error == 0)
        error = event_reader_count(events, readers->committed, &host->is_hurried, &count);
    event_reader_seek(events, from);
    if (error < 0)
        return error;
    to.events = readers->committed.events - count;
    readers->known.from = from;
    readers->known.to = to;
    *to_out = to;
    return 0;
}

/* A file is gone (removed by hand, or given up and now removed) or does not read. */
static void step_over(struct sink *sink, int why, int error, struct event_place to)
{
    struct event_place from = sink_next_place(sink);

    sink_reading_set(sink, SINK_RESTS);
    sink_touch(sink);
    if (why == -ENOENT && event_place_compare(sink->cursor.go, from) > 0 && !sink->skip.is_on) {
        sink_leave_gap(sink, sink->cursor.go, EVENT_GAP_UNKNOWN, "events.sink_budget");
    } else if (error < 0) {
        if (error != -ECANCELED)
            sink_restart(sink, SINK_FILES, strerror(-error), false);
    } else if (sink->skip.is_on) {
        sink->skip.wanted = EVENT_GAP_UNKNOWN;
        sink->next = to;
    } else {
        sink_leave_gap(sink, to, EVENT_GAP_UNKNOWN, why == -ENOENT ? "file-gone" : "file-damaged");
    }
}

static void step_all_over(struct sink_host *host, struct sink_reader *reader, int why)
{
    struct event_place to = reader->place;
    struct sink *sink;

    int error = find_behind(host, reader->events, why, &to);
    while ((sink = first_listener(reader)) != NULL)
        step_over(sink, why, error, to);
}

/* --- a line ----------------------------------------------------------------------------------- */

struct hearing {
    struct sink_event event;
    struct event_place at;
};

static void hear(void *context, struct listener *listener)
{
    const struct hearing *hearing = context;
    struct sink *sink = SINK_OF(listener, listener);

    if (sink_offer(sink, &hearing->event, hearing->at))
        return;
    sink_reading_set(sink, SINK_RESTS);
    if (sink->skip.is_on) /* this is the first one that it is told again */
        sink_end_skip(sink, hearing->at);
    sink_touch(sink);
}

/* Those that wait at `from`, or up to `to` with no event in between, take part. */
static void let_join(struct sink_readers *readers, struct event_place from, struct event_place to)
{
    for (; readers->joining_next < readers->joining_count; readers->joining_next++) {
        struct sink *sink = readers->joining[readers->joining_next];

        if (sink == NULL)
            continue;
        if (event_place_compare(sink->next, to) > 0)
            return;
        if (event_place_compare(sink->next, from) >= 0)
            sink_reading_set(sink, SINK_CATCHES_UP);
    }
}

/* 1: a line was told; 0: there is none for now before `until`; -1: it could not be read, and nobody
 * listens any more. */
static int read_line(struct sink_host *host, struct sink_reader *reader, struct event_place until)
{
    struct event_place before = reader->place;
    struct event_line parts = {0};
    struct bytes line;

    if (event_place_compare(before, until) >= 0)
        return 0;
    int got = event_reader_next(reader->events, until, &line);
    struct event_place behind = event_reader_place(reader->events), at = behind;
    if (got < 0) {
        reader->place = behind;
        step_all_over(host, reader, got);
        return -1;
    }
    if (got == 0) {
        reader->place = behind;
        return 0;
    }
    at.offset -= line.len + 1;
    at.events--;
    reader->place = at;
    if (reader == &host->readers.turn)
        let_join(&host->readers, before, at);
    if (event_line_parse(line, &parts))
        reader->time_ms = parts.time_ms;
    struct hearing hearing = {.event = {.line = line, .parts = &parts}, .at = at};
    audience_tell(&reader->audience, parts.tenant, hear, &hearing);
    if (first_listener(reader) == NULL) /* whoever it was goes on with it some time */
        event_reader_seek(reader->events, at);
    else
        reader->place = behind;
    return 1;
}

/* --- the head --------------------------------------------------------------------------------- */

/* With nobody there it stands where whoever has read everything comes to it. */
static bool read_head(struct sink_host *host)
{
    struct sink_readers *readers = &host->readers;
    struct sink_reader *head = &readers->head;
    struct event_place until = readers->committed;

    if (first_listener(head) == NULL) {
        head->place = until;
        return false;
    }
    if (readers->is_turn && event_place_compare(head->place, readers->turn.place) < 0 &&
        event_place_compare(readers->turn.place, until) < 0)
        until = readers->turn.place;
    if (event_place_compare(head->place, until) >= 0)
        return false;
    int error = open_at(host, &head->events, head->place);
    if (error < 0) {
        log_limited(LOG_LEVEL_ERROR, "error=\"%s\" what=\"event files cannot be read\"",
                    strerror(-error));
        return false;
    }
    for (size_t i = 0; i < SLICE_LINES; i++)
        if (read_line(host, head, until) != 1)
            return false;
    return true;
}

/* --- turns ------------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    const struct sink *const *first = a, *const *second = b;

    return event_place_compare((*first)->next, (*second)->next);
}

/* Who waits at the turn's place or ahead of it. */
static void list_joining(struct sink_readers *readers)
{
    size_t count = 0;

    list_for_each(node, &readers->waiting)
        count++;
    free(readers->joining);
    readers->joining = calloc(count + 1, sizeof(struct sink *));
    check(readers->joining != NULL);
    readers->joining_count = readers->joining_next = 0;
    list_for_each(waiting, &readers->waiting) {
        struct sink *sink = SINK_OF(waiting, waiting);

        if (event_place_compare(sink->next, readers->turn.place) >= 0)
            readers->joining[readers->joining_count++] = sink;
    }
    qsort(readers->joining, readers->joining_count, sizeof(struct sink *), by_place);
    for (size_t i = 0; i < readers->joining_count; i++)
        readers->joining[i]->joining_at = i + 1;
}

/* The one that stands there already, else the one that was used the longest ago. */
static size_t choose_reader(const struct sink_readers *readers, struct event_place place)
{
    size_t oldest = 0;

    for (size_t i = 0; i < CATCH_UP_READERS; i++) {
        if (readers->catch_up[i] != NULL &&
            event_place_compare(event_reader_place(readers->catch_up[i]), place) == 0)
            return i;
        if (readers->used[i] < readers->used[oldest])
            oldest = i;
    }
    return oldest;
}

/* What is behind what is committed is of other files, or was cut. */
static void come_back(struct sink *sink, struct event_place committed)
{
    if (event_place_compare(sink->next, committed) <= 0)
        return;
    log_error("sink=%s file=%llu offset=%llu what=\"is ahead of the event files, which must be "
              "others or were cut; goes on behind what they hold\"",
              LOG_STRING(sink->name), (unsigned long long)sink->next.number,
              (unsigned long long)sink->next.offset);
    sink->next = committed;
}

static bool begin_turn(struct sink_host *host)
{
    struct sink_readers *readers = &host->readers;
    struct list_node *longest = list_first(&readers->waiting);

    if (longest == NULL)
        return false;
    struct sink *sink = SINK_OF(longest, waiting);
    come_back(sink, readers->committed);
    size_t chosen = choose_reader(readers, sink->next);
    int error = open_at(host, &readers->catch_up[chosen], sink->next);
    if (error < 0) {
        sink_reading_set(sink, SINK_RESTS);
        sink_restart(sink, SINK_FILES, strerror(-error), false);
        return false;
    }
    readers->chosen = chosen;
    readers->used[chosen] = ++readers->turn_count;
    readers->turn.events = readers->catch_up[chosen];
    readers->turn.place = sink->next;
    readers->turn.time_ms = 0;
    readers->turn_lines = 0;
    readers->is_turn = true;
    sink_reading_set(sink, SINK_CATCHES_UP);
    list_joining(readers);
    let_join(readers, readers->turn.place, readers->turn.place);
    return true;
}

/* Who takes part in it goes to the head, or waits for another one. */
static void end_turn(struct sink_readers *readers, enum sink_reading following)
{
    struct sink *sink;

    while ((sink = first_listener(&readers->turn)) != NULL) {
        sink_reading_set(sink, sink->skip.is_on ? SINK_RESTS : following);
        sink_touch(sink);
    }
    for (size_t i = readers->joining_next; i < readers->joining_count; i++)
        if (readers->joining[i] != NULL)
            readers->joining[i]->joining_at = 0;
    readers->joining_count = readers->joining_next = 0;
    readers->is_turn = false;
}

/* Where nobody is at the head it goes on with the file that the turn has open. */
static void meet_head(struct sink_readers *readers)
{
    struct event_reader *events = readers->turn.events;

    if (first_listener(&readers->head) == NULL) {
        readers->catch_up[readers->chosen] = readers->head.events;
        readers->head.events = events;
        readers->head.time_ms = readers->turn.time_ms;
    }
    end_turn(readers, SINK_AT_HEAD);
}

/* Nobody takes part in it any more: it goes on where the next one joins it, if there is one. */
static bool go_on(struct sink_host *host)
{
    struct sink_readers *readers = &host->readers;

    while (readers->joining_next < readers->joining_count &&
           readers->joining[readers->joining_next] == NULL)
        readers->joining_next++;
    if (readers->joining_next == readers->joining_count) {
        end_turn(readers, SINK_WAITS);
        return false;
    }
    struct event_place place = readers->joining[readers->joining_next]->next;
    if (event_place_compare(place, readers->committed) > 0) {
        end_turn(readers, SINK_WAITS);
        return false;
    }
    event_reader_seek(readers->turn.events, place);
    readers->turn.place = place;
    readers->has_jumped = true;
    let_join(readers, place, place);
    return true;
}

/* One more line: false when the turn is over, or can do nothing for now. */
static bool read_on(struct sink_host *host)
{
    struct sink_readers *readers = &host->readers;
    struct event_place head = readers->head.place, before = readers->turn.place;

    if (first_listener(&readers->turn) == NULL)
        return go_on(host);
    int order = event_place_compare(readers->turn.place, head);
    if (order == 0) {
        meet_head(readers);
        return false;
    }
    if (read_line(host, &readers->turn, order < 0 ? head : readers->committed) != 0)
        return true;
    /* It may have come to the beginning of another file. */
    if (event_place_compare(before, readers->turn.place) != 0)
        return true;
    let_join(readers, before, before);
    if (!list_is_empty(&readers->waiting))
        end_turn(readers, SINK_WAITS);
    readers->is_stuck = true;
    return false;
}

/* The way to another place may lead through a compressed file: one in a slice. */
static bool read_turn(struct sink_host *host)
{
    struct sink_readers *readers = &host->readers;

    if (!readers->is_turn && !begin_turn(host))
        return false;
    size_t lines = 0;
    readers->is_stuck = readers->has_jumped = false;
    for (; lines < SLICE_LINES && !readers->has_jumped; lines++)
        if (!read_on(host))
            return !readers->is_turn && !readers->is_stuck && !list_is_empty(&readers->waiting);
    readers->turn_lines += lines;
    if (readers->turn_lines >= TURN_LINES && !list_is_empty(&readers->waiting))
        end_turn(readers, SINK_WAITS);
    return true;
}

bool sink_readers_read(struct sink_host *host)
{
    host->readers.committed = event_bounds_committed(host->bounds);
    bool has_more = read_head(host);
    return read_turn(host) || has_more;
}
