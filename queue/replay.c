/* replay.c - a segment's records and footers, applied to stubs and flows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/damage.h"
#include "queue/disk.h"
#include "queue/recover.h"

/* --- what a record changes ------------------------------------------------------------------- */

static void see_serial(struct shard *shard, uint64_t id)
{
    uint64_t serial = id & (((uint64_t)1 << 56) - 1);

    shard->serial_last = MAX(shard->serial_last, serial);
}

static void forget_stub(struct shard *shard, struct stub *stub)
{
    shard_detach_stub(shard, stub);
    stub_index_remove(&shard->index, stub);
    stub_free(shard, stub);
}

/* Wall seconds, as times are kept until everything is read: no earlier than it says, whatever it
 * says. */
static uint32_t wall_seconds(int64_t wall_ms)
{
    int64_t wall_s = wall_ms / 1000 + (wall_ms % 1000 > 0);

    return (uint32_t)MIN(MAX(wall_s, (int64_t)0), (int64_t)UINT32_MAX);
}

static void recover_not_before(struct stub *stub, int64_t not_before_ms)
{
    *stub_not_before_s(stub) = wall_seconds(not_before_ms);
}

static void recover_pending(struct shard *shard, struct pending *pending,
                            const struct flow_part *part, struct bytes domain,
                            const struct recipient_state *state)
{
    pending_set_attempts(pending, state->attempts);
    pending_restore_flags(pending, state->flags);
    pending->due_s = wall_seconds(state->due_ms);
    if (state->is_final) {
        pending->state = PENDING_FINAL;
        pending_stub(pending)->live_count--;
        return;
    }
    pending->state = PENDING_SCHEDULED;
    shard_flow_join(shard, pending, part, domain);
}

/* Content that was found damaged before its accept record: whose it is. */
static void name_damage(struct recovering *r, const struct record *record,
                        const struct accept *accept)
{
    struct accept extents = *accept;
    struct extent extent;

    if (list_is_empty(&r->shard->damage.recovered))
        return;
    damage_name(r->shard, r->segment->sequence, record->offset - accept->inline_len, record->offset,
                accept->id);
    while (accept_next_extent(&extents, &extent))
        damage_name(r->shard, extent.segment, extent.offset, extent.offset + extent.len,
                    accept->id);
}

/* Puts a new stub in the place of what is known of this message so far. */
static void replace_stub(struct recovering *r, struct stub *stub)
{
    struct shard *shard = r->shard;
    struct stub *before = stub_index_find(&shard->index, stub->id);

    see_serial(shard, stub->id.value);
    if (before != NULL)
        forget_stub(shard, before);
    if (stub->live_count == 0) {
        stub_free(shard, stub);
        return;
    }
    shard_attach_stub(shard, stub);
    stub_index_insert(&shard->index, stub);
}

static bool recover_entry(struct recovering *r, struct accept_entry *entry)
{
    if (entry->recipient_count == 0 || entry->recipient_count > MESSAGE_RECIPIENTS_MAX ||
        entry->offset < SPOOL_BLOCK || entry->offset % RECORD_ALIGN != 0 ||
        entry->len > r->segment->size || entry->offset > r->segment->size - entry->len)
        return false;
    const struct flow_part part = {entry->tenant, entry->class, entry->tls, entry->is_received};
    struct stub *stub = stub_new(entry->recipient_count, entry->not_before_ms > 0);
    check(stub != NULL);
    if (entry->not_before_ms > 0)
        recover_not_before(stub, entry->not_before_ms);
    stub->id.value = entry->id;
    stub->sequence = r->segment->sequence;
    stub_set_offset(stub, entry->offset);
    stub_set_lengths(stub, (struct record_lengths){entry->len, entry->content_len});
    stub->accepted_s = entry->accepted_s; /* as due_s below */
    stub->next_seq = entry->next_seq;
    stub->reach = entry->reach & STUB_REACH_MAX;
    stub->is_inline = entry->is_inline;
    stub->is_moved = entry->is_moved;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        struct recipient_state state;
        struct bytes domain;

        if (!footer_next_recipient(entry, &domain, &state)) {
            stub_free(r->shard, stub);
            return false;
        }
        recover_pending(r->shard, &stub->pendings[i], &part, domain, &state);
    }
    replace_stub(r, stub);
    return true;
}

