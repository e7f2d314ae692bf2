/* record.c - framing and contents of the spool's records. */
#include "queue/record.h"

#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "queue/bytes_le.h"

/* Where the fields of a record's header stand. */
enum {
    AT_CHECKSUM = 0,     /* u64 over everything behind it */
    AT_HEADER_CHECK = 8, /* u32 over the rest of the header: a length that can be trusted */
    AT_LEN = 12,
    AT_OFFSET = 16,
    AT_FLUSH = 20,
    AT_TYPE = 24,
    AT_VERSION = 25,
    AT_FLAGS = 26,
    AT_ZERO = 27,
    AT_MAGIC = 28,
};

enum { RECORD_VERSION = 1 };
static const uint32_t RECORD_MAGIC = 0x31435052; /* "RPC1" */

static uint32_t header_check(const uint8_t *at, uint64_t seed)
{
    return (uint32_t)XXH3_64bits_withSeed(at + AT_LEN, RECORD_HEADER_LEN - AT_LEN, seed);
}

static uint64_t record_checksum(const uint8_t *at, size_t payload_len, uint64_t seed)
{
    size_t covered = RECORD_HEADER_LEN - AT_HEADER_CHECK + payload_len;

    return XXH3_64bits_withSeed(at + AT_HEADER_CHECK, covered, seed);
}

/* --- segment header and trailer -------------------------------------------------------------- */

static const uint8_t HEADER_MAGIC[8] = "RPSPOOL\n";
static const uint8_t TRAILER_MAGIC[8] = "RPCLOSE\n";
enum {
    HEADER_CHECKED_LEN = 56,          /* then the checksum */
    HEADER_COPY_AT = SPOOL_BLOCK / 2, /* in another sector than the first */
    TRAILER_CHECKED_LEN = 48,
};

void segment_header_encode(const struct segment_header *header, uint8_t *block)
{
    memset(block, 0, SPOOL_BLOCK);
    memcpy(block, HEADER_MAGIC, sizeof(HEADER_MAGIC));
    put_u32(block + 8, header->format);
    put_u16(block + 12, header->node);
    put_u16(block + 14, header->shard);
    put_u32(block + 16, header->sequence);
    put_u32(block + 20, header->size);
    put_u64(block + 24, header->salt);
    put_u64(block + 32, (uint64_t)header->created_ms);
    put_u64(block + 40, header->serial_max);
    put_u64(block + HEADER_CHECKED_LEN, XXH3_64bits(block, HEADER_CHECKED_LEN));
    memcpy(block + HEADER_COPY_AT, block, HEADER_CHECKED_LEN + sizeof(uint64_t));
}

static enum segment_header_verdict decode_header_copy(const uint8_t *at, struct segment_header *out)
{
    if (memcmp(at, HEADER_MAGIC, sizeof(HEADER_MAGIC)) != 0)
        return SEGMENT_HEADER_BAD;
    if (get_u64(at + HEADER_CHECKED_LEN) != XXH3_64bits(at, HEADER_CHECKED_LEN))
        return SEGMENT_HEADER_BAD;
    if (get_u32(at + 8) > SPOOL_FORMAT) {
        *out = (struct segment_header){.format = get_u32(at + 8)};
        return SEGMENT_HEADER_NEWER;
    }
    *out = (struct segment_header){
        .format = get_u32(at + 8),
        .node = get_u16(at + 12),
        .shard = get_u16(at + 14),
        .sequence = get_u32(at + 16),
        .size = get_u32(at + 20),
        .salt = get_u64(at + 24),
        .created_ms = (int64_t)get_u64(at + 32),
        .serial_max = get_u64(at + 40),
    };
    return SEGMENT_HEADER_GOOD;
}

enum segment_header_verdict segment_header_decode(const uint8_t *block, struct segment_header *out)
{
    enum segment_header_verdict verdict = decode_header_copy(block, out);

    if (verdict == SEGMENT_HEADER_BAD)
        verdict = decode_header_copy(block + HEADER_COPY_AT, out);
    return verdict;
}

