/* shard.c - a shard's turn, what is due, the operator's side, open and close. */
#include "queue/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/damage.h"
#include "queue/disk.h"
#include "queue/shard_private.h"

enum {
    /* A pending that comes back within this keeps its message in memory meanwhile. A rest of a site
     * is longer, and all that waits for the site would fill the memory until it ends. */
    RESIDENT_WAIT_MS = 2 * 1000,
};

int64_t shard_wall_offset_ms(const struct shard *shard)
{
    return engine_wall_ms(shard->engine) - engine_now_ms(shard->engine);
}

bool shard_is_whole(const struct shard *shard)
{
    return shard->recovering == NULL;
}

unsigned shard_index(const struct shard *shard)
{
    return shard->number;
}

bool shard_is_adopted(const struct shard *shard)
{
    return shard->is_adopted;
}

/* --- due ------------------------------------------------------------------------------------- */

static void become_ready(struct shard *shard, struct pending *pending)
{
    pending->state = PENDING_READY;
    shard->ready++;
    pending_keep_message(pending);
}

static void arm_due(struct shard *shard)
{
    int64_t now = engine_now_ms(shard->engine);
    int64_t next = schedule_next_ms(shard->schedule);

    if (next <= now) {
        engine_turn_again(shard->engine);
        return;
    }
    if (next == shard->due_armed_ms)
        return;
    shard->due_armed_ms = next;
    if (next == INT64_MAX)
        engine_timeout_cancel(shard->engine, &shard->due);
    else
        engine_timeout(shard->engine, &shard->due, next - now);
}

static void on_due_timeout(struct timeout *timeout)
{
    struct shard *shard = container_of(timeout, struct shard, due);

    shard->due_armed_ms = INT64_MAX; /* the hook of this turn does the rest */
}

static void hand_out_due(struct shard *shard)
{
    int64_t now = engine_now_ms(shard->engine);

    for (unsigned i = 0; i < DUE_BATCH; i++) {
        struct pending *pending = schedule_pop(shard->schedule, now);

        if (pending == NULL)
            break;
        become_ready(shard, pending);
        shard->hooks.due(shard->hooks.context, shard, pending);
    }
    arm_due(shard);
}

void shard_schedule(struct shard *shard, struct pending *pending, int64_t due_ms)
{
    int64_t now_ms = engine_now_ms(shard->engine);

    schedule_add(shard->schedule, pending,
                 MAX(due_ms, stub_not_before_ms(pending_stub(pending), now_ms)));
}

void shard_make_due(struct shard *shard, struct pending *pending)
{
    if (pending->state != PENDING_SCHEDULED)
        return;
    schedule_remove(shard->schedule, pending);
    schedule_add(shard->schedule, pending, 0);
    engine_turn_again(shard->engine);
}

void shard_postpone(struct shard *shard, struct pending *pending, int64_t due_ms)
{
    check(pending->state == PENDING_READY);
    pending->state = PENDING_SCHEDULED;
    shard->ready--;
    pending->flags &= (uint8_t)~PENDING_LETS_GO;
    list_node_init(&pending->link);
    shard_schedule(shard, pending, due_ms);
    if (due_ms - engine_now_ms(shard->engine) > RESIDENT_WAIT_MS)
        pending_drop_message(shard, pending);
    engine_turn_again(shard->engine);
}

struct stub *shard_find(struct shard *shard, struct message_id id)
{
    return shard->recovering != NULL ? NULL : stub_index_find(&shard->index, id);
}

bool shard_take(struct shard *shard, struct pending *pending)
{
    if (pending->state != PENDING_SCHEDULED)
        return false;
    schedule_remove(shard->schedule, pending);
    become_ready(shard, pending);
    return true;
}

bool shard_retry_now(struct shard *shard, struct pending *pending)
{
    int64_t now_ms = engine_now_ms(shard->engine);

    if (pending->state != PENDING_SCHEDULED ||
        stub_not_before_ms(pending_stub(pending), now_ms) > now_ms)
        return false;
    shard_make_due(shard, pending);
    return true;
}

struct walk {
    struct shard *shard;
    void (*visit)(void *context, struct shard *shard, struct stub *stub);
    void *context;
};

static void visit_stub(void *context, struct stub *stub)
{
    struct walk *walk = context;

    walk->visit(walk->context, walk->shard, stub);
}

bool shard_walk(struct shard *shard, uint64_t *cursor, size_t max,
                void (*visit)(void *context, struct shard *shard, struct stub *stub), void *context)
{
    struct walk walk = {shard, visit, context};

    return shard->recovering == NULL &&
           stub_index_walk(&shard->index, cursor, max, visit_stub, &walk);
}

void shard_sink_passed(struct shard *shard, unsigned sink, uint64_t position)
{
    check(sink < shard->sink_count);
    shard->sink_positions[sink] = MAX(shard->sink_positions[sink], position);
    supply_check(shard);
}

uint64_t shard_durable_position(const struct shard *shard)
{
    return shard->durable_position;
}

