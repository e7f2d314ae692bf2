/* content.c - contents written while they arrive; messages and contents read back. */
#include "queue/shard_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/damage.h"
#include "queue/disk.h"

enum { READS_MAX = 64 /* loads in flight; more wait */ };

static void on_read(struct op *op, int result, uint32_t flags);

void shard_write_content(struct shard *shard, struct content_write *write, struct bytes chunk)
{
    list_node_init(&write->node);
    check(chunk.len > 0);
    check(chunk.len <= CONTENT_CHUNK_MAX);
    message_keep(write->message);
    if (shard->is_closing || shard->is_broken_off || (shard_is_full(shard) && !write->is_copy) ||
        !shard_batch_fits(shard, record_size(chunk.len), 0)) {
        list_push_back(&shard->failed_writes, &write->node);
        engine_turn_again(shard->engine);
        return;
    }
    struct batch_writer writer = batch_begin(&shard->filling, BATCH_CONTENT);
    memcpy(batch_add(&writer, RECORD_CONTENT, 0, chunk.len), chunk.ptr, chunk.len);
    batch_end(&writer);
    writer.batch->write = write;
    flush_wanted(shard);
}

/* --- one read -------------------------------------------------------------------------------- */

static struct read *read_new(struct shard *shard)
{
    struct read *read = calloc(1, sizeof(*read));

    check(read != NULL);
    read->shard = shard;
    op_init(&read->op, on_read);
    list_node_init(&read->node);
    list_init(&read->loads);
    return read;
}

static void read_free(struct read *read)
{
    free(read->buffer);
    free(read);
}

static void submit(struct read *read)
{
    engine_read(read->shard->engine, &read->op, read->segment->fd, read->buffer + read->blocks_read,
                read->blocks_len - read->blocks_read, read->blocks_offset + read->blocks_read);
}

static void start(struct read *read, struct segment *segment, uint32_t offset, uint32_t len)
{
    uint32_t end = (offset + len + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;

    read->segment = segment;
    read->offset = offset;
    read->len = len;
    read->blocks_offset = offset / SPOOL_BLOCK * SPOOL_BLOCK;
    if (read->buffer == NULL || read->blocks_len < end - read->blocks_offset) {
        free(read->buffer);
        read->buffer = disk_buffer(end - read->blocks_offset);
        check(read->buffer != NULL);
    }
    read->blocks_len = end - read->blocks_offset;
    read->blocks_read = 0;
    read->is_busy = true;
    segment_pin(segment);
    read->shard->reads_in_flight++;
    metric_inc(METRIC_SPOOL_READS);
    submit(read);
}

/* The record at `offset` of what was read, `len` bytes of it. A mistake between disk and memory is
 * no damage: what is final is said of what was read twice. */
static void report_damage(const struct read *read, uint32_t offset, uint32_t len)
{
    struct shard *shard = read->shard;
    const struct damage_spot spot = {
        .kind = read->is_message && offset == read->accept_offset ? DAMAGE_ACCEPT : DAMAGE_CONTENT,
        .sequence = read->segment->sequence,
        .offset = offset,
        .len = len,
        .id = read->id,
        .bytes = {read->buffer + (offset - read->blocks_offset), len},
    };

    if (!read->is_again)
        return;
    damage_found(shard, &spot);
    damage_add_message(shard, read->id);
}

/* Reads a damaged one once more; false when it was. */
static bool read_again(struct read *read)
{
    if (read->is_again)
        return false;
    read->is_again = true;
    if (read->oldest != NULL)
        segment_pin(read->oldest);
    start(read, read->segment, read->offset, read->len);
    return true;
}

/* --- messages -------------------------------------------------------------------------------- */

/* Where inline content stands follows from the sizes: all chunks but the last are full. */
static bool derive_extents(struct message *message, const struct read *read, uint32_t inline_len)
{
    uint64_t size = message->content.size;
    size_t count = (size_t)((size + CONTENT_CHUNK_MAX - 1) / CONTENT_CHUNK_MAX);
    uint32_t at = read->accept_offset - inline_len;

    if (count > RECORD_PAYLOAD_MAX / CONTENT_CHUNK_MAX)
        return false;
    struct extent *extents = arena_alloc(&message->arena, count * sizeof(*extents));
    if (extents == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        extents[i] = (struct extent){
            .segment = read->segment->sequence,
            .offset = at + RECORD_HEADER_LEN,
            .len = (uint32_t)MIN(size, (uint64_t)CONTENT_CHUNK_MAX),
        };
        at += (uint32_t)record_size(extents[i].len);
        size -= extents[i].len;
    }
    if (at != read->accept_offset)
        return false;
    message->content.extents = extents;
    message->content.extent_count = count;
    return true;
}

static bool copy_extents(struct message *message, struct accept *accept)
{
    uint32_t count = accept->extent_count;
    struct extent *extents = arena_alloc(&message->arena, count * sizeof(*extents));
    uint64_t size = 0;

    if (extents == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!accept_next_extent(accept, &extents[i]) || extents[i].len > CONTENT_CHUNK_MAX)
            return false;
        size += extents[i].len;
    }
    message->content.extents = extents;
    message->content.extent_count = count;
    return size == message->content.size;
}

