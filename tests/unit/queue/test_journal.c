#include "queue/journal.h"

#include <errno.h>

#include "base/metric.h"
#include "queue/tail.h"
#include "tests/unit/queue/spool_build.h"

enum { SEEN_MAX = 64 };

struct seen {
    size_t count;
    struct event events[SEEN_MAX]; /* texts are dead */
    char recipients[SEEN_MAX][32];
};

static void see(void *context, const struct event *event)
{
    struct seen *seen = context;

    assert_true(seen->count < SEEN_MAX);
    snprintf(seen->recipients[seen->count], 32, "%.*s", BYTES_ARG(event->recipient));
    seen->events[seen->count++] = *event;
}

/* Content, accept of two recipients, two outcomes, an event of no message, a moved copy. */
static uint64_t build_one_of_each(struct build *b, uint64_t serial)
{
    struct recipient recipients[2];
    struct recipient_state states[2] = {{.is_final = true}, {.attempts = 3}};
    struct message message = build_message(recipients, serial);
    struct event rejected = {.kind = EVENT_REJECTED, .recipient = BYTES("no@c.example")};
    struct buf encoded;

    build_record(b, RECORD_CONTENT, RECORD_CONTINUES, "hello", 5);
    build_accept(b, &message, 5, 2, RECORD_FOLLOWS, NULL);
    build_flush(b);
    build_outcome(b, message.id, 0, 2, EVENT_DELIVERED);
    uint64_t second = build_position(b);
    build_outcome(b, message.id, 1, 3, EVENT_DEFERRED);
    buf_init(&encoded, EVENT_ENCODED_MAX);
    assert_true(event_encode(&rejected, &encoded));
    build_record(b, RECORD_EVENT, 0, buf_bytes(&encoded).ptr, buf_len(&encoded));
    buf_free(&encoded);
    build_accept(b, &message, 5, 4, 0, states);
    build_flush(b);
    return second;
}

static void expect_one_of_each(const struct seen *seen, size_t from, uint64_t serial)
{
    const struct event *e = &seen->events[from];

    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(e[i].id.value, serial);
        assert_int_equal(e[i].seq, i);
        assert_int_equal(e[i].part, i == 1);
    }
    assert_int_equal(e[0].kind, EVENT_ACCEPTED);
    assert_int_equal(e[0].time_ms, 1795489800123);
    assert_int_equal(e[0].size, 5);
    assert_int_equal(e[0].position, e[1].position);
    assert_string_equal(seen->recipients[from], "one@a.example");
    assert_string_equal(seen->recipients[from + 1], "two@b.example");
    assert_int_equal(e[2].kind, EVENT_DELIVERED);
    assert_int_equal(e[3].kind, EVENT_DEFERRED);
    assert_int_equal(e[4].kind, EVENT_REJECTED);
    assert_int_equal(e[4].id.value, 0);
    assert_true(e[1].position < e[2].position && e[2].position < e[3].position &&
                e[3].position < e[4].position);
}

