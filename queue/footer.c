/* footer.c - the index at the end of a closed segment. */
#include <stdlib.h>
#include <string.h>

#include "queue/bytes_le.h"
#include "queue/flow.h"
#include "queue/segment.h"

enum {
    AT_ACCEPTS = 4,
    AT_OUTCOMES = 8,

    ACCEPT_LEN = 36,    /* of version 1; version 2 goes on with */
    FLOW_LEN = 2,       /* the length of the tenant's name, then that */
    NOT_BEFORE_LEN = 8, /* and this where the bit says so; then the recipients */
    RECIPIENT_LEN = 14, /* then the domain */

    ACCEPT_INLINE = 1,
    ACCEPT_MOVED = 2,
    ACCEPT_WAITS = 4,
    ACCEPT_TLS_SHIFT = 3, /* two bits: enum mail_tls */
    ACCEPT_TLS_MASK = 3,
    ACCEPT_RECEIVED = 32, /* unset in footers of before it was known */
    RECIPIENT_FINAL = 1,
};

size_t footer_accept_len(const struct message *message)
{
    size_t len =
        ACCEPT_LEN + FLOW_LEN + MIN(message->tenant.len, (size_t)UINT16_MAX) + NOT_BEFORE_LEN;

    for (size_t i = 0; i < message->recipient_count; i++)
        len += RECIPIENT_LEN + message->recipients[i].domain.len;
    return len;
}

bool footer_begin(struct footer_writer *writer, size_t entries_len_max, unsigned format)
{
    size_t capacity = footer_room(entries_len_max);

    *writer = (struct footer_writer){
        .data = aligned_alloc(SPOOL_BLOCK, capacity),
        .version = format == 1 ? 1 : record_version(RECORD_FOOTER),
    };
    if (writer->data == NULL)
        return false;
    writer->capacity = capacity - SPOOL_BLOCK; /* the last is the trailer */
    writer->len = RECORD_HEADER_LEN + FOOTER_FIXED_LEN;
    return true;
}

static uint8_t *extend(struct footer_writer *writer, size_t len)
{
    if (len > writer->capacity - writer->len)
        return NULL;
    uint8_t *at = writer->data + writer->len;
    writer->len += len;
    return at;
}

static bool add_recipient(struct footer_writer *writer, const struct pending *pending,
                          int64_t wall_offset_ms)
{
    bool is_final = pending->state == PENDING_FINAL;
    struct bytes domain = is_final ? BYTES_NONE : domain_name(pending_domain(pending));
    uint8_t *at = extend(writer, RECIPIENT_LEN + domain.len);
    int64_t due_ms = 0;

    if (at == NULL)
        return false;
    if (pending_has_due(pending))
        due_ms = (int64_t)pending->due_s * 1000 + wall_offset_ms;
    at[0] = is_final ? RECIPIENT_FINAL : 0;
    at[1] = pending_stored_flags(pending);
    put_u16(at + 2, pending->attempts);
    put_u64(at + 4, (uint64_t)due_ms);
    put_u16(at + 12, (uint16_t)domain.len);
    if (domain.len > 0)
        memcpy(at + RECIPIENT_LEN, domain.ptr, domain.len);
    return true;
}

/* One of its flows, which differ in their domains only. */
static const struct flow *flow_of(const struct stub *stub)
{
    for (uint32_t i = 0; i < stub->recipient_count; i++)
        if (stub->pendings[i].state != PENDING_FINAL)
            return stub->pendings[i].flow;
    return NULL; /* an outcome of it is still on its way */
}

static bool add_flow(struct footer_writer *writer, const struct flow *flow)
{
    struct bytes tenant = flow != NULL ? flow_tenant(flow) : BYTES_NONE;

    tenant.len = MIN(tenant.len, (size_t)UINT16_MAX);
    uint8_t *at = extend(writer, FLOW_LEN + tenant.len);
    if (at == NULL)
        return false;
    put_u16(at, (uint16_t)tenant.len);
    if (tenant.len > 0)
        memcpy(at + FLOW_LEN, tenant.ptr, tenant.len);
    return true;
}

static bool add_not_before(struct footer_writer *writer, const struct stub *stub,
                           int64_t wall_offset_ms)
{
    uint8_t *at = extend(writer, NOT_BEFORE_LEN);

    if (at != NULL)
        put_u64(at, (uint64_t)stub_not_before_wall_ms(stub, wall_offset_ms));
    return at != NULL;
}