void segment_trailer_encode(const struct segment_trailer *trailer, uint8_t *block)
{
    memset(block, 0, SPOOL_BLOCK);
    memcpy(block, TRAILER_MAGIC, sizeof(TRAILER_MAGIC));
    put_u32(block + 8, trailer->sequence);
    put_u32(block + 12, trailer->data_end);
    put_u32(block + 16, trailer->footer_offset);
    put_u32(block + 20, trailer->footer_len);
    put_u64(block + 24, trailer->salt);
    put_u64(block + 32, trailer->serial_max);
    put_u32(block + 40, trailer->whole_until);
    put_u64(block + TRAILER_CHECKED_LEN, XXH3_64bits(block, TRAILER_CHECKED_LEN));
}

bool segment_trailer_decode(const uint8_t *block, struct segment_trailer *out)
{
    if (memcmp(block, TRAILER_MAGIC, sizeof(TRAILER_MAGIC)) != 0)
        return false;
    if (get_u64(block + TRAILER_CHECKED_LEN) != XXH3_64bits(block, TRAILER_CHECKED_LEN))
        return false;
    *out = (struct segment_trailer){
        .sequence = get_u32(block + 8),
        .data_end = get_u32(block + 12),
        .footer_offset = get_u32(block + 16),
        .footer_len = get_u32(block + 20),
        .salt = get_u64(block + 24),
        .serial_max = get_u64(block + 32),
        .whole_until = get_u32(block + 40),
    };
    return true;
}

bool shard_path(const char *spool, unsigned shard, char out[static SPOOL_PATH_MAX])
{
    int len = snprintf(out, SPOOL_PATH_MAX, "%s/%02x", spool, shard);

    return len > 0 && len < SPOOL_PATH_MAX;
}

bool segment_path(const char *spool, unsigned shard, uint32_t sequence,
                  char out[static SPOOL_PATH_MAX])
{
    int len = snprintf(out, SPOOL_PATH_MAX, "%s/%02x/%016x.seg", spool, shard, sequence);

    return len > 0 && len < SPOOL_PATH_MAX;
}

bool segment_name_parse(const char *name, uint32_t *sequence_out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 16; i++) {
        char c = name[i];
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a' + 10);
        else
            return false;
        value = value << 4 | digit;
    }
    if (strcmp(name + 16, ".seg") != 0 || value == 0 || value > UINT32_MAX)
        return false;
    *sequence_out = (uint32_t)value;
    return true;
}

/* --- framing --------------------------------------------------------------------------------- */

void record_begin(uint8_t *at, enum record_type type, unsigned flags, uint32_t payload_len)
{
    size_t end = RECORD_HEADER_LEN + (size_t)payload_len;

    check(payload_len <= RECORD_PAYLOAD_MAX);
    memset(at, 0, RECORD_HEADER_LEN);
    put_u32(at + AT_LEN, payload_len);
    at[AT_TYPE] = (uint8_t)type;
    at[AT_VERSION] = RECORD_VERSION;
    at[AT_FLAGS] = (uint8_t)flags;
    put_u32(at + AT_MAGIC, RECORD_MAGIC);
    memset(at + end, 0, record_size(payload_len) - end);
}

void record_set_flags(uint8_t *at, unsigned flags)
{
    at[AT_FLAGS] = (uint8_t)flags;
}

size_t record_begun_size(const uint8_t *at)
{
    check(get_u32(at + AT_MAGIC) == RECORD_MAGIC);
    return record_size(get_u32(at + AT_LEN));
}

void record_seal(uint8_t *at, uint32_t offset, uint32_t flush, uint64_t seed)
{
    check(get_u32(at + AT_MAGIC) == RECORD_MAGIC);
    check(offset % RECORD_ALIGN == 0);
    put_u32(at + AT_OFFSET, offset);
    put_u32(at + AT_FLUSH, flush);
    put_u32(at + AT_HEADER_CHECK, header_check(at, seed));
    put_u64(at + AT_CHECKSUM, record_checksum(at, get_u32(at + AT_LEN), seed));
}

