/* sink.c - the thread of a sink: what it does in a round, and what others ask of it. */
#include "sink/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/sink_private.h"

enum {
    SAVE_EVERY_MS = 1000,
    IDLE_MS = 1000,
    PAUSE_MS_MIN = 500,
    PAUSE_MS_MAX = 15000,
    SAVE_PASSED_MS = 30000, /* where it only passed what it does not want */
    END_MS = 500,           /* of the time to stop, for end() */
};

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

/* --- for kinds -------------------------------------------------------------------------------- */

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
    return atomic_load(&sink->is_stopping);
}

static void fail_no_more(struct sink *sink)
{
    if (sink->cursor.failing.since_ms == 0)
        return;
    if (!sink_is_failing(sink)) /* it did in an earlier run */
        log_info("sink=%s problem=none seconds=%lld what=\"goes on\"", LOG_STRING(sink->name),
                 (long long)(clock_wall_ms() - sink->cursor.failing.since_ms) / 1000);
    sink->cursor.failing = (struct sink_failing){0};
    sink->is_cursor_saved = false;
}

/* Who fails may do so from an earlier run on. */
static int64_t problem_since_ms(const struct sink *sink)
{
    int64_t failing_ms = sink->cursor.failing.since_ms;

    if (sink->problem == SINK_WELL)
        return 0;
    return failing_ms != 0 ? MIN(failing_ms, sink->problem_wall_ms) : sink->problem_wall_ms;
}

/* By the wall clock as status has it, unless that was set back. */
static long long problem_seconds(const struct sink *sink, int64_t now_ms)
{
    return MAX(clock_wall_ms() - problem_since_ms(sink), now_ms - sink->problem_ms) / 1000;
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
        fail_no_more(sink);
}

int64_t sink_failed(struct sink *sink, int64_t settle_ms)
{
    int64_t for_ms = sink_failing_more(&sink->cursor.failing, clocks_read(), settle_ms);

    (void)sink_save_cursor(sink);
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
        sink->answered++;
        sink->pause_ms = PAUSE_MS_MIN;
    }
    if (is_first && sink->problem != SINK_WELL && sink->problem != SINK_FILES)
        sink_trouble(sink, SINK_WELL, NULL);
    fail_no_more(sink);
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
        sink->pause_ms = MIN(2 * sink->pause_ms, (int64_t)PAUSE_MS_MAX);
}

/* --- the cursor ------------------------------------------------------------------------------- */

int sink_save_cursor(struct sink *sink)
{
    int error = sink_cursor_write(sink->directory_fd, sink->name, &sink->cursor);

    sink->save_ms = clock_monotonic_ms() + SAVE_EVERY_MS;
    sink->is_cursor_saved = error == 0;
    sink->has_passed = false;
    if (error < 0)
        log_limited(LOG_LEVEL_WARN,
                    "sink=%s error=\"%s\" what=\"its cursor cannot be written: what it was told "
                    "meanwhile would be told again after a restart\"",
                    LOG_STRING(sink->name), strerror(-error));
    return error;
}

void sink_pass_answered(struct sink *sink)
{
    uint64_t told = sink->window.told, gaps = sink->window.gaps;
    const struct window_entry *last = window_pass(&sink->window);
    struct event_place next = sink_next_place(sink);

    /* With nothing in flight the end of a file is the beginning of the next one. */
    if (window_is_empty(&sink->window) && !sink->gap.is_pending && last == NULL &&
        next.number > sink->cursor.at.number && next.events == sink->cursor.at.events) {
        sink->cursor.at = next;
        sink->has_passed = true;
    }
    if (last == NULL)
        return;
    sink->cursor.at = last->end;
    if (last->time_ms != 0)
        sink->cursor.time_ms = last->time_ms;
    if (event_place_compare(sink->cursor.go, sink->cursor.at) <= 0)
        sink->cursor.go = (struct event_place){0};
    if (sink->window.gaps != gaps)
        sink->cursor.owed = (struct event_gap){0};
    sink->has_passed = true;
    if (sink->window.told != told)
        sink->is_cursor_saved = false;
}

/* --- beginning and ending --------------------------------------------------------------------- */

static void set_begun(struct sink *sink, bool is_begun)
{
    pthread_mutex_lock(&sink->lock);
    sink->is_begun = is_begun;
    pthread_mutex_unlock(&sink->lock);
}

