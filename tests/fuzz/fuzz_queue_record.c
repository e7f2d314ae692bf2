/* modules: queue event base */
/*
 * The spool's bytes as a damaged or hostile disk may give them. The first byte chooses what the
 * rest is: raw bytes of a segment, one payload behind a good checksum, or a script of records
 * that are sealed, laid out in flushes and then damaged.
 */
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "queue/segment.h"
#include "queue/tail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BASE = SPOOL_BLOCK, ROOM = 64 * 1024 };
static const uint64_t SEED = 0x5eed;

/* Every byte that a decoder gives out is looked at, so that a sanitizer sees wrong slices. */
static volatile uint64_t sum;

static void look_at(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        sum += b.ptr[i];
}

static void look_at_tail(struct bytes tail)
{
    struct bytes value;
    uint32_t tag;

    check(tail.len <= TAIL_LEN_MAX);
    while (tail_next(&tail, &tag, &value))
        look_at(value);
    check(tail.len == 0); /* an accept with another one does not decode */
}

static void decode_accept(const struct record *record)
{
    struct accept accept;
    struct extent extent;
    struct recipient recipient;
    struct recipient_state state;
    uint32_t count = 0;

    if (!accept_decode(record, &accept))
        return;
    check(accept.recipient_count > 0);
    check(message_id_is_valid(accept.id));
    check(record_message_id(record).value == accept.id.value);
    look_at(accept.reverse_path);
    look_at(accept.tags);
    look_at(accept.prefix);
    look_at(accept.tenant);
    check((unsigned)accept.class < MAIL_CLASSES && accept.not_before_ms >= 0);
    check(record->version > 1 || (accept.tail.len == 0 && accept.credential == 0));
    look_at_tail(accept.tail);
    while (accept_next_extent(&accept, &extent))
        count++;
    check(count == accept.extent_count);
    for (count = 0; count < accept.recipient_count; count++) {
        if (!accept_next_recipient(&accept, &recipient, &state))
            break;
        look_at(recipient.address);
        look_at(recipient.domain);
        look_at(recipient.orcpt);
    }
}

static void decode_footer(const struct record *record, const uint8_t *at)
{
    struct footer_reader reader;
    struct accept_entry accept;
    struct outcome_entry outcome;
    struct recipient_state state;
    struct bytes domain;

    if (!footer_open((struct bytes){at, record_size(record->payload.len)}, record->offset, SEED,
                     &reader))
        return;
    while (footer_next_accept(&reader, &accept)) {
        look_at(accept.tenant);
        check((unsigned)accept.class < MAIL_CLASSES && accept.not_before_ms >= 0);
        while (footer_next_recipient(&accept, &domain, &state))
            look_at(domain);
    }
    while (footer_next_outcome(&reader, &outcome))
        sum += outcome.id;
}

static void decode(const struct record *record, const uint8_t *at)
{
    struct outcome_record outcome;
    struct event event;
    struct cut cut;

    decode_accept(record);
    decode_footer(record, at);
    if (outcome_decode(record, &outcome)) {
        check(outcome.kind < EVENT_KIND_COUNT);
        if (event_decode(outcome.event, &event))
            look_at(event.recipient);
    }
    if (cut_decode(record, &cut))
        sum += cut.offset;
}

struct seen {
    uint64_t records;
    uint32_t last_end; /* records and spots come in order and do not overlap */
};

static void on_record(void *context, const struct record *record, bool is_alone)
{
    struct seen *seen = context;

    (void)is_alone;
    check(record->offset >= seen->last_end);
    seen->last_end = record->offset + (uint32_t)record_size(record->payload.len);
    seen->records++;
    look_at(record->payload);
    decode(record, record->payload.ptr - RECORD_HEADER_LEN);
}

static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    struct seen *seen = context;

    check(offset >= seen->last_end);
    seen->last_end = offset + len;
    if (header != NULL)
        sum += record_message_id(header).value;
}

static void on_torn(void *context, uint32_t offset, uint32_t len)
{
    struct seen *seen = context;

    check(offset >= seen->last_end);
    seen->last_end = offset + len;
}