static void fill_record(const uint8_t *at, struct record *out)
{
    *out = (struct record){
        .type = at[AT_TYPE],
        .version = at[AT_VERSION],
        .flags = at[AT_FLAGS],
        .offset = get_u32(at + AT_OFFSET),
        .flush = get_u32(at + AT_FLUSH),
        .checksum = get_u64(at + AT_CHECKSUM),
        .payload = {at + RECORD_HEADER_LEN, get_u32(at + AT_LEN)},
    };
}

static bool header_is_good(const uint8_t *at, uint32_t offset, uint64_t seed)
{
    /* Cheap claims first: record_find() asks at every eighth byte. */
    return get_u32(at + AT_OFFSET) == offset && get_u32(at + AT_MAGIC) == RECORD_MAGIC &&
           get_u32(at + AT_LEN) <= RECORD_PAYLOAD_MAX &&
           get_u32(at + AT_HEADER_CHECK) == header_check(at, seed);
}

enum record_verdict record_read(struct bytes bytes, uint32_t offset, uint64_t seed,
                                struct record *out)
{
    if (bytes.len < RECORD_HEADER_LEN || !header_is_good(bytes.ptr, offset, seed))
        return RECORD_ABSENT;
    fill_record(bytes.ptr, out);
    if (record_size(out->payload.len) > bytes.len)
        return RECORD_PARTIAL;
    if (record_checksum(bytes.ptr, out->payload.len, seed) != out->checksum)
        return RECORD_DAMAGED;
    return RECORD_GOOD;
}

bool record_next_trusted(struct bytes *bytes, struct record *out)
{
    if (bytes->len < RECORD_HEADER_LEN || get_u32(bytes->ptr + AT_MAGIC) != RECORD_MAGIC)
        return false;
    size_t size = record_size(get_u32(bytes->ptr + AT_LEN));

    if (size > bytes->len)
        return false;
    fill_record(bytes->ptr, out);
    *bytes = bytes_slice(*bytes, size, bytes->len - size);
    return true;
}

size_t record_find(struct bytes bytes, size_t from, uint32_t base, uint64_t seed)
{
    for (size_t at = from; at + RECORD_HEADER_LEN <= bytes.len; at += RECORD_ALIGN)
        if (header_is_good(bytes.ptr + at, base + (uint32_t)at, seed))
            return at;
    return bytes.len;
}

/* --- ACCEPT ---------------------------------------------------------------------------------- */

/* The fixed part; its first field is its length, so that later versions can add to it. */
enum {
    ACCEPT_ID = 8,
    ACCEPT_TIME = 16,
    ACCEPT_CONTENT_SIZE = 24,
    ACCEPT_INLINE_LEN = 32,
    ACCEPT_EXTENTS = 36,
    ACCEPT_RECIPIENTS = 40,
    ACCEPT_NEXT_SEQ = 44,
    ACCEPT_RET = 48,
    ACCEPT_BODY = 49,
    ACCEPT_BITS = 50,
    ACCEPT_FIXED_LEN = 52,

    ACCEPT_STRINGS = 10,
    EXTENT_LEN = 16,
    STATE_LEN = 12,
    /* address, domain, orcpt with their lengths, notify */
    RECIPIENT_LEN_MIN = 2 + 2 + 2 + 1,

    BIT_SMTPUTF8 = 1,
    BIT_NEEDS_SMTPUTF8 = 2,
    BIT_DSN = 4,
    BIT_ASCII_HEADER = 8, /* unset in records of before it was known */

    STATE_FINAL = 1,
};

static void accept_strings(const struct message *message, struct bytes strings[ACCEPT_STRINGS])
{
    struct bytes all[ACCEPT_STRINGS] = {
        message->reverse_path,      message->envid,  message->client_ip, message->client_ehlo,
        message->service,           message->tenant, message->campaign,  message->tags,
        message->header_message_id, message->prefix,
    };

    memcpy(strings, all, sizeof(all));
}