static void end_object(struct sink *sink, int64_t until_ms)
{
    if (!sink->is_begun)
        return;
    sink_pass_answered(sink);
    set_begun(sink, false);
    sink->kind->end(sink->object, until_ms);
    sink_go_to_cursor(sink);
}

static void begin_object(struct sink *sink)
{
    sink->is_restarting = false;
    if (sink->kind->begin(sink->object))
        set_begun(sink, true);
    else
        check(sink->is_restarting);
}

/* `old` was taken off under the lock, and is not begun any more as far as others see. */
static void drop_object(struct sink *sink, void *old, bool was_begun)
{
    sink_pass_answered(sink);
    if (was_begun)
        sink->kind->end(old, clock_monotonic_ms() + END_MS);
    sink->kind->free(&old);
    sink_go_to_cursor(sink);
    sink->begin_ms = 0;
    sink->pause_ms = PAUSE_MS_MIN;
    sink_trouble(sink, SINK_WELL, NULL);
    fail_no_more(sink);
}

/* --- what others ask -------------------------------------------------------------------------- */

static void obey(struct sink *sink, struct sink_order *order)
{
    switch (order->kind) {
    case ORDER_NONE:
        break;
    case ORDER_PAUSE:
    case ORDER_RESUME:
        sink_cursor_pause(&sink->cursor, order->kind == ORDER_PAUSE);
        order->result = sink_save_cursor(sink);
        break;
    case ORDER_REPLAY:
        order->result = sink_seek_time(sink, order->since_ms, &order->count);
        break;
    }
}

static void tell_status(struct sink *sink)
{
    const struct window_entry *oldest = window_oldest(&sink->window);
    int64_t time_ms =
        oldest != NULL && oldest->time_ms != 0 ? oldest->time_ms : sink->cursor.time_ms;
    struct event_place from = event_place_compare(sink->cursor.go, sink->cursor.at) > 0
                                  ? sink->cursor.go
                                  : sink->cursor.at;

    pthread_mutex_lock(&sink->lock);
    struct sink_status *status = &sink->status;
    status->is_paused = sink->cursor.is_paused;
    status->problem = sink->problem;
    memcpy(status->text, sink->text, sizeof(status->text));
    status->since_ms = problem_since_ms(sink);
    status->at = sink->cursor.at;
    status->oldest_ms = time_ms;
    status->in_flight = sink->window.next - sink->window.first;
    status->answered = sink->answered;
    status->restarts = sink->restarts;
    status->gaps = sink->gaps;
    status->gap_events = sink->gap_events;
    status->needs = oldest != NULL ? MAX(oldest->end.number, from.number) : from.number;
    pthread_mutex_unlock(&sink->lock);
}

static void look_for_orders(struct sink *sink)
{
    pthread_mutex_lock(&sink->lock);
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
    sink->is_woken = false;
    pthread_mutex_unlock(&sink->lock);
    if (old != NULL)
        drop_object(sink, old, was_begun);
    if (give_up != 0)
        sink_leave_out(sink, give_up);
    if (order == NULL)
        return;
    obey(sink, order);
    tell_status(sink); /* before anybody hears that it is done */
    pthread_mutex_lock(&sink->lock);
    order->is_done = true;
    pthread_cond_broadcast(&sink->done);
    pthread_mutex_unlock(&sink->lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void wait_woken(struct sink *sink, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&sink->lock);
    while (!sink->is_woken && pthread_cond_timedwait(&sink->wake, &sink->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&sink->lock);
}

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
    (void)sink_save_cursor(sink);
}

static void round_begun(struct sink *sink, int64_t wait_ms)
{
    bool has_more = sink_feed(sink);

    if (!sink->is_cursor_saved)
        wait_ms = MIN(wait_ms, (int64_t)SAVE_EVERY_MS / 2);
    if (!sink->is_restarting)
        sink->kind->work(sink->object, has_more ? 0 : wait_ms);
    sink_pass_answered(sink);
    look_if_slow(sink);
    if (sink->is_restarting)
        end_object(sink, clock_monotonic_ms() + END_MS);
}

static void one_round(struct sink *sink)
{
    int64_t now_ms = clock_monotonic_ms();

    look_for_orders(sink);
    if (!sink->is_begun && !sink->cursor.is_paused && now_ms >= sink->begin_ms)
        begin_object(sink);
    if (sink->is_begun)
        round_begun(sink, IDLE_MS);
    else
        wait_woken(sink, sink->cursor.is_paused
                             ? IDLE_MS
                             : MIN(MAX(sink->begin_ms - now_ms, (int64_t)1), (int64_t)IDLE_MS));
    note_failing(sink);
    now_ms = clock_monotonic_ms();
    if ((!sink->is_cursor_saved && now_ms >= sink->save_ms) ||
        (sink->has_passed && now_ms >= sink->save_ms + SAVE_PASSED_MS))
        (void)sink_save_cursor(sink);
    tell_status(sink);
}

/* As long as it is well and has something to tell. */
static void drain(struct sink *sink)
{
    int64_t until_ms = sink->until_ms - END_MS;

    while (sink->is_begun && !sink->cursor.is_paused && sink->problem == SINK_WELL) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        struct event_place committed = event_bounds_committed(sink->bounds);

        if (left_ms <= 0 || event_place_compare(sink->cursor.at, committed) >= 0)
            break;
        round_begun(sink, MIN(left_ms, (int64_t)100));
    }
}

