/* threads: one */
/* Bytes flipped in closed segments: told, copied aside once, and nothing else is touched. */
#include "base/metric.h"
#include "queue/disk.h"
#include "queue/inspect.h"
#include "queue/journal.h"
#include "queue/shard_private.h"
#include "tests/unit/queue/flips.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT = 128 * 1024, MESSAGES = 7, NOTICE = 5, LARGE_SIZE = 9000, SHARD = 7 };

struct file {
    char path[128];
    uint8_t *bytes;
    size_t len;
    uint64_t seed;
    struct segment_trailer trailer;
};

static void read_file(struct file *file, const struct world *w)
{
    struct segment_header header;

    world_segment_path(w, 1, file->path, sizeof(file->path));
    int fd = open(file->path, O_RDONLY);
    assert_true(fd >= 0);
    file->len = SEGMENT;
    file->bytes = malloc(file->len);
    assert_non_null(file->bytes);
    assert_int_equal(read(fd, file->bytes, file->len), file->len);
    close(fd);
    assert_int_equal(segment_header_decode(file->bytes, &header), SEGMENT_HEADER_GOOD);
    assert_true(segment_trailer_decode(file->bytes + file->len - SPOOL_BLOCK, &file->trailer));
    file->seed = segment_seed(header.salt, 1);
}

