/* publisher_files.c - lines become durable: when to write and sync, and what failures cost. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "relay/publisher_thread.h"

enum { COMMIT_BYTES = 16 * 1024 * 1024 };

/* --- failures --------------------------------------------------------------------------------- */

void publisher_report(struct publisher *p, const char *what, int error)
{
    metric_inc(METRIC_EVENTS_ERRORS);
    log_limited(LOG_LEVEL_WARN, "events=%s error=\"%s\" what=\"%s; nothing is lost, trying again\"",
                LOG_STRING(p->file_directory), strerror(-error), what);
}

bool publisher_may_go_on(struct publisher *p)
{
    if (!bell_is_over(&p->bell))
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

/* --- opening ---------------------------------------------------------------------------------- */

int publisher_open(struct publisher *p)
{
    struct event_cursors cursors;

    int error = event_file_open(&p->file_settings, &p->file, &cursors);
    if (error < 0)
        return error;
    for (unsigned i = 0; i < p->lane_count; i++)
        lane_set_back(&p->lanes[i], cursors.positions[i]);
    tell_room(p);
    return 0;
}

void publisher_reopen(struct publisher *p)
{
    if (p->file != NULL)
        event_file_close(&p->file);
    int error = publisher_open(p);
    if (error == 0) {
        p->is_broken = false;
        return;
    }
    publisher_report(p, "the event files do not open", error);
    tell_room(p);
    if (publisher_may_go_on(p))
        bell_pause(&p->bell, PUBLISHER_RETRY_MS);
}

/* --- writing ---------------------------------------------------------------------------------- */

int publisher_commit(struct publisher *p)
{
    struct event_cursors durable;

    if (p->follower.commit != NULL)
        p->follower.commit(p->follower.context);
    int error = event_file_commit(p->file, &durable);
    if (error < 0) {
        publisher_report(p, "the event files do not take more", error);
        p->is_broken = p->is_broken || error == -EIO;
        tell_room(p);
        return error;
    }
    p->flush_ms = p->commit_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < p->lane_count; i++)
        lane_durable(&p->lanes[i], durable.positions[i]);
    (void)event_file_rotate_if_due(p->file, clocks_read());
    tell_room(p);
    return 0;
}

int64_t publisher_commit_after_ms(uint64_t uncommitted)
{
    return uncommitted < PUBLISHER_QUICK_BYTES ? PUBLISHER_QUICK_EVERY_MS
                                               : PUBLISHER_COMMIT_EVERY_MS;
}

void publisher_keep_pace(struct publisher *p)
{
    int64_t now_ms = clock_monotonic_ms();
    uint64_t uncommitted;
    bool has_uncommitted = event_file_has_uncommitted(p->file, &uncommitted);
    int error = 0;

    if (has_uncommitted && (uncommitted >= COMMIT_BYTES ||
                            now_ms >= p->commit_ms + publisher_commit_after_ms(uncommitted)))
        error = publisher_commit(p);
    else if (event_file_unwritten(p->file) > 0 &&
             now_ms >= p->flush_ms + PUBLISHER_FLUSH_EVERY_MS) {
        error = event_file_flush(p->file);
        p->flush_ms = now_ms;
        if (error < 0)
            publisher_report(p, "the event files do not take more", error);
        tell_room(p);
    }
    if (error < 0) /* not again before some time has passed */
        p->commit_ms = p->flush_ms = now_ms;
}

void publisher_append(struct publisher *p, struct bytes line)
{
    int error;

    while ((error = event_file_append(p->file, line)) < 0) {
        publisher_report(p, "the event files do not take more", error);
        tell_room(p);
        if (!publisher_may_go_on(p))
            return;
        bell_pause(&p->bell, PUBLISHER_RETRY_MS);
    }
}