TEST(journal_events_tells_each_record_once)
{
    struct build b;
    struct seen seen = {0};

    build_spool(&b, 3);
    build_begin(&b, 7);
    build_one_of_each(&b, 99);
    struct bytes run = {b.bytes + SPOOL_BLOCK, b.at - SPOOL_BLOCK};
    assert_int_equal(journal_events(3, position_of(7, SPOOL_BLOCK), run, see, &seen),
                     position_of(7, b.at));
    assert_int_equal(seen.count, 5);
    expect_one_of_each(&seen, 0, 99);
    assert_int_equal(seen.events[0].shard, 3);
    assert_int_equal(position_sequence(seen.events[0].position), 7);

    /* What was copied for a hand-over tells the same, without content. */
    struct buf copy;
    struct seen again = {0};
    buf_init(&copy, run.len);
    assert_true(journal_copy_told(run, &copy));
    assert_true(buf_len(&copy) < run.len / 2);
    (void)journal_events(3, position_of(7, SPOOL_BLOCK), buf_bytes(&copy), see, &again);
    assert_int_equal(again.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(again.events[i].position, seen.events[i].position);
    buf_free(&copy);

    buf_init(&copy, 100);
    assert_true(buf_append(&copy, BYTES("before")));
    assert_false(journal_copy_told(run, &copy));
    assert_int_equal(buf_len(&copy), 6);
    buf_free(&copy);
    build_remove(&b);
}

/* What reads a spool that a later version wrote: the kind it does not know is missing, no more. */
TEST(journal_passes_over_an_event_of_an_unknown_kind)
{
    struct event retried = {.kind = EVENT_RETRIED, .id = {(uint64_t)3 << 56 | 99}};
    int64_t damaged = metric_sum(METRIC_JOURNAL_DAMAGED);
    struct build b;
    struct seen seen = {0};
    struct buf encoded;

    build_spool(&b, 3);
    build_begin(&b, 7);
    buf_init(&encoded, EVENT_ENCODED_MAX);
    for (unsigned i = 0; i < 3; i++) {
        buf_clear(&encoded);
        assert_true(event_encode(&retried, &encoded));
        if (i == 1)
            encoded.ptr[encoded.start + 1] = EVENT_KIND_COUNT;
        build_record(&b, RECORD_EVENT, 0, buf_bytes(&encoded).ptr, buf_len(&encoded));
    }
    buf_free(&encoded);
    struct bytes run = {b.bytes + SPOOL_BLOCK, b.at - SPOOL_BLOCK};
    assert_int_equal(journal_events(3, position_of(7, SPOOL_BLOCK), run, see, &seen),
                     position_of(7, b.at));
    assert_int_equal(seen.count, 2);
    for (size_t i = 0; i < 2; i++) {
        expect_row(i, seen.events[i].kind == EVENT_RETRIED);
        expect_row(i, seen.events[i].id.value == retried.id.value);
    }
    assert_int_equal(metric_sum(METRIC_JOURNAL_DAMAGED) - damaged, 1);
    build_remove(&b);
}

/* Segments 3 (closed), 4 (closed), 6 (open); 5 never was. */
static void build_three(struct build *b)
{
    build_spool(b, 0);
    build_begin(b, 3);
    build_one_of_each(b, 1);
    build_end(b, true);
    build_begin(b, 4);
    build_one_of_each(b, 2);
    build_end(b, true);
    build_begin(b, 6);
    build_one_of_each(b, 3);
    build_end(b, false);
}

TEST(journal_read_goes_over_segments_from_the_oldest)
{
    struct build b;
    struct seen seen = {0};
    struct journal_reader *reader;

    build_three(&b);
    assert_int_equal(journal_open(b.spool, 0, 0, &reader), 0);
    assert_int_equal(journal_position(reader), position_of(3, SPOOL_BLOCK));
    uint64_t until = position_of(6, b.flush);
    assert_int_equal(journal_read(reader, until, see, &seen), 0);
    assert_int_equal(journal_position(reader), until);
    assert_int_equal(seen.count, 15);
    for (size_t i = 0; i < 3; i++)
        expect_one_of_each(&seen, 5 * i, i + 1);
    assert_int_equal(journal_damaged(reader), 0);
    /* Nothing more until there is more. */
    assert_int_equal(journal_read(reader, until, see, &seen), 0);
    assert_int_equal(seen.count, 15);
    journal_close(&reader);
    assert_null(reader);
    build_remove(&b);
}

TEST(journal_read_stops_at_until)
{
    struct build b;
    struct seen seen = {0};
    struct journal_reader *reader;

    build_three(&b);
    assert_int_equal(journal_open(b.spool, 0, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(4, 2 * SPOOL_BLOCK), see, &seen), 0);
    assert_int_equal(seen.count, 7);
    assert_int_equal(journal_position(reader), position_of(4, 2 * SPOOL_BLOCK));
    assert_int_equal(journal_read(reader, position_of(6, b.flush), see, &seen), 0);
    assert_int_equal(seen.count, 15);
    journal_close(&reader);
    build_remove(&b);
}

/* A cursor may stand at any record, also inside a batch that can only be judged whole. */
TEST(journal_read_from_every_record_tells_the_rest)
{
    struct build b;
    struct seen all = {0};
    struct journal_reader *reader;

    build_spool(&b, 0);
    build_begin(&b, 1);
    uint64_t second = build_one_of_each(&b, 1);
    build_end(&b, false);
    uint64_t until = position_of(1, b.flush);
    assert_int_equal(journal_open(b.spool, 0, second, &reader), 0);
    assert_int_equal(journal_read(reader, until, see, &all), 0);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.events[0].kind, EVENT_DEFERRED);
    assert_int_equal(all.events[0].position, second);
    journal_close(&reader);
    build_remove(&b);

    /* The second accept stands at a block's boundary, as a flush would. */
    static const size_t lens[] = {5, SPOOL_BLOCK - RECORD_HEADER_LEN};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        static const uint8_t content[SPOOL_BLOCK];
        struct recipient recipients[2];
        struct message message = build_message(recipients, 5);

        build_spool(&b, 0);
        build_begin(&b, 1);
        build_record(&b, RECORD_CONTENT, RECORD_CONTINUES, content, lens[i]);
        uint32_t accept = build_accept(&b, &message, 5, 2, RECORD_FOLLOWS, NULL);
        build_end(&b, false);
        all.count = 0;
        assert_int_equal(journal_open(b.spool, 0, position_of(1, accept), &reader), 0);
        assert_int_equal(journal_read(reader, position_of(1, b.flush), see, &all), 0);
        expect_row(i, all.count == 2);
        journal_close(&reader);
        build_remove(&b);
    }
}