static void write_byte(const struct file *file, size_t at, uint8_t byte)
{
    int fd = open(file->path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Message 1's first recipient bounces, and its notice is the message NOTICE. */
static void write_bounce(struct world *w, struct message_id ids[MESSAGES])
{
    struct pending *pending = &shard_find(w->shard, ids[1])->pendings[0];
    struct message *notice = world_message(1 + NOTICE % 3, 900 + NOTICE, NOTICE);

    assert_true(world_wait_due(w, pending));
    struct outcome outcome = world_outcome_of(pending, EVENT_BOUNCED, 0);
    struct world_commit commit = {.commit = {.message = notice,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    shard_commit(w->shard, &commit.commit);
    assert_true(world_until(w, &commit.is_done));
    assert_int_equal(commit.result, 0);
    ids[NOTICE] = notice->id;
    message_release(&notice);
}

/* A closed segment 1 with small messages, a deferral, a bounce and its notice in one batch, and a
 * message whose content came before it. */
static void write_history(struct world *w, struct message_id ids[MESSAGES])
{
    world_init_in_memory(w, SEGMENT);
    assert_int_equal(world_open(w), 0);
    for (unsigned i = 0; i < NOTICE; i++)
        assert_int_equal(world_accept(w, world_message(1 + i % 3, 900 + i, i), &ids[i]), 0);
    struct pending *pending = &shard_find(w->shard, ids[0])->pendings[0];
    assert_true(world_wait_due(w, pending));
    assert_int_equal(world_outcome(w, pending, EVENT_DEFERRED,
                                   engine_wall_ms(w->engine) + 3600 * 1000),
                     0);
    write_bounce(w, ids);
    struct message *large = world_envelope(1, MESSAGES - 1);
    assert_int_equal(world_write_content(w, large, MESSAGES - 1, LARGE_SIZE), 0);
    assert_int_equal(world_accept(w, large, &ids[MESSAGES - 1]), 0);
    world_close(w);
}

enum { GOOD, GONE, DAMAGED };

static int state_of(struct world *w, struct message_id id, unsigned seed)
{
    struct stub *stub = shard_find(w->shard, id);
    struct message *message;
    size_t size = seed + 1 < MESSAGES ? 900 + seed : LARGE_SIZE;

    if (stub == NULL)
        return GONE;
    int result = world_load(w, stub, false, &message);
    if (result < 0) {
        assert_int_equal(result, -EBADMSG);
        assert_true(shard_is_damaged(w->shard, stub));
        return DAMAGED;
    }
    struct message *expected = world_envelope(seed + 1 < MESSAGES ? 1 + seed % 3 : 1, seed);
    expected->content.size = size;
    assert_true(world_envelope_equal(message, expected));
    message_release(&expected);
    int64_t read = message->content.memory.ptr != NULL
                       ? (world_is_content(seed, message->content.memory)
                              ? (int64_t)message->content.memory.len
                              : -1)
                       : world_verify_content(w, message, seed);
    message_release(&message);
    if (read == -EBADMSG) {
        assert_true(shard_is_damaged(w->shard, stub));
        return DAMAGED;
    }
    assert_int_equal(read, size);
    return GOOD;
}

struct copies {
    char names[8][96];
    size_t count;
};

static int on_copy(void *context, const char *name)
{
    struct copies *copies = context;

    assert_true(copies->count < ARRAY_LEN(copies->names));
    snprintf(copies->names[copies->count++], sizeof(copies->names[0]), "%s", name);
    return 0;
}

static struct copies list_copies(const struct world *w)
{
    struct copies copies = {0};
    char path[128];

    snprintf(path, sizeof(path), "%s/damaged", w->directory);
    int error = disk_list(path, on_copy, &copies);
    assert_true(error == 0 || error == -ENOENT);
    return copies;
}

struct told {
    size_t count;
    struct message_id id;
    char rule[32];
    char text[512];
};

static void on_event(void *context, const struct event *event)
{
    struct told *told = context;

    if (event->kind != EVENT_DAMAGED)
        return;
    told->count++;
    told->id = event->id;
    snprintf(told->rule, sizeof(told->rule), "%.*s", BYTES_ARG(event->rule));
    snprintf(told->text, sizeof(told->text), "%.*s", BYTES_ARG(event->reply_text));
}

/* What the shard itself told: its events begin in segment 2. */
static struct told list_told(const struct world *w, uint64_t until)
{
    struct told told = {0};
    struct journal_reader *reader;

    assert_int_equal(journal_open(w->directory, SHARD, position_of(2, SPOOL_BLOCK), &reader), 0);
    assert_int_equal(journal_read(reader, until, on_event, &told), 0);
    journal_close(&reader);
    return told;
}

/* The shard's files before any flip. */
struct whole {
    const struct world *world;
    char names[8][32];
    uint8_t *bytes[8];
    size_t len[8];
    size_t count;
};

static int keep(void *context, const char *name)
{
    struct whole *whole = context;
    struct stat status;
    char path[128];

    assert_true(whole->count < ARRAY_LEN(whole->names));
    snprintf(path, sizeof(path), "%s/07/%s", whole->world->directory, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    whole->len[whole->count] = (size_t)status.st_size;
    whole->bytes[whole->count] = malloc(MAX((size_t)status.st_size, (size_t)1));
    assert_non_null(whole->bytes[whole->count]);
    assert_int_equal(read(fd, whole->bytes[whole->count], (size_t)status.st_size), status.st_size);
    close(fd);
    snprintf(whole->names[whole->count++], sizeof(whole->names[0]), "%s", name);
    return 0;
}

static void keep_all(struct whole *whole, const struct world *w)
{
    char path[128];

    *whole = (struct whole){.world = w};
    snprintf(path, sizeof(path), "%s/07", w->directory);
    assert_int_equal(disk_list(path, keep, whole), 0);
}

static int remove_one(void *context, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", (const char *)context, name);
    return unlink(path);
}

/* As the files stood before the flip. */
static void restore(const struct whole *whole)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/damaged", whole->world->directory);
    int error = disk_list(path, remove_one, path);
    assert_true(error == 0 || error == -ENOENT);
    snprintf(path, sizeof(path), "%s/07", whole->world->directory);
    assert_int_equal(disk_list(path, remove_one, path), 0);
    for (size_t i = 0; i < whole->count; i++) {
        snprintf(path, sizeof(path), "%s/07/%s", whole->world->directory, whole->names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, whole->bytes[i], whole->len[i]), whole->len[i]);
        close(fd);
    }
}

/* The copy holds what stands there now, and its name says where that is. */
static void check_copy(const struct world *w, const struct file *file, size_t at, uint8_t flipped)
{
    struct copies copies = list_copies(w);
    unsigned shard, sequence, offset, len;
    char path[256];

    assert_int_equal(copies.count, 1);
    assert_int_equal(sscanf(copies.names[0], "%2x-%16x-%u-%u.record", &shard, &sequence, &offset,
                            &len),
                     4);
    assert_int_equal(shard, SHARD);
    assert_int_equal(sequence, 1);
    assert_true(offset <= at && at < offset + len);
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    snprintf(path, sizeof(path), "%s/damaged/%s", w->directory, copies.names[0]);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, len), len);
    close(fd);
    assert_int_equal(bytes[at - offset], flipped);
    bytes[at - offset] = file->bytes[at];
    assert_memory_equal(bytes, file->bytes + offset, len);
    free(bytes);
}

/* Which message needs the byte at `at`; MESSAGES: none. Told by the records, not by the shard. */
static unsigned owner_of(const struct file *file, const struct message_id ids[MESSAGES], size_t at)
{
    struct bytes rest = {file->bytes + SPOOL_BLOCK, file->trailer.data_end - SPOOL_BLOCK};
    bool wants_next = false;
    struct record record;
    uint32_t offset = SPOOL_BLOCK;

    while (record_read(rest, offset, file->seed, &record) == RECORD_GOOD) {
        size_t size = record_size(record.payload.len);
        /* The zeros behind a payload are nobody's. */
        bool is_hit = at >= offset && at < offset + RECORD_HEADER_LEN + record.payload.len;

        if (record.type == RECORD_CONTENT && is_hit)
            wants_next = true; /* its accept is the next one, whether in its batch or not */
        if (record.type == RECORD_ACCEPT && (is_hit || wants_next)) {
            for (unsigned i = 0; i < MESSAGES; i++)
                if (ids[i].value == record_message_id(&record).value)
                    return i;
        }
        offset += (uint32_t)size;
        rest = bytes_slice(rest, size, rest.len - size);
    }
    return MESSAGES;
}

/* Whose outcome's byte it is; MESSAGES: none's. */
static unsigned outcome_of(const struct file *file, const struct message_id ids[MESSAGES],
                           size_t at)
{
    struct bytes rest = {file->bytes + SPOOL_BLOCK, file->trailer.data_end - SPOOL_BLOCK};
    struct record record;
    uint32_t offset = SPOOL_BLOCK;

    while (record_read(rest, offset, file->seed, &record) == RECORD_GOOD) {
        size_t size = record_size(record.payload.len);

        if (at >= offset && at < offset + RECORD_HEADER_LEN + record.payload.len)
            return record.type != RECORD_OUTCOME                      ? MESSAGES
                   : record_message_id(&record).value == ids[0].value ? 0
                                                                      : 1;
        offset += (uint32_t)size;
        rest = bytes_slice(rest, size, rest.len - size);
    }
    return MESSAGES;
}

/* What the outcomes said still holds, but for a lost one: its recipient is tried again. The footer
 * has outcomes as well. */
static void check_outcomes(const struct world *w, const struct message_id ids[MESSAGES],
                           unsigned lost, unsigned owner, size_t at)
{
    if (owner != 0) {
        const struct pending *deferred = &shard_find(w->shard, ids[0])->pendings[0];

        expect_row(at, deferred->attempts == (lost == 0 ? 0 : 1));
    }
    if (owner != 1) {
        const struct pending *bounced = &shard_find(w->shard, ids[1])->pendings[0];

        expect_row(at, (bounced->state == PENDING_FINAL) == (lost != 1));
    }
}

/* Who reads without the shard sees it as well: `spool check`, and the publisher. */
static void check_readers(const struct world *w, bool is_of_record, bool has_footer, size_t at)
{
    struct spool_report report;
    struct journal_reader *reader;
    struct told told = {0};
    /* Without a trailer it looks like a segment that a crash left open. */
    bool misses_footer = !has_footer && at < SEGMENT - SPOOL_BLOCK;

    assert_int_equal(spool_check(w->directory, &report, NULL, NULL), 0);
    expect_row(at, report.damaged_records >= (uint64_t)is_of_record + misses_footer);
    expect_row(at, report.torn_tails == 0);
    assert_int_equal(journal_open(w->directory, SHARD, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(2, SPOOL_BLOCK), on_event, &told), 0);
    expect_row(at, !is_of_record || journal_damaged(reader) == 1);
    journal_close(&reader);
}

/* Flips the byte in a closed segment, whose footer is good or not, and reads everything. */
static void flip(struct world *w, const struct file *file, const struct whole *whole,
                 const struct message_id ids[MESSAGES], size_t at, bool has_footer)
{
    unsigned owner = owner_of(file, ids, at);
    bool is_known = false; /* its accept record is good, or the footer knew it */
    uint8_t flipped = (uint8_t)(file->bytes[at] ^ (1U << at % 8));
    int64_t counted = metric_sum(METRIC_SPOOL_DAMAGED_RECORDS);

    restore(whole);
    write_byte(file, at, flipped);
    if (!has_footer)
        write_byte(file, file->trailer.footer_offset + 40,
                   file->bytes[file->trailer.footer_offset + 40] ^ 1);
    check_readers(w, owner < MESSAGES || outcome_of(file, ids, at) < MESSAGES, has_footer, at);
    assert_int_equal(world_open(w), 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        int state = state_of(w, ids[i], i);

        if (i != owner && state != GOOD)
            fail_msg("at %zu: message %u is %d", at, i, state);
        if (i == owner && has_footer && state != DAMAGED)
            fail_msg("at %zu: the damaged message %u is %d", at, i, state);
        is_known = is_known || state == DAMAGED;
        if (i == owner && state == GOOD)
            fail_msg("at %zu: the damaged message %u is good", at, i);
        state_of(w, ids[i], i); /* again: told once all the same */
    }
    check_outcomes(w, ids, has_footer ? MESSAGES : outcome_of(file, ids, at), owner, at);
    world_turns(w, 20);
    uint64_t until = shard_durable_position(w->shard);
    if (owner < MESSAGES) {
        struct told told = list_told(w, until);

        if (told.count != 1)
            fail_msg("at %zu: told %zu times, the last time: %s", at, told.count, told.text);
        expect_row(at, told.id.value == ids[owner].value || !is_known);
        expect_row(at, metric_sum(METRIC_SPOOL_DAMAGED_RECORDS) == counted + 1);
        check_copy(w, file, at, flipped);
        assert_non_null(strstr(told.text, list_copies(w).names[0]));
    }
    world_close(w);
    if (owner == MESSAGES)
        return;
    /* The next start tells and copies nothing again, but still counts what it finds. */
    assert_int_equal(world_open(w), 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        state_of(w, ids[i], i);
    world_turns(w, 20);
    expect_row(at, list_told(w, shard_durable_position(w->shard)).count == 1);
    expect_row(at, list_copies(w).count == 1);
    world_close(w);
}

static void flip_all(bool has_footer, size_t stride)
{
    struct flips flips = flips_of(stride);
    struct world w;
    struct message_id ids[MESSAGES];
    struct file file;
    struct whole whole;
    size_t owned = 0, of_outcomes = 0, count = 0;

    write_history(&w, ids);
    read_file(&file, &w);
    keep_all(&whole, &w);
    size_t begin = flips.is_all ? 0 : SPOOL_BLOCK;
    size_t end = flips.is_all ? file.len : file.trailer.data_end;
    for (size_t at = begin + flips.first; at < end; at += flips.stride) {
        owned += owner_of(&file, ids, at) < MESSAGES;
        of_outcomes += outcome_of(&file, ids, at) < MESSAGES;
        count++;
        flip(&w, &file, &whole, ids, at, has_footer);
    }
    assert_true(owned > 20);
    assert_true(of_outcomes > 0);
    print_message("%zu bytes flipped, %zu of them a message's, %zu an outcome's\n", count, owned,
                  of_outcomes);
    for (size_t i = 0; i < whole.count; i++)
        free(whole.bytes[i]);
    free(file.bytes);
    world_free(&w);
}

TEST(flipped_byte_found_by_reading_is_told_and_copied_once)
{
    flip_all(true, 97);
}

TEST(flipped_byte_found_by_scanning_is_told_and_copied_once)
{
    flip_all(false, 101);
}

TEST(damage_beyond_the_bound_is_counted_only)
{
    struct world w;
    struct message_id ids[MESSAGES];
    struct file file;
    char path[160];

    write_history(&w, ids);
    read_file(&file, &w);
    snprintf(path, sizeof(path), "%s/damaged", w.directory);
    assert_int_equal(mkdir(path, 0700), 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "%s/damaged/07-%016x-4096-100.record", w.directory, 100 + i);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    size_t at = SPOOL_BLOCK + 100;
    unsigned owner = owner_of(&file, ids, at);
    assert_true(owner < MESSAGES);
    int64_t counted = metric_sum(METRIC_SPOOL_DAMAGED_RECORDS);
    write_byte(&file, at, file.bytes[at] ^ 1);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(state_of(&w, ids[owner], owner), DAMAGED);
    world_turns(&w, 20);
    assert_int_equal(metric_sum(METRIC_SPOOL_DAMAGED_RECORDS), counted + 1);
    snprintf(path, sizeof(path), "ls %s/damaged | grep -c record | grep -qx 1000", w.directory);
    assert_int_equal(system(path), 0);
    world_close(&w);
    /* Another shard's files, and names that are none, do not count. */
    snprintf(path, sizeof(path), "cd %s/damaged && for f in 07-*; do mv $f 08-$f; done",
             w.directory);
    assert_int_equal(system(path), 0);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(state_of(&w, ids[owner], owner), DAMAGED);
    world_turns(&w, 20);
    snprintf(path, sizeof(path), "ls %s/damaged | grep -c record | grep -qx 1001", w.directory);
    assert_int_equal(system(path), 0);
    world_close(&w);
    free(file.bytes);
    world_free(&w);
}

TEST(segment_without_header_and_trailer_is_moved_away_and_told)
{
    struct world w;
    struct message_id ids[MESSAGES];
    struct file file;

    write_history(&w, ids);
    read_file(&file, &w);
    for (size_t at = 0; at < SPOOL_BLOCK; at += 64) {
        write_byte(&file, at, file.bytes[at] ^ 1);
        write_byte(&file, at + 8, file.bytes[at + 8] ^ 1);
        write_byte(&file, file.len - SPOOL_BLOCK + at, 0xee);
    }
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 0);
    assert_int_equal(w.recovery.damaged_records, 1);
    world_turns(&w, 20);
    struct told told = list_told(&w, shard_durable_position(w.shard));
    assert_int_equal(told.count, 1);
    assert_string_equal(told.rule, "damaged-segment");
    assert_non_null(strstr(told.text, "damaged/07-0000000000000001.seg"));
    world_close(&w);
    struct copies copies = list_copies(&w);
    assert_int_equal(copies.count, 1);
    assert_string_equal(copies.names[0], "07-0000000000000001.seg");
    free(file.bytes);
    world_free(&w);
}

/* The last of its segment that lives cannot be copied forward: it is due at once, ends, and the
 * segment comes back. */
TEST(compaction_is_not_held_up_by_a_damaged_message)
{
    enum { ROUNDS = 600 };
    struct world w;
    struct message_id ids[MESSAGES];
    struct message_id id;
    struct file file;
    char path[160];

    write_history(&w, ids);
    read_file(&file, &w);
    size_t at = SPOOL_BLOCK + 100;
    unsigned owner = owner_of(&file, ids, at);
    assert_int_equal(owner, 0); /* deferred for an hour */
    write_byte(&file, at, file.bytes[at] ^ 1);
    assert_int_equal(world_open(&w), 0);
    struct pending *pending = &shard_find(w.shard, ids[0])->pendings[0];
    for (unsigned i = 1; i < MESSAGES; i++) {
        struct stub *stub = shard_find(w.shard, ids[i]);
        uint32_t count = stub->recipient_count;

        for (uint32_t n = 0; n < count; n++) {
            if (stub->pendings[n].state == PENDING_FINAL)
                continue; /* bounced */
            assert_true(world_wait_due(&w, &stub->pendings[n]));
            assert_int_equal(world_outcome(&w, &stub->pendings[n], EVENT_DELIVERED, 0), 0);
        }
    }
    bool is_due = false;
    for (unsigned i = 0; i < ROUNDS && !is_due; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 2000, i), &id), 0);
        struct pending *next = &shard_find(w.shard, id)->pendings[0];
        assert_true(world_wait_due(&w, next));
        assert_int_equal(world_outcome(&w, next, EVENT_DELIVERED, 0), 0);
        is_due = pending->state == PENDING_READY;
    }
    assert_true(is_due);
    assert_true(shard_is_damaged(w.shard, pending_stub(pending)));
    assert_int_equal(world_outcome(&w, pending, EVENT_BOUNCED, 0), 0);
    world_segment_path(&w, 1, path, sizeof(path));
    for (unsigned i = 0; i < 200 && access(path, F_OK) == 0; i++)
        engine_turn(w.engine, 1);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(list_copies(&w).count > 0);
    world_close(&w);
    free(file.bytes);
    world_free(&w);
}