size_t accept_encoded_len(const struct message *message, uint32_t inline_len, bool is_moved)
{
    struct bytes strings[ACCEPT_STRINGS];
    size_t len = ACCEPT_FIXED_LEN;

    accept_strings(message, strings);
    for (size_t i = 0; i < ACCEPT_STRINGS; i++)
        len += 4 + strings[i].len;
    if (inline_len == 0)
        len += message->content.extent_count * EXTENT_LEN;
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct recipient *r = &message->recipients[i];

        if (MAX(r->address.len, MAX(r->domain.len, r->orcpt.len)) > UINT16_MAX)
            return 0;
        len += RECIPIENT_LEN_MIN + r->address.len + r->domain.len + r->orcpt.len;
        if (is_moved)
            len += STATE_LEN;
    }
    return len <= RECORD_PAYLOAD_MAX ? len : 0;
}

static uint8_t *put_string(uint8_t *at, struct bytes s)
{
    put_u32(at, (uint32_t)s.len);
    if (s.len > 0)
        memcpy(at + 4, s.ptr, s.len);
    return at + 4 + s.len;
}

static uint8_t *put_short_string(uint8_t *at, struct bytes s)
{
    put_u16(at, (uint16_t)s.len);
    if (s.len > 0)
        memcpy(at + 2, s.ptr, s.len);
    return at + 2 + s.len;
}

static uint8_t *put_state(uint8_t *at, const struct recipient_state *state)
{
    at[0] = state->is_final ? STATE_FINAL : 0;
    at[1] = state->flags;
    put_u16(at + 2, state->attempts);
    put_u64(at + 4, (uint64_t)state->due_ms);
    return at + STATE_LEN;
}

void accept_encode(const struct message *message, uint32_t inline_len, uint32_t next_seq,
                   const struct recipient_state *states, uint8_t *out)
{
    const struct content *content = &message->content;
    size_t extent_count = inline_len > 0 ? 0 : content->extent_count;
    struct bytes strings[ACCEPT_STRINGS];
    uint8_t *at = out;

    memset(at, 0, ACCEPT_FIXED_LEN);
    put_u32(at, ACCEPT_FIXED_LEN);
    put_u64(at + ACCEPT_ID, message->id.value);
    put_u64(at + ACCEPT_TIME, (uint64_t)message->accepted_ms);
    put_u64(at + ACCEPT_CONTENT_SIZE, content->size);
    put_u32(at + ACCEPT_INLINE_LEN, inline_len);
    put_u32(at + ACCEPT_EXTENTS, (uint32_t)extent_count);
    put_u32(at + ACCEPT_RECIPIENTS, (uint32_t)message->recipient_count);
    put_u32(at + ACCEPT_NEXT_SEQ, next_seq);
    at[ACCEPT_RET] = (uint8_t)message->ret;
    at[ACCEPT_BODY] = (uint8_t)message->body;
    at[ACCEPT_BITS] = (uint8_t)((message->smtputf8 ? BIT_SMTPUTF8 : 0) |
                                (message->needs_smtputf8 ? BIT_NEEDS_SMTPUTF8 : 0) |
                                (message->has_ascii_header ? BIT_ASCII_HEADER : 0) |
                                (message->is_dsn ? BIT_DSN : 0));
    at += ACCEPT_FIXED_LEN;
    accept_strings(message, strings);
    for (size_t i = 0; i < ACCEPT_STRINGS; i++)
        at = put_string(at, strings[i]);
    for (size_t i = 0; i < extent_count; i++) {
        put_u32(at, content->extents[i].segment);
        put_u32(at + 4, content->extents[i].offset);
        put_u32(at + 8, content->extents[i].len);
        put_u32(at + 12, content->extents[i].checksum);
        at += EXTENT_LEN;
    }
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct recipient *r = &message->recipients[i];

        at = put_short_string(at, r->address);
        at = put_short_string(at, r->domain);
        at = put_short_string(at, r->orcpt);
        *at++ = r->notify;
        if (states != NULL)
            at = put_state(at, &states[i]);
    }
}

