/*
 * publisher.c - the thread between the journal and the event files.
 *
 * A lane is what the publisher knows of a shard. Three positions, each behind the one before it:
 *
 *   appended   every event before it is in the file, though perhaps in memory only
 *   durable    ... and synced, with the cursor that says so (event_file_commit)
 *   passed     ... and the shard was told
 *
 * What does not begin at `appended` is a gap and read from the journal, so that an overflow, a
 * start, a reopened file and a change of segment are one case. A failed sync sets `appended` back
 * to `durable`, which may lie inside a run that is still being told.
 */
#include "relay/publisher.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue/journal.h"

enum {
    BATCH_MS = 20,        /* pushes are gathered that long: fewer wake-ups, one write for many */
    FLUSH_EVERY_MS = 200, /* readers of the files are behind by this at most */
    COMMIT_EVERY_MS = 1000,
    COMMIT_BYTES = 16 * 1024 * 1024,
    RETRY_MS = 1000,
    IDLE_MS = 5000, /* rotation by age is looked at that often */
    TICK_RECORDS = 64,
    KEEP_CAPACITY = 1024 * 1024, /* larger hand-over buffers are given back after a burst */
};

/* A run in a hand-over; `len` bytes of its records follow, content left out. */
struct run {
    uint64_t position;
    uint64_t end;
    uint64_t pushed; /* bytes of the lane up to its end, content included */
    size_t len;
};

struct lane {
    pthread_mutex_t lock; /* of the first part */
    struct buf waiting;
    bool is_dropping;            /* no room: nothing is taken until the publisher comes */
    uint64_t pushed_end;         /* position: end of the last run, taken or dropped */
    uint64_t pushed;             /* bytes since the start */
    publisher_passed_fn *passed; /* NULL until attached */
    void *context;

    struct buf taken; /* runs being told */
    uint64_t appended;
    uint64_t goal; /* behind what is taken the journal is read up to here */
    uint64_t goal_pushed;
    uint64_t appended_pushed; /* lane's bytes that the whole runs before `appended` had */
    uint64_t durable_pushed;
    uint64_t passed_end; /* last position given to passed() */
};

struct publisher {
    char *spool_directory;
    char *file_directory;
    struct event_file_settings file_settings;
    unsigned lane_count;
    struct lane *lanes;
    pthread_t thread;
    pthread_mutex_t lock; /* of wake */
    pthread_cond_t wake;
    _Atomic bool is_waiting; /* a push has to wake the thread */
    _Atomic bool is_stopping;
    int64_t give_up_ms; /* monotonic; set before is_stopping */
    struct space *space;

    /* the thread's own */
    struct event_file *file; /* NULL while it cannot be opened again */
    struct buf line;
    unsigned lane;     /* being told */
    uint64_t record;   /* position of the event told last */
    uint64_t skip_end; /* what stands before it was appended when the run was told in part */
    unsigned ticks;
    bool is_broken; /* stop telling: the file is to be opened again, or we give up */
    bool has_given_up;
    int64_t flush_ms; /* monotonic: the last of each */
    int64_t commit_ms;
};

static void *run_thread(void *context);

/* --- the engines' side ------------------------------------------------------------------------ */

static void wake_up(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    pthread_cond_signal(&publisher->wake);
    pthread_mutex_unlock(&publisher->lock);
}

static bool hand_over(struct lane *lane, const struct run *run, struct bytes records)
{
    size_t before = buf_len(&lane->waiting);

    if (!buf_append(&lane->waiting, bytes_range(run, sizeof(*run))))
        return false;
    if (!journal_copy_told(records, &lane->waiting)) {
        buf_truncate(&lane->waiting, before);
        return false;
    }
    struct run whole = *run;
    whole.len = buf_len(&lane->waiting) - before - sizeof(whole);
    memcpy(lane->waiting.ptr + lane->waiting.start + before, &whole, sizeof(whole));
    return true;
}

void publisher_push(struct publisher *publisher, unsigned shard, uint64_t position,
                    struct bytes records)
{
    struct lane *lane = &publisher->lanes[shard];