bool footer_add_accept(struct footer_writer *writer, const struct stub *stub,
                       int64_t wall_offset_ms)
{
    uint8_t *at = extend(writer, ACCEPT_LEN);

    check(writer->outcomes == 0);
    if (at == NULL)
        return false;
    put_u64(at, stub->id.value);
    put_u32(at + 8, stub_offset(stub));
    put_u32(at + 12, stub_lengths(stub).accept);
    put_u32(at + 16, stub_lengths(stub).content);
    put_u32(at + 20, stub->accepted_s + (uint32_t)(wall_offset_ms / 1000));
    /* Outcomes that are still on their way stand in a later segment, with their own seq. */
    put_u32(at + 24, stub->next_seq - stub->staged);
    put_u32(at + 28, (uint32_t)stub->recipient_count);
    put_u16(at + 32, stub->reach);
    at[34] = (uint8_t)((stub->is_inline ? ACCEPT_INLINE : 0) | (stub->is_moved ? ACCEPT_MOVED : 0));
    at[35] = 0;
    if (writer->version > 1) {
        const struct flow *flow = flow_of(stub);
        unsigned tls = flow != NULL ? flow_domain(flow)->tls : MAIL_TLS_ANY;

        at[34] |= stub_has_not_before(stub) ? ACCEPT_WAITS : 0;
        at[34] = (uint8_t)(at[34] | tls << ACCEPT_TLS_SHIFT);
        at[34] |= flow != NULL && flow->is_received ? ACCEPT_RECEIVED : 0;
        at[35] = flow != NULL ? flow->class : MAIL_NORMAL;
        if (!add_flow(writer, flow) ||
            (stub_has_not_before(stub) && !add_not_before(writer, stub, wall_offset_ms)))
            return false;
    }
    for (uint32_t i = 0; i < stub->recipient_count; i++)
        if (!add_recipient(writer, &stub->pendings[i], wall_offset_ms))
            return false;
    writer->accepts++;
    return true;
}

bool footer_add_outcome(struct footer_writer *writer, const struct outcome_entry *entry)
{
    uint8_t *at = extend(writer, FOOTER_OUTCOME_LEN);

    if (at == NULL)
        return false;
    memset(at, 0, FOOTER_OUTCOME_LEN);
    put_u64(at, entry->id);
    put_u64(at + 8, (uint64_t)entry->due_ms);
    put_u32(at + 16, entry->recipient);
    put_u32(at + 20, entry->seq);
    put_u16(at + 24, entry->attempts);
    at[26] = entry->kind;
    writer->outcomes++;
    return true;
}