static void *run_thread(void *context)
{
    struct sink *sink = context;

    while (!atomic_load(&sink->is_stopping))
        one_round(sink);
    drain(sink);
    tell_status(sink);
    struct sink_status status;
    sink_status(sink, &status);
    if (status.behind_events > 0)
        log_info("sink=%s behind_events=%llu what=\"stopped; the next start tells them\"",
                 LOG_STRING(sink->name), (unsigned long long)status.behind_events);
    end_object(sink, sink->until_ms);
    if (!sink->is_cursor_saved || sink->has_passed)
        (void)sink_save_cursor(sink);
    pthread_mutex_lock(&sink->lock);
    sink->has_ended = true;
    pthread_cond_broadcast(&sink->done);
    pthread_mutex_unlock(&sink->lock);
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static void init_locks(struct sink *sink)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&sink->lock, NULL);
    pthread_mutex_init(&sink->order_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sink->wake, &attributes);
    pthread_cond_init(&sink->done, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void sink_free(struct sink **sink)
{
    struct sink *s = *sink;

    if (s->reader != NULL)
        event_reader_close(&s->reader);
    if (s->object != NULL)
        s->kind->free(&s->object);
    if (s->next_object != NULL)
        s->kind->free(&s->next_object);
    if (s->directory_fd >= 0)
        close(s->directory_fd);
    window_free(&s->window);
    buf_free(&s->gap.line);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->order_lock);
    free(s);
    *sink = NULL;
}

