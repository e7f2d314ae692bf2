/* threads: one */
/* What a shard finds after crashes and damage. */
#include "queue/disk.h"
#include "tests/unit/queue/flips.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT = 64 * 1024 };

struct file {
    char path[128];
    uint8_t *bytes;
    size_t len;
    size_t end; /* behind the last record */
    uint64_t seed;
};

static void read_file(struct file *file, const struct world *w, uint32_t sequence)
{
    struct segment_header header;
    struct record_scan none = {0};
    struct record_scan_result result;
    struct stat status;

    world_segment_path(w, sequence, file->path, sizeof(file->path));
    int fd = open(file->path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    file->len = (size_t)status.st_size;
    file->bytes = malloc(file->len);
    assert_non_null(file->bytes);
    assert_int_equal(read(fd, file->bytes, file->len), file->len);
    close(fd);
    assert_int_equal(segment_header_decode(file->bytes, &header), SEGMENT_HEADER_GOOD);
    file->seed = segment_seed(header.salt, sequence);
    assert_int_equal(record_scan((struct bytes){file->bytes + SPOOL_BLOCK, file->len - SPOOL_BLOCK},
                                 SPOOL_BLOCK, file->seed, &none, &result),
                     0);
    file->end = result.end;
}

static void write_file(const struct file *file, size_t len)
{
    int fd = open(file->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->bytes, len), len);
    close(fd);
}

static void remove_file(const struct world *w, uint32_t sequence)
{
    char path[128];

    world_segment_path(w, sequence, path, sizeof(path));
    unlink(path);
}

