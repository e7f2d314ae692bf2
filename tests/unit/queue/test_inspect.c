#include "queue/inspect.h"

#include <errno.h>
#include <jansson.h>

#include "queue/disk.h"
#include "tests/unit/queue/spool_build.h"

enum { LINES_MAX = 64, LINE_MAX_LEN = 1024 };

struct lines {
    size_t count;
    char text[LINES_MAX][LINE_MAX_LEN];
};

static void keep_line(void *context, const char *text)
{
    struct lines *lines = context;

    assert_true(lines->count < LINES_MAX);
    snprintf(lines->text[lines->count++], LINE_MAX_LEN, "%s", text);
}

static struct spool_report check_spool(const struct build *b, struct lines *lines)
{
    struct spool_report report;

    lines->count = 0;
    assert_int_equal(spool_check(b->spool, &report, keep_line, lines), 0);
    return report;
}

/* One message of two recipients with inline content. */
static void add_message(struct build *b, uint64_t serial)
{
    struct recipient recipients[2];
    struct message message = build_message(recipients, serial);

    build_record(b, RECORD_CONTENT, RECORD_CONTINUES, "hello", 5);
    build_accept(b, &message, 5, 2, RECORD_FOLLOWS, NULL);
}

TEST(spool_check_counts_what_lives)
{
    struct build b;
    struct lines lines;

    build_spool(&b, 2);
    build_begin(&b, 1);
    add_message(&b, 1);
    add_message(&b, 2);
    build_flush(&b);
    build_outcome(&b, (struct message_id){1}, 0, 2, EVENT_DELIVERED);
    build_outcome(&b, (struct message_id){1}, 0, 2, EVENT_DELIVERED); /* counts once */
    build_outcome(&b, (struct message_id){1}, 1, 3, EVENT_DEFERRED);
    build_outcome(&b, (struct message_id){2}, 0, 2, EVENT_BOUNCED);
    build_outcome(&b, (struct message_id){2}, 1, 3, EVENT_EXPIRED);
    build_outcome(&b, (struct message_id){99}, 0, 3, EVENT_EXPIRED); /* reclaimed long ago */
    build_end(&b, true);
    struct spool_report r = check_spool(&b, &lines);
    assert_int_equal(lines.count, 0);
    assert_int_equal(r.shards, 1);
    assert_int_equal(r.segments, 1);
    assert_int_equal(r.records, 11); /* the index among them */
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.recipients_live, 1);
    assert_int_equal(r.bytes, BUILD_SEGMENT_SIZE);
    assert_in_range(r.bytes_live, 100, 1000);
    assert_int_equal(r.torn_tails + r.torn_bytes + r.damaged_records + r.orphan_contents, 0);
    build_remove(&b);
}

TEST(spool_check_takes_the_moved_copy_for_the_message)
{
    struct build b;
    struct lines lines;
    struct recipient recipients[2];
    struct message message = build_message(recipients, 7);
    struct recipient_state states[2] = {{.is_final = true}, {.attempts = 2}};

    build_spool(&b, 0);
    build_begin(&b, 1);
    add_message(&b, 7);
    build_end(&b, true);
    build_begin(&b, 2);
    build_record(&b, RECORD_CONTENT, RECORD_CONTINUES, "hello", 5);
    build_accept(&b, &message, 5, 4, RECORD_FOLLOWS, states);
    build_end(&b, false);
    struct spool_report r = check_spool(&b, &lines);
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.recipients_live, 1);
    assert_int_equal(r.segments, 2);
    build_remove(&b);
}

TEST(spool_check_tells_owned_contents_from_orphans)
{
    struct build b;
    struct lines lines;
    struct recipient recipients[2];
    struct message message = build_message(recipients, 7);

    build_spool(&b, 0);
    build_begin(&b, 1);
    uint32_t owned = build_record(&b, RECORD_CONTENT, 0, "owned", 5);
    build_record(&b, RECORD_CONTENT, 0, "orphan", 6);
    struct extent extent = {1, owned + RECORD_HEADER_LEN, 5, 0};
    message.content = (struct content){.size = 5, .extent_count = 1, .extents = &extent};
    build_accept(&b, &message, 0, 2, 0, NULL);
    build_end(&b, false);
    struct spool_report r = check_spool(&b, &lines);
    assert_int_equal(r.orphan_contents, 1);
    assert_int_equal(r.messages, 1);
    assert_int_equal(lines.count, 0);
    build_remove(&b);
}