TEST(journal_read_skips_and_counts_damage)
{
    struct build b;
    struct seen seen = {0};
    struct journal_reader *reader;

    build_spool(&b, 0);
    build_begin(&b, 1);
    struct message_id id = {8};
    build_outcome(&b, id, 0, 2, EVENT_DEFERRED);
    build_flush(&b);
    uint32_t bad = build_outcome(&b, id, 0, 3, EVENT_DEFERRED);
    b.bytes[bad + 70] ^= 1;
    build_outcome(&b, id, 0, 4, EVENT_DEFERRED);
    build_flush(&b);
    build_outcome(&b, id, 0, 5, EVENT_DELIVERED);
    build_end(&b, true);
    build_begin(&b, 2);
    build_outcome(&b, id, 0, 5, EVENT_DELIVERED);
    memset(b.bytes, 0xff, SPOOL_BLOCK);
    build_end(&b, false); /* neither header nor trailer */
    build_begin(&b, 3);
    memset(b.bytes, 0, SPOOL_BLOCK);
    build_end(&b, false); /* was being made when the program died */
    build_begin(&b, 4);
    build_outcome(&b, id, 0, 6, EVENT_DELIVERED);
    build_end(&b, false);
    assert_int_equal(journal_open(b.spool, 0, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(4, b.flush), see, &seen), 0);
    assert_int_equal(seen.count, 5);
    assert_int_equal(seen.events[1].kind, EVENT_DAMAGED);
    assert_int_equal(seen.events[1].position, position_of(1, bad));
    assert_int_equal(seen.events[1].id.value, id.value);
    assert_int_equal(seen.events[2].seq, 4);
    assert_int_equal(seen.events[3].seq, 5);
    assert_int_equal(seen.events[4].seq, 6);
    assert_int_equal(journal_damaged(reader), 2);
    journal_close(&reader);
    build_remove(&b);
}

