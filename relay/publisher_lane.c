/* publisher_lane.c - the hand-over of one shard, and how far it was told. */
#include "relay/publisher_lane.h"

#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/journal.h"

void lane_init(struct lane *lane, unsigned shard, size_t hand_over_max)
{
    *lane = (struct lane){.shard = shard};
    pthread_mutex_init(&lane->lock, NULL);
    buf_init(&lane->waiting, hand_over_max);
    buf_init(&lane->taken, hand_over_max);
}

void lane_free(struct lane *lane)
{
    buf_free(&lane->waiting);
    buf_free(&lane->taken);
    pthread_mutex_destroy(&lane->lock);
}

/* --- the engines' side ------------------------------------------------------------------------ */

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

void lane_push(struct lane *lane, uint64_t position, struct bytes records)
{
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
}

uint64_t lane_pushed(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    uint64_t position = lane->pushed_end;
    pthread_mutex_unlock(&lane->lock);
    return position;
}

void lane_attach(struct lane *lane, publisher_passed_fn *passed, void *context,
                 uint64_t durable_position)
{
    check(passed != NULL);
    pthread_mutex_lock(&lane->lock);
    check(lane->passed == NULL);
    lane->passed = passed;
    lane->context = context;
    lane->pushed_end = durable_position;
    lane->is_dropping = true; /* as if everything up to here had found no room */
    pthread_mutex_unlock(&lane->lock);
}

/* --- what is to be told ----------------------------------------------------------------------- */

bool lane_has_work(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    bool has = lane->is_dropping || buf_len(&lane->waiting) > 0;
    pthread_mutex_unlock(&lane->lock);
    return has || lane->appended < lane->goal || buf_len(&lane->taken) > 0;
}

size_t lane_take(struct lane *lane)
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
                  lane->shard);
        lane->appended = 0;
    }
    return buf_len(&lane->taken);
}

bool lane_first(const struct lane *lane, struct run *run_out, struct bytes *records_out)
{
    struct bytes bytes = buf_bytes(&lane->taken);

    if (bytes.len == 0)
        return false;
    memcpy(run_out, bytes.ptr, sizeof(*run_out));
    *records_out = bytes_slice(bytes, sizeof(*run_out), run_out->len);
    return true;
}

void lane_drop_first(struct lane *lane, const struct run *run)
{
    buf_consume(&lane->taken, sizeof(*run) + run->len);
}

void lane_end_taken(struct lane *lane)
{
    check(buf_len(&lane->taken) == 0);
    if (lane->taken.capacity > LANE_BURST_BYTES)
        buf_free(&lane->taken);
}

/* --- how far it was told ---------------------------------------------------------------------- */

void lane_appended(struct lane *lane, uint64_t position, uint64_t pushed)
{
    lane->appended = position;
    lane->appended_pushed = MAX(lane->appended_pushed, pushed);
}

void lane_set_back(struct lane *lane, uint64_t position)
{
    if (lane->appended > lane->goal) {
        lane->goal = lane->appended;
        lane->goal_pushed = lane->appended_pushed;
    }
    lane->appended = position;
    lane->appended_pushed = lane->durable_pushed;
}

void lane_durable(struct lane *lane, uint64_t position)
{
    metric_add(METRIC_EVENTS_LAG_BYTES, -(int64_t)(lane->appended_pushed - lane->durable_pushed));
    lane->durable_pushed = lane->appended_pushed;
    pthread_mutex_lock(&lane->lock);
    publisher_passed_fn *passed = lane->passed;
    pthread_mutex_unlock(&lane->lock);
    if (passed == NULL || position <= lane->passed_end)
        return;
    lane->passed_end = position;
    passed(lane->context, lane->shard, position);
}