/* 1: delivered message finished, 2: one left of two recipients, in a batch with message 3. */
static void write_history(struct world *w, struct message_id ids[3])
{
    world_init_in_memory(w, SEGMENT);
    assert_int_equal(world_open(w), 0);
    assert_int_equal(world_accept(w, world_message(1, 300, 1), &ids[0]), 0);
    assert_int_equal(world_accept(w, world_message(2, 500, 2), &ids[1]), 0);
    struct stub *second = shard_find(w->shard, ids[1]);
    assert_true(world_wait_due(w, &second->pendings[0]));
    struct outcome outcome = world_outcome_of(&second->pendings[0], EVENT_BOUNCED, 0);
    struct message *dsn = world_message(1, 700, 3);
    struct world_commit commit = {.commit = {.message = dsn,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    shard_commit(w->shard, &commit.commit);
    assert_true(world_until(w, &commit.is_done));
    assert_int_equal(commit.result, 0);
    ids[2] = dsn->id;
    message_release(&dsn);
    world_crash(w);
}

static bool is_loadable(struct world *w, struct message_id id, unsigned seed)
{
    struct stub *stub = shard_find(w->shard, id);
    struct message *message;

    if (stub == NULL || world_load(w, stub, false, &message) < 0)
        return false;
    bool is_good = world_is_content(seed, message->content.memory);
    message_release(&message);
    return is_good;
}

/* Nothing but the zeros of a PAD before and behind `at`: one cut in it is like another. */
static bool is_padding(const struct file *file, size_t at)
{
    for (size_t i = at - 128; i < at + 32; i++)
        if (file->bytes[i] != 0)
            return false;
    return true;
}

/* The bounce and its notice stand or fall together, wherever the file ends. */
TEST(recovery_of_any_cut_finds_whole_commits_only)
{
    struct world w;
    struct message_id ids[3];
    struct file file;
    size_t states[3] = {0};

    write_history(&w, ids);
    read_file(&file, &w, 1);
    uint8_t *whole = malloc(file.len);
    memcpy(whole, file.bytes, file.len);
    for (size_t cut = file.end; cut >= SPOOL_BLOCK; cut -= is_padding(&file, cut) ? 97 : 1) {
        /* What stood there before: zeros, or the flushes of an earlier life. */
        for (size_t i = cut; i < file.len; i++)
            file.bytes[i] = cut % 2 == 0 ? 0 : (uint8_t)(whole[i] ^ 0x5a);
        write_file(&file, file.len);
        remove_file(&w, 2);
        remove_file(&w, 3);
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(w.recovery.damaged_records, 0);
        bool has[3];
        for (unsigned i = 0; i < 3; i++) {
            struct stub *stub = shard_find(w.shard, ids[i]);
            has[i] = stub != NULL;
            if (has[i])
                expect_row(cut, is_loadable(&w, ids[i], i + 1));
        }
        expect_row(cut, !has[2] || has[1]);
        expect_row(cut, !has[1] || has[0]);
        if (has[1]) {
            struct stub *stub = shard_find(w.shard, ids[1]);
            expect_row(cut, (stub->pendings[0].state == PENDING_FINAL) == has[2]);
            expect_row(cut, stub->next_seq == (has[2] ? 3 : 2));
        }
        states[has[2] ? 2 : has[1] ? 1 : 0]++;
        /* And it takes mail. */
        if (cut % 64 == 0) {
            struct message_id id;

            assert_int_equal(world_accept(&w, world_message(1, 100, 9), &id), 0);
        }
        world_close(&w);
        memcpy(file.bytes, whole, file.len);
        world_remove_tree(w.directory);
        char directory[80];
        snprintf(directory, sizeof(directory), "%s/07", w.directory);
        assert_int_equal(mkdir(w.directory, 0700), 0);
        assert_int_equal(mkdir(directory, 0700), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_true(states[i] > 0);
    free(whole);
    free(file.bytes);
    world_free(&w);
}

/* After an orderly close; every message must load, but the one the flip is in. */
static void flip_everywhere(bool is_closed, size_t stride)
{
    enum { MESSAGES = 8 };
    struct flips flips = flips_of(stride);
    struct world w;
    struct message_id ids[MESSAGES];
    struct file file;
    size_t count = 0;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(world_accept(&w, world_message(1, 1500, i), &ids[i]), 0);
    if (is_closed)
        world_close(&w);
    else
        world_crash(&w);
    read_file(&file, &w, 1);
    for (size_t at = flips.first; at < file.len; at += flips.stride) {
        uint8_t bit = (uint8_t)(1U << at % 8);
        unsigned lost = 0;

        file.bytes[at] ^= bit;
        write_file(&file, file.len);
        assert_int_equal(world_open(&w), 0);
        for (unsigned i = 0; i < MESSAGES; i++)
            lost += !is_loadable(&w, ids[i], i);
        expect_row(at, lost <= (at >= SPOOL_BLOCK && at < file.end ? 1 : 0));
        world_close(&w);
        file.bytes[at] ^= bit;
        count++;
        for (uint32_t sequence = 2; sequence < 8; sequence++)
            remove_file(&w, sequence);
    }
    print_message("%zu bytes flipped\n", count);
    free(file.bytes);
    world_free(&w);
}

TEST(flipped_byte_in_a_closed_segment_costs_one_message_at_most)
{
    flip_everywhere(true, 89);
}

TEST(flipped_byte_in_the_open_segment_costs_one_message_at_most)
{
    flip_everywhere(false, 89);
}

TEST(recycled_file_shows_nothing_of_its_earlier_life)
{
    struct world w;
    struct message_id id;
    char path[128];
    struct stat status;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    world_segment_path(&w, 1, path, sizeof(path));
    assert_int_equal(stat(path, &status), 0);
    ino_t inode = status.st_ino;
    /* Deliver at once: segments die and are used again, full of good records of another salt. */
    bool is_recycled = false;
    for (unsigned i = 0; i < 120; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 2000, i), &id), 0);
        struct stub *stub = shard_find(w.shard, id);
        assert_true(world_wait_due(&w, &stub->pendings[0]));
        assert_int_equal(world_outcome(&w, &stub->pendings[0], EVENT_DELIVERED, 0), 0);
        for (uint32_t s = 2; s < 40; s++) {
            world_segment_path(&w, s, path, sizeof(path));
            is_recycled = is_recycled || (stat(path, &status) == 0 && status.st_ino == inode);
        }
    }
    assert_true(is_recycled);
    assert_int_equal(world_accept(&w, world_message(1, 2000, 500), &id), 0);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 1);
    assert_int_equal(w.recovery.damaged_records, 0);
    assert_int_equal(w.recovery.torn_bytes, 0);
    assert_true(is_loadable(&w, id, 500));
    world_close(&w);
    world_free(&w);
}

TEST(footer_that_is_damaged_is_not_needed)
{
    struct world w;
    struct message_id ids[3];
    struct file file;
    struct segment_trailer trailer;

    write_history(&w, ids);
    assert_int_equal(world_open(&w), 0); /* writes the footer of the crashed one */
    world_close(&w);
    read_file(&file, &w, 1);
    assert_true(segment_trailer_decode(file.bytes + file.len - SPOOL_BLOCK, &trailer));
    for (unsigned i = 0; i < 3; i++) {
        static const size_t at[] = {0, 40, 90}; /* in the footer's header, its counts, an entry */
        file.bytes[trailer.footer_offset + at[i]] ^= 1;
        write_file(&file, file.len);
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(w.recovery.messages, 3);
        assert_true(w.recovery.bytes_scanned > 0);
        assert_int_equal(shard_find(w.shard, ids[1])->live_count, 1);
        world_close(&w);
        file.bytes[trailer.footer_offset + at[i]] ^= 1;
    }
    free(file.bytes);
    world_free(&w);
}