static void recover_outcome(struct recovering *r, const struct outcome_entry *entry)
{
    struct shard *shard = r->shard;
    struct stub *stub = stub_index_find(&shard->index, (struct message_id){entry->id});

    see_serial(shard, entry->id);
    if (stub == NULL || entry->recipient >= stub->recipient_count)
        return;
    struct pending *pending = &stub->pendings[entry->recipient];
    stub->next_seq = MAX(stub->next_seq, entry->seq + 1);
    if (pending->state == PENDING_FINAL)
        return;
    if (entry->kind == EVENT_DELAYED) {
        pending->flags |= PENDING_DELAY_TOLD;
    } else if (entry->kind == EVENT_FORWARDED) {
        pending->is_forwarded = 1;
    } else if (entry->kind == EVENT_DEFERRED) {
        pending_set_attempts(pending, entry->attempts);
        pending->due_s = wall_seconds(entry->due_ms);
    } else {
        pending->state = PENDING_FINAL;
        shard_flow_leave(shard, pending);
        if (--stub->live_count == 0)
            forget_stub(shard, stub);
    }
}

/* --- a segment by its footer ----------------------------------------------------------------- */

bool replay_read_trailer(struct recovering *r, const struct segment *segment,
                         struct segment_trailer *trailer)
{
    if (disk_read(segment->fd, r->block, SPOOL_BLOCK, segment->size - SPOOL_BLOCK) < 0 ||
        !segment_trailer_decode(r->block, trailer))
        return false;
    return trailer->sequence == segment->sequence && trailer->salt == segment->salt &&
           trailer->data_end >= SPOOL_BLOCK && trailer->data_end <= trailer->footer_offset &&
           trailer->whole_until <= trailer->data_end && trailer->footer_offset % SPOOL_BLOCK == 0 &&
           trailer->footer_offset < segment->size &&
           trailer->footer_len <= segment->size - trailer->footer_offset;
}

static bool apply_footer(struct recovering *r, struct bytes bytes, uint32_t offset)
{
    struct footer_reader reader;
    struct accept_entry accept;
    struct outcome_entry outcome;

    if (!footer_open(bytes, offset, segment_record_seed(r->segment), &reader))
        return false;
    /* The checksum holds: nonsense behind it would be a bug of the writer, not damage. */
    while (footer_next_accept(&reader, &accept))
        if (!recover_entry(r, &accept))
            return false;
    while (footer_next_outcome(&reader, &outcome))
        recover_outcome(r, &outcome);
    return reader.accepts == 0 && reader.outcomes == 0;
}

