/*
 * supply.c - segments: prepared ahead, rolled over, closed with a footer, reclaimed.
 *
 * One chore at a time is with the pool's thread, so segments die strictly in order. One spare is
 * a reserve: accepts leave it to outcomes, whose writing is what frees space on a full disk. While
 * less is free than there should be no more spares are kept than outcomes need.
 *
 * An adopted shard takes no new mail: it keeps what outcomes need while it has mail, and then a
 * single file, which knows the numbers that were given out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "queue/disk.h"
#include "queue/shard_private.h"

enum {
    /* Dead files kept as spares beyond what is wanted: at a steady pace the next one dies only
     * after the last was opened, and a file of zeros would be written for every one removed. */
    RECYCLED_EXTRA = 2,
    SPARES_MIN = 2, /* for outcomes alone: the reserve, and one to go on in */
};

static void on_chore_done(struct letter *letter, struct engine *engine);
static void on_retry(struct timeout *timeout);

void supply_init(struct shard *shard)
{
    shard->supply.chore.letter.open = on_chore_done;
    shard->supply.chore.engine = shard->engine;
    timeout_init(&shard->supply.retry, on_retry);
}

struct segment *shard_segment(const struct shard *shard, uint32_t sequence)
{
    size_t low = 0;
    size_t high = shard->segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (shard->segments[middle]->sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == shard->segment_count || shard->segments[low]->sequence != sequence)
        return NULL;
    return shard->segments[low];
}

bool shard_extent_stands(const struct shard *shard, const struct extent *extent)
{
    const struct segment *segment = shard_segment(shard, extent->segment);

    if (segment == NULL)
        return false;
    /* What is in flight to the open segment may still fail: then the accept behind it fails too. */
    return segment == shard->open || extent->offset < segment->data_end;
}

void shard_append_segment(struct shard *shard, struct segment *segment)
{
    if (shard->segment_count == shard->segment_capacity) {
        size_t capacity = MAX(shard->segment_capacity * 2, (size_t)16);
        struct segment **grown = realloc(shard->segments, capacity * sizeof(struct segment *));

        check(grown != NULL);
        shard->segments = grown;
        shard->segment_capacity = capacity;
    }
    shard->segments[shard->segment_count++] = segment;
    metric_inc(METRIC_SPOOL_SEGMENTS);
}

void supply_reserve_header(struct shard *shard, struct segment_header *header)
{
    *header = (struct segment_header){
        .format = SPOOL_FORMAT,
        .node = event_node(),
        .shard = (uint16_t)shard->number,
        .sequence = shard->next_sequence,
        .size = shard->segment_size,
        .salt = random_u64(),
        .created_ms = engine_wall_ms(shard->engine),
        .serial_max = shard->serial_last,
    };
}

/* --- rolling over ---------------------------------------------------------------------------- */

bool segment_build_footer(struct shard *shard, struct segment *segment, int64_t wall_offset_ms,
                          struct footer_writer *writer)
{
    if (!footer_begin(writer, segment->index_len, segment->format))
        return false;
    for (size_t i = 0; i < segment->accepted.count; i++) {
        const struct stub *stub =
            stub_index_find(&shard->index, (struct message_id){segment->accepted.values[i]});

        /* What is finished needs no entry: nothing of it is looked for after this segment. */
        if (stub == NULL || stub->sequence != segment->sequence)
            continue;
        if (!footer_add_accept(writer, stub, wall_offset_ms))
            return false;
    }
    for (size_t i = 0; i < segment->outcome_count; i++)
        if (!footer_add_outcome(writer, &segment->outcomes[i]))
            return false;
    return footer_finish(writer, segment, shard->serial_last);
}

struct footer_write {
    struct op op;
    struct shard *shard;
    struct segment *segment;
    uint8_t *data;
    size_t len, written;
};

static void submit_footer(struct footer_write *write)
{
    struct bytes rest = {write->data + write->written, write->len - write->written};

    engine_write_durable(write->shard->engine, &write->op, write->segment->fd, rest,
                         write->segment->footer_offset + write->written);
}