TEST(newer_format_other_node_and_second_owner_are_refused)
{
    struct world w, other;
    struct message_id ids[3];
    struct file file;
    struct segment_header header;

    write_history(&w, ids);
    assert_int_equal(world_open(&w), 0);
    other = w;
    assert_int_equal(world_open(&other), -EBUSY);
    assert_non_null(strstr(other.why, "another ringpost"));
    world_close(&w);
    read_file(&file, &w, 1);
    assert_int_equal(segment_header_decode(file.bytes, &header), SEGMENT_HEADER_GOOD);
    header.format++;
    segment_header_encode(&header, file.bytes);
    write_file(&file, file.len);
    assert_true(world_open(&w) < 0);
    assert_non_null(strstr(w.why, "newer"));
    header.format--;
    header.node++;
    segment_header_encode(&header, file.bytes);
    write_file(&file, file.len);
    assert_true(world_open(&w) < 0);
    assert_non_null(strstr(w.why, "another node"));
    free(file.bytes);
    world_free(&w);
}

TEST(lost_header_is_replaced_by_the_trailer_or_the_file_moved_aside)
{
    struct world w;
    struct message_id ids[3];
    struct file file;
    char path[128];

    write_history(&w, ids);
    assert_int_equal(world_open(&w), 0);
    world_close(&w);
    read_file(&file, &w, 1);
    memset(file.bytes, 0xff, SPOOL_BLOCK);
    write_file(&file, file.len);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 3);
    world_close(&w);
    memset(file.bytes + file.len - SPOOL_BLOCK, 0xff, SPOOL_BLOCK);
    write_file(&file, file.len);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 0);
    assert_int_equal(w.recovery.damaged_records, 1);
    snprintf(path, sizeof(path), "%s/damaged/07-%016x.seg", w.directory, 1);
    assert_int_equal(access(path, R_OK), 0);
    world_close(&w);
    free(file.bytes);
    world_free(&w);
}

TEST(half_made_files_are_made_again)
{
    struct world w;
    struct message_id ids[3];
    struct message_id id;
    struct file file;

    write_history(&w, ids);
    read_file(&file, &w, 1);
    /* Made but without a header; empty; a recycled one that did not get its new name. */
    uint8_t *first = file.bytes;
    file.bytes = calloc(1, file.len);
    world_segment_path(&w, 2, file.path, sizeof(file.path));
    write_file(&file, file.len);
    world_segment_path(&w, 3, file.path, sizeof(file.path));
    write_file(&file, 0);
    memcpy(file.bytes, first, file.len);
    world_segment_path(&w, 4, file.path, sizeof(file.path));
    write_file(&file, file.len);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 3);
    assert_int_equal(w.recovery.damaged_records, 0);
    assert_int_equal(world_accept(&w, world_message(1, 100, 9), &id), 0);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 4);
    world_close(&w);
    free(first);
    free(file.bytes);
    world_free(&w);
}

/* The only file was being recycled: it had its new header, but not its name yet. */
TEST(numbers_go_on_though_no_file_is_left)
{
    struct world w;
    struct message_id ids[3];
    struct message_id id;
    struct segment_header header;
    struct file file;

    write_history(&w, ids);
    read_file(&file, &w, 1);
    for (uint32_t sequence = 2; sequence < 12; sequence++)
        remove_file(&w, sequence);
    assert_int_equal(segment_header_decode(file.bytes, &header), SEGMENT_HEADER_GOOD);
    header.sequence = 9;
    segment_header_encode(&header, file.bytes);
    write_file(&file, file.len);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 0);
    assert_int_equal(world_accept(&w, world_message(1, 100, 9), &id), 0);
    assert_int_equal(position_sequence(shard_durable_position(w.shard)), 9);
    world_close(&w);
    free(file.bytes);
    world_free(&w);
}

TEST(ids_grow_across_restarts)
{
    struct world w;
    struct message_id before, after;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 10, 1), &before), 0);
    for (unsigned i = 0; i < 4; i++) {
        world_crash(&w);
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(world_accept(&w, world_message(1, 10, 1), &after), 0);
        assert_true(after.value > before.value);
        before = after;
    }
    world_close(&w);
    world_free(&w);
}