static bool take(struct bytes *input, size_t len, const uint8_t **at_out)
{
    if (len > input->len)
        return false;
    *at_out = input->ptr;
    *input = (struct bytes){input->ptr + len, input->len - len};
    return true;
}

static bool take_string(struct bytes *input, struct bytes *out)
{
    const uint8_t *at;

    if (!take(input, 4, &at))
        return false;
    size_t len = get_u32(at);
    if (!take(input, len, &at))
        return false;
    *out = (struct bytes){at, len};
    return true;
}

static bool take_short_string(struct bytes *input, struct bytes *out)
{
    const uint8_t *at;

    if (!take(input, 2, &at))
        return false;
    size_t len = get_u16(at);
    if (!take(input, len, &at))
        return false;
    *out = (struct bytes){at, len};
    return true;
}

static bool decode_accept_fixed(struct bytes *input, struct accept *out)
{
    const uint8_t *at;

    if (input->len < 4 || get_u32(input->ptr) < ACCEPT_FIXED_LEN)
        return false;
    if (!take(input, get_u32(input->ptr), &at))
        return false;
    out->id.value = get_u64(at + ACCEPT_ID);
    out->accepted_ms = (int64_t)get_u64(at + ACCEPT_TIME);
    out->content_size = get_u64(at + ACCEPT_CONTENT_SIZE);
    out->inline_len = get_u32(at + ACCEPT_INLINE_LEN);
    out->extent_count = get_u32(at + ACCEPT_EXTENTS);
    out->recipient_count = get_u32(at + ACCEPT_RECIPIENTS);
    out->next_seq = get_u32(at + ACCEPT_NEXT_SEQ);
    if (at[ACCEPT_RET] > SMTP_RET_HDRS || at[ACCEPT_BODY] > SMTP_BODY_8BITMIME)
        return false;
    out->ret = at[ACCEPT_RET];
    out->body = at[ACCEPT_BODY];
    out->smtputf8 = (at[ACCEPT_BITS] & BIT_SMTPUTF8) != 0;
    out->needs_smtputf8 = (at[ACCEPT_BITS] & BIT_NEEDS_SMTPUTF8) != 0;
    out->has_ascii_header = (at[ACCEPT_BITS] & BIT_ASCII_HEADER) != 0;
    out->is_dsn = (at[ACCEPT_BITS] & BIT_DSN) != 0;
    return true;
}

bool accept_decode(const struct record *record, struct accept *out)
{
    struct accept accept = {.is_moved = (record->flags & RECORD_MOVED) != 0};
    struct bytes input = record->payload;
    const uint8_t *at;
    struct bytes *strings[ACCEPT_STRINGS] = {
        &accept.reverse_path,      &accept.envid,  &accept.client_ip, &accept.client_ehlo,
        &accept.service,           &accept.tenant, &accept.campaign,  &accept.tags,
        &accept.header_message_id, &accept.prefix,
    };

    if (record->type != RECORD_ACCEPT || !decode_accept_fixed(&input, &accept))
        return false;
    for (size_t i = 0; i < ACCEPT_STRINGS; i++)
        if (!take_string(&input, strings[i]))
            return false;
    size_t extents_len = (size_t)accept.extent_count * EXTENT_LEN;
    if (!take(&input, extents_len, &at))
        return false;
    accept.extents = (struct bytes){at, extents_len};
    size_t each = RECIPIENT_LEN_MIN + (accept.is_moved ? STATE_LEN : 0);
    if (accept.recipient_count == 0 || accept.recipient_count > MESSAGE_RECIPIENTS_MAX ||
        accept.recipient_count > input.len / each || !message_id_is_valid(accept.id))
        return false;
    accept.recipients = input;
    *out = accept;
    return true;
}

bool accept_next_extent(struct accept *accept, struct extent *out)
{
    const uint8_t *at;

    if (!take(&accept->extents, EXTENT_LEN, &at))
        return false;
    *out = (struct extent){
        .segment = get_u32(at),
        .offset = get_u32(at + 4),
        .len = get_u32(at + 8),
        .checksum = get_u32(at + 12),
    };
    return true;
}

