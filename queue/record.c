/* record.c - framing of the spool's records, and what the short ones say. */
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

/* Of each type, the one that is written; those from 1 on are read. */
static const uint8_t versions[] = {
    [RECORD_PAD] = 1,   [RECORD_CONTENT] = 1, [RECORD_ACCEPT] = 2, [RECORD_OUTCOME] = 1,
    [RECORD_EVENT] = 1, [RECORD_CUT] = 1,     [RECORD_FOOTER] = 2,
};
/* Where an ACCEPT and an OUTCOME have the message's id, in every version. */
enum { MESSAGE_ID_AT = 8 };
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

unsigned record_version(enum record_type type)
{
    check(type < ARRAY_LEN(versions));
    return versions[type];
}

bool record_is_known(const struct record *record)
{
    /* Type 0 has no version. */
    return record->type < ARRAY_LEN(versions) && record->version >= 1 &&
           record->version <= versions[record->type];
}

const char *record_type_name(enum record_type type)
{
    static const char *const names[] = {
        [RECORD_PAD] = "pad",         [RECORD_CONTENT] = "content", [RECORD_ACCEPT] = "accept",
        [RECORD_OUTCOME] = "outcome", [RECORD_EVENT] = "event",     [RECORD_CUT] = "cut",
        [RECORD_FOOTER] = "footer",
    };

    return type < ARRAY_LEN(names) && names[type] != NULL ? names[type] : "unknown";
}

void record_unknown_text(const struct record *record, char out[static RECORD_UNKNOWN_TEXT_MAX])
{
    bool has_type = record->type >= RECORD_PAD && record->type <= RECORD_FOOTER;

    if (has_type)
        snprintf(out, RECORD_UNKNOWN_TEXT_MAX,
                 "the %s record at offset %u is of version %u, which this version of ringpost "
                 "does not know",
                 record_type_name(record->type), record->offset, record->version);
    else
        snprintf(out, RECORD_UNKNOWN_TEXT_MAX,
                 "the record at offset %u is of type %u (version %u), which this version of "
                 "ringpost does not know",
                 record->offset, (unsigned)record->type, record->version);
}

void record_begin(uint8_t *at, enum record_type type, unsigned flags, uint32_t payload_len)
{
    size_t end = RECORD_HEADER_LEN + (size_t)payload_len;

    check(payload_len <= RECORD_PAYLOAD_MAX);
    memset(at, 0, RECORD_HEADER_LEN);
    put_u32(at + AT_LEN, payload_len);
    at[AT_TYPE] = (uint8_t)type;
    at[AT_VERSION] = (uint8_t)record_version(type);
    at[AT_FLAGS] = (uint8_t)flags;
    put_u32(at + AT_MAGIC, RECORD_MAGIC);
    memset(at + end, 0, record_size(payload_len) - end);
}

void record_set_flags(uint8_t *at, unsigned flags)
{
    at[AT_FLAGS] = (uint8_t)flags;
}

void record_set_version(uint8_t *at, unsigned version)
{
    at[AT_VERSION] = (uint8_t)version;
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

struct message_id record_message_id(const struct record *record)
{
    if (record->type != RECORD_ACCEPT && record->type != RECORD_OUTCOME)
        return (struct message_id){0};
    if (record->payload.len < MESSAGE_ID_AT + sizeof(uint64_t))
        return (struct message_id){0};
    return (struct message_id){get_u64(record->payload.ptr + MESSAGE_ID_AT)};
}

/* --- OUTCOME, CUT ---------------------------------------------------------------------------- */

enum {
    OUTCOME_RECIPIENT = 4,
    OUTCOME_ID = MESSAGE_ID_AT,
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

    if (record->type != RECORD_OUTCOME || !record_is_known(record) || input.len < OUTCOME_FIXED_LEN)
        return false;
    size_t fixed_len = get_u32(input.ptr);
    if (fixed_len < OUTCOME_FIXED_LEN || !take_bytes(&input, fixed_len, &at))
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
    if (record->type != RECORD_CUT || !record_is_known(record) || record->payload.len < CUT_LEN)
        return false;
    *out = (struct cut){get_u32(record->payload.ptr), get_u32(record->payload.ptr + 4)};
    return true;
}