/* A power cut inside a flush leaves any choice of its sectors. */
TEST(torn_flush_keeps_each_commit_whole_or_not_at_all)
{
    enum { COMMITS = 5, SECTOR = 512 };
    struct world w;
    struct message_id accepted[COMMITS];
    struct message_id notices[COMMITS];
    struct world_commit commits[COMMITS];
    struct outcome outcomes[COMMITS];
    struct message *messages[COMMITS];
    struct file file;
    size_t whole_count = 0;
    size_t none_count = 0;

    world_init_in_memory(&w, 2 * SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < COMMITS; i++)
        assert_int_equal(world_accept(&w, world_message(1, 700, i), &accepted[i]), 0);
    uint64_t before = shard_durable_position(w.shard);
    for (unsigned i = 0; i < COMMITS; i++) {
        struct pending *pending = &shard_find(w.shard, accepted[i])->pendings[0];

        assert_true(world_wait_due(&w, pending));
        outcomes[i] = world_outcome_of(pending, EVENT_BOUNCED, 0);
        messages[i] = world_message(1, 900, 100 + i);
    }
    for (unsigned i = 0; i < COMMITS; i++) {
        commits[i] = (struct world_commit){.commit = {.message = messages[i],
                                                      .outcomes = &outcomes[i],
                                                      .outcome_count = 1,
                                                      .done = world_on_commit}};
        shard_commit(w.shard, &commits[i].commit);
    }
    for (unsigned i = 0; i < COMMITS; i++) {
        assert_true(world_until(&w, &commits[i].is_done));
        notices[i] = messages[i]->id;
        message_release(&messages[i]);
    }
    world_crash(&w);
    read_file(&file, &w, 1);
    uint8_t *whole = malloc(file.len);
    memcpy(whole, file.bytes, file.len);
    for (unsigned seed = 0; seed < 300; seed++) {
        srandom(seed);
        for (size_t at = position_offset(before); at < file.end; at += SECTOR)
            if (random() % 8 < (long)(seed % 5))
                for (size_t i = at; i < at + SECTOR; i++)
                    file.bytes[i] = seed % 2 == 0 ? 0 : (uint8_t)random();
        write_file(&file, file.len);
        for (uint32_t sequence = 2; sequence < 12; sequence++)
            remove_file(&w, sequence);
        assert_int_equal(world_open(&w), 0);
        expect_row(seed, w.recovery.damaged_records == 0);
        for (unsigned i = 0; i < COMMITS; i++) {
            bool has_notice = shard_find(w.shard, notices[i]) != NULL;

            expect_row(seed, (shard_find(w.shard, accepted[i]) == NULL) == has_notice);
            expect_row(seed, has_notice ? is_loadable(&w, notices[i], 100 + i)
                                        : is_loadable(&w, accepted[i], i));
            whole_count += has_notice;
            none_count += !has_notice;
        }
        world_close(&w);
        memcpy(file.bytes, whole, file.len);
    }
    assert_true(whole_count > 0);
    assert_true(none_count > 0);
    free(whole);
    free(file.bytes);
    world_free(&w);
}

/* What a failed write left on the disk is void once the next segment says so. */
TEST(cut_segment_ends_where_the_next_one_says)
{
    struct world w;
    struct message_id ids[3];
    struct file file;
    uint8_t cut[CUT_LEN];

    write_history(&w, ids);
    read_file(&file, &w, 1);
    /* The third flush, with the bounce, is what failed: the cut is where it begins. */
    struct record record;
    uint32_t flush = 0;
    for (size_t at = SPOOL_BLOCK; at < file.end;) {
        assert_int_equal(record_read((struct bytes){file.bytes + at, file.end - at}, (uint32_t)at,
                                     file.seed, &record),
                         RECORD_GOOD);
        flush = record.flush;
        at += record_size(record.payload.len);
    }
    assert_true(flush > SPOOL_BLOCK);
    struct segment_header header;
    assert_int_equal(segment_header_decode(file.bytes, &header), SEGMENT_HEADER_GOOD);
    struct file next = {.bytes = calloc(1, file.len), .len = file.len};
    header.sequence = 2;
    header.salt ^= 99;
    segment_header_encode(&header, next.bytes);
    cut_encode(&(struct cut){1, flush}, cut);
    memcpy(next.bytes + SPOOL_BLOCK + RECORD_HEADER_LEN, cut, CUT_LEN);
    record_begin(next.bytes + SPOOL_BLOCK, RECORD_CUT, 0, CUT_LEN);
    record_seal(next.bytes + SPOOL_BLOCK, SPOOL_BLOCK, SPOOL_BLOCK,
                segment_seed(header.salt, header.sequence));
    world_segment_path(&w, 2, next.path, sizeof(next.path));
    write_file(&next, next.len);
    for (unsigned round = 0; round < 2; round++) { /* and it stays so */
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(w.recovery.messages, 2);
        assert_null(shard_find(w.shard, ids[2]));
        assert_int_equal(shard_find(w.shard, ids[1])->live_count, 2);
        assert_true(is_loadable(&w, ids[0], 1));
        world_close(&w);
    }
    free(next.bytes);
    free(file.bytes);
    world_free(&w);
}

