/*
 * shard_world.h - a shard on a directory of its own, and what tests do with it.
 *
 * Chores of the shard (preparing and removing segments) run inline unless a test asks for a thread.
 * Everything is static, because a unit test is one file; the fake and the real engine both run it.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/accept_record.h"
#include "queue/flow.h"
#include "queue/shard.h"
#include "queue/tail.h"
#include "support/unit.h"

#define WORLD_MAY __attribute__((unused)) static

enum { WORLD_DUE_MAX = 8192 };

struct world {
    struct engine *engine;
    struct flows *flows;
    struct shard *shard;
    struct spool_settings settings;
    char directory[64];
    unsigned sink_count;
    const struct space *space; /* NULL: there is always room */
    bool is_adopted, recovers_later;
    int recovery_error;         /* as the hook said */
    bool with_blocking;         /* chores on a thread, as in the program */
    struct blocking_pool *pool; /* that one, or one that the test made; stopped with the world */
    /* what the hooks told */
    struct pending *due[WORLD_DUE_MAX];
    size_t due_count;
    uint64_t journaled_bytes;
    void (*journaled)(void *context, uint64_t position, struct bytes records); /* or NULL */
    void *journaled_context;
    unsigned idle_domains;
    int64_t delay_max_ms; /* told to the start; 0: none */
    struct recovery recovery;
    char why[256];
};

WORLD_MAY void world_remove_tree(const char *path)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

WORLD_MAY void world_copy_tree(const char *from, const char *to)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
    assert_int_equal(system(command), 0);
}

WORLD_MAY void world_init_in(struct world *world, const char *parent, uint32_t segment_size)
{
    memset(world, 0, sizeof(*world));
    int len = snprintf(world->directory, sizeof(world->directory), "%s/shard-XXXXXX", parent);
    assert_in_range(len, 1, sizeof(world->directory) - 1);
    assert_non_null(mkdtemp(world->directory));
    world->settings = (struct spool_settings){
        .directory = world->directory,
        .segment_size = segment_size,
        .spare_segments = 1,
    };
}

/* An empty directory on a real file system (O_DIRECT). */
WORLD_MAY void world_init(struct world *world, uint32_t segment_size)
{
    world_init_in(world, "/var/tmp", segment_size);
}