bool replay_footer(struct recovering *r)
{
    struct segment *segment = r->segment;
    struct segment_trailer trailer;

    if (!replay_read_trailer(r, segment, &trailer))
        return false;
    size_t len = (trailer.footer_len + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    uint8_t *footer = disk_buffer(len);
    if (footer == NULL)
        return false;
    bool is_good =
        disk_read(segment->fd, footer, len, trailer.footer_offset) == 0 &&
        apply_footer(r, (struct bytes){footer, trailer.footer_len}, trailer.footer_offset);
    free(footer);
    if (!is_good) {
        log_warn("spool=%02x segment=%x what=\"bad footer, reading all of it\"", r->shard->number,
                 segment->sequence);
        return false;
    }
    segment->data_end = trailer.data_end;
    segment->footer_offset = trailer.footer_offset;
    segment->footer_len = trailer.footer_len;
    r->shard->serial_last = MAX(r->shard->serial_last, trailer.serial_max);
    return true;
}

/* --- a segment by its records ---------------------------------------------------------------- */

static void recover_accept(struct recovering *r, const struct record *record, bool is_alone)
{
    struct shard *shard = r->shard;
    struct accept accept;
    struct recipient recipient;
    struct recipient_state state;

    if (!accept_decode(record, &accept))
        return;
    name_damage(r, record, &accept);
    /* A copy that lost its content to damage: the original is better, where it still is. */
    if (is_alone && accept.is_moved && stub_index_find(&shard->index, accept.id) != NULL)
        return;
    const struct flow_part part = {accept.tenant, accept.class,
                                   mail_tls_of_flow(accept.tls, accept.reverse_path),
                                   service_is_received(accept.service)};
    bool has_not_before = accept.not_before_ms > accept.accepted_ms;
    struct stub *stub = stub_new(accept.recipient_count, has_not_before);
    check(stub != NULL);
    if (has_not_before)
        recover_not_before(stub, accept.not_before_ms);
    stub->id = accept.id;
    stub->sequence = r->segment->sequence;
    stub_set_offset(stub, record->offset);
    stub->accepted_s = (uint32_t)(accept.accepted_ms / 1000);
    stub->next_seq = accept.next_seq;
    stub->is_inline = accept.inline_len > 0 || accept.extent_count == 0;
    stub->is_moved = accept.is_moved;
    struct record_lengths lengths = {
        .accept = (uint32_t)record_size(record->payload.len),
        .content = accept.inline_len,
    };
    struct accept extents = accept;
    struct extent extent;
    uint32_t reach = 0;
    while (accept_next_extent(&extents, &extent)) {
        lengths.content += (uint32_t)record_size(extent.len);
        if (extent.segment <= r->segment->sequence)
            reach = MAX(reach, r->segment->sequence - extent.segment);
    }
    stub->reach = reach & STUB_REACH_MAX;
    stub_set_lengths(stub, lengths);
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        if (!accept_next_recipient(&accept, &recipient, &state)) {
            stub_free(shard, stub);
            return;
        }
        recover_pending(shard, &stub->pendings[i], &part, recipient.domain, &state);
        r->segment->index_len += (uint32_t)(16 + recipient.domain.len);
    }
    r->segment->index_len += 64 + (uint32_t)MIN(accept.tenant.len, (size_t)UINT16_MAX);
    check(ids_add(&r->segment->accepted, stub->id.value));
    replace_stub(r, stub);
}

static void recover_outcome_record(struct recovering *r, const struct record *record)
{
    struct segment *segment = r->segment;
    struct outcome_record outcome;

    if (!outcome_decode(record, &outcome))
        return;
    struct outcome_entry entry = {
        .id = outcome.id.value,
        .due_ms = outcome.due_ms,
        .recipient = outcome.recipient,
        .seq = outcome.seq,
        .attempts = outcome.attempts,
        .kind = (uint8_t)outcome.kind,
    };
    const struct stub *stub = stub_index_find(&r->shard->index, outcome.id);
    /* The footer that is about to be written shows those accepted here as they are. */
    if (stub != NULL && (stub->sequence != segment->sequence || stub->is_moved)) {
        segment_add_outcome(segment, &entry);
        segment->index_len += FOOTER_OUTCOME_LEN;
    }
    recover_outcome(r, &entry);
}

/* What a later version wrote must not be skipped like damage: the start ends with this. */
bool replay_refuses(struct recovering *r, const struct record *record)
{
    if (!r->has_unknown && !record_is_known(record)) {
        r->has_unknown = true;
        r->unknown = *record;
        r->unknown.payload = BYTES_NONE;
    }
    return r->has_unknown;
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    struct recovering *r = context;

    if (replay_refuses(r, record))
        return;
    if (record->type == RECORD_ACCEPT)
        recover_accept(r, record, is_alone);
    else if (record->type == RECORD_OUTCOME)
        recover_outcome_record(r, record);
}

static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    struct recovering *r = context;
    const struct damage_spot spot = {
        .kind = damage_kind_of(header),
        .sequence = r->segment->sequence,
        .offset = offset,
        .len = len,
        .id = damage_message_id(r->shard, header),
        .bytes = {r->bytes + (offset - SPOOL_BLOCK), len},
    };

    damage_found(r->shard, &spot);
    r->result->damaged_records++;
}