bool accept_next_recipient(struct accept *accept, struct recipient *out,
                           struct recipient_state *state_out)
{
    struct bytes input = accept->recipients;
    struct recipient recipient = {0};
    struct recipient_state state = {0};
    const uint8_t *at;

    if (!take_short_string(&input, &recipient.address) ||
        !take_short_string(&input, &recipient.domain) ||
        !take_short_string(&input, &recipient.orcpt) || !take(&input, 1, &at))
        return false;
    recipient.notify = at[0];
    if (accept->is_moved) {
        if (!take(&input, STATE_LEN, &at))
            return false;
        state.is_final = (at[0] & STATE_FINAL) != 0;
        state.flags = at[1];
        state.attempts = get_u16(at + 2);
        state.due_ms = (int64_t)get_u64(at + 4);
    }
    accept->recipients = input;
    *out = recipient;
    if (state_out != NULL)
        *state_out = state;
    return true;
}

struct message_id record_message_id(const struct record *record)
{
    if (record->type != RECORD_ACCEPT && record->type != RECORD_OUTCOME)
        return (struct message_id){0};
    if (record->payload.len < ACCEPT_ID + sizeof(uint64_t))
        return (struct message_id){0};
    return (struct message_id){get_u64(record->payload.ptr + ACCEPT_ID)};
}

/* --- OUTCOME, CUT ---------------------------------------------------------------------------- */

/* The id stands where an ACCEPT has it. */
enum {
    OUTCOME_RECIPIENT = 4,
    OUTCOME_ID = ACCEPT_ID,
    OUTCOME_DUE = 16,
    OUTCOME_SEQ = 24,
    OUTCOME_ATTEMPTS = 28,
    OUTCOME_KIND = 30,
};

void outcome_encode(const struct outcome_record *outcome, uint8_t *out)
{
    memset(out, 0, OUTCOME_FIXED_LEN);
    put_u32(out, OUTCOME_FIXED_LEN);
    put_u32(out + OUTCOME_RECIPIENT, outcome->recipient);
    put_u64(out + OUTCOME_ID, outcome->id.value);
    put_u64(out + OUTCOME_DUE, (uint64_t)outcome->due_ms);
    put_u32(out + OUTCOME_SEQ, outcome->seq);
    put_u16(out + OUTCOME_ATTEMPTS, outcome->attempts);
    out[OUTCOME_KIND] = (uint8_t)outcome->kind;
}

bool outcome_decode(const struct record *record, struct outcome_record *out)
{
    struct bytes input = record->payload;
    const uint8_t *at;

    if (record->type != RECORD_OUTCOME || input.len < OUTCOME_FIXED_LEN)
        return false;
    size_t fixed_len = get_u32(input.ptr);
    if (fixed_len < OUTCOME_FIXED_LEN || !take(&input, fixed_len, &at))
        return false;
    if (at[OUTCOME_KIND] >= EVENT_KIND_COUNT)
        return false;
    *out = (struct outcome_record){
        .id = {get_u64(at + OUTCOME_ID)},
        .recipient = get_u32(at + OUTCOME_RECIPIENT),
        .seq = get_u32(at + OUTCOME_SEQ),
        .due_ms = (int64_t)get_u64(at + OUTCOME_DUE),
        .attempts = get_u16(at + OUTCOME_ATTEMPTS),
        .kind = at[OUTCOME_KIND],
        .event = input,
    };
    return true;
}

void cut_encode(const struct cut *cut, uint8_t *out)
{
    put_u32(out, cut->sequence);
    put_u32(out + 4, cut->offset);
}

bool cut_decode(const struct record *record, struct cut *out)
{
    if (record->type != RECORD_CUT || record->payload.len < CUT_LEN)
        return false;
    *out = (struct cut){get_u32(record->payload.ptr), get_u32(record->payload.ptr + 4)};
    return true;
}