    check(shard < publisher->lane_count);
    pthread_mutex_lock(&lane->lock);
    lane->pushed += records.len;
    lane->pushed_end = position + records.len;
    const struct run run = {.position = position, .end = lane->pushed_end, .pushed = lane->pushed};
    if (lane->is_dropping || !hand_over(lane, &run, records)) {
        lane->is_dropping = true;
        metric_inc(METRIC_EVENTS_DROPPED_RUNS);
    }
    pthread_mutex_unlock(&lane->lock);
    metric_add(METRIC_EVENTS_LAG_BYTES, (int64_t)records.len);
    if (atomic_load(&publisher->is_waiting))
        wake_up(publisher);
}

void publisher_attach(struct publisher *publisher, unsigned shard, publisher_passed_fn *passed,
                      void *context, uint64_t durable_position)
{
    struct lane *lane = &publisher->lanes[shard];

    check(shard < publisher->lane_count);
    check(passed != NULL);
    pthread_mutex_lock(&lane->lock);
    check(lane->passed == NULL);
    lane->passed = passed;
    lane->context = context;
    lane->pushed_end = durable_position;
    lane->is_dropping = true; /* as if everything up to here had found no room */
    pthread_mutex_unlock(&lane->lock);
    wake_up(publisher);
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* The caller holds publisher->lock. */
static void wait_locked(struct publisher *p, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&p->wake, &p->lock, &until);
}

static bool has_work(struct publisher *p)
{
    for (unsigned i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];

        pthread_mutex_lock(&lane->lock);
        bool has = lane->is_dropping || buf_len(&lane->waiting) > 0;
        pthread_mutex_unlock(&lane->lock);
        if (has || lane->appended < lane->goal || buf_len(&lane->taken) > 0)
            return true;
    }
    return false;
}

static void wait_for_work(struct publisher *p, int64_t ms)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->is_waiting, true);
    /* Whoever pushed before this look sees is_waiting, or the look sees the push. */
    if (!has_work(p) && !atomic_load(&p->is_stopping))
        wait_locked(p, ms);
    atomic_store(&p->is_waiting, false);
    pthread_mutex_unlock(&p->lock);
}

/* After a failure, or to gather pushes. Stopping cuts it short only once, but it never lasts longer
 * than the time to stop. */
static void pause_ms(struct publisher *p, int64_t ms)
{
    pthread_mutex_lock(&p->lock);
    if (atomic_load(&p->is_stopping))
        ms = MIN(ms, MAX(p->give_up_ms - clock_monotonic_ms(), (int64_t)1));
    wait_locked(p, ms);
    pthread_mutex_unlock(&p->lock);
}

/* --- the files -------------------------------------------------------------------------------- */

static void report(struct publisher *p, const char *what, int error)
{
    metric_inc(METRIC_EVENTS_ERRORS);
    log_limited(LOG_LEVEL_WARN, "events=%s error=\"%s\" what=\"%s; nothing is lost, trying again\"",
                LOG_STRING(p->file_directory), strerror(-error), what);
}

/* False: the time to stop is over; what is left is for the next start. */
static bool may_go_on(struct publisher *p)
{
    if (!atomic_load(&p->is_stopping) || clock_monotonic_ms() < p->give_up_ms)
        return true;
    p->is_broken = true;
    p->has_given_up = true;
    return false;
}

/* Without room in the files no attempt begins: of what could not be told nothing must be done. */
static void tell_room(struct publisher *p)
{
    bool is_full = p->file == NULL || !event_file_has_room(p->file);

    if (p->space == NULL || is_full == atomic_load(&p->space->events_are_full))
        return;
    atomic_store(&p->space->events_are_full, is_full);
    if (is_full)
        log_warn("events=%s what=\"no room in the event files: no attempts begin\"",
                 LOG_STRING(p->file_directory));
    else
        log_info("events=%s what=\"room in the event files again: attempts go on\"",
                 LOG_STRING(p->file_directory));
}

/* Every lane continues where the files say. What was told since is read from the journal again. */
static void set_cursors(struct publisher *p, const struct event_cursors *cursors)
{
    for (unsigned i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];

        if (lane->appended > lane->goal) {
            lane->goal = lane->appended;
            lane->goal_pushed = lane->appended_pushed;
        }
        lane->appended = cursors->positions[i];
        lane->appended_pushed = lane->durable_pushed;
    }
}