bool footer_finish(struct footer_writer *writer, struct segment *segment, uint64_t serial_max)
{
    size_t payload_len = writer->len - RECORD_HEADER_LEN;
    size_t record_len = record_size(payload_len);
    size_t blocks_len = (record_len + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    uint8_t *fixed = writer->data + RECORD_HEADER_LEN;

    if (blocks_len + SPOOL_BLOCK > segment->size - segment->data_end)
        return false;
    put_u32(fixed, FOOTER_FIXED_LEN);
    put_u32(fixed + AT_ACCEPTS, writer->accepts);
    put_u32(fixed + AT_OUTCOMES, writer->outcomes);
    put_u32(fixed + 12, 0);
    segment->footer_offset = (uint32_t)(segment->size - SPOOL_BLOCK - blocks_len);
    segment->footer_len = (uint32_t)record_len;
    record_begin(writer->data, RECORD_FOOTER, 0, (uint32_t)payload_len);
    record_set_version(writer->data, writer->version);
    record_seal(writer->data, segment->footer_offset, segment->footer_offset,
                segment_record_seed(segment));
    memset(writer->data + record_len, 0, blocks_len - record_len);
    struct segment_trailer trailer = {
        .sequence = segment->sequence,
        .data_end = segment->data_end,
        .footer_offset = segment->footer_offset,
        .footer_len = segment->footer_len,
        .salt = segment->salt,
        .serial_max = serial_max,
        .whole_until = segment->whole_until != 0 ? segment->whole_until : segment->data_end,
    };
    segment_trailer_encode(&trailer, writer->data + blocks_len);
    writer->len = blocks_len + SPOOL_BLOCK;
    return true;
}

bool footer_open(struct bytes bytes, uint32_t offset, uint64_t seed, struct footer_reader *out)
{
    struct record record;

    if (record_read(bytes, offset, seed, &record) != RECORD_GOOD || record.type != RECORD_FOOTER ||
        !record_is_known(&record))
        return false;
    struct bytes payload = record.payload;
    if (payload.len < FOOTER_FIXED_LEN || get_u32(payload.ptr) < FOOTER_FIXED_LEN ||
        get_u32(payload.ptr) > payload.len)
        return false;
    size_t fixed_len = get_u32(payload.ptr);
    *out = (struct footer_reader){
        .accepts_rest = bytes_slice(payload, fixed_len, payload.len - fixed_len),
        .accepts = get_u32(payload.ptr + AT_ACCEPTS),
        .outcomes = get_u32(payload.ptr + AT_OUTCOMES),
        .version = record.version,
    };
    return true;
}

bool footer_next_recipient(struct accept_entry *entry, struct bytes *domain_out,
                           struct recipient_state *state_out)
{
    struct bytes input = entry->recipients;
    const uint8_t *at;
    const uint8_t *domain;

    if (!take_bytes(&input, RECIPIENT_LEN, &at) || !take_bytes(&input, get_u16(at + 12), &domain))
        return false;
    *state_out = (struct recipient_state){
        .is_final = (at[0] & RECIPIENT_FINAL) != 0,
        .flags = at[1],
        .attempts = get_u16(at + 2),
        .due_ms = (int64_t)get_u64(at + 4),
    };
    *domain_out = (struct bytes){domain, get_u16(at + 12)};
    entry->recipients = input;
    return true;
}

/* What version 2 says of an accept besides. */
static bool take_flow(struct bytes *input, unsigned bits, struct accept_entry *entry)
{
    const uint8_t *at;
    const uint8_t *tenant;

    if ((unsigned)entry->class >= MAIL_CLASSES || (unsigned)entry->tls >= MAIL_TLS_COUNT ||
        !take_bytes(input, FLOW_LEN, &at) || !take_bytes(input, get_u16(at), &tenant))
        return false;
    entry->tenant = (struct bytes){tenant, get_u16(at)};
    if ((bits & ACCEPT_WAITS) == 0)
        return true;
    if (!take_bytes(input, NOT_BEFORE_LEN, &at))
        return false;
    entry->not_before_ms = (int64_t)get_u64(at);
    return entry->not_before_ms > 0;
}

bool footer_next_accept(struct footer_reader *reader, struct accept_entry *out)
{
    struct bytes input = reader->accepts_rest;
    const uint8_t *at;
    struct bytes domain;
    struct recipient_state state;

    if (reader->accepts == 0 || !take_bytes(&input, ACCEPT_LEN, &at))
        return false;
    struct accept_entry entry = {
        .id = get_u64(at),
        .offset = get_u32(at + 8),
        .len = get_u32(at + 12),
        .content_len = get_u32(at + 16),
        .accepted_s = get_u32(at + 20),
        .next_seq = get_u32(at + 24),
        .recipient_count = get_u32(at + 28),
        .reach = get_u16(at + 32),
        .is_inline = (at[34] & ACCEPT_INLINE) != 0,
        .is_moved = (at[34] & ACCEPT_MOVED) != 0,
    };
    if (reader->version > 1) {
        entry.class = at[35];
        entry.is_received = (at[34] & ACCEPT_RECEIVED) != 0;
        entry.tls = at[34] >> ACCEPT_TLS_SHIFT & ACCEPT_TLS_MASK;
        if (!take_flow(&input, at[34], &entry))
            return false;
    }
    entry.recipients = input;
    /* Walks over the recipients to find the next entry. */
    struct accept_entry walked = entry;
    for (uint32_t i = 0; i < entry.recipient_count; i++)
        if (!footer_next_recipient(&walked, &domain, &state))
            return false;
    entry.recipients.len = input.len - walked.recipients.len;
    reader->accepts_rest = walked.recipients;
    reader->accepts--;
    *out = entry;
    return true;
}

bool footer_next_outcome(struct footer_reader *reader, struct outcome_entry *out)
{
    const uint8_t *at;

    if (reader->accepts > 0 || reader->outcomes == 0 ||
        !take_bytes(&reader->accepts_rest, FOOTER_OUTCOME_LEN, &at))
        return false;
    *out = (struct outcome_entry){
        .id = get_u64(at),
        .due_ms = (int64_t)get_u64(at + 8),
        .recipient = get_u32(at + 16),
        .seq = get_u32(at + 20),
        .attempts = get_u16(at + 24),
        .kind = at[26],
    };
    reader->outcomes--;
    return true;
}