static uint64_t scan(struct bytes bytes, uint32_t whole_until)
{
    struct seen seen = {.last_end = BASE};
    struct record_scan callbacks = {&seen, on_record, on_damage, on_torn, whole_until};
    struct record_scan_result result;

    check(record_scan(bytes, BASE, SEED, &callbacks, &result) == 0);
    check(result.records == seen.records);
    check(result.end <= BASE + bytes.len);
    check(result.whole_until <= result.end);
    whole_until = MIN(whole_until, BASE + (uint32_t)bytes.len) / RECORD_ALIGN * RECORD_ALIGN;
    check(result.whole_until >= whole_until);
    return seen.records;
}

static void decode_blocks(const uint8_t *data, size_t size)
{
    uint8_t block[SPOOL_BLOCK] = {0};
    struct segment_header header;
    struct segment_trailer trailer;

    memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
    if (segment_header_decode(block, &header) == SEGMENT_HEADER_GOOD)
        check(header.format <= SPOOL_FORMAT);
    if (segment_trailer_decode(block, &trailer))
        sum += trailer.footer_len;
}

/* One payload, of each type and version, behind a checksum that holds. */
static void decode_payload(const uint8_t *data, size_t size, unsigned flags)
{
    /* Exactly as long as the record, so that a byte too far is caught. */
    uint8_t *bytes = malloc(record_size(size));

    check(bytes != NULL);
    for (unsigned type = RECORD_PAD; type <= RECORD_FOOTER; type++) {
        for (unsigned version = 1; version <= record_version(type) + 1; version++) {
            struct record record;

            memcpy(bytes + RECORD_HEADER_LEN, data, size);
            record_begin(bytes, type, flags & RECORD_MOVED, (uint32_t)size);
            record_set_version(bytes, version);
            record_seal(bytes, BASE, BASE, SEED);
            check(record_read((struct bytes){bytes, record_size(size)}, BASE, SEED, &record) ==
                  RECORD_GOOD);
            check(record_is_known(&record) == (version <= record_version(type)));
            decode(&record, bytes);
        }
    }
    free(bytes);
}

/* Script: pairs of bytes (what, how much): records with flags, ends of flushes, then damage. */
static void play(const uint8_t *data, size_t size)
{
    uint8_t *bytes = calloc(1, ROOM);
    size_t at = 0;
    uint32_t flush = BASE;
    uint64_t written = 0;

    check(bytes != NULL);
    for (; size >= 2 && data[0] < 128; data += 2, size -= 2) {
        size_t len = data[1];

        if (at + record_size(len) + 2 * SPOOL_BLOCK > ROOM)
            break;
        memset(bytes + at + RECORD_HEADER_LEN, data[0], len);
        record_begin(bytes + at, RECORD_CONTENT, data[0] & 3, (uint32_t)len);
        record_seal(bytes + at, (uint32_t)(BASE + at), flush, SEED);
        at += record_size(len);
        written++;
        if (data[0] & 4) {
            at = (at + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
            flush = (uint32_t)(BASE + at);
        }
    }
    check(scan((struct bytes){bytes, at}, 0) <= written);
    for (; size >= 3; data += 3, size -= 3)
        bytes[(size_t)(data[1] << 8 | data[2]) % (at + 1)] ^= data[0];
    check(scan((struct bytes){bytes, at}, BASE + (uint32_t)at) <= written);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned what = data[0];
    data++;
    size--;
    switch (what % 4) {
    case 0: {
        /* Exact length again. */
        uint8_t *bytes = malloc(size + 1);
        check(bytes != NULL);
        memcpy(bytes, data, size);
        scan((struct bytes){bytes, size}, 0);
        scan((struct bytes){bytes, size}, BASE + (uint32_t)size / 2);
        free(bytes);
        decode_blocks(data, size);
        break;
    }
    case 1:
        decode_payload(data, size, 0);
        break;
    case 2:
        decode_payload(data, size, RECORD_MOVED);
        break;
    default:
        play(data, size);
        break;
    }
    return 0;
}
