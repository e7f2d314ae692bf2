/* sink_round.c - what a sink does when it was touched: orders, begin and end, work of its kind. */
#include "base/clock.h"
#include "base/log.h"
#include "sink/sink_private.h"

enum {
    END_MS = 500, /* for end(); of the time to stop, too */
    DRAIN_LOOK_MS = 20,
};

/* --- beginning and ending --------------------------------------------------------------------- */

static void set_begun(struct sink *sink, bool is_begun)
{
    pthread_mutex_lock(&sink->host->lock);
    sink->is_begun = is_begun;
    pthread_mutex_unlock(&sink->host->lock);
}

static void end_object(struct sink *sink, int64_t until_ms)
{
    if (!sink->is_begun)
        return;
    sink_pass_answered(sink);
    set_begun(sink, false);
    sink->kind->end(sink->object, until_ms);
    sink_reading_set(sink, SINK_RESTS);
    sink_go_to_cursor(sink);
}

static void begin_object(struct sink *sink)
{
    sink->is_full = false;
    if (sink->kind->begin(sink->object))
        set_begun(sink, true);
    else
        check(sink->is_restarting);
}

/* `old` was taken off under the lock, and is not begun any more as far as others see. */
static void drop_object(struct sink *sink, void *old, bool was_begun)
{
    sink_reading_set(sink, SINK_RESTS);
    sink_pass_answered(sink);
    if (was_begun)
        sink->kind->end(old, clock_monotonic_ms() + END_MS);
    sink->kind->free(&old);
    sink_go_to_cursor(sink);
    sink->begin_ms = 0;
    sink->pause_ms = SINK_PAUSE_MS_MIN;
    sink_trouble(sink, SINK_WELL, NULL);
    sink_fail_no_more(sink);
}

/* --- what others ask -------------------------------------------------------------------------- */

static void obey(struct sink *sink, struct sink_order *order)
{
    sink->obeyed = order;
    switch (order->kind) {
    case ORDER_PAUSE:
    case ORDER_RESUME:
        sink_cursor_pause(&sink->cursor, order->kind == ORDER_PAUSE);
        sink_save_now(sink);
        break;
    case ORDER_REPLAY:
        sink_reading_set(sink, SINK_RESTS);
        sink_go_back(sink, order);
        break;
    }
}

static void look_for_orders(struct sink *sink)
{
    pthread_mutex_lock(&sink->host->lock);
    void *old = sink->next_object == NULL ? NULL : sink->object;
    bool was_begun = sink->is_begun;
    uint64_t give_up = sink->give_up;
    struct sink_order *order = sink->order;
    if (old != NULL) {
        sink->object = sink->next_object;
        sink->next_object = NULL;
        sink->is_begun = false;
    }
    sink->give_up = 0;
    sink->order = NULL;
    sink->is_stopping = sink->is_asked_to_stop;
    pthread_mutex_unlock(&sink->host->lock);
    if (old != NULL)
        drop_object(sink, old, was_begun);
    if (give_up != 0) {
        sink_reading_set(sink, SINK_RESTS);
        sink_skip_to_file(sink, give_up);
    }
    if (order != NULL)
        obey(sink, order);
}

/* --- troubles --------------------------------------------------------------------------------- */

static void look_if_slow(struct sink *sink)
{
    const struct window_entry *oldest = window_oldest(&sink->window);

    if (oldest != NULL && sink->problem == SINK_WELL && sink->kind->slow_ms != 0 &&
        clock_monotonic_ms() - oldest->taken_ms >= sink->kind->slow_ms)
        sink_trouble(sink, SINK_SLOW, "no answer to what was sent 10 s ago");
}

/* Since when it fails is to be known after a restart, too. */
static void note_failing(struct sink *sink)
{
    bool is_bad = sink->problem != SINK_WELL && sink->problem != SINK_FILES;
    struct clocks began = {.now_ms = sink->problem_ms, .wall_ms = sink->problem_wall_ms};

    if (!is_bad || sink->kind->slow_ms == 0 || sink_is_failing(sink))
        return;
    (void)sink_failing_more(&sink->cursor.failing, began, 0);
    sink_save_now(sink);
}

/* --- a round ---------------------------------------------------------------------------------- */

/* As long as it is well and has something to tell. */
static bool has_to_drain(const struct sink *sink, int64_t now_ms)
{
    struct event_place committed = event_bounds_committed(sink->host->bounds);

    return sink->is_begun && !sink->cursor.is_paused && sink->problem == SINK_WELL &&
           now_ms < sink->until_ms - END_MS && event_place_compare(sink->cursor.at, committed) < 0;
}

static void stop(struct sink *sink)
{
    struct event_place committed = event_bounds_committed(sink->host->bounds);

    sink_reading_set(sink, SINK_RESTS);
    sink_pass_answered(sink);
    if (event_place_compare(sink->cursor.at, committed) < 0)
        log_info("sink=%s behind_events=%llu what=\"stopped; the next start tells them\"",
                 LOG_STRING(sink->name),
                 (unsigned long long)(committed.events - sink->cursor.at.events));
    end_object(sink, sink->until_ms);
    /* Where it only passed what it does not want the next start does so again. */
    if (!sink->is_cursor_saved || sink->saved.number != sink->cursor.at.number)
        sink_save_now(sink);
    sink->has_stopped = true;
}

static int64_t due_ms_of(const struct sink *sink)
{
    const struct window_entry *oldest = window_oldest(&sink->window);
    int64_t due_ms = INT64_MAX;

    if (!sink->is_begun && (!sink->cursor.is_paused || sink->is_restarting))
        due_ms = sink->begin_ms;
    else if (sink->is_begun && sink->kind->ground != NULL)
        due_ms = sink->kind->due_ms(sink->object);
    if (oldest != NULL && sink->problem == SINK_WELL && sink->kind->slow_ms != 0)
        due_ms = MIN(due_ms, oldest->taken_ms + sink->kind->slow_ms);
    /* Whoever reads for it passes what it does not want without a word. */
    return sink->is_stopping ? MIN(due_ms, clock_monotonic_ms() + DRAIN_LOOK_MS) : due_ms;
}

static bool may_begin(const struct sink *sink, int64_t now_ms)
{
    return !sink->is_begun && !sink->cursor.is_paused && !sink->is_stopping &&
           now_ms >= sink->begin_ms;
}

void sink_round(struct sink *sink)
{
    int64_t now_ms = clock_monotonic_ms();

    look_for_orders(sink);
    if (!sink->is_cursor_saved && !list_is_linked(&sink->unsaved)) /* a new one */
        sink_save_now(sink);
    if (!sink->is_begun && now_ms >= sink->begin_ms)
        sink->is_restarting = false; /* one that is paused is read for, if only to count */
    if (may_begin(sink, now_ms))
        begin_object(sink);
    if (sink->is_begun && sink->kind->ground != NULL && !sink->is_restarting)
        sink->kind->work(sink->object, 0);
    sink_pass_answered(sink);
    look_if_slow(sink);
    if (sink->is_restarting)
        end_object(sink, now_ms + END_MS);
    note_failing(sink);
    sink_reading_settle(sink);
    if (sink->is_stopping && !has_to_drain(sink, now_ms))
        stop(sink);
    sink_timer_set(&sink->host->timers, &sink->timer,
                   sink->has_stopped ? INT64_MAX : due_ms_of(sink));
}