static bool copy_recipients(struct message *message, struct accept *accept)
{
    uint32_t count = accept->recipient_count;

    message->recipients = arena_alloc(&message->arena, count * sizeof(*message->recipients));
    if (message->recipients == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!accept_next_recipient(accept, &message->recipients[i], NULL))
            return false;
    message->recipient_count = count;
    return true;
}

static bool fill_message(struct message *message, const struct read *read, struct accept *accept)
{
    message->id = accept->id;
    message->accepted_ms = accept->accepted_ms;
    message->reverse_path = accept->reverse_path;
    message->envid = accept->envid;
    message->ret = accept->ret;
    message->body = accept->body;
    message->smtputf8 = accept->smtputf8;
    message->needs_smtputf8 = accept->needs_smtputf8;
    message->has_ascii_header = accept->has_ascii_header;
    message->is_dsn = accept->is_dsn;
    message->client_ip = accept->client_ip;
    message->client_ehlo = accept->client_ehlo;
    message->service = accept->service;
    message->tenant = accept->tenant;
    message->campaign = accept->campaign;
    message->tags = accept->tags;
    message->class = accept->class;
    message->tls = accept->tls;
    message->credential = accept->credential;
    message->not_before_ms = accept->not_before_ms;
    message->tail = accept->tail;
    message->header_message_id = accept->header_message_id;
    message->prefix = accept->prefix;
    message->content.size = accept->content_size;
    if (!copy_recipients(message, accept))
        return false;
    if (accept->content_size == 0)
        return true;
    return accept->inline_len > 0 ? derive_extents(message, read, accept->inline_len)
                                  : copy_extents(message, accept);
}

/* The record at `offset` of what was read, checked. */
static bool record_at(const struct read *read, uint32_t offset, struct record *out)
{
    struct bytes bytes = {read->buffer + (offset - read->blocks_offset),
                          read->offset + read->len - offset};

    return record_read(bytes, offset, segment_record_seed(read->segment), out) == RECORD_GOOD;
}

/* What a later version wrote is no damage, which would end its recipients: it is tried again, as
 * what the disk does not give. */
static bool is_unknown(const struct read *read, const struct record *record)
{
    char text[RECORD_UNKNOWN_TEXT_MAX];

    if (record_is_known(record))
        return false;
    record_unknown_text(record, text);
    log_limited(LOG_LEVEL_ERROR, "spool=%02x segment=%x what=%s", read->shard->number,
                read->segment->sequence, LOG_STRING(text));
    return true;
}