/* A failed sync may have thrown away what was written: back to what is known to be durable. */
static void reopen(struct publisher *p)
{
    struct event_cursors cursors;

    if (p->file != NULL)
        event_file_close(&p->file);
    int error = event_file_open(&p->file_settings, &p->file, &cursors);
    if (error == 0) {
        set_cursors(p, &cursors);
        p->is_broken = false;
        tell_room(p);
        return;
    }
    report(p, "the event files do not open", error);
    tell_room(p);
    if (may_go_on(p))
        pause_ms(p, RETRY_MS);
}

static void tell_passed(struct publisher *p, const struct event_cursors *durable)
{
    for (unsigned i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];

        metric_add(METRIC_EVENTS_LAG_BYTES,
                   -(int64_t)(lane->appended_pushed - lane->durable_pushed));
        lane->durable_pushed = lane->appended_pushed;
        pthread_mutex_lock(&lane->lock);
        publisher_passed_fn *passed = lane->passed;
        pthread_mutex_unlock(&lane->lock);
        if (passed == NULL || durable->positions[i] <= lane->passed_end)
            continue;
        lane->passed_end = durable->positions[i];
        passed(lane->context, i, lane->passed_end);
    }
}

static int commit(struct publisher *p)
{
    struct event_cursors durable;

    int error = event_file_commit(p->file, &durable);
    if (error < 0) {
        report(p, "the event files do not take more", error);
        p->is_broken = p->is_broken || error == -EIO;
        tell_room(p);
        return error;
    }
    p->flush_ms = p->commit_ms = clock_monotonic_ms();
    tell_passed(p, &durable);
    (void)event_file_rotate_if_due(p->file, clocks_read());
    tell_room(p);
    return 0;
}

/* What time and amount ask for: nothing, a flush or a commit. */
static void keep_pace(struct publisher *p)
{
    int64_t now_ms = clock_monotonic_ms();
    uint64_t uncommitted;
    bool has_uncommitted = event_file_has_uncommitted(p->file, &uncommitted);
    int error = 0;

    if (has_uncommitted &&
        (uncommitted >= COMMIT_BYTES || now_ms >= p->commit_ms + COMMIT_EVERY_MS))
        error = commit(p);
    else if (event_file_unwritten(p->file) > 0 && now_ms >= p->flush_ms + FLUSH_EVERY_MS) {
        error = event_file_flush(p->file);
        p->flush_ms = now_ms;
        if (error < 0)
            report(p, "the event files do not take more", error);
        tell_room(p);
    }
    if (error < 0) /* not again before some time has passed */
        p->commit_ms = p->flush_ms = now_ms;
}