static int open_directory(struct sink *sink, const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (mkdirat(fd, "sinks", 0750) < 0 && errno != EEXIST) {
        int error = -errno;
        close(fd);
        return error;
    }
    sink->directory_fd = openat(fd, "sinks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = sink->directory_fd < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int read_cursor(struct sink *sink, uint64_t owner)
{
    int error = sink_cursor_read(sink->directory_fd, sink->name, &sink->cursor);

    sink->is_cursor_saved = error == 0;
    if (error == 0 && owner != 0 && sink->cursor.owner != owner)
        error = -ENOENT; /* of one that had the name before */
    if (error != -ENOENT && error != -EBADMSG)
        return error;
    sink->cursor = (struct sink_cursor){.at = event_bounds_committed(sink->bounds),
                                        .time_ms = clock_wall_ms(),
                                        .owner = owner};
    log_line(error == -ENOENT ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
             "sink=%s file=%llu offset=%llu what=\"%s; it is told what happens from now on\"",
             LOG_STRING(sink->name), (unsigned long long)sink->cursor.at.number,
             (unsigned long long)sink->cursor.at.offset,
             error == -ENOENT ? "a new sink" : "its cursor file is damaged");
    return sink_save_cursor(sink);
}

struct sink *sink_start(const struct sink_settings *settings, const char *directory,
                        struct event_bounds *bounds, char *why, size_t why_len)
{
    struct sink *sink = calloc(1, sizeof(*sink));

    check(sink != NULL);
    snprintf(sink->name, sizeof(sink->name), "%s", settings->name);
    sink->kind = settings->kind;
    sink->bounds = bounds;
    sink->directory_fd = -1;
    sink->pause_ms = PAUSE_MS_MIN;
    memcpy(sink->status.name, sink->name, sizeof(sink->status.name));
    sink->status.kind = settings->kind->name;
    sink->status.owner = settings->owner;
    init_locks(sink);
    window_init(&sink->window, settings->kind->window);
    buf_init(&sink->gap.line, EVENT_GAP_JSON_MAX);
    int error = open_directory(sink, directory);
    if (error == 0)
        error = read_cursor(sink, settings->owner);
    if (error == 0)
        error = event_reader_open(directory, sink->cursor.at, &sink->reader);
    if (error == 0) {
        sink_go_to_cursor(sink);
        sink->object = settings->kind->make(settings->settings, sink);
        tell_status(sink);
        error = -pthread_create(&sink->thread, NULL, run_thread, sink);
    }
    if (error < 0) {
        snprintf(why, why_len, "the sink %s does not start: %s%s", sink->name, strerror(-error),
                 error == -ENOTSUP ? "; a newer version has written its cursor" : "");
        sink_free(&sink);
        return NULL;
    }
    (void)pthread_setname_np(sink->thread, "sink");
    return sink;
}

void sink_wake(struct sink *sink)
{
    pthread_mutex_lock(&sink->lock);
    sink->is_woken = true;
    if (sink->is_begun)
        sink->kind->wake(sink->object);
    pthread_cond_signal(&sink->wake);
    pthread_mutex_unlock(&sink->lock);
}

void sink_hurry(struct sink *sink)
{
    atomic_store(&sink->is_hurried, true);
}

void sink_ask_stop(struct sink *sink, int64_t until_ms)
{
    sink_hurry(sink);
    sink->until_ms = until_ms;
    atomic_store(&sink->is_stopping, true);
    sink_wake(sink);
}

void sink_join(struct sink **sink)
{
    pthread_join((*sink)->thread, NULL);
    sink_free(sink);
}

/* --- the other side --------------------------------------------------------------------------- */

void sink_configure(struct sink *sink, const struct sink_settings *settings)
{
    void *next = sink->kind->make(settings->settings, sink);

    pthread_mutex_lock(&sink->lock);
    void *newest = sink->next_object != NULL ? sink->next_object : sink->object;
    void *dropped = next;
    if (!sink->kind->is_same(newest, settings->settings)) {
        dropped = sink->next_object;
        sink->next_object = next;
    }
    pthread_mutex_unlock(&sink->lock);
    if (dropped != NULL)
        sink->kind->free(&dropped);
    sink_wake(sink);
}

void sink_status(struct sink *sink, struct sink_status *out)
{
    struct event_place committed = event_bounds_committed(sink->bounds);

    pthread_mutex_lock(&sink->lock);
    *out = sink->status;
    pthread_mutex_unlock(&sink->lock);
    if (event_place_compare(committed, out->at) > 0 &&
        (int64_t)(committed.events - out->at.events) > 0)
        out->behind_events = committed.events - out->at.events;
    if (out->behind_events > 0 && out->oldest_ms != 0)
        out->behind_ms = MAX(clock_wall_ms() - out->oldest_ms, (int64_t)0);
}

void sink_give_up(struct sink *sink, uint64_t number)
{
    pthread_mutex_lock(&sink->lock);
    sink->give_up = number;
    pthread_mutex_unlock(&sink->lock);
    sink_wake(sink);
}

static int give_order(struct sink *sink, struct sink_order *order)
{
    pthread_mutex_lock(&sink->order_lock);
    pthread_mutex_lock(&sink->lock);
    sink->order = order;
    pthread_mutex_unlock(&sink->lock);
    sink_wake(sink);
    pthread_mutex_lock(&sink->lock);
    while (!order->is_done && !sink->has_ended)
        pthread_cond_wait(&sink->done, &sink->lock);
    sink->order = NULL;
    pthread_mutex_unlock(&sink->lock);
    pthread_mutex_unlock(&sink->order_lock);
    return order->is_done ? order->result : -ECANCELED;
}

int sink_pause(struct sink *sink, bool is_paused)
{
    struct sink_order order = {.kind = is_paused ? ORDER_PAUSE : ORDER_RESUME};

    return give_order(sink, &order);
}

int sink_replay(struct sink *sink, int64_t since_ms, uint64_t *count_out)
{
    struct sink_order order = {.kind = ORDER_REPLAY, .since_ms = since_ms};

    int error = give_order(sink, &order);
    *count_out = order.count;
    return error;
}