/* Content that was read with its accept: one record. */
static int take_content(const struct read *read, struct message *message)
{
    struct record record;

    if (read->accept_offset == read->offset)
        return 0;
    bool is_good = record_at(read, read->offset, &record);
    if (is_good && is_unknown(read, &record))
        return -EIO;
    if (!is_good || record.type != RECORD_CONTENT || record.payload.len != message->content.size) {
        report_damage(read, read->offset, read->accept_offset - read->offset);
        return -EBADMSG;
    }
    message->content.memory = record.payload;
    return 0;
}

static void pin_message(struct shard *shard, struct message *message, struct segment *segment)
{
    if (message->content.memory.ptr != NULL || message->content.extent_count == 0)
        return;
    struct segment *first = shard_segment(shard, content_first_segment(&message->content));

    message->pinned = first != NULL ? first : segment;
    segment_pin(message->pinned);
}

/* Makes the message; it owns the bytes from then on. */
static int read_message(struct read *read, struct message **message_out)
{
    struct message *message = message_create();
    struct record record;
    struct accept accept;
    int error = -EBADMSG;

    if (message == NULL)
        return -ENOMEM;
    bool is_good = record_at(read, read->accept_offset, &record);
    if (is_good && is_unknown(read, &record)) {
        error = -EIO;
        goto fail;
    }
    if (!is_good || !accept_decode(&record, &accept) || accept.id.value != read->id.value ||
        !fill_message(message, read, &accept)) {
        report_damage(read, read->accept_offset, read->offset + read->len - read->accept_offset);
        goto fail;
    }
    error = take_content(read, message);
    if (error < 0)
        goto fail;
    pin_message(read->shard, message, read->segment);
    message->read_buffer = read->buffer;
    message->read_buffer_size = read->blocks_len;
    read->buffer = NULL;
    *message_out = message;
    return 0;
fail:
    message_release(&message);
    return error;
}

static struct read *start_message_read(struct shard *shard, const struct stub *stub,
                                       bool envelope_only)
{
    struct read *read = read_new(shard);
    struct record_lengths lengths = stub_lengths(stub);
    uint32_t content_len = 0;

    /* Lengths are from the disk: content that would begin before the segment does is not there. */
    if (!envelope_only && stub->is_inline && lengths.content <= record_size(CONTENT_CHUNK_MAX) &&
        lengths.content <= stub_offset(stub) - SPOOL_BLOCK)
        content_len = lengths.content;
    read->id = stub->id;
    read->envelope_only = envelope_only;
    read->accept_offset = stub_offset(stub);
    list_push_back(&shard->reads, &read->node);
    /* Should the message be moved while its envelope is read, the extents in there still stand. */
    read->oldest = shard_segment(shard, stub_first_sequence(stub));
    if (read->oldest != NULL)
        segment_pin(read->oldest);
    start(read, shard_segment(shard, stub->sequence), stub_offset(stub) - content_len,
          lengths.accept + content_len);
    return read;
}

static void finish_loads(struct read *read, int result, struct message *message)
{
    struct shard *shard = read->shard;
    struct stub *stub = stub_index_find(&shard->index, read->id);

    if (stub != NULL && stub_message(stub) == NULL && message != NULL && !read->envelope_only &&
        !shard->is_closing)
        shard_make_resident(shard, stub, message);
    for (struct list_node *node; (node = list_pop_front(&read->loads)) != NULL;) {
        struct load *load = container_of(node, struct load, node);

        if (result < 0 || stub == NULL)
            load->done(load, result < 0 ? result : -ENOENT, NULL);
        else
            load->done(load, 0, message_keep(message));
    }
    /* Nobody took it: the shard holds it for recipients that are not at work. */
    if (stub != NULL && message != NULL && stub_message(stub) == message &&
        message->keeper_count == 0 && stub_index_find(&shard->index, read->id) == stub)
        shard_drop_resident(shard, stub);
}