uint8_t *replay_read(const struct segment *segment, size_t len)
{
    uint8_t *bytes = disk_buffer(len + SPOOL_BLOCK); /* never of no bytes */
    size_t lost = 0;

    if (bytes == NULL || len == 0 || disk_read(segment->fd, bytes, len, SPOOL_BLOCK) == 0)
        return bytes;
    /* A bad sector costs what stands in it, not the start of the program. */
    for (size_t at = 0; at < len; at += SPOOL_BLOCK) {
        if (disk_read(segment->fd, bytes + at, SPOOL_BLOCK, SPOOL_BLOCK + at) == 0)
            continue;
        memset(bytes + at, 0, SPOOL_BLOCK);
        lost++;
    }
    log_error("spool=%02x segment=%x blocks=%zu what=\"cannot be read\"", segment->shard->number,
              segment->sequence, lost);
    return bytes;
}

int replay_records(struct recovering *r, uint32_t end, uint32_t whole_until)
{
    struct segment *segment = r->segment;
    size_t len = (end - SPOOL_BLOCK) / SPOOL_BLOCK * SPOOL_BLOCK;
    struct record_scan callbacks = {.context = r,
                                    .record = on_record,
                                    .damage = on_damage,
                                    .whole_until = whole_until};
    struct record_scan_result scanned = {.end = SPOOL_BLOCK};
    bool is_kept = r->kept == segment && r->kept_len == len;
    uint8_t *bytes = is_kept ? r->kept_bytes : replay_read(segment, len);

    if (bytes == NULL)
        return -ENOMEM;
    r->bytes = bytes;
    int error = record_scan((struct bytes){bytes, len}, SPOOL_BLOCK, segment_record_seed(segment),
                            &callbacks, &scanned);
    r->bytes = NULL;
    free(bytes);
    if (is_kept) {
        r->kept = NULL;
        r->kept_bytes = NULL;
    }
    if (error == 0 && r->has_unknown)
        error = -EPROTO;
    if (error < 0)
        return error;
    r->result->bytes_scanned += scanned.end - SPOOL_BLOCK;
    r->result->torn_bytes += scanned.torn_bytes;
    segment->data_end = (scanned.end + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    segment->whole_until = scanned.whole_until;
    return 0;
}

static void see_record(void *context, const struct record *record, bool is_alone)
{
    struct recovering *r = context;

    (void)is_alone;
    if (replay_refuses(r, record))
        return;
    if (record_message_id(record).value != 0)
        see_serial(r->shard, record_message_id(record).value);
}

int replay_look(struct recovering *r, uint32_t end, struct record_scan_result *out)
{
    size_t len = (end - SPOOL_BLOCK) / SPOOL_BLOCK * SPOOL_BLOCK;
    struct record_scan callbacks = {.context = r, .record = see_record};

    free(r->kept_bytes);
    r->kept_bytes = replay_read(r->segment, len);
    if (r->kept_bytes == NULL)
        return -ENOMEM;
    r->kept = r->segment;
    r->kept_len = len;
    int error = record_scan((struct bytes){r->kept_bytes, len}, SPOOL_BLOCK,
                            segment_record_seed(r->segment), &callbacks, out);
    return error == 0 && r->has_unknown ? -EPROTO : error;
}

int replay_look_at_footer(struct recovering *r, const struct segment_trailer *trailer)
{
    struct bytes bytes = {r->block, SPOOL_BLOCK};
    struct record record;

    /* Whether all of it is there is asked when it is used; its header says what it is. */
    if (disk_read(r->segment->fd, r->block, SPOOL_BLOCK, trailer->footer_offset) < 0 ||
        record_read(bytes, trailer->footer_offset, segment_record_seed(r->segment), &record) ==
            RECORD_ABSENT)
        return 0;
    return replay_refuses(r, &record) ? -EPROTO : 0;
}

void replay_write_footer(struct recovering *r)
{
    struct segment *segment = r->segment;
    struct footer_writer writer;
    int error = -ENOSPC;

    /* Until schedule_stub() has run, due_s and accepted_s count from 1970: nothing to add. */
    if (segment_build_footer(r->shard, segment, 0, &writer)) {
        error = disk_write(segment->fd, writer.data, writer.len, segment->footer_offset);
        if (error == 0)
            error = disk_sync(segment->fd);
    }
    free(writer.data);
    if (error == 0) {
        segment_forget_index(segment);
        return;
    }
    log_warn("spool=%02x segment=%x what=\"footer not written\" error=\"%s\"", r->shard->number,
             segment->sequence, strerror(-error));
    segment->footer_offset = 0;
}
