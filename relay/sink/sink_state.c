/* sink_state.c - what kinds tell of a sink: answers, troubles, what is to be done. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/sink_private.h"

const char *sink_problem_name(enum sink_problem problem)
{
    static const char *const names[SINK_PROBLEM_COUNT] = {
        [SINK_WELL] = "none",
        [SINK_UNREACHABLE] = "unreachable",
        [SINK_AUTHENTICATION] = "authentication",
        [SINK_TLS] = "tls",
        [SINK_NO_TOPIC] = "no-topic",
        [SINK_NO_LEADER] = "no-leader",
        [SINK_NOT_AUTHORIZED] = "not-authorized",
        [SINK_TOO_LARGE] = "too-large",
        [SINK_ADDRESS] = "address",
        [SINK_ANSWER] = "answer",
        [SINK_SLOW] = "slow",
        [SINK_FILES] = "files",
        [SINK_OTHER] = "other",
    };

    return names[problem];
}

void sink_touch(struct sink *sink)
{
    if (!list_is_linked(&sink->ready))
        list_push_back(&sink->host->ready, &sink->ready);
}

void sink_has_room(struct sink *sink)
{
    if (sink->is_full)
        sink_touch(sink);
    sink->is_full = false;
}

void sink_save_soon(struct sink *sink)
{
    sink->is_cursor_saved = false;
    if (!list_is_linked(&sink->unsaved))
        list_push_back(&sink->host->unsaved, &sink->unsaved);
}

void sink_save_now(struct sink *sink)
{
    sink->is_cursor_saved = false;
    list_remove(&sink->unsaved);
    list_push_back(&sink->host->urgent, &sink->unsaved);
}

bool sink_is_at_head(const struct sink *sink)
{
    return sink->reading == SINK_AT_HEAD;
}

void *sink_ground(const struct sink *sink)
{
    return sink->host->ground;
}

const char *sink_name(const struct sink *sink)
{
    return sink->name;
}

bool sink_has_unanswered(const struct sink *sink)
{
    return !window_is_empty(&sink->window);
}

bool sink_is_restarting(const struct sink *sink)
{
    return sink->is_restarting;
}

bool sink_is_paused(const struct sink *sink)
{
    return sink->cursor.is_paused;
}

bool sink_is_stopping(const struct sink *sink)
{
    return sink->is_stopping;
}

/* --- troubles --------------------------------------------------------------------------------- */

void sink_fail_no_more(struct sink *sink)
{
    if (sink->cursor.failing.since_ms == 0)
        return;
    if (!sink_is_failing(sink)) /* it did in an earlier run */
        log_info("sink=%s problem=none seconds=%lld what=\"goes on\"", LOG_STRING(sink->name),
                 (long long)(clock_wall_ms() - sink->cursor.failing.since_ms) / 1000);
    sink->cursor.failing = (struct sink_failing){0};
    sink_save_soon(sink);
}

/* Who fails may do so from an earlier run on. */
int64_t sink_problem_since_ms(const struct sink *sink)
{
    int64_t failing_ms = sink->cursor.failing.since_ms;

    if (sink->problem == SINK_WELL)
        return 0;
    return failing_ms != 0 ? MIN(failing_ms, sink->problem_wall_ms) : sink->problem_wall_ms;
}

/* By the wall clock as status has it, unless that was set back. */
static long long problem_seconds(const struct sink *sink, int64_t now_ms)
{
    return MAX(clock_wall_ms() - sink_problem_since_ms(sink), now_ms - sink->problem_ms) / 1000;
}

void sink_trouble(struct sink *sink, enum sink_problem problem, const char *text)
{
    int64_t now_ms = clock_monotonic_ms();

    if (problem != SINK_WELL)
        snprintf(sink->text, sizeof(sink->text), "%s", text);
    if (problem == sink->problem)
        return;
    if (problem == SINK_WELL)
        log_info("sink=%s problem=none was=%s seconds=%lld what=\"goes on\"",
                 LOG_STRING(sink->name), LOG_STRING(sink_problem_name(sink->problem)),
                 problem_seconds(sink, now_ms));
    else
        log_warn("sink=%s problem=%s what=%s", LOG_STRING(sink->name),
                 LOG_STRING(sink_problem_name(problem)), LOG_STRING(sink->text));
    if (sink->problem == SINK_WELL || problem == SINK_WELL) {
        sink->problem_ms = now_ms;
        sink->problem_wall_ms = clock_wall_ms();
    }
    sink->problem = problem;
    if (problem == SINK_WELL)
        sink_fail_no_more(sink);
}

int64_t sink_failed(struct sink *sink, int64_t settle_ms)
{
    int64_t for_ms = sink_failing_more(&sink->cursor.failing, clocks_read(), settle_ms);

    sink_save_now(sink);
    return for_ms;
}

bool sink_is_failing(const struct sink *sink)
{
    return sink->cursor.failing.began_ms != 0;
}

void sink_answered(struct sink *sink, uint64_t ticket)
{
    bool is_first = window_answer(&sink->window, ticket);

    if (is_first) {
        sink_touch(sink);
        sink->answered++;
        sink->pause_ms = SINK_PAUSE_MS_MIN;
    }
    if (is_first && sink->problem != SINK_WELL && sink->problem != SINK_FILES)
        sink_trouble(sink, SINK_WELL, NULL);
    sink_fail_no_more(sink);
}

void sink_restart(struct sink *sink, enum sink_problem problem, const char *text, bool at_once)
{
    sink_trouble(sink, problem, text);
    if (sink->is_restarting)
        return;
    sink->is_restarting = true;
    sink->restarts++;
    sink->begin_ms = clock_monotonic_ms() + (at_once ? 0 : sink->pause_ms);
    if (!at_once)
        sink->pause_ms = MIN(2 * sink->pause_ms, (int64_t)SINK_PAUSE_MS_MAX);
    sink_touch(sink);
}