TEST(journal_read_honours_a_cut_of_a_failed_segment)
{
    struct build b;
    struct seen seen = {0};
    struct journal_reader *reader;
    uint8_t payload[CUT_LEN];

    build_spool(&b, 0);
    build_begin(&b, 1);
    build_outcome(&b, (struct message_id){8}, 0, 2, EVENT_DEFERRED);
    struct cut cut = {1, build_flush(&b)};
    build_outcome(&b, (struct message_id){8}, 0, 3, EVENT_DEFERRED); /* void */
    build_end(&b, false);
    build_begin(&b, 2);
    cut_encode(&(struct cut){9, 4096}, payload);
    build_record(&b, RECORD_CUT, 0, payload, CUT_LEN);
    cut_encode(&cut, payload);
    build_record(&b, RECORD_CUT, 0, payload, CUT_LEN);
    build_outcome(&b, (struct message_id){8}, 0, 3, EVENT_DELIVERED);
    build_end(&b, false);
    assert_int_equal(journal_open(b.spool, 0, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(2, b.flush), see, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.events[0].kind, EVENT_DEFERRED);
    assert_int_equal(seen.events[1].kind, EVENT_DELIVERED);
    journal_close(&reader);
    build_remove(&b);
}

TEST(journal_read_reads_a_closed_segment_without_its_header)
{
    struct build b;
    struct seen seen = {0};
    struct journal_reader *reader;

    build_spool(&b, 0);
    build_begin(&b, 1);
    build_one_of_each(&b, 4);
    memset(b.bytes, 0, SPOOL_BLOCK);
    build_end(&b, true);
    assert_int_equal(journal_open(b.spool, 0, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(2, SPOOL_BLOCK), see, &seen), 0);
    assert_int_equal(seen.count, 5);
    journal_close(&reader);
    build_remove(&b);
}

TEST(journal_read_refuses_a_later_format)
{
    struct build b;
    struct seen seen = {0};
    struct journal_reader *reader;
    struct segment_header header = {.format = SPOOL_FORMAT + 1, .sequence = 1};

    build_spool(&b, 0);
    build_begin(&b, 1);
    build_one_of_each(&b, 4);
    segment_header_encode(&header, b.bytes);
    build_end(&b, false);
    assert_int_equal(journal_open(b.spool, 0, 0, &reader), 0);
    assert_int_equal(journal_read(reader, position_of(1, b.flush), see, &seen), -ENOTSUP);
    assert_int_equal(seen.count, 0);
    journal_close(&reader);
    build_remove(&b);
}

TEST(journal_open_without_directory_fails)
{
    struct journal_reader *reader = NULL;

    assert_int_equal(journal_open("/nonexistent/spool", 0, 0, &reader), -ENOENT);
    assert_null(reader);
}

/* Of one record: each part of it names one event (event_id). */
TEST(journal_events_of_an_acceptance_have_ids_of_their_own)
{
    struct build b;
    struct seen seen = {0};
    struct recipient recipients[2];
    struct message message = build_message(recipients, 99);
    struct arena arena;

    arena_init(&arena, 64 * 1024);
    message.tail = BYTES_NONE;
    assert_true(tail_add(&arena, &message.tail, TAIL_CHECKS, BYTES("any")));
    assert_true(tail_add_throttled(&arena, &message.tail, 5, BYTES("rate")));
    build_spool(&b, 3);
    build_begin(&b, 7);
    build_record(&b, RECORD_CONTENT, RECORD_CONTINUES, "hello", 5);
    build_accept(&b, &message, 5, 2, RECORD_FOLLOWS, NULL);
    build_flush(&b);
    (void)journal_events(3, position_of(7, SPOOL_BLOCK),
                         bytes_range(b.bytes + SPOOL_BLOCK, b.at - SPOOL_BLOCK), see, &seen);
    assert_int_equal(seen.count, 5);
    for (size_t i = 0; i < seen.count; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(seen.events[i].part, seen.events[k].part);
    assert_int_equal(seen.events[2].kind, EVENT_RECEIVED);
    assert_int_equal(seen.events[3].kind, EVENT_THROTTLED);
    assert_int_equal(seen.events[3].seq, 2); /* without a gap behind the accepted ones */
    assert_int_equal(seen.events[4].seq, 3);
    arena_free(&arena);
    build_remove(&b);
}