static void on_footer_written(struct op *op, int result, uint32_t flags)
{
    struct footer_write *write = container_of(op, struct footer_write, op);
    struct segment *segment = write->segment;
    struct shard *shard = write->shard;

    (void)flags;
    if (result > 0 && write->written + (size_t)result < write->len &&
        (write->written + (size_t)result) / SPOOL_BLOCK * SPOOL_BLOCK > write->written) {
        write->written = (write->written + (size_t)result) / SPOOL_BLOCK * SPOOL_BLOCK;
        submit_footer(write);
        return;
    }
    if (result > 0 && write->written + (size_t)result >= write->len) {
        segment_forget_index(segment);
    } else {
        /* Its records are durable all the same: the next start reads them instead. */
        log_warn("spool=%02x segment=%x what=\"footer not written\" error=\"%s\"", shard->number,
                 segment->sequence, strerror(result < 0 ? -result : EIO));
        segment->footer_offset = 0;
    }
    segment->is_busy = false;
    shard->footers--;
    free(write->data);
    free(write);
    supply_check(shard);
}

void supply_close_segment(struct shard *shard, struct segment *segment)
{
    struct footer_writer writer;

    check(segment->state == SEGMENT_OPEN);
    check(!shard->is_flushing);
    segment->state = SEGMENT_CLOSED;
    shard->open = NULL;
    if (!segment_build_footer(shard, segment, shard_wall_offset_ms(shard), &writer)) {
        log_warn("spool=%02x segment=%x what=\"no room for a footer\"", shard->number,
                 segment->sequence);
        free(writer.data);
        return;
    }
    struct footer_write *write = calloc(1, sizeof(*write));
    check(write != NULL);
    *write = (struct footer_write){
        .shard = shard,
        .segment = segment,
        .data = writer.data,
        .len = writer.len,
    };
    op_init(&write->op, on_footer_written);
    segment->is_busy = true;
    shard->footers++;
    submit_footer(write);
}

/* --- room ------------------------------------------------------------------------------------ */

bool supply_is_low(const struct shard *shard)
{
    return shard->space != NULL &&
           (atomic_load(&shard->space->is_low) || atomic_load(&shard->space->sinks_are_full));
}

int shard_why_full(const struct shard *shard)
{
    const struct space *space = shard->space;

    if (shard->is_full || (space != NULL && atomic_load(&space->is_low)))
        return -ENOSPC;
    return space != NULL && atomic_load(&space->sinks_are_full) ? -EDQUOT : 0;
}

bool shard_is_full(const struct shard *shard)
{
    return shard_why_full(shard) < 0;
}

uint64_t supply_reserve_bytes(const struct shard *shard)
{
    /* A first block of CUT records, a PAD, and the footer of as many outcomes. */
    uint64_t whole = shard->segment_size - 4 * SPOOL_BLOCK;
    uint64_t usable = whole - MIN(whole, footer_room(whole / OUTCOME_ROOM * FOOTER_OUTCOME_LEN));
    uint64_t bytes = shard->spare_count * usable;

    /* Accepts may take all but one spare. At a start the first is on its way, and counts as there:
     * more than enough is free, and no mail shall wait for a file of zeros. */
    bool is_first = shard->spare_count == 0 && shard->supply.doing == SUPPLY_MAKE;
    if (!shard_is_full(shard) && !is_first)
        return MIN(bytes, usable);
    if (shard->open != NULL) {
        uint64_t end = shard->open->data_end + SPOOL_BLOCK + footer_room(shard->open->index_len);

        bytes += shard->open->size - MIN((uint64_t)shard->open->size, end);
    }
    return MIN(bytes, usable);
}

size_t shard_outcome_room(const struct shard *shard)
{
    if (shard->space != NULL && atomic_load(&shard->space->events_are_full))
        return 0;
    return supply_reserve_bytes(shard) / OUTCOME_ROOM;
}

uint64_t spool_taken_back(const struct spool_settings *settings)
{
    unsigned wanted = shard_spares(settings);

    return wanted > SPARES_MIN ? (wanted - SPARES_MIN) * (uint64_t)shard_segment_size(settings) : 0;
}

/* Adopted and empty: nothing will be written but events that others may want told. */
static bool is_vacant(const struct shard *shard)
{
    return shard->is_adopted && shard->index.count == 0 && shard->filling.batch_count == 0 &&
           !shard->is_flushing;
}

/* Spares to be made. */
static unsigned spares_wanted(const struct shard *shard)
{
    if (is_vacant(shard)) /* numbers were given out, and no file knows of it */
        return shard->segment_count == 0 && shard->next_sequence > 1 ? 1 : 0;
    return supply_is_low(shard) || shard->is_adopted
               ? MIN(shard->spares_wanted, (unsigned)SPARES_MIN)
               : shard->spares_wanted;
}