void shard_status(struct shard *shard, struct shard_status *out)
{
    uint64_t scheduled = schedule_count(shard->schedule);
    uint64_t held = scheduled + shard->ready + shard->committing;
    uint64_t ended = 0;

    for (size_t kind = 0; kind < EVENT_KIND_COUNT; kind++)
        ended += shard->sums.ended[kind];

    *out = (struct shard_status){
        .sums = shard->sums,
        .unaccounted = (int64_t)(shard->sums.accepted + shard->sums.recovered) -
                       (int64_t)(ended + shard->recipients),
        .messages = shard->messages,
        .recipients = shard->recipients,
        .scheduled = scheduled,
        .ready = shard->ready,
        .committing = shard->committing,
        .segments = shard->segment_count,
        .bytes_used = shard->bytes_used,
        .bytes_live = shard->bytes_live,
        .spare_segments = shard->spare_count,
        .resident_bytes = shard->resident_bytes,
        .resident_messages = shard->resident_messages,
        .overdue = shard->recipients > held ? shard->recipients - held : 0,
        .is_full = shard_why_full(shard) == -ENOSPC,
        .is_recovering = shard->recovering != NULL,
    };
}

/* --- turn, open, close ----------------------------------------------------------------------- */

static void tell_failures(struct shard *shard)
{
    struct list commits;
    struct list writes;

    /* Who is told may fail again at once: that one waits for the next turn. */
    list_init(&commits);
    list_init(&writes);
    list_splice(&commits, &shard->failed_commits);
    list_splice(&writes, &shard->failed_writes);
    for (struct list_node *node; (node = list_pop_front(&commits)) != NULL;) {
        struct commit *commit = container_of(node, struct commit, node);

        metric_inc(METRIC_SPOOL_COMMITS_FAILED);
        commit->done(commit, commit->result_private);
    }
    for (struct list_node *node; (node = list_pop_front(&writes)) != NULL;) {
        struct content_write *write = container_of(node, struct content_write, node);
        struct message *message = write->message;

        int full = shard_why_full(shard);
        write->done(write, shard->is_closing ? -ESHUTDOWN : full < 0 ? full : -ENOSPC);
        message_release(&message);
    }
}

static bool is_quiet(const struct shard *shard)
{
    return !shard->is_flushing && shard->filling.batch_count == 0 && shard->footers == 0 &&
           shard->supply.doing == SUPPLY_IDLE && shard->reads_in_flight == 0 &&
           compact_is_idle(shard) && arriving_is_idle(shard) && damage_is_idle(shard) &&
           list_is_empty(&shard->failed_commits) && list_is_empty(&shard->failed_writes) &&
           list_is_empty(&shard->ready_loads) && list_is_empty(&shard->ready_reads);
}

static void close_progress(struct shard *shard)
{
    if (!is_quiet(shard)) {
        if (!shard->is_flushing && shard->filling.batch_count > 0)
            flush_wanted(shard);
        return;
    }
    if (shard->open != NULL) {
        supply_close_segment(shard, shard->open);
        if (shard->footers > 0)
            return;
    }
    engine_remove_turn_hook(shard->engine, &shard->hook);
    engine_turn_end_cancel(shard->engine, &shard->end);
    engine_timeout_cancel(shard->engine, &shard->due);
    engine_timeout_cancel(shard->engine, &shard->supply.retry);
    shard->is_closed = true;
    shard->closed(shard->closed_context);
}

static void recover_more(struct shard *shard)
{
    int more = recover_step(shard);

    if (more >= 0) {
        engine_turn_again(shard->engine);
        return;
    }
    log_error("spool=%02x what=%s", shard->number, LOG_STRING(shard->why));
    shard->has_failed = true;
    shard->hooks.recovery_failed(shard->hooks.context, shard, more);
}

static void on_turn(struct turn_hook *hook)
{
    struct shard *shard = container_of(hook, struct shard, hook);

    tell_failures(shard);
    content_turn(shard);
    if (shard->recovering != NULL && !shard->has_failed && !shard->is_closing)
        recover_more(shard);
    if (shard->is_closing) {
        close_progress(shard); /* may have freed the shard */
        return;
    }
    hand_out_due(shard);
    if (shard->recovering == NULL) {
        compact_turn(shard);
        arriving_turn(shard);
    }
    supply_check(shard); /* a pin may be gone */
}

void shard_close(struct shard *shard, void (*closed)(void *context), void *context)
{
    check(!shard->is_closing);
    shard->is_closing = true;
    shard->closed = closed;
    shard->closed_context = context;
    compact_stop(shard);
    content_fail_waiting(shard);
    engine_turn_again(shard->engine);
}

void shard_break_off(struct shard *shard)
{
    shard->is_broken_off = true;
    flush_drop_all(shard);
    engine_turn_again(shard->engine);
}

static void free_visited(void *context, struct stub *stub)
{
    struct shard *shard = context;

    shard_drop_resident(shard, stub);
    stub_free(shard, stub);
}