/* Mail is taken while the queue is still being read; a crash in the middle costs none of either. */
TEST(shard_accepts_before_the_queue_is_whole)
{
    enum { OLD = 60, NEW = 8 };
    struct world w;
    struct message_id old[OLD], new[NEW];
    unsigned accepted_early = 0;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < OLD; i++)
        assert_int_equal(world_accept(&w, world_message(1, 8000, i + 1), &old[i]), 0);
    /* Every third is finished, in a segment behind its own. */
    for (unsigned i = 0; i < OLD; i += 3) {
        struct pending *pending = &shard_find(w.shard, old[i])->pendings[0];

        assert_true(world_wait_due(&w, pending));
        assert_int_equal(world_outcome(&w, pending, EVENT_DELIVERED, 0), 0);
    }
    w.recovers_later = true;
    for (unsigned i = 0; i < NEW; i++) {
        world_crash(&w);
        assert_int_equal(world_open(&w), 0);
        assert_false(shard_is_whole(w.shard));
        assert_null(shard_find(w.shard, old[1]));
        assert_int_equal(world_accept(&w, world_message(1, 3000, 100 + i), &new[i]), 0);
        expect_row(i, new[i].value > (i > 0 ? new[i - 1] : old[OLD - 1]).value);
        accepted_early += !shard_is_whole(w.shard);
        if (i % 2 == 1)
            while (!shard_is_whole(w.shard))
                world_turns(&w, 1);
    }
    assert_true(accepted_early > 0);
    while (!shard_is_whole(w.shard))
        world_turns(&w, 1);
    world_check_invariant(&w);
    for (unsigned i = 0; i < OLD; i++)
        expect_row(i, is_loadable(&w, old[i], i + 1) == (i % 3 != 0));
    for (unsigned i = 0; i < NEW; i++)
        expect_row(i, is_loadable(&w, new[i], 100 + i));
    for (unsigned i = 1; i < OLD; i += 3)
        expect_row(i, world_wait_due(&w, &shard_find(w.shard, old[i])->pendings[0]));
    world_close(&w);
    /* And an end in the middle. */
    assert_int_equal(world_open(&w), 0);
    assert_false(shard_is_whole(w.shard));
    world_close(&w);
    w.recovers_later = false;
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, OLD - OLD / 3 + NEW);
    world_close(&w);
    world_free(&w);
}

/* Footers tell the flows of what waits, and so do the records. */
TEST(flows_are_known_after_a_start)
{
    enum { COUNT = 12 };
    struct world w;
    struct message_id ids[COUNT];

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(world_accept(&w, world_message(2, 100, i), &ids[i]), 0);
    for (unsigned crashes = 0; crashes < 2; crashes++) {
        if (crashes == 1)
            world_crash(&w); /* nothing was written since: closed by the start before */
        else
            world_close(&w);
        assert_int_equal(world_open(&w), 0);
        for (unsigned i = 0; i < COUNT; i++) {
            struct message *expected = world_message(2, 100, i);
            const struct stub *stub = shard_find(w.shard, ids[i]);

            assert_non_null(stub);
            for (unsigned n = 0; n < 2; n++) {
                const struct pending *pending = &stub->pendings[n];

                assert_true(bytes_equal(domain_name(pending_domain(pending)),
                                        expected->recipients[n].domain));
                assert_true(bytes_equal(flow_tenant(pending->flow), expected->tenant));
                assert_int_equal(pending->flow->class, expected->class);
                assert_int_equal(pending_domain(pending)->tls, expected->tls);
            }
            message_release(&expected);
        }
        /* Three tenants and classes of one number, so three of each domain at most. */
        assert_in_range(flows_count(w.flows), domains_count(w.flows), 3 * domains_count(w.flows));
        assert_int_equal(tenants_count(w.flows), 3);
    }
    world_close(&w);
    world_free(&w);
}