TEST(spool_check_tells_a_torn_tail_from_damage)
{
    struct build b;
    struct lines lines;

    build_spool(&b, 0);
    build_begin(&b, 1);
    add_message(&b, 1);
    build_flush(&b);
    uint32_t bad = build_outcome(&b, (struct message_id){1}, 0, 2, EVENT_DEFERRED);
    b.bytes[bad + RECORD_HEADER_LEN + 40] ^= 1;
    build_flush(&b);
    build_outcome(&b, (struct message_id){1}, 0, 3, EVENT_DEFERRED);
    build_flush(&b);
    /* The last flush reached the disk in part. */
    uint32_t torn = build_record(&b, RECORD_CONTENT, RECORD_CONTINUES, "hello", 5);
    struct recipient recipients[2];
    struct message message = build_message(recipients, 2);
    uint32_t gone = build_accept(&b, &message, 5, 2, RECORD_FOLLOWS, NULL);
    memset(b.bytes + gone, 0, SPOOL_BLOCK);
    build_write(&b, false);
    struct spool_report r = check_spool(&b, &lines);
    assert_int_equal(r.damaged_records, 1);
    assert_int_equal(r.torn_tails, 1);
    assert_true(r.torn_bytes > 0);
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.recipients_live, 2);
    assert_int_equal(lines.count, 2);
    char expected[128];
    snprintf(expected, sizeof(expected), "damaged: shard=00 segment=1 offset=%u bytes=", bad);
    assert_memory_equal(lines.text[0], expected, strlen(expected));
    assert_non_null(strstr(lines.text[0], "record=outcome id=000000-0000000000001"));
    snprintf(expected, sizeof(expected), "torn: shard=00 segment=1 offset=%u bytes=", torn);
    assert_memory_equal(lines.text[1], expected, strlen(expected));
    build_remove(&b);
}

TEST(spool_check_names_the_message_whose_content_is_damaged)
{
    struct build b;
    struct lines lines;
    struct recipient recipients[2];

    build_spool(&b, 0);
    build_begin(&b, 1);
    add_message(&b, 1);
    uint32_t bad = build_record(&b, RECORD_CONTENT, RECORD_CONTINUES, "hello", 5);
    b.bytes[bad + RECORD_HEADER_LEN + 2] ^= 1;
    struct message message = build_message(recipients, 2);
    build_accept(&b, &message, (uint32_t)record_size(5), 2, RECORD_FOLLOWS, NULL);
    build_flush(&b);
    uint32_t far = build_record(&b, RECORD_CONTENT, 0, "apart", 5);
    b.bytes[far + 9] ^= 1; /* its header */
    struct extent extent = {1, far + RECORD_HEADER_LEN, 5, 0};
    message = build_message(recipients, 3);
    message.content = (struct content){.size = 5, .extent_count = 1, .extents = &extent};
    build_accept(&b, &message, 0, 2, 0, NULL);
    build_flush(&b);
    add_message(&b, 4);
    build_end(&b, true);
    struct spool_report r = check_spool(&b, &lines);
    assert_int_equal(r.damaged_records, 2);
    assert_int_equal(r.messages, 4);
    assert_int_equal(r.messages_lost, 2);
    assert_int_equal(lines.count, 4);
    bool has_inline = false;
    bool has_far = false;
    for (unsigned i = 2; i < 4; i++) {
        assert_memory_equal(lines.text[i], "lost: ", 6);
        has_inline = has_inline || strstr(lines.text[i], "id=000000-0000000000002 recipients=2");
        has_far = has_far || strstr(lines.text[i], "id=000000-0000000000003 recipients=2");
    }
    assert_true(has_inline && has_far);
    build_remove(&b);
}

