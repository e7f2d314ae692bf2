/* publisher.c - the thread between the journal and the event files: its start, round and stop. */
#include "relay/publisher.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "relay/publisher_thread.h"

enum {
    BATCH_MS = 20,  /* pushes are gathered that long: fewer wake-ups, one write for many */
    IDLE_MS = 5000, /* rotation by age is looked at that often */
    HAND_OVER_MAX = 16 * 1024 * 1024,
};

/* --- the engines' side ------------------------------------------------------------------------ */

static struct lane *lane_of(struct publisher *publisher, unsigned shard)
{
    check(shard < publisher->lane_count);
    return &publisher->lanes[shard];
}

void publisher_push(struct publisher *publisher, unsigned shard, uint64_t position,
                    struct bytes records)
{
    lane_push(lane_of(publisher, shard), position, records);
    bell_ring_if_awaited(&publisher->bell);
}

uint64_t publisher_pushed(struct publisher *publisher, unsigned shard)
{
    return lane_pushed(lane_of(publisher, shard));
}

void publisher_attach(struct publisher *publisher, unsigned shard, publisher_passed_fn *passed,
                      void *context, uint64_t durable_position)
{
    const struct publisher_follower *follower = &publisher->follower;

    if (follower->commit != NULL)
        follower->attached(follower->context, shard, durable_position);
    lane_attach(lane_of(publisher, shard), passed, context, durable_position);
    bell_ring(&publisher->bell);
}

/* --- the thread ------------------------------------------------------------------------------- */

static bool has_work(void *context)
{
    struct publisher *p = context;

    for (unsigned i = 0; i < p->lane_count; i++)
        if (lane_has_work(&p->lanes[i]))
            return true;
    return false;
}

/* Everything was told: makes it durable. False: to be tried again, perhaps after it was told again,
 * because a failed sync may have thrown it away. */
static bool finish(struct publisher *p)
{
    uint64_t uncommitted;

    if (!event_file_has_uncommitted(p->file, &uncommitted) || publisher_commit(p) == 0)
        return true;
    if (publisher_may_go_on(p) && !p->is_broken)
        bell_pause(&p->bell, PUBLISHER_RETRY_MS);
    return false;
}

static int64_t idle_ms(struct publisher *p)
{
    uint64_t uncommitted;

    bool has_uncommitted = event_file_has_uncommitted(p->file, &uncommitted);

    if (!event_file_has_room(p->file))
        return event_file_unwritten(p->file) > 0 ? PUBLISHER_FLUSH_EVERY_MS : PUBLISHER_RETRY_MS;
    if (has_uncommitted)
        return MIN(publisher_commit_after_ms(uncommitted), (int64_t)PUBLISHER_FLUSH_EVERY_MS);
    return event_file_unwritten(p->file) > 0 ? PUBLISHER_FLUSH_EVERY_MS : IDLE_MS;
}

/* Nothing may be left to write, so nothing else would find out that there is room again. */
static void look_for_room(struct publisher *p)
{
    if (publisher_commit(p) < 0)
        p->commit_ms = clock_monotonic_ms();
}

static void *run_thread(void *context)
{
    struct publisher *p = context;

    while (!p->has_given_up) {
        if (p->is_broken) {
            publisher_reopen(p);
            continue;
        }
        size_t bytes = publisher_tell(p);
        if (p->is_broken)
            continue;
        publisher_keep_pace(p);
        if (atomic_load(&p->bell.is_stopping)) {
            if (!has_work(p) && finish(p))
                break;
            continue;
        }
        bool is_packing = event_file_rotate_if_due(p->file, clocks_read());
        if (bytes > 0 && bytes < LANE_BURST_BYTES)
            bell_pause(&p->bell, BATCH_MS);
        else if (bytes == 0 && !is_packing)
            bell_wait(&p->bell, idle_ms(p), has_work, p);
        if (!event_file_has_room(p->file) &&
            clock_monotonic_ms() >= p->commit_ms + PUBLISHER_RETRY_MS)
            look_for_room(p);
    }
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
    for (unsigned i = 0; i < p->lane_count; i++)
        lane_free(&p->lanes[i]);
    bell_free(&p->bell);
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
    size_t hand_over_max = settings->hand_over_max == 0 ? HAND_OVER_MAX : settings->hand_over_max;

    check(p != NULL);
    check(settings->shard_count > 0 && settings->shard_count <= MESSAGE_ID_SHARDS_MAX);
    p->spool_directory = strdup(settings->spool_directory);
    p->file_directory = strdup(settings->file.directory);
    check(p->spool_directory != NULL && p->file_directory != NULL);
    p->file_settings = settings->file;
    p->space = settings->space;
    if (settings->follower != NULL)
        p->follower = *settings->follower;
    p->file_settings.directory = p->file_directory;
    p->lane_count = settings->shard_count;
    p->lanes = calloc(p->lane_count, sizeof(*p->lanes));
    check(p->lanes != NULL);
    for (unsigned i = 0; i < p->lane_count; i++)
        lane_init(&p->lanes[i], i, hand_over_max);
    buf_init(&p->line, EVENT_JSON_MAX);
    bell_init(&p->bell);
    p->flush_ms = p->commit_ms = clock_monotonic_ms();
    return p;
}

struct publisher *publisher_start(const struct publisher_settings *settings, char *why,
                                  size_t why_len)
{
    struct publisher *p = publisher_make(settings);

    int error = publisher_open(p);
    if (error < 0) {
        (void)snprintf(why, why_len, "the event files in %s do not open: %s%s", p->file_directory,
                       strerror(-error),
                       error == -ENOTSUP ? "; a newer version has written them" : "");
        goto fail;
    }
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
    bell_end(&(*publisher)->bell, deadline_ms);
    pthread_join((*publisher)->thread, NULL);
    publisher_free(publisher);
}