static void append(struct publisher *p, struct bytes line)
{
    int error;

    while ((error = event_file_append(p->file, line)) < 0) {
        report(p, "the event files do not take more", error);
        tell_room(p);
        if (!may_go_on(p))
            return;
        pause_ms(p, RETRY_MS);
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

static void on_event(void *context, const struct event *event)
{
    struct publisher *p = context;

    if (p->is_broken || event->position < p->skip_end)
        return;
    if (event->position != p->record) {
        /* Between two records everything before the second is whole, so it may be committed. */
        event_file_mark(p->file, p->lane, event->position);
        p->record = event->position;
        if (++p->ticks % TICK_RECORDS == 0) {
            keep_pace(p);
            (void)may_go_on(p);
        }
        if (p->is_broken)
            return;
    }
    buf_clear(&p->line);
    bool fits = event_json(event, &p->line);
    check(fits);
    append(p, buf_bytes(&p->line));
    if (!p->is_broken)
        metric_inc((enum metric)(METRIC_EVENTS_ACCEPTED + (int)event->kind));
}

/* Everything up to `position` was told, unless telling broke off. */
static bool tell_until(struct publisher *p, struct lane *lane, uint64_t position, uint64_t pushed)
{
    if (p->is_broken)
        return false;
    lane->appended = position;
    lane->appended_pushed = MAX(lane->appended_pushed, pushed);
    event_file_mark(p->file, p->lane, position);
    keep_pace(p);
    return !p->is_broken;
}

static bool catch_up(struct publisher *p, struct lane *lane, uint64_t until, uint64_t pushed)
{
    struct journal_reader *reader;

    int error = journal_open(p->spool_directory, p->lane, lane->appended, &reader);
    if (error == 0) {
        error = journal_read(reader, until, on_event, p);
        journal_close(&reader);
    }
    if (error == 0)
        return tell_until(p, lane, until, pushed);
    report(p, "the journal does not read back", error);
    /* What was told of it comes again after the files were cut to the last commit. */
    p->is_broken = true;
    if (may_go_on(p))
        pause_ms(p, RETRY_MS);
    return false;
}

static bool tell_run(struct publisher *p, struct lane *lane, const struct run *run,
                     struct bytes records)
{
    if (run->end <= lane->appended)
        return true;
    if (run->position > lane->appended && !catch_up(p, lane, run->position, lane->appended_pushed))
        return false;
    /* After a failed sync it may be told for the second time, and its first part be durable. */
    p->skip_end = lane->appended;
    (void)journal_events(p->lane, run->position, records, on_event, p);
    p->skip_end = 0;
    return tell_until(p, lane, run->end, run->pushed);
}

static void tell_taken(struct publisher *p, struct lane *lane)
{
    while (buf_len(&lane->taken) > 0) {
        struct bytes bytes = buf_bytes(&lane->taken);
        struct run run;

        memcpy(&run, bytes.ptr, sizeof(run));
        if (!tell_run(p, lane, &run, bytes_slice(bytes, sizeof(run), run.len)))
            return;
        buf_consume(&lane->taken, sizeof(run) + run.len);
    }
    if (lane->taken.capacity > KEEP_CAPACITY)
        buf_free(&lane->taken);
    if (lane->appended < lane->goal)
        (void)catch_up(p, lane, lane->goal, lane->goal_pushed);
}

/* Takes the hand-over when the last one was told; the bytes that it holds. */
static size_t take(struct publisher *p, struct lane *lane)
{
    if (buf_len(&lane->taken) > 0 || lane->appended < lane->goal)
        return buf_len(&lane->taken);
    pthread_mutex_lock(&lane->lock);
    struct buf empty = lane->taken;
    lane->taken = lane->waiting;
    lane->waiting = empty;
    bool is_behind = lane->is_dropping;
    if (is_behind) {
        metric_inc(METRIC_EVENTS_CATCH_UPS);
        lane->goal = lane->pushed_end;
        lane->goal_pushed = lane->pushed;
        lane->is_dropping = false;
    }
    pthread_mutex_unlock(&lane->lock);
    if (is_behind && lane->appended > lane->goal) {
        log_error("shard=%u what=\"the event files are ahead of the spool, which must be another "
                  "one: its events are written from its beginning\"",
                  p->lane);
        lane->appended = 0;
    }
    return buf_len(&lane->taken);
}

/* One round over the lanes; bytes that were handed over. */
static size_t tell_all(struct publisher *p)
{
    size_t bytes = 0;

    for (p->lane = 0; p->lane < p->lane_count && !p->is_broken; p->lane++) {
        p->record = UINT64_MAX;
        bytes += take(p, &p->lanes[p->lane]);
        tell_taken(p, &p->lanes[p->lane]);
    }
    return bytes;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void finish(struct publisher *p)
{
    uint64_t uncommitted;

    while (!p->has_given_up && p->file != NULL &&
           event_file_has_uncommitted(p->file, &uncommitted)) {
        if (commit(p) == 0)
            return;
        if (p->is_broken)
            reopen(p);
        else if (may_go_on(p))
            pause_ms(p, RETRY_MS);
    }
}

static int64_t idle_ms(struct publisher *p)
{
    uint64_t uncommitted;

    if (event_file_unwritten(p->file) > 0)
        return FLUSH_EVERY_MS;
    if (!event_file_has_room(p->file))
        return RETRY_MS;
    return event_file_has_uncommitted(p->file, &uncommitted) ? COMMIT_EVERY_MS : IDLE_MS;
}

/* Nothing may be left to write, so nothing else would find out that there is room again. */
static void look_for_room(struct publisher *p)
{
    if (commit(p) < 0)
        p->commit_ms = clock_monotonic_ms();
}

static void *run_thread(void *context)
{
    struct publisher *p = context;

    while (!p->has_given_up) {
        if (p->is_broken) {
            reopen(p);
            continue;
        }
        size_t bytes = tell_all(p);
        if (p->is_broken)
            continue;
        keep_pace(p);
        if (atomic_load(&p->is_stopping)) {
            if (!has_work(p))
                break;
            continue;
        }
        bool is_packing = event_file_rotate_if_due(p->file, clocks_read());
        if (bytes > 0 && bytes < KEEP_CAPACITY)
            pause_ms(p, BATCH_MS);
        else if (bytes == 0 && !is_packing)
            wait_for_work(p, idle_ms(p));
        if (!event_file_has_room(p->file) && clock_monotonic_ms() >= p->commit_ms + RETRY_MS)
            look_for_room(p);
    }
    finish(p);
    if (p->has_given_up)
        log_warn("events=%s what=\"stopped with events unwritten; the next start writes them\"",
                 LOG_STRING(p->file_directory));
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static void publisher_free(struct publisher **publisher)
{
    struct publisher *p = *publisher;

    if (p->file != NULL)
        event_file_close(&p->file);
    for (unsigned i = 0; i < p->lane_count; i++) {
        buf_free(&p->lanes[i].waiting);
        buf_free(&p->lanes[i].taken);
        pthread_mutex_destroy(&p->lanes[i].lock);
    }
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    buf_free(&p->line);
    free(p->lanes);
    free(p->spool_directory);
    free(p->file_directory);
    free(p);
    *publisher = NULL;
}

static struct publisher *publisher_make(const struct publisher_settings *settings)
{
    struct publisher *p = calloc(1, sizeof(*p));
    size_t hand_over_max =
        settings->hand_over_max == 0 ? 16 * 1024 * 1024 : settings->hand_over_max;
    pthread_condattr_t attributes;

    check(p != NULL);
    check(settings->shard_count > 0 && settings->shard_count <= EVENT_SHARDS_MAX);
    p->spool_directory = strdup(settings->spool_directory);
    p->file_directory = strdup(settings->file.directory);
    check(p->spool_directory != NULL && p->file_directory != NULL);
    p->file_settings = settings->file;
    p->space = settings->space;
    p->file_settings.directory = p->file_directory;
    p->lane_count = settings->shard_count;
    p->lanes = calloc(p->lane_count, sizeof(*p->lanes));
    check(p->lanes != NULL);
    for (unsigned i = 0; i < p->lane_count; i++) {
        pthread_mutex_init(&p->lanes[i].lock, NULL);
        buf_init(&p->lanes[i].waiting, hand_over_max);
        buf_init(&p->lanes[i].taken, hand_over_max);
    }
    buf_init(&p->line, EVENT_JSON_MAX);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    p->flush_ms = p->commit_ms = clock_monotonic_ms();
    return p;
}

struct publisher *publisher_start(const struct publisher_settings *settings, char *why,
                                  size_t why_len)
{
    struct publisher *p = publisher_make(settings);
    struct event_cursors cursors;

    int error = event_file_open(&p->file_settings, &p->file, &cursors);
    if (error < 0) {
        (void)snprintf(why, why_len, "the event files in %s do not open: %s%s", p->file_directory,
                       strerror(-error),
                       error == -ENOTSUP ? "; a newer version has written them" : "");
        goto fail;
    }
    set_cursors(p, &cursors);
    tell_room(p);
    error = pthread_create(&p->thread, NULL, run_thread, p);
    if (error != 0) {
        (void)snprintf(why, why_len, "no thread for the event files: %s", strerror(error));
        goto fail;
    }
    (void)pthread_setname_np(p->thread, "publisher");
    return p;
fail:
    publisher_free(&p);
    errno = error < 0 ? -error : error;
    return NULL;
}

void publisher_stop(struct publisher **publisher, int64_t deadline_ms)
{
    (*publisher)->give_up_ms = deadline_ms;
    atomic_store(&(*publisher)->is_stopping, true);
    wake_up(*publisher);
    pthread_join((*publisher)->thread, NULL);
    publisher_free(publisher);
}
