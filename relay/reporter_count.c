/* reporter_count.c - events into the tally, a batch a transaction. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "event/event_committed.h"
#include "event/event_line.h"
#include "relay/reporter_private.h"
#include "reporting/dmarc_count.h"

enum {
    BATCH_LINES = 2000,
    AGE_DAYS_MAX = 2, /* of an event: what was not counted for longer is not told as of that day */
};

/* --- a line ----------------------------------------------------------------------------------- */

static bool is_of_receiving(struct bytes kind)
{
    return bytes_equal(kind, BYTES("received")) || bytes_equal(kind, BYTES("rejected"));
}

static bool is_of_sending(struct bytes kind)
{
    static const char *const kinds[] = {"delivered", "deferred", "bounced", "expired"};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_equal(kind, bytes_of(kinds[i])))
            return true;
    return false;
}

static bool count_dmarc(struct reporter *r, int64_t day, const json_t *event)
{
    static struct dmarc_count count; /* of the one thread */

    if (!dmarc_count_take(event, &count))
        return true;
    metric_inc(METRIC_REPORTS_MESSAGES);
    return tally_add(r->tally, TALLY_DMARC, day, count.domain, count.policy, &count.row);
}

static bool count_tls(struct reporter *r, int64_t day, const json_t *event)
{
    struct tls_count count;

    if (!tls_count_take(event, &r->seen, &count))
        return true;
    metric_inc(METRIC_REPORTS_SESSIONS);
    return tally_add(r->tally, TALLY_TLS, day, count.domain, BYTES_NONE, &count.row);
}

/* False: the tally takes nothing. */
static bool count_line(struct reporter *r, struct bytes line)
{
    const struct config_reports *reports = &r->config->reports;
    struct event_line parts;

    if (!event_line_parse(line, &parts))
        return true;
    int64_t day = reporter_day(parts.time_ms);
    bool is_dmarc = reports->dmarc && is_of_receiving(parts.kind) &&
                    bytes_find_bytes(line, BYTES("\"dmarc-record\""), 0) < line.len;
    bool is_tls = reports->tls && is_of_sending(parts.kind) && tls_count_may(line);

    if ((!is_dmarc && !is_tls) || day < reporter_day(clock_wall_ms()) - AGE_DAYS_MAX)
        return true;
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    bool is_good =
        event == NULL || (is_dmarc ? count_dmarc(r, day, event) : count_tls(r, day, event));

    json_decref(event);
    return is_good;
}

/* --- a batch ---------------------------------------------------------------------------------- */

/* Where it was left; the first time from what is committed now on. */
static bool begin(struct reporter *r, struct event_place committed)
{
    struct event_place place;

    if (!tally_begin(r->tally) || !tally_place(r->tally, &place))
        return false;
    if (place.number == 0)
        place = committed;
    if (r->reader == NULL) {
        int error = event_reader_open(r->events, place, &r->reader);

        if (error < 0) {
            log_limited(LOG_LEVEL_ERROR, "events=%s what=\"not read for reports: %s\"",
                        LOG_STRING(r->events), strerror(-error));
            return false;
        }
    }
    event_reader_seek(r->reader, place);
    return true;
}

/* A file that is gone, or does not read, is stepped over: what it would have counted is lost. */
static bool step_over(struct reporter *r, struct event_place until, int error)
{
    struct event_place at = event_reader_place(r->reader);
    uint64_t number = at.number + 1;

    log_warn("file=%llu what=\"event files cannot be read for reports: %s; they go on behind it\"",
             (unsigned long long)at.number, strerror(-error));
    if (error == -ENOENT && event_reader_oldest(r->reader, at.number + 1, until, &number) < 0)
        return false;
    if (number > until.number)
        return false;
    event_reader_seek(r->reader, (struct event_place){.number = number, .events = at.events});
    return true;
}

/* False: it failed. *is_over_out: there are no more. */
static bool take_batch(struct reporter *r, struct event_place until, bool *is_over_out)
{
    struct bytes line;

    *is_over_out = false;
    for (unsigned i = 0; i < BATCH_LINES; i++) {
        int got = event_reader_next(r->reader, until, &line);

        if (got == 0) {
            *is_over_out = true;
            return true;
        }
        if (got < 0)
            return step_over(r, until, got);
        if (!count_line(r, line))
            return false;
    }
    return true;
}

bool reporter_count(struct reporter *r)
{
    struct event_committed committed;
    bool is_over = false;
    int error = event_committed_read(r->events, &committed);

    if (error < 0) {
        if (error != -ENOENT)
            log_limited(LOG_LEVEL_ERROR, "events=%s what=\"not read for reports: %s\"",
                        LOG_STRING(r->events), strerror(-error));
        return false;
    }
    /* Nothing new: no transaction, which would be a sync of the disk each second. */
    if (r->reader != NULL &&
        event_place_compare(event_reader_place(r->reader), committed.place) >= 0)
        return true;
    while (!is_over && !atomic_load(&r->is_stopping)) {
        pthread_mutex_lock(&r->tally_lock);
        bool is_good = begin(r, committed.place) && take_batch(r, committed.place, &is_over) &&
                       tally_set_place(r->tally, event_reader_place(r->reader)) &&
                       tally_commit(r->tally);

        if (!is_good) {
            tally_take_back(r->tally);
            log_limited(LOG_LEVEL_ERROR, "what=\"events cannot be counted for reports\" why=%s",
                        LOG_STRING(tally_why(r->tally)));
            tally_close(&r->tally);
        }
        pthread_mutex_unlock(&r->tally_lock);
        if (!is_good)
            return false;
    }
    return is_over;
}
