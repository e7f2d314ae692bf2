/* sink_reading.c - who reads for a sink: the door of its state, and what it follows from. */
#include "sink/sink_private.h"

static const char *tenant_of(const struct sink *sink)
{
    if (sink->skip.is_on || sink->kind->tenant == NULL)
        return NULL;
    return sink->kind->tenant(sink->object);
}

static void listen_to(struct sink *sink, struct sink_reader *reader)
{
    sink->reader = reader;
    audience_add(&reader->audience, &sink->listener, tenant_of(sink));
}

static void leave(struct sink *sink)
{
    struct sink_readers *readers = &sink->host->readers;

    if (sink->reader != NULL)
        audience_remove(&sink->reader->audience, &sink->listener);
    sink->reader = NULL;
    list_remove(&sink->waiting);
    if (sink->joining_at > 0)
        readers->joining[sink->joining_at - 1] = NULL;
    sink->joining_at = 0;
}

void sink_reading_set(struct sink *sink, enum sink_reading reading)
{
    struct sink_readers *readers = &sink->host->readers;
    struct event_place next = sink_next_place(sink);

    leave(sink);
    sink->next = next;
    sink->reading = reading;
    switch (reading) {
    case SINK_RESTS:
        break;
    case SINK_WAITS:
        list_push_back(&readers->waiting, &sink->waiting);
        break;
    case SINK_CATCHES_UP:
        listen_to(sink, &readers->turn);
        break;
    case SINK_AT_HEAD:
        listen_to(sink, &readers->head);
        break;
    }
    if (!list_is_linked(&sink->shown)) /* a status that follows the head may do so no longer */
        list_push_back(&sink->host->shown, &sink->shown);
}

/* What is counted is left out whether it is paused, or fails, or not. */
bool sink_wants_lines(const struct sink *sink)
{
    if (sink->skip.is_on)
        return !sink->is_restarting;
    return sink->is_begun && !sink->cursor.is_paused && !sink->is_restarting && !sink->is_full;
}

static bool stands_at_head(const struct sink *sink)
{
    return event_place_compare(sink->next, sink->host->readers.head.place) == 0;
}

/* At the head nothing is left to count. */
static void end_skip_at_head(struct sink *sink)
{
    if (sink->skip.is_on && stands_at_head(sink) &&
        (sink->skip.to_number == 0 || sink->next.number >= sink->skip.to_number))
        sink_end_skip(sink, sink->next);
}

void sink_reading_settle(struct sink *sink)
{
    if (sink->reading == SINK_RESTS && sink_wants_lines(sink)) {
        end_skip_at_head(sink);
        if (sink->gap.is_pending && sink_wants_lines(sink) && !sink->skip.is_on)
            (void)sink_offer_gap(sink);
    }
    if (!sink_wants_lines(sink)) {
        if (sink->reading != SINK_RESTS)
            sink_reading_set(sink, SINK_RESTS);
    } else if (sink->reading == SINK_RESTS) {
        sink_reading_set(sink, stands_at_head(sink) ? SINK_AT_HEAD : SINK_WAITS);
    }
}

/* --- for kinds -------------------------------------------------------------------------------- */

void sink_take_back(struct sink *sink)
{
    sink_reading_set(sink, SINK_RESTS);
    sink_pass_answered(sink);
    sink_go_to_cursor(sink);
    sink->is_full = true;
}

void sink_leave_out_older(struct sink *sink, int64_t since_ms, const char *reason)
{
    sink_reading_set(sink, SINK_RESTS);
    sink_pass_answered(sink);
    sink_go_to_cursor(sink);
    sink_skip_to_time(sink, since_ms, sink_gap_reason(bytes_of(reason)));
    sink->is_full = false;
    sink_touch(sink);
}