/* Spares to be kept where there are more, once `segment_count` segments are left. */
static unsigned spares_kept(const struct shard *shard, size_t segment_count)
{
    if (is_vacant(shard)) /* without any file the shard would count from 1 again */
        return segment_count == 0 ? 1 : 0;
    return spares_wanted(shard) + (supply_is_low(shard) || shard->is_adopted ? 0 : RECYCLED_EXTRA);
}

static void become_full(struct shard *shard)
{
    if (!shard->is_full)
        log_warn("spool=%02x what=\"no room can be made: new mail is answered 452\" error=\"%s\"",
                 shard->number, strerror(-shard->supply.error));
    shard->is_full = true;
}

/* Whether the last spare may be taken. */
static bool may_take_reserve(struct shard *shard)
{
    /* At the start nothing is open, and a client shall not wait for two files of zeros. */
    if (shard->open == NULL || shard->is_closing)
        return true;
    if (!shard->supply.failed)
        return false; /* the next one is on its way */
    become_full(shard);
    flush_drop_accepts(shard, -ENOSPC);
    return shard->filling.batch_count > 0;
}

bool supply_roll(struct shard *shard)
{
    supply_check(shard);
    if (shard->spare_count == 0) {
        if (shard->is_closing && shard->supply.doing == SUPPLY_IDLE)
            flush_drop_all(shard);
        else if (shard->supply.failed)
            flush_drop_accepts(shard, -ENOSPC);
        return false;
    }
    if (shard->spare_count == 1 && !may_take_reserve(shard))
        return false;
    if (shard->open != NULL)
        supply_close_segment(shard, shard->open);
    struct segment *next = shard->spares[0];
    shard->spare_count--;
    memmove(shard->spares, shard->spares + 1, shard->spare_count * sizeof(struct segment *));
    next->state = SEGMENT_OPEN;
    shard_append_segment(shard, next);
    shard->open = next;
    supply_check(shard);
    return true;
}

/* --- chores ---------------------------------------------------------------------------------- */

static bool sinks_passed(const struct shard *shard, const struct segment *segment)
{
    uint64_t end = position_of(segment->sequence, segment->data_end);

    for (unsigned i = 0; i < shard->sink_count; i++)
        if (shard->sink_positions[i] < end)
            return false;
    return true;
}

bool supply_is_dead(const struct shard *shard, const struct segment *segment)
{
    return segment->state >= SEGMENT_CLOSED && !segment->is_busy && segment->live_count == 0 &&
           segment->pins == 0 && shard->compaction.segment != segment &&
           sinks_passed(shard, segment);
}

bool supply_may_empty(const struct shard *shard, const struct segment *segment)
{
    return segment->state >= SEGMENT_CLOSED && !segment->is_busy && sinks_passed(shard, segment);
}

static void work(struct chore *chore)
{
    struct supply *supply = container_of(chore, struct supply, chore);

    switch (supply->doing) {
    case SUPPLY_MAKE:
        supply->result = segment_make(supply->spool, &supply->header);
        break;
    case SUPPLY_RECYCLE:
        supply->result = segment_recycle(supply->spool, supply->segment->fd,
                                         supply->segment->sequence, &supply->header);
        break;
    case SUPPLY_REMOVE:
    case SUPPLY_TRIM:
        supply->result =
            segment_remove(supply->spool, supply->header.shard, supply->segment->sequence);
        break;
    case SUPPLY_IDLE:
        break;
    }
}

static void start_chore(struct shard *shard)
{
    shard->supply.chore.work = work;
    if (shard->segment_pool == NULL)
        work(&shard->supply.chore);
    else if (blocking_run(shard->segment_pool, &shard->supply.chore))
        return;
    else
        shard->supply.result = -EAGAIN; /* full of damage that is copied aside: tried again */
    engine_post(shard->engine, &shard->supply.chore.letter);
}

static void pop_oldest(struct shard *shard, struct segment *segment)
{
    check(shard->segments[0] == segment);
    shard->segment_count--;
    memmove(shard->segments, shard->segments + 1, shard->segment_count * sizeof(struct segment *));
    shard->bytes_used -= segment->data_end - SPOOL_BLOCK;
    metric_dec(METRIC_SPOOL_SEGMENTS);
    metric_add(METRIC_SPOOL_BYTES_USED, -(int64_t)(segment->data_end - SPOOL_BLOCK));
    metric_inc(METRIC_SPOOL_SEGMENTS_RECLAIMED);
    segment_free(&segment);
}

