/*
 * spool_build.h - segments put together record by record, for readers of spools that nobody else
 * would leave behind: damaged, torn, cut.
 */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "queue/segment.h"
#include "support/unit.h"

enum { BUILD_SEGMENT_SIZE = 1024 * 1024 };

struct build {
    char spool[64];
    unsigned shard;
    uint32_t sequence;
    uint64_t salt;
    uint8_t *bytes; /* the whole segment */
    uint32_t at;
    uint32_t flush;
};

static inline void build_begin(struct build *b, uint32_t sequence)
{
    b->sequence = sequence;
    b->salt = 0x1234567 * (uint64_t)sequence;
    b->bytes = calloc(1, BUILD_SEGMENT_SIZE);
    assert_non_null(b->bytes);
    const struct segment_header header = {
        .format = SPOOL_FORMAT,
        .shard = (uint16_t)b->shard,
        .sequence = sequence,
        .size = BUILD_SEGMENT_SIZE,
        .salt = b->salt,
        .created_ms = 1795489800000,
        .serial_max = 1,
    };
    segment_header_encode(&header, b->bytes);
    b->at = b->flush = SPOOL_BLOCK;
}

static inline void build_spool(struct build *b, unsigned shard)
{
    char directory[128];

    *b = (struct build){.spool = "/tmp/ringpost-spool-XXXXXX", .shard = shard};
    assert_non_null(mkdtemp(b->spool));
    snprintf(directory, sizeof(directory), "%s/%02x", b->spool, shard);
    assert_int_equal(mkdir(directory, 0700), 0);
}

static inline void build_remove(struct build *b)
{
    char command[128];

    free(b->bytes);
    snprintf(command, sizeof(command), "rm -rf '%s'", b->spool);
    assert_int_equal(system(command), 0);
}

/* Appends a record whose payload is already at its place, or copied there. */
static inline uint32_t build_record(struct build *b, enum record_type type, unsigned flags,
                                    const void *payload, size_t len)
{
    uint32_t offset = b->at;
    uint8_t *at = b->bytes + offset;

    assert_true(offset + record_size(len) <= BUILD_SEGMENT_SIZE - 2 * SPOOL_BLOCK);
    if (payload != NULL)
        memcpy(at + RECORD_HEADER_LEN, payload, len);
    record_begin(at, type, flags, (uint32_t)len);
    record_seal(at, offset, b->flush, segment_seed(b->salt, b->sequence));
    b->at += (uint32_t)record_size(len);
    return offset;
}

static inline uint64_t build_position(const struct build *b)
{
    return position_of(b->sequence, b->at);
}

/* Ends the flush with a PAD; the next one begins at the returned offset. */
static inline uint32_t build_flush(struct build *b)
{
    uint32_t room = (SPOOL_BLOCK - b->at % SPOOL_BLOCK) % SPOOL_BLOCK;

    if (room > 0 && room < RECORD_HEADER_LEN)
        room += SPOOL_BLOCK;
    if (room > 0)
        build_record(b, RECORD_PAD, 0, NULL, room - RECORD_HEADER_LEN);
    b->flush = b->at;
    return b->at;
}

static inline uint32_t build_accept(struct build *b, const struct message *message,
                                    uint32_t inline_len, uint32_t next_seq, unsigned flags,
                                    const struct recipient_state *states)
{
    size_t len = accept_encoded_len(message, inline_len, states != NULL);

    assert_true(len > 0);
    accept_encode(message, inline_len, next_seq, states, b->bytes + b->at + RECORD_HEADER_LEN);
    return build_record(b, RECORD_ACCEPT, flags | (states != NULL ? RECORD_MOVED : 0), NULL, len);
}

static inline uint32_t build_outcome(struct build *b, struct message_id id, uint32_t recipient,
                                     uint32_t seq, enum event_kind kind)
{
    struct event event = {
        .kind = kind,
        .id = id,
        .seq = seq,
        .time_ms = 1795489801000,
        .recipient = BYTES("a@b.example"),
        .times = {-1, -1, -1, -1, -1, -1},
    };
    struct outcome_record outcome = {
        .id = id,
        .recipient = recipient,
        .seq = seq,
        .due_ms = event_kind_is_final(kind) ? 0 : 1795489900000,
        .attempts = 1,
        .kind = kind,
    };
    uint8_t fixed[OUTCOME_FIXED_LEN];
    struct buf payload;

    buf_init(&payload, OUTCOME_FIXED_LEN + EVENT_ENCODED_MAX);
    outcome_encode(&outcome, fixed);
    assert_true(buf_append(&payload, bytes_range(fixed, sizeof(fixed))));
    assert_true(event_encode(&event, &payload));
    uint32_t offset =
        build_record(b, RECORD_OUTCOME, 0, buf_bytes(&payload).ptr, buf_len(&payload));
    buf_free(&payload);
    return offset;
}

/* An empty index and the trailer. */
static inline void build_close(struct build *b)
{
    const struct segment_trailer trailer = {
        .sequence = b->sequence,
        .data_end = b->flush,
        .footer_offset = BUILD_SEGMENT_SIZE - 2 * SPOOL_BLOCK,
        .footer_len = (uint32_t)record_size(FOOTER_FIXED_LEN),
        .salt = b->salt,
        .whole_until = b->flush,
    };
    uint8_t *at = b->bytes + trailer.footer_offset;

    memset(at + RECORD_HEADER_LEN, 0, FOOTER_FIXED_LEN);
    at[RECORD_HEADER_LEN] = FOOTER_FIXED_LEN;
    record_begin(at, RECORD_FOOTER, 0, FOOTER_FIXED_LEN);
    record_seal(at, trailer.footer_offset, trailer.footer_offset,
                segment_seed(b->salt, b->sequence));
    segment_trailer_encode(&trailer, b->bytes + BUILD_SEGMENT_SIZE - SPOOL_BLOCK);
}

/* Writes the file, also over an earlier state of it while somebody reads; a closed one gets a
 * trailer. */
static inline void build_write(struct build *b, bool is_closed)
{
    char path[SPOOL_PATH_MAX];

    if (is_closed)
        build_close(b);
    assert_true(segment_path(b->spool, b->shard, b->sequence, path));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->bytes, BUILD_SEGMENT_SIZE), BUILD_SEGMENT_SIZE);
    close(fd);
}

static inline void build_end(struct build *b, bool is_closed)
{
    build_flush(b);
    build_write(b, is_closed);
    free(b->bytes);
    b->bytes = NULL;
}

/* A message of two recipients. */
static inline struct message build_message(struct recipient recipients[static 2], uint64_t serial)
{
    recipients[0] = (struct recipient){.address = BYTES("one@a.example"),
                                       .domain = BYTES("a.example"),
                                       .orcpt = BYTES("rfc822;x")};
    recipients[1] =
        (struct recipient){.address = BYTES("two@b.example"), .domain = BYTES("b.example")};
    return (struct message){
        .id = {serial},
        .accepted_ms = 1795489800123,
        .reverse_path = BYTES("sender@s.example"),
        .envid = BYTES("env"),
        .recipient_count = 2,
        .recipients = recipients,
        .client_ip = BYTES("192.0.2.1"),
        .client_ehlo = BYTES("client.example"),
        .service = BYTES("submission"),
        .header_message_id = BYTES("<m@s.example>"),
        .content = {.size = 5},
    };
}