TEST(spool_check_tells_damaged_frames_and_missing_segments)
{
    struct build b;
    struct lines lines;

    build_spool(&b, 0);
    build_begin(&b, 1);
    add_message(&b, 1);
    memset(b.bytes, 0xff, SPOOL_BLOCK);
    build_end(&b, true); /* its trailer still tells */
    build_begin(&b, 3);
    add_message(&b, 2);
    memset(b.bytes, 0xff, SPOOL_BLOCK);
    build_end(&b, false); /* lost */
    build_begin(&b, 4);
    add_message(&b, 3);
    build_flush(&b);
    build_close(&b);
    b.bytes[BUILD_SEGMENT_SIZE - 2 * SPOOL_BLOCK + 40] ^= 1; /* its index */
    build_write(&b, false);
    free(b.bytes);
    b.bytes = calloc(1, BUILD_SEGMENT_SIZE);
    assert_non_null(b.bytes);
    b.sequence = 5; /* a file that was being made */
    build_write(&b, false);
    struct spool_report r = check_spool(&b, &lines);
    assert_int_equal(r.messages, 2);
    assert_int_equal(r.damaged_records, 4);
    assert_int_equal(lines.count, 5);
    assert_non_null(strstr(lines.text[0], "header"));
    assert_non_null(strstr(lines.text[1], "segments=2..2"));
    assert_non_null(strstr(lines.text[2], "segment=3"));
    assert_non_null(strstr(lines.text[3], "index"));
    assert_non_null(strstr(lines.text[4], "unfinished: shard=00 segment=5"));
    build_remove(&b);
}

TEST(spool_check_refuses_a_spool_in_use)
{
    struct build b;
    struct spool_report report;
    char path[256];

    build_spool(&b, 4);
    snprintf(path, sizeof(path), "%s/04/lock", b.spool);
    assert_int_equal(spool_check(b.spool, &report, NULL, NULL), 0);
    assert_int_equal(access(path, F_OK), -1); /* nothing was changed */
    int lock = disk_lock(path);
    assert_true(lock >= 0);
    assert_int_equal(spool_check(b.spool, &report, NULL, NULL), -EBUSY);
    disk_close(lock);
    assert_int_equal(spool_check(b.spool, &report, NULL, NULL), 0);
    build_remove(&b);
    assert_int_equal(spool_check("/nonexistent", &report, NULL, NULL), -ENOENT);
}

static void parse_line(void *context, const char *text)
{
    json_t *types = context;
    json_error_t error;
    json_t *record = json_loads(text, JSON_REJECT_DUPLICATES, &error);

    if (record == NULL)
        fail_msg("%s: %s", error.text, text);
    json_array_append_new(types, json_incref(json_object_get(record, "type")));
    json_array_append_new(types, record);
}

TEST(spool_dump_writes_json_whatever_is_there)
{
    static const char *const types[] = {"segment", "content", "accept", "outcome",
                                        "damaged", "event",   "cut",    "torn"};
    struct build b;
    struct event rejected = {.kind = EVENT_REJECTED, .recipient = BYTES("n\xff@c.example\x01")};
    struct buf encoded;
    uint8_t cut[CUT_LEN];

    build_spool(&b, 0);
    build_begin(&b, 1);
    add_message(&b, 1);
    build_outcome(&b, (struct message_id){1}, 0, 2, EVENT_DEFERRED);
    uint32_t bad = build_outcome(&b, (struct message_id){1}, 0, 3, EVENT_DEFERRED);
    b.bytes[bad + 60] ^= 1;
    buf_init(&encoded, EVENT_ENCODED_MAX);
    assert_true(event_encode(&rejected, &encoded));
    build_record(&b, RECORD_EVENT, 0, buf_bytes(&encoded).ptr, buf_len(&encoded));
    buf_free(&encoded);
    build_flush(&b);
    cut_encode(&(struct cut){1, 2}, cut);
    build_record(&b, RECORD_CUT, 0, cut, CUT_LEN);
    build_record(&b, RECORD_CONTENT, RECORD_CONTINUES, "torn", 4);
    build_write(&b, false);
    json_t *seen = json_array();
    assert_int_equal(spool_dump(b.spool, parse_line, seen), 0);
    assert_int_equal(json_array_size(seen), 2 * ARRAY_LEN(types));
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        assert_string_equal(json_string_value(json_array_get(seen, 2 * i)), types[i]);
    json_t *accept = json_array_get(seen, 5);
    json_t *recipients = json_object_get(accept, "recipients");
    assert_int_equal(json_array_size(recipients), 2);
    assert_string_equal(json_string_value(
                            json_object_get(json_array_get(recipients, 1), "address")),
                        "two@b.example");
    json_t *event = json_object_get(json_array_get(seen, 7), "event");
    assert_string_equal(json_string_value(json_object_get(event, "kind")), "deferred");
    json_decref(seen);
    build_remove(&b);
}