void shard_free(struct shard **shard)
{
    struct shard *freed = *shard;
    uint64_t cursor = 0;

    *shard = NULL;
    if (freed == NULL)
        return;
    check(freed->is_closed);
    recover_end(freed);
    metric_add(METRIC_SPOOL_MESSAGES, -(int64_t)freed->messages);
    metric_add(METRIC_SPOOL_RECIPIENTS, -(int64_t)freed->recipients);
    metric_add(METRIC_SPOOL_BYTES_LIVE, -(int64_t)freed->bytes_live);
    metric_add(METRIC_SPOOL_BYTES_USED, -(int64_t)freed->bytes_used);
    metric_add(METRIC_SPOOL_SEGMENTS, -(int64_t)freed->segment_count);
    while (stub_index_walk(&freed->index, &cursor, SIZE_MAX, free_visited, freed))
        ;
    stub_index_free(&freed->index);
    schedule_free(&freed->schedule);
    for (size_t i = 0; i < freed->segment_count; i++)
        segment_free(&freed->segments[i]);
    free(freed->segments);
    for (unsigned i = 0; i < freed->spare_count; i++)
        segment_free(&freed->spares[i]);
    damage_close(freed);
    arriving_free(freed);
    staging_free(&freed->filling);
    staging_free(&freed->flight);
    buf_free(&freed->event_buf);
    ids_free(&freed->compaction.ids);
    if (freed->lock_fd >= 0)
        disk_close(freed->lock_fd);
    free(freed);
}

uint32_t shard_segment_size(const struct spool_settings *settings)
{
    uint64_t size = settings->segment_size == 0 ? 64 << 20 : settings->segment_size;

    size = MAX(size, (uint64_t)SEGMENT_SIZE_MIN);
    size = MIN(size, (uint64_t)1 << 30); /* offsets have 32 bits */
    return (uint32_t)(size / SPOOL_BLOCK * SPOOL_BLOCK);
}

unsigned shard_spares(const struct spool_settings *settings)
{
    unsigned spares = settings->spare_segments == 0 ? 2 : settings->spare_segments;

    return MIN(spares, (unsigned)SPARES_MAX / 2) + 1;
}

static bool apply_settings(struct shard *shard, const struct spool_settings *settings)
{
    size_t len = strlen(settings->directory);

    if (len >= sizeof(shard->spool))
        return false;
    memcpy(shard->spool, settings->directory, len + 1);
    memcpy(shard->supply.spool, settings->directory, len + 1);
    shard->segment_size = shard_segment_size(settings);
    shard->spares_wanted = shard_spares(settings);
    shard->resident_max = settings->resident_max == 0 ? 256 << 20 : settings->resident_max;
    shard->memory_max = settings->memory_max;
    shard->compact_live_percent =
        settings->compact_live_percent == 0 ? 50 : settings->compact_live_percent;
    return true;
}

static struct shard *shard_new(const struct shard_setup *setup)
{
    struct shard *shard = calloc(1, sizeof(*shard));

    check(shard != NULL);
    shard->engine = setup->engine;
    shard->segment_pool = setup->segment_pool;
    shard->flows = setup->flows;
    shard->hooks = setup->hooks;
    shard->number = setup->index;
    shard->is_adopted = setup->is_adopted;
    shard->sink_count = setup->sink_count;
    shard->space = setup->space;
    shard->lock_fd = -1;
    shard->next_sequence = 1;
    shard->due_armed_ms = INT64_MAX;
    list_init(&shard->failed_commits);
    list_init(&shard->failed_writes);
    list_init(&shard->ready_loads);
    list_init(&shard->waiting_loads);
    list_init(&shard->ready_reads);
    list_init(&shard->reads);
    buf_init(&shard->event_buf, EVENT_ENCODED_MAX);
    list_init(&shard->damage.recovered);
    timeout_init(&shard->due, on_due_timeout);
    shard->schedule = schedule_create(engine_now_ms(setup->engine));
    shard->hook.run = on_turn;
    list_node_init(&shard->hook.node);
    flush_init(shard);
    supply_init(shard);
    compact_init(shard);
    arriving_init(shard);
    return shard;
}

static int recover_all(struct shard *shard, bool later)
{
    int more = recover_begin(shard, &shard->recovery, shard->why);

    if (more < 0 || later)
        return more;
    do
        more = recover_step(shard);
    while (more > 0);
    return more;
}

int shard_open(const struct shard_setup *setup, struct shard **shard_out,
               struct recovery *recovery_out, char *why_out)
{
    check(setup->sink_count <= SINKS_MAX);
    check(setup->index <= UINT8_MAX);
    struct shard *shard = shard_new(setup);
    int error = apply_settings(shard, setup->settings) ? 0 : -ENAMETOOLONG;

    if (error == 0)
        error = recover_all(shard, setup->recovers_later);
    else
        memcpy(shard->why, "the spool's path is too long", sizeof("the spool's path is too long"));
    *recovery_out = shard->recovery;
    if (error < 0) {
        memcpy(why_out, shard->why, sizeof(shard->why));
        shard->is_closed = true;
        shard_free(&shard);
        return error;
    }
    engine_add_turn_hook(shard->engine, &shard->hook);
    supply_check(shard);
    *shard_out = shard;
    return 0;
}