/* Between disk and memory, not on the disk: what is read the second time counts. */
TEST(read_that_fails_once_is_no_damage)
{
    struct world w;
    struct message_id ids[MESSAGES];
    struct file file;
    struct world_load load = {.load = {.done = world_on_load}};

    write_history(&w, ids);
    read_file(&file, &w);
    size_t at = SPOOL_BLOCK + 100;
    unsigned owner = owner_of(&file, ids, at);
    write_byte(&file, at, file.bytes[at] ^ 1);
    assert_int_equal(world_open(&w), 0);
    int64_t reads = metric_sum(METRIC_SPOOL_READS);
    int64_t counted = metric_sum(METRIC_SPOOL_DAMAGED_RECORDS);
    load.load.stub = shard_find(w.shard, ids[owner]);
    shard_load(w.shard, &load.load);
    /* The fake engine reads when an op completes: the second one is asked for, not done. */
    for (unsigned i = 0; i < 1000 && metric_sum(METRIC_SPOOL_READS) < reads + 2; i++)
        engine_turn(w.engine, 1);
    assert_int_equal(metric_sum(METRIC_SPOOL_READS), reads + 2);
    assert_false(load.is_done);
    write_byte(&file, at, file.bytes[at]);
    assert_true(world_until(&w, &load.is_done));
    assert_int_equal(load.result, 0);
    assert_true(world_is_content(owner, load.message->content.memory));
    assert_false(shard_is_damaged(w.shard, load.load.stub));
    assert_int_equal(metric_sum(METRIC_SPOOL_DAMAGED_RECORDS), counted);
    message_release(&load.message);
    world_close(&w);
    assert_int_equal(list_copies(&w).count, 0);
    free(file.bytes);
    world_free(&w);
}
