/* test_versions.c - what a later version wrote is refused, by whoever meets it, and stays. */
#include "base/metric.h"
#include "queue/inspect.h"
#include "queue/journal.h"
#include "unit/queue/shard_world.h"
#include "unit/queue/spool_build.h"

enum { SHARD = 7 };

static void in_world(struct world *w, const struct build *b)
{
    memset(w, 0, sizeof(*w));
    memcpy(w->directory, b->spool, sizeof(b->spool));
    w->settings = (struct spool_settings){.directory = w->directory,
                                          .segment_size = BUILD_SEGMENT_SIZE,
                                          .spare_segments = 1};
}

/* The record that was built last, or the footer, gets a version more. */
static void raise_version(struct build *b, uint32_t offset, uint32_t flush)
{
    uint8_t *at = b->bytes + offset;

    record_set_version(at, at[25] + 1U);
    record_seal(at, offset, flush, segment_seed(b->salt, b->sequence));
}

static void count_event(void *context, const struct event *event)
{
    (void)event;
    ++*(unsigned *)context;
}

static void note_line(void *context, const char *text)
{
    bool *is_said = context;

    *is_said = *is_said || strstr(text, "which this version of ringpost does not know") != NULL;
}

/* Whoever reads the spool: none of them goes on, none changes it. */
static void expect_refused(const struct build *b, const char *sentence, bool is_of_records)
{
    struct world w;
    struct spool_report report;
    struct journal_reader *reader;
    unsigned seen = 0;
    bool is_said = false;

    in_world(&w, b);
    for (unsigned later = 0; later < 2; later++) {
        w.recovers_later = later == 1;
        assert_int_equal(world_open(&w), -EPROTO);
        if (strstr(w.why, sentence) == NULL)
            fail_msg("\"%s\" has no \"%s\"", w.why, sentence);
        assert_non_null(strstr(w.why, "07/0000000000000001.seg: "));
    }
    assert_int_equal(spool_check(b->spool, &report, note_line, &is_said), -ENOTSUP);
    assert_true(is_said);
    assert_int_equal(spool_dump(b->spool, note_line, &is_said), 0);
    if (!is_of_records)
        return;
    assert_int_equal(journal_open(b->spool, SHARD, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(1, b->flush), count_event, &seen), -ENOTSUP);
    assert_int_equal(seen, 0);
    journal_close(&reader);
}

TEST(record_of_a_later_version_refuses_the_start)
{
    static const enum record_type types[] = {RECORD_CONTENT, RECORD_ACCEPT, RECORD_OUTCOME,
                                             RECORD_EVENT,   RECORD_CUT,    RECORD_PAD};
    struct recipient recipients[2];

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct build b;
        char sentence[64];

        build_spool(&b, SHARD);
        build_begin(&b, 1);
        struct message message = build_message(recipients, (uint64_t)SHARD << 56 | 1);
        uint32_t offset = b.at;
        if (types[i] == RECORD_ACCEPT)
            build_accept(&b, &message, 0, 2, 0, NULL);
        else if (types[i] == RECORD_OUTCOME)
            build_outcome(&b, message.id, 0, 2, EVENT_DELIVERED);
        else
            build_record(&b, types[i], 0, "12345678", 8);
        raise_version(&b, offset, b.flush);
        build_flush(&b);
        build_write(&b, false);
        snprintf(sentence, sizeof(sentence), "at offset %u is of version %u", offset,
                 record_version(types[i]) + 1);
        expect_refused(&b, sentence, true);
        build_remove(&b);
    }
}

TEST(footer_of_a_later_version_refuses_the_start)
{
    struct recipient recipients[2];
    struct build b;

    build_spool(&b, SHARD);
    build_begin(&b, 1);
    struct message message = build_message(recipients, (uint64_t)SHARD << 56 | 1);
    build_accept(&b, &message, 0, 2, 0, NULL);
    build_flush(&b);
    build_close(&b);
    uint32_t footer = BUILD_SEGMENT_SIZE - 2 * SPOOL_BLOCK;
    raise_version(&b, footer, footer);
    build_write(&b, false);
    expect_refused(&b, "the footer record at offset", false);
    build_remove(&b);
}

/* What it would have voided in another segment must not come back: it is asked for before all else,
 * also where the footer says all that there is to say of its own segment. */
TEST(cut_of_a_later_version_in_a_closed_segment_refuses_the_start)
{
    struct build b;

    build_spool(&b, SHARD);
    build_begin(&b, 1);
    build_record(&b, RECORD_CUT, 0, "12345678", 8);
    raise_version(&b, SPOOL_BLOCK, SPOOL_BLOCK);
    build_flush(&b);
    build_write(&b, true);
    expect_refused(&b, "the cut record at offset 4096", true);
    build_remove(&b);
}

/* Behind a footer that is good a start does not look: who reads the message does not take it for
 * damage, and it is still there when a later version comes back. */