static void finish_message_read(struct read *read, int result)
{
    struct message *message = NULL;

    if (result == 0)
        result = read_message(read, &message);
    if (result == -EBADMSG && read_again(read))
        return;
    list_remove(&read->node);
    if (result < 0)
        metric_inc(METRIC_SPOOL_LOADS_FAILED);
    if (read->moved != NULL)
        read->moved(read, result, message);
    else
        finish_loads(read, result, message);
    message_release(&message);
    read_free(read);
}

/* --- pieces of content ----------------------------------------------------------------------- */

static void finish_content_read(struct read *read, int result)
{
    struct content_read *content = read->content;
    struct record record;

    if (content == NULL) { /* ended meanwhile */
        read_free(read);
        return;
    }
    if (result < 0) {
        content->done(content, result, BYTES_NONE);
        return;
    }
    bool is_good = record_at(read, read->offset, &record);
    if (is_good && is_unknown(read, &record)) {
        content->done(content, -EIO, BYTES_NONE);
        return;
    }
    if (!is_good || record.type != RECORD_CONTENT || record_size(record.payload.len) != read->len) {
        report_damage(read, read->offset, read->len);
        if (!read_again(read))
            content->done(content, -EBADMSG, BYTES_NONE);
        return;
    }
    content->next_extent++;
    content->done(content, (int)record.payload.len, record.payload);
}

static void on_read(struct op *op, int result, uint32_t flags)
{
    struct read *read = container_of(op, struct read, op);
    struct shard *shard = read->shard;
    struct segment *segment = read->segment;
    struct segment *oldest = read->oldest;

    (void)flags;
    if (result > 0) {
        read->blocks_read += (uint32_t)result;
        if (read->blocks_read < read->blocks_len) {
            /* O_DIRECT goes on at a block; what a short read left of one is read again. */
            read->blocks_read = read->blocks_read / SPOOL_BLOCK * SPOOL_BLOCK;
            if (++read->tries < read->blocks_len / SPOOL_BLOCK + 16) {
                submit(read);
                return;
            }
            result = -EIO;
        }
    } else if (result == -EINTR || result == -EAGAIN) {
        if (++read->tries < 16) {
            submit(read);
            return;
        }
    } else if (result == 0) {
        result = -EIO; /* the file is shorter than its index says */
    }
    read->is_busy = false;
    read->tries = 0;
    shard->reads_in_flight--;
    if (result < 0)
        log_limited(LOG_LEVEL_ERROR,
                    "spool=%02x segment=%x offset=%u what=\"read failed\" error=\"%s\"",
                    shard->number, segment->sequence, read->offset, strerror(-result));
    if (read->is_message)
        finish_message_read(read, MIN(result, 0));
    else
        finish_content_read(read, MIN(result, 0));
    segment_unpin(segment);
    if (oldest != NULL)
        segment_unpin(oldest);
}

/* Its segment was lost, or its accept record says nonsense. */
static void tell_missing(struct shard *shard, const struct message *message,
                         const struct extent *extent)
{
    const struct damage_spot spot = {
        .kind = DAMAGE_CONTENT,
        .sequence = extent->segment,
        .offset = extent->offset - MIN(extent->offset, (uint32_t)RECORD_HEADER_LEN),
        .len = extent->len,
        .id = message->id,
    };

    damage_found(shard, &spot);
    damage_add_message(shard, message->id);
}

static void start_content_read(struct shard *shard, struct content_read *content)
{
    const struct extent *extent = &content->message_private->content.extents[content->next_extent];
    struct segment *segment = shard_segment(shard, extent->segment);

    if (segment == NULL || extent->len > CONTENT_CHUNK_MAX || extent->offset < RECORD_HEADER_LEN ||
        (uint64_t)extent->offset + extent->len > segment->size) {
        tell_missing(shard, content->message_private, extent);
        content->done(content, -EBADMSG, BYTES_NONE);
        return;
    }
    if (content->read_private == NULL) {
        content->read_private = read_new(shard);
        content->read_private->content = content;
    }
    content->read_private->id = content->message_private->id;
    content->read_private->is_again = false;
    start(content->read_private, segment, extent->offset - RECORD_HEADER_LEN,
          (uint32_t)record_size(extent->len));
}