static void add_spare(struct shard *shard, int fd)
{
    const struct segment_header *header = &shard->supply.header;
    struct segment *spare = segment_new(shard, header, fd);

    check(spare != NULL);
    check(shard->spare_count < SPARES_MAX);
    shard->spares[shard->spare_count++] = spare;
    shard->next_sequence = header->sequence + 1;
    shard->supply.failed = false;
    if (shard->is_full && shard->spare_count > 1) {
        shard->is_full = false;
        log_info("spool=%02x what=\"space again\"", shard->number);
    }
}

static void on_failure(struct shard *shard)
{
    struct supply *supply = &shard->supply;

    log_limited(LOG_LEVEL_WARN,
                "spool=%02x what=\"cannot prepare or remove a segment\" error=\"%s\"",
                shard->number, strerror(-supply->result));
    metric_inc(METRIC_SPOOL_PREPARE_FAILURES);
    if (supply->doing == SUPPLY_RECYCLE)
        supply->segment->state = SEGMENT_FAILED; /* to be removed instead */
    if (supply->doing == SUPPLY_TRIM)
        segment_free(&supply->segment); /* whether it has its name still is not known */
    supply->failed = true;
    supply->retry_ms = engine_now_ms(shard->engine) + PREPARE_RETRY_MS;
    supply->error = supply->result;
    if (shard->spare_count == 0)
        become_full(shard);
    engine_timeout(shard->engine, &supply->retry, PREPARE_RETRY_MS);
}

static void on_chore_done(struct letter *letter, struct engine *engine)
{
    struct supply *supply =
        container_of(container_of(letter, struct chore, letter), struct supply, chore);
    struct shard *shard = container_of(supply, struct shard, supply);
    struct segment *segment = supply->segment;

    if (supply->result < 0) {
        on_failure(shard);
    } else if (supply->doing == SUPPLY_MAKE) {
        add_spare(shard, supply->result);
    } else if (supply->doing == SUPPLY_TRIM) {
        segment_free(&supply->segment);
    } else {
        int fd = segment->fd;

        if (supply->doing == SUPPLY_RECYCLE)
            segment->fd = -1;
        pop_oldest(shard, segment);
        if (supply->doing == SUPPLY_RECYCLE)
            add_spare(shard, fd);
    }
    supply->doing = SUPPLY_IDLE;
    supply->segment = NULL;
    if (shard->filling.batch_count > 0)
        flush_wanted(shard);
    supply_check(shard);
    if (shard->is_closing)
        engine_turn_again(engine);
}

static void on_retry(struct timeout *timeout)
{
    struct shard *shard =
        container_of(container_of(timeout, struct supply, retry), struct shard, supply);

    supply_check(shard);
}

static void start(struct shard *shard, int what, struct segment *segment)
{
    supply_reserve_header(shard, &shard->supply.header);
    shard->supply.doing = what;
    shard->supply.segment = segment;
    start_chore(shard);
}

/* Gives the last spare back to the file system. Its number is free again: should its file still be
 * there when the next is made, that one takes its place. */
static void trim(struct shard *shard)
{
    struct segment *spare = shard->spares[--shard->spare_count];

    /* Else recovery could not remove a file behind it. */
    if (shard->next_sequence == spare->sequence + 1)
        shard->next_sequence = spare->sequence;
    start(shard, SUPPLY_TRIM, spare);
}

/* Recycles or removes the oldest segment. */
static void bury(struct shard *shard, struct segment *segment, bool may_try)
{
    bool is_last = shard->segment_count + shard->spare_count == 1;
    bool can_recycle = shard->spare_count < spares_kept(shard, shard->segment_count - 1) &&
                       segment->state == SEGMENT_CLOSED && segment->size == shard->segment_size;

    if (can_recycle)
        start(shard, SUPPLY_RECYCLE, segment);
    else if (may_try && !(is_last && is_vacant(shard)))
        start(shard, SUPPLY_REMOVE, segment);
}

void supply_check(struct shard *shard)
{
    struct supply *supply = &shard->supply;
    struct segment *oldest = shard->segment_count > 0 ? shard->segments[0] : NULL;
    bool may_try = !supply->failed || engine_now_ms(shard->engine) >= supply->retry_ms;
    bool may_trim = supply_is_low(shard) || (shard->is_adopted && shard->recovering == NULL);

    if (supply->doing != SUPPLY_IDLE || shard->is_closing)
        return;
    if (oldest != NULL && shard->recovering == NULL && supply_is_dead(shard, oldest))
        bury(shard, oldest, may_try);
    else if (may_trim && may_try && shard->spare_count > spares_kept(shard, shard->segment_count))
        trim(shard);
    else if (may_try && shard->spare_count < spares_wanted(shard))
        start(shard, SUPPLY_MAKE, NULL);
}
