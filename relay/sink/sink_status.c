/* sink_status.c - what is told of a sink. */
#include <string.h>

#include "base/clock.h"
#include "sink/sink_private.h"

/* Under the host's lock. */
void sink_status_tell(struct sink *sink)
{
    const struct window_entry *oldest = window_oldest(&sink->window);
    int64_t time_ms =
        oldest != NULL && oldest->time_ms != 0 ? oldest->time_ms : sink->cursor.time_ms;
    struct event_place from = event_place_compare(sink->cursor.go, sink->cursor.at) > 0
                                  ? sink->cursor.go
                                  : sink->cursor.at;
    struct sink_status *status = &sink->status;

    status->is_paused = sink->cursor.is_paused;
    status->problem = sink->problem;
    memcpy(status->text, sink->text, sizeof(status->text));
    status->since_ms = sink_problem_since_ms(sink);
    status->at = sink->cursor.at;
    status->oldest_ms = time_ms;
    status->in_flight = sink->window.next - sink->window.first;
    status->answered = sink->answered;
    status->restarts = sink->restarts;
    status->gaps = sink->gaps;
    status->gap_events = sink->gap_events;
    /* After a crash it goes on at what is on disk. */
    status->needs = MIN(from.number, MAX(sink->saved.number, sink->saved_go.number));
    sink->is_idle_at_head = sink->reading == SINK_AT_HEAD && oldest == NULL && !sink->skip.is_on;
}

/* Under the host's lock. What is idle at the head is shown no anew for each event of others. */
static void follow_head(const struct sink *sink, struct sink_status *status)
{
    if (!sink->is_idle_at_head || event_place_compare(status->at, sink->host->head) >= 0)
        return;
    status->at = sink->host->head;
    if (sink->host->head_time_ms != 0)
        status->oldest_ms = sink->host->head_time_ms;
}

void sink_status(struct sink *sink, struct sink_status *out)
{
    struct event_place committed = event_bounds_committed(sink->host->bounds);

    pthread_mutex_lock(&sink->host->lock);
    *out = sink->status;
    follow_head(sink, out);
    pthread_mutex_unlock(&sink->host->lock);
    if (event_place_compare(committed, out->at) > 0 &&
        (int64_t)(committed.events - out->at.events) > 0)
        out->behind_events = committed.events - out->at.events;
    if (out->behind_events > 0 && out->oldest_ms != 0)
        out->behind_ms = MAX(clock_wall_ms() - out->oldest_ms, (int64_t)0);
}

uint64_t sink_needs(struct sink *sink)
{
    pthread_mutex_lock(&sink->host->lock);
    uint64_t needs = sink->status.needs;
    pthread_mutex_unlock(&sink->host->lock);
    return needs;
}