/* From memory, in the same pieces. */
static void serve_content(struct shard *shard, struct content_read *content)
{
    const struct content *of = &content->message_private->content;

    if (of->memory.ptr != NULL) {
        struct bytes piece =
            bytes_slice(of->memory, content->next_extent * CONTENT_CHUNK_MAX, CONTENT_CHUNK_MAX);
        content->next_extent++;
        content->done(content, (int)piece.len, piece);
    } else if (content->next_extent >= of->extent_count) {
        content->done(content, 0, BYTES_NONE);
    } else {
        start_content_read(shard, content);
    }
}

void shard_read_content(struct shard *shard, struct message *message, struct content_read *read)
{
    check(read->read_private == NULL || !read->read_private->is_busy);
    list_node_init(&read->node);
    read->message_private = message;
    list_push_back(&shard->ready_reads, &read->node);
    engine_turn_again(shard->engine);
}

void shard_read_content_end(struct shard *shard, struct content_read *read)
{
    struct read *private = read->read_private;

    (void)shard;
    if (read->node.next != NULL)
        list_remove(&read->node);
    read->read_private = NULL;
    read->next_extent = 0;
    if (private == NULL)
        return;
    private->content = NULL;
    if (!private->is_busy)
        read_free(private);
}

/* --- loads ----------------------------------------------------------------------------------- */

void shard_load(struct shard *shard, struct load *load)
{
    list_node_init(&load->node);
    load->id_private = load->stub->id;
    list_push_back(&shard->ready_loads, &load->node);
    engine_turn_again(shard->engine);
}

static bool join_read(struct shard *shard, struct load *load)
{
    list_for_each(node, &shard->reads) {
        struct read *read = container_of(node, struct read, node);

        if (read->id.value == load->id_private.value && read->moved == NULL &&
            (!read->envelope_only || load->envelope_only)) {
            list_push_back(&read->loads, &load->node);
            return true;
        }
    }
    return false;
}

static void start_load(struct shard *shard, struct load *load)
{
    struct stub *stub = stub_index_find(&shard->index, load->id_private);

    if (stub == NULL || shard->is_closing) {
        load->done(load, stub == NULL ? -ENOENT : -ESHUTDOWN, NULL);
    } else if (stub_message(stub) != NULL) {
        load->done(load, 0, message_keep(stub_message(stub)));
    } else if (!join_read(shard, load)) {
        struct read *read = start_message_read(shard, stub, load->envelope_only);

        read->is_message = true;
        list_push_back(&read->loads, &load->node);
    }
}

void content_load_for_move(struct shard *shard, struct stub *stub,
                           void (*moved)(struct read *read, int result, struct message *message))
{
    struct read *read = start_message_read(shard, stub, false);

    read->is_message = true;
    read->moved = moved;
}

void content_turn(struct shard *shard)
{
    struct list loads;
    struct list reads;

    list_init(&loads);
    list_init(&reads);
    list_splice(&loads, &shard->ready_loads);
    list_splice(&reads, &shard->ready_reads);
    for (struct list_node *node; (node = list_pop_front(&loads)) != NULL;) {
        if (shard->reads_in_flight >= READS_MAX && !shard->is_closing)
            list_push_back(&shard->waiting_loads, node);
        else
            start_load(shard, container_of(node, struct load, node));
    }
    for (struct list_node *node; (node = list_pop_front(&reads)) != NULL;)
        serve_content(shard, container_of(node, struct content_read, node));
    while (shard->reads_in_flight < READS_MAX && !list_is_empty(&shard->waiting_loads)) {
        struct list_node *node = list_pop_front(&shard->waiting_loads);

        start_load(shard, container_of(node, struct load, node));
    }
}

void content_fail_waiting(struct shard *shard)
{
    list_splice(&shard->ready_loads, &shard->waiting_loads);
}