/* For tests that open thousands of times: no disk waits. */
WORLD_MAY void world_init_in_memory(struct world *world, uint32_t segment_size)
{
    world_init_in(world, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp", segment_size);
}

WORLD_MAY void world_on_due(void *context, struct shard *shard, struct pending *pending)
{
    struct world *world = context;

    (void)shard;
    assert_true(world->due_count < WORLD_DUE_MAX);
    assert_int_equal(pending->state, PENDING_READY);
    world->due[world->due_count++] = pending;
}

WORLD_MAY void world_on_journaled(void *context, struct shard *shard, uint64_t position,
                                  struct bytes records)
{
    struct world *world = context;

    (void)shard;
    assert_true(position_offset(position) >= SPOOL_BLOCK);
    world->journaled_bytes += records.len;
    if (world->journaled != NULL)
        world->journaled(world->journaled_context, position, records);
}

WORLD_MAY void world_on_domain_idle(void *context, struct domain *domain)
{
    struct world *world = context;

    assert_int_equal(domain->pending_count, 0);
    world->idle_domains++;
}

WORLD_MAY int64_t world_on_delay_max(void *context, const struct domain *domain)
{
    const struct world *world = context;

    (void)domain;
    return world->delay_max_ms != 0 ? world->delay_max_ms : INT64_MAX / 2;
}

WORLD_MAY void world_on_recovery_failed(void *context, struct shard *shard, int error)
{
    struct world *world = context;

    (void)shard;
    assert_int_equal(world->recovery_error, 0);
    world->recovery_error = error;
}

/* Engine and shard; as shard_open(). */
WORLD_MAY int world_open(struct world *world)
{
    struct shard_setup setup = {
        .flows = world->flows = flows_create(),
        .index = 7,
        .is_adopted = world->is_adopted,
        .sink_count = world->sink_count,
        .settings = &world->settings,
        .space = world->space,
        .hooks = {world, world_on_due, world_on_journaled, world_on_domain_idle, world_on_delay_max,
                  world_on_recovery_failed},
        .recovers_later = world->recovers_later,
    };

    world->due_count = 0;
    world->recovery_error = 0;
    if (world->with_blocking)
        world->pool = blocking_pool_start(
            &(struct blocking_settings){.name = "segments", .threads = 1, .waiting_max = 16});
    setup.segment_pool = world->pool;
    world->engine = engine_create(&(struct engine_settings){.buffer_count = 16});
    assert_non_null(world->engine);
    setup.engine = world->engine;
    int result = shard_open(&setup, &world->shard, &world->recovery, world->why);
    if (result < 0) {
        flows_free(&world->flows);
        engine_destroy(&world->engine);
    }
    return result;
}

WORLD_MAY void world_turns(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        engine_turn(world->engine, 0);
}

WORLD_MAY bool world_until(struct world *world, const bool *flag)
{
    for (unsigned i = 0; i < 20000 && !*flag; i++)
        engine_turn(world->engine, 1);
    return *flag;
}

WORLD_MAY void world_on_closed(void *context)
{
    *(bool *)context = true;
}

WORLD_MAY void world_close(struct world *world)
{
    bool closed = false;

    shard_close(world->shard, world_on_closed, &closed);
    assert_true(world_until(world, &closed));
    shard_free(&world->shard);
    /* Every pending gave its domain back. */
    assert_int_equal(domains_count(world->flows), 0);
    flows_free(&world->flows);
    blocking_pool_stop(&world->pool);
    engine_destroy(&world->engine);
}

/* As kill -9 at this moment: what the files hold now stays, nothing after it. */
WORLD_MAY void world_crash(struct world *world)
{
    char copy[80];
    char command[512];

    snprintf(copy, sizeof(copy), "%s.copy", world->directory);
    world_copy_tree(world->directory, copy);
    world_close(world);
    world_remove_tree(world->directory);
    snprintf(command, sizeof(command), "mv '%s' '%s'", copy, world->directory);
    assert_int_equal(system(command), 0);
}

WORLD_MAY void world_free(struct world *world)
{
    world_remove_tree(world->directory);
}

WORLD_MAY void world_segment_path(const struct world *world, uint32_t sequence, char *out,
                                  size_t size)
{
    snprintf(out, size, "%s/07/%016x.seg", world->directory, sequence);
}

/* --- messages -------------------------------------------------------------------------------- */

WORLD_MAY uint8_t world_content_byte(unsigned seed, size_t at)
{
    return (uint8_t)(seed * 131 + at * 7 + at / 251);
}

WORLD_MAY void world_content(unsigned seed, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = world_content_byte(seed, i);
}

/* `seed` decides every field. */
WORLD_MAY struct message *world_envelope(unsigned recipients, unsigned seed)
{
    struct message *m = message_create();
    struct arena *arena = &m->arena;

    assert_non_null(m);
    assert_true(arena_printf(arena, &m->reverse_path, "sender%u@from.example", seed));
    assert_true(arena_printf(arena, &m->envid, "QQ%u", seed));
    assert_true(arena_printf(arena, &m->client_ip, "192.0.2.%u", seed % 256));
    assert_true(arena_printf(arena, &m->tenant, "tenant%u", seed % 3));
    assert_true(arena_printf(arena, &m->header_message_id, "<%u@from.example>", seed));
    assert_true(arena_printf(arena, &m->prefix, "Received: by test; %u\r\n", seed));
    m->service = BYTES("submission");
    m->class = seed % MAIL_CLASSES;
    m->credential = seed % 4 * UINT64_C(0x123456789abcdef);
    if (seed % 16 != 5) /* tags that nobody here knows */
        assert_true(tail_add(arena, &m->tail, 0xfffffff0 + seed % 8, m->reverse_path) &&
                    tail_add(arena, &m->tail, seed, BYTES_NONE));
    if (seed % 16 != 5)
        assert_true(message_ask_tls(m, seed / 3 % MAIL_TLS_COUNT));
    m->ret = seed % 3;
    m->body = seed % 2;
    m->smtputf8 = seed % 5 == 0;
    m->is_dsn = seed % 7 == 0;
    m->recipient_count = recipients;
    m->recipients = arena_alloc(arena, recipients * sizeof(*m->recipients));
    assert_non_null(m->recipients);
    for (unsigned i = 0; i < recipients; i++) {
        struct recipient *r = &m->recipients[i];
        unsigned domain = (seed + i) % 17;

        assert_true(arena_printf(arena, &r->address, "r%u.%u@Domain%u.example", seed, i, domain));
        assert_true(arena_printf(arena, &r->domain, "domain%u.example", domain));
        if (i % 3 == 1)
            assert_true(arena_printf(arena, &r->orcpt, "rfc822;o%u", i));
        r->notify = (uint8_t)(i % 8);
    }
    return m;
}

WORLD_MAY struct message *world_message(unsigned recipients, size_t content_size, unsigned seed)
{
    struct message *m = world_envelope(recipients, seed);
    uint8_t *content = arena_alloc(&m->arena, content_size);

    assert_non_null(content);
    world_content(seed, content, content_size);
    m->content.size = content_size;
    m->content.memory = (struct bytes){content, content_size};
    return m;
}

#define WORLD_SAME(field) bytes_equal(a->field, b->field)
WORLD_MAY bool world_envelope_equal(const struct message *a, const struct message *b)
{
    bool same = WORLD_SAME(reverse_path) && WORLD_SAME(envid) && WORLD_SAME(client_ip) &&
                WORLD_SAME(client_ehlo) && WORLD_SAME(service) && WORLD_SAME(tenant) &&
                WORLD_SAME(campaign) && WORLD_SAME(tags) && WORLD_SAME(header_message_id) &&
                WORLD_SAME(prefix) && a->ret == b->ret && a->body == b->body &&
                a->smtputf8 == b->smtputf8 && a->needs_smtputf8 == b->needs_smtputf8 &&
                a->has_ascii_header == b->has_ascii_header && a->is_dsn == b->is_dsn &&
                a->class == b->class && a->tls == b->tls && a->credential == b->credential &&
                a->not_before_ms == b->not_before_ms && WORLD_SAME(tail) &&
                a->recipient_count == b->recipient_count && a->content.size == b->content.size;

    for (size_t i = 0; same && i < a->recipient_count; i++)
        same = WORLD_SAME(recipients[i].address) && WORLD_SAME(recipients[i].domain) &&
               WORLD_SAME(recipients[i].orcpt) &&
               a->recipients[i].notify == b->recipients[i].notify;
    return same;
}

WORLD_MAY bool world_is_content(unsigned seed, struct bytes content)
{
    for (size_t i = 0; i < content.len; i++)
        if (content.ptr[i] != world_content_byte(seed, i))
            return false;
    return true;
}

/* --- operations, waited for ------------------------------------------------------------------ */

struct world_commit {
    struct commit commit;
    bool is_done;
    int result;
};

WORLD_MAY void world_on_commit(struct commit *commit, int result)
{
    struct world_commit *waiting = container_of(commit, struct world_commit, commit);

    assert_false(waiting->is_done);
    waiting->is_done = true;
    waiting->result = result;
}

/* The caller's reference to the message goes away. */
WORLD_MAY void world_start_accept(struct world *world, struct world_commit *commit,
                                  struct message *message)
{
    *commit = (struct world_commit){.commit = {.message = message, .done = world_on_commit}};
    shard_commit(world->shard, &commit->commit);
    assert_false(commit->is_done);
}

WORLD_MAY int world_accept(struct world *world, struct message *message, struct message_id *id_out)
{
    struct world_commit commit;

    world_start_accept(world, &commit, message);
    assert_true(world_until(world, &commit.is_done));
    *id_out = message->id;
    message_release(&message);
    return commit.result;
}

WORLD_MAY struct outcome world_outcome_of(struct pending *pending, enum event_kind kind,
                                          int64_t next_attempt_ms)
{
    struct outcome outcome = {.pending = pending};

    outcome.event = (struct event){
        .kind = kind,
        .recipient = BYTES("someone@domain.example"),
        .reply_code = 451,
        .reply_text = BYTES("because"),
        .next_attempt_ms = next_attempt_ms,
    };
    return outcome;
}

WORLD_MAY int world_outcome(struct world *world, struct pending *pending, enum event_kind kind,
                            int64_t next_attempt_ms)
{
    struct outcome outcome = world_outcome_of(pending, kind, next_attempt_ms);
    struct world_commit commit = {
        .commit = {.outcomes = &outcome, .outcome_count = 1, .done = world_on_commit}};

    shard_commit(world->shard, &commit.commit);
    memset(&outcome, 0xaa, sizeof(outcome)); /* it was copied */
    assert_true(world_until(world, &commit.is_done));
    return commit.result;
}

WORLD_MAY bool world_wait_due(struct world *world, const struct pending *pending)
{
    for (unsigned turn = 0; turn < 3000; turn++) {
        for (size_t i = 0; i < world->due_count; i++) {
            if (world->due[i] != pending)
                continue;
            world->due[i] = world->due[--world->due_count];
            return true;
        }
        engine_turn(world->engine, 1);
    }
    return false;
}

struct world_load {
    struct load load;
    bool is_done;
    int result;
    struct message *message;
};

WORLD_MAY void world_on_load(struct load *load, int result, struct message *message)
{
    struct world_load *waiting = container_of(load, struct world_load, load);

    assert_false(waiting->is_done);
    waiting->is_done = true;
    waiting->result = result;
    waiting->message = message;
}

WORLD_MAY int world_load(struct world *world, struct stub *stub, bool envelope_only,
                         struct message **message_out)
{
    struct world_load load = {
        .load = {.stub = stub, .envelope_only = envelope_only, .done = world_on_load}};

    shard_load(world->shard, &load.load);
    assert_false(load.is_done);
    assert_true(world_until(world, &load.is_done));
    if (load.result == 0)
        *message_out = load.message;
    return load.result;
}

struct world_read {
    struct content_read read;
    bool is_done;
    int result;
    struct bytes piece;
};

WORLD_MAY void world_on_piece(struct content_read *read, int result, struct bytes piece)
{
    struct world_read *waiting = container_of(read, struct world_read, read);

    assert_false(waiting->is_done);
    waiting->is_done = true;
    waiting->result = result;
    waiting->piece = piece;
}

/* Reads all content by pieces and compares; its length, -1 when it differs, or -errno. */
WORLD_MAY int64_t world_verify_content(struct world *world, struct message *message, unsigned seed)
{
    struct world_read read = {.read = {.done = world_on_piece}};
    int64_t total = 0;

    for (;;) {
        read.is_done = false;
        shard_read_content(world->shard, message, &read.read);
        assert_false(read.is_done);
        assert_true(world_until(world, &read.is_done));
        if (read.result <= 0)
            break;
        assert_int_equal(read.result, read.piece.len);
        for (size_t i = 0; i < read.piece.len; i++)
            if (read.piece.ptr[i] != world_content_byte(seed, (size_t)total + i))
                read.result = -1;
        if (read.result < 0)
            break;
        total += read.result;
    }
    shard_read_content_end(world->shard, &read.read);
    return read.result < 0 ? read.result : total;
}

struct world_write {
    struct content_write write;
    bool is_done;
    int result;
};

WORLD_MAY void world_on_written(struct content_write *write, int result)
{
    struct world_write *waiting = container_of(write, struct world_write, write);

    assert_false(waiting->is_done);
    waiting->is_done = true;
    waiting->result = result;
}

/* Content of `size` by chunks, as a session writes it while it arrives. */
WORLD_MAY int world_write_content(struct world *world, struct message *message, unsigned seed,
                                  size_t size)
{
    size_t count = (size + CONTENT_CHUNK_MAX - 1) / CONTENT_CHUNK_MAX;
    uint8_t *content = malloc(size);
    int result = 0;

    assert_non_null(content);
    world_content(seed, content, size);
    message->content.size = size;
    message->content.extents = arena_alloc(&message->arena, count * sizeof(struct extent));
    assert_non_null(message->content.extents);
    for (size_t at = 0; result == 0 && at < size; at += CONTENT_CHUNK_MAX) {
        struct world_write write = {.write = {.message = message, .done = world_on_written}};
        struct bytes chunk = bytes_slice((struct bytes){content, size}, at, CONTENT_CHUNK_MAX);

        shard_write_content(world->shard, &write.write, chunk);
        assert_false(write.is_done);
        memset(content + at, 0xaa, chunk.len); /* it was copied */
        assert_true(world_until(world, &write.is_done));
        result = write.result;
        if (result == 0)
            message->content.extents[message->content.extent_count++] = write.write.extent;
    }
    free(content);
    return result;
}

WORLD_MAY void world_count_stub(void *context, struct shard *shard, struct stub *stub)
{
    (void)shard;
    assert_true(stub->live_count > 0);
    ++*(size_t *)context;
}

/* Every unfinished recipient is scheduled or held. */
WORLD_MAY void world_check_invariant(struct world *world)
{
    struct shard_status status;

    shard_status(world->shard, &status);
    assert_int_equal(status.overdue, 0);
    assert_int_equal(status.unaccounted, 0);
    assert_int_equal(status.recipients, status.scheduled + status.ready + status.committing);
}
