/* publisher_tell.c - runs that were handed over, and gaps of the journal, become lines. */
#include "base/metric.h"
#include "queue/journal.h"
#include "relay/publisher_thread.h"

enum { TICK_RECORDS = 64 };

_Static_assert((int)METRIC_EVENTS_ACCEPTED + (int)EVENT_THROTTLED == (int)METRIC_EVENTS_THROTTLED,
               "the metrics of kinds stand in their order");

static void on_event(void *context, const struct event *event)
{
    struct publisher *p = context;

    if (p->is_broken || event->position < p->skip_end)
        return;
    if (event->position != p->record) {
        /* Between two records everything before the second is whole, so it may be committed. */
        event_file_mark(p->file, p->lane->shard, event->position);
        p->record = event->position;
        if (++p->ticks % TICK_RECORDS == 0) {
            publisher_keep_pace(p);
            (void)publisher_may_go_on(p);
        }
        if (p->is_broken)
            return;
    }
    buf_clear(&p->line);
    bool fits = event_json(event, &p->line);
    check(fits);
    publisher_append(p, buf_bytes(&p->line));
    if (!p->is_broken && p->follower.commit != NULL)
        p->follower.event(p->follower.context, event);
    if (!p->is_broken)
        metric_inc((enum metric)(METRIC_EVENTS_ACCEPTED + (int)event->kind));
}

/* Everything up to `position` was told, unless telling broke off. */
static bool tell_until(struct publisher *p, uint64_t position, uint64_t pushed)
{
    if (p->is_broken)
        return false;
    lane_appended(p->lane, position, pushed);
    event_file_mark(p->file, p->lane->shard, position);
    publisher_keep_pace(p);
    return !p->is_broken;
}

static bool catch_up(struct publisher *p, uint64_t until, uint64_t pushed)
{
    struct journal_reader *reader;

    int error = journal_open(p->spool_directory, p->lane->shard, p->lane->appended, &reader);
    if (error == 0) {
        error = journal_read(reader, until, on_event, p);
        journal_close(&reader);
    }
    if (error == 0)
        return tell_until(p, until, pushed);
    publisher_report(p, "the journal does not read back", error);
    /* What was told of it comes again after the files were cut to the last commit. */
    p->is_broken = true;
    if (publisher_may_go_on(p))
        bell_pause(&p->bell, PUBLISHER_RETRY_MS);
    return false;
}

static bool tell_run(struct publisher *p, const struct run *run, struct bytes records)
{
    struct lane *lane = p->lane;

    if (run->end <= lane->appended)
        return true;
    if (run->position > lane->appended && !catch_up(p, run->position, lane->appended_pushed))
        return false;
    /* After a failed sync it may be told for the second time, and its first part be durable. */
    p->skip_end = lane->appended;
    (void)journal_events(lane->shard, run->position, records, on_event, p);
    p->skip_end = 0;
    return tell_until(p, run->end, run->pushed);
}

static void tell_taken(struct publisher *p)
{
    struct lane *lane = p->lane;
    struct run run;
    struct bytes records;

    while (lane_first(lane, &run, &records)) {
        if (!tell_run(p, &run, records))
            return;
        lane_drop_first(lane, &run);
    }
    lane_end_taken(lane);
    if (lane->appended < lane->goal)
        (void)catch_up(p, lane->goal, lane->goal_pushed);
}

size_t publisher_tell(struct publisher *p)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < p->lane_count && !p->is_broken; i++) {
        p->lane = &p->lanes[i];
        p->record = UINT64_MAX;
        bytes += lane_take(p->lane);
        tell_taken(p);
        if (!p->is_broken && p->follower.commit != NULL)
            p->follower.told(p->follower.context, p->lane->shard, p->lane->appended);
    }
    return bytes;
}