TEST(accept_of_a_later_version_behind_a_footer_is_not_damage)
{
    struct world w;
    struct message_id id;
    struct message *loaded;
    struct segment_header header;
    struct build b = {.shard = SHARD};

    world_init_in_memory(&w, BUILD_SEGMENT_SIZE);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 100, 3), &id), 0);
    uint32_t sequence = shard_find(w.shard, id)->sequence;
    uint32_t offset = stub_offset(shard_find(w.shard, id));
    world_close(&w);

    char path[128];
    world_segment_path(&w, sequence, path, sizeof(path));
    b.bytes = calloc(1, BUILD_SEGMENT_SIZE);
    assert_non_null(b.bytes);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, b.bytes, BUILD_SEGMENT_SIZE, 0), BUILD_SEGMENT_SIZE);
    assert_int_equal(segment_header_decode(b.bytes, &header), SEGMENT_HEADER_GOOD);
    assert_int_equal(header.format, 2);
    b.salt = header.salt;
    b.sequence = sequence;
    raise_version(&b, offset, SPOOL_BLOCK);
    assert_int_equal(pwrite(fd, b.bytes, BUILD_SEGMENT_SIZE, 0), BUILD_SEGMENT_SIZE);
    close(fd);
    free(b.bytes);

    int64_t damaged = metric_sum(METRIC_SPOOL_DAMAGED_RECORDS);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = shard_find(w.shard, id);
    assert_non_null(stub);
    assert_int_equal(world_load(&w, stub, false, &loaded), -EIO);
    assert_false(shard_is_damaged(w.shard, stub));
    assert_int_equal(metric_sum(METRIC_SPOOL_DAMAGED_RECORDS), damaged);
    world_close(&w);
    world_free(&w);
}

/* The footer's head is good, its payload is not: that is found, and what is behind it, when mail is
 * accepted already. The shard says so, goes on taking mail until it is closed, and then closes in
 * order. */
TEST(accept_of_a_later_version_behind_a_damaged_footer_is_told)
{
    struct recipient recipients[2];
    struct world w;
    struct message_id id;
    struct build b;

    build_spool(&b, SHARD);
    build_begin(&b, 1);
    struct message message = build_message(recipients, (uint64_t)SHARD << 56 | 1);
    build_accept(&b, &message, 0, 2, 0, NULL);
    message = build_message(recipients, (uint64_t)SHARD << 56 | 2);
    uint32_t offset = b.at;
    build_accept(&b, &message, 0, 2, 0, NULL);
    raise_version(&b, offset, b.flush);
    build_flush(&b);
    build_close(&b);
    b.bytes[BUILD_SEGMENT_SIZE - 2 * SPOOL_BLOCK + RECORD_HEADER_LEN] ^= 1;
    build_write(&b, false);
    in_world(&w, &b);
    assert_int_equal(world_open(&w), -EPROTO);
    assert_non_null(strstr(w.why, "the accept record at offset"));
    w.recovers_later = true;
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 50);
    assert_int_equal(w.recovery_error, -EPROTO);
    assert_false(shard_is_whole(w.shard));
    assert_int_equal(world_accept(&w, world_message(1, 100, 3), &id), 0);
    world_close(&w);
    /* Nothing of it was taken for damage, or changed. */
    w.recovers_later = false;
    assert_int_equal(world_open(&w), -EPROTO);
    build_remove(&b);
}

/* A format 1 segment that is closed by us keeps a footer that programs of its time read. */
TEST(footer_for_a_segment_of_format_1_is_of_version_1)
{
    struct world w;
    struct message_id id;
    struct flow *flow;

    world_init_in_memory(&w, BUILD_SEGMENT_SIZE);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(2, 100, 2), &id), 0);
    struct stub *stub = shard_find(w.shard, id);
    flow = stub->pendings[0].flow;
    assert_int_equal(flow->class, MAIL_BULK);
    for (unsigned format = 1; format <= 2; format++) {
        struct segment segment = {.size = BUILD_SEGMENT_SIZE, .data_end = 2 * SPOOL_BLOCK};
        struct footer_writer writer;
        struct footer_reader reader;
        struct accept_entry entry;
        struct recipient_state told;
        struct bytes domain;

        flow->is_received = format == 2;
        assert_true(footer_begin(&writer, 4096, format));
        assert_true(footer_add_accept(&writer, stub, 0));
        assert_true(footer_finish(&writer, &segment, 1));
        assert_int_equal(writer.data[25], format);
        assert_true(footer_open((struct bytes){writer.data, segment.footer_len},
                                segment.footer_offset, segment_record_seed(&segment), &reader));
        assert_true(footer_next_accept(&reader, &entry));
        assert_int_equal(entry.id, id.value);
        assert_int_equal(entry.recipient_count, 2);
        assert_int_equal(entry.class, format == 1 ? MAIL_NORMAL : MAIL_BULK);
        assert_int_equal(entry.tls, MAIL_TLS_ANY);
        assert_int_equal(entry.is_received, format == 2);
        assert_true(bytes_equal(entry.tenant, format == 1 ? BYTES_NONE : flow_tenant(flow)));
        for (unsigned i = 0; i < 2; i++) {
            assert_true(footer_next_recipient(&entry, &domain, &told));
            assert_true(bytes_equal(domain, domain_name(pending_domain(&stub->pendings[i]))));
        }
        assert_false(footer_next_accept(&reader, &entry));
        free(writer.data);
    }
    flow->is_received = false;
    world_close(&w);
    world_free(&w);
}
