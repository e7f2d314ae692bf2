#include "event/event_show.h"
#include "event/event_tail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"
#include "event/event_file.h"
#include "support/unit.h"
#include "tests/unit/event/event_sample.h"

struct fixture {
    char directory[64];
    struct event_file *file;
    struct event_cursors cursors;
    unsigned appended;
};

static void fixture_open(struct fixture *f)
{
    const struct event_file_settings settings = {.directory = f->directory, .rotate_size = 1};

    assert_int_equal(event_file_open(&settings, &f->file, &f->cursors), 0);
}

static void fixture_make(struct fixture *f)
{
    *f = (struct fixture){.directory = "/tmp/ringpost-tail-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
    fixture_open(f);
}

static void fixture_remove(struct fixture *f)
{
    char command[128];

    event_file_close(&f->file);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
}

static void shell(const struct fixture *f, const char *what)
{
    char command[512];

    snprintf(command, sizeof(command), "cd '%s' && %s", f->directory, what);
    assert_int_equal(system(command), 0);
}

static void add(struct fixture *f, const struct event *event)
{
    struct buf line;

    buf_init(&line, EVENT_JSON_MAX);
    assert_true(event_json(event, &line));
    assert_int_equal(event_file_append(f->file, buf_bytes(&line)), 0);
    event_file_mark(f->file, 0, ++f->appended);
    assert_int_equal(event_file_flush(f->file), 0);
    buf_free(&line);
}

static void add_numbered(struct fixture *f)
{
    struct event event = event_sample();

    event.seq = f->appended;
    add(f, &event);
}

static void rotate(struct fixture *f, bool and_compress)
{
    assert_int_equal(event_file_commit(f->file, &f->cursors), 0);
    for (size_t i = 0; i < (and_compress ? 10 : 1); i++)
        event_file_rotate_if_due(f->file, clocks_read());
}

static struct event_tail *tail_open(const struct fixture *f, const struct event_filter *filter,
                                    bool from_end)
{
    struct event_tail *tail;

    assert_int_equal(event_tail_open(f->directory, filter, from_end, &tail), 0);
    return tail;
}

static void expect_seq(struct event_tail *tail, unsigned seq)
{
    struct bytes line;
    char text[32];

    assert_int_equal(event_tail_next(tail, &line), 1);
    snprintf(text, sizeof(text), "\"seq\":%u,", seq);
    if (bytes_find_bytes(line, bytes_of(text), 0) == line.len)
        fail_msg("%s is not in %.*s", text, BYTES_ARG(line));
}

static void expect_nothing(struct event_tail *tail)
{
    struct bytes line;

    assert_int_equal(event_tail_next(tail, &line), 0);
}

static const struct event_filter everything;

TEST(event_tail_follows_across_rotations)
{
    for (unsigned compress = 0; compress < 2; compress++) {
        struct fixture f;

        fixture_make(&f);
        struct event_tail *tail = tail_open(&f, &everything, false);
        expect_nothing(tail);
        add_numbered(&f);
        expect_seq(tail, 0);
        expect_nothing(tail);
        add_numbered(&f); /* at the end of the file that is then rotated */
        rotate(&f, compress);
        add_numbered(&f);
        expect_seq(tail, 1);
        expect_seq(tail, 2);
        expect_nothing(tail);
        rotate(&f, compress);
        for (unsigned i = 0; i < 3; i++) { /* several between two looks */
            add_numbered(&f);
            rotate(&f, compress);
        }
        add_numbered(&f);
        for (unsigned i = 3; i < 7; i++)
            expect_seq(tail, i);
        expect_nothing(tail);
        event_tail_close(&tail);
        fixture_remove(&f);
    }
}

/* Retention may take all closed files: numbers go on, nothing is read twice. */
TEST(event_tail_follows_where_no_closed_file_is_left)
{
    struct fixture f;

    fixture_make(&f);
    for (unsigned i = 0; i < 3; i++) {
        add_numbered(&f);
        rotate(&f, true);
    }
    shell(&f, "rm events-*");
    add_numbered(&f);
    struct event_tail *tail = tail_open(&f, &everything, false);
    expect_seq(tail, 3);
    rotate(&f, true);
    add_numbered(&f);
    expect_seq(tail, 4);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

TEST(event_tail_from_the_end_shows_only_what_comes)
{
    struct fixture f;

    fixture_make(&f);
    add_numbered(&f);
    rotate(&f, true);
    add_numbered(&f);
    struct event_tail *tail = tail_open(&f, &everything, true);
    expect_nothing(tail);
    add_numbered(&f);
    expect_seq(tail, 2);
    rotate(&f, true);
    add_numbered(&f);
    expect_seq(tail, 3);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

TEST(event_tail_waits_for_the_rest_of_a_line)
{
    struct fixture f;

    fixture_make(&f);
    struct event_tail *tail = tail_open(&f, &everything, false);
    shell(&f, "printf '{\"seq\":0,' >> current.jsonl");
    expect_nothing(tail);
    expect_nothing(tail);
    shell(&f, "printf '\"a\":1}\\n{\"seq\":1,}\\n{\"se' >> current.jsonl");
    expect_seq(tail, 0);
    expect_seq(tail, 1);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

/* After a crash of the daemon the file is cut, and what was cut is written again. */
TEST(event_tail_goes_on_behind_a_cut)
{
    struct fixture f;

    fixture_make(&f);
    add_numbered(&f);
    rotate(&f, true);
    add_numbered(&f);
    assert_int_equal(event_file_commit(f.file, &f.cursors), 0);
    add_numbered(&f);
    struct event_tail *tail = tail_open(&f, &everything, false);
    for (unsigned i = 0; i < 3; i++)
        expect_seq(tail, i);
    event_file_close(&f.file);
    fixture_open(&f);
    f.appended = (unsigned)f.cursors.positions[0];
    expect_nothing(tail);
    add_numbered(&f);
    add_numbered(&f);
    expect_seq(tail, 2); /* again, under the same event_id */
    expect_seq(tail, 3);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

TEST(event_tail_goes_on_behind_a_damaged_file)
{
    struct fixture f;
    struct bytes line;

    fixture_make(&f);
    add_numbered(&f);
    rotate(&f, true);
    add_numbered(&f);
    shell(&f, "for f in events-*.zst; do printf 'rubbish rubbish' > $f; done");
    struct event_tail *tail = tail_open(&f, &everything, false);
    assert_int_equal(event_tail_next(tail, &line), -EBADMSG);
    expect_seq(tail, 1);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

TEST(event_tail_skips_lines_that_are_no_json_and_endless_ones)
{
    struct fixture f;

    fixture_make(&f);
    shell(&f, "printf 'hello\\n\\n{\\n' >> current.jsonl; "
              "head -c 3000000 /dev/zero >> current.jsonl; "
              "printf '\\n{\"seq\":7,\"x\":0}\\n' >> current.jsonl");
    struct event_tail *tail = tail_open(&f, &everything, false);
    expect_seq(tail, 7);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

TEST(event_tail_filters_by_id_recipient_and_time)
{
    struct fixture f;
    struct event event = event_sample();
    static const struct {
        struct event_filter filter;
        int seq; /* -1: none */
    } rows[] = {
        {{.id = "000001-07a1b2c3d4e01"}, 1},
        {{.id = "07a1b2c3d4e01"}, -1}, /* a part is not enough */
        {{.recipient = "Second@B.Example"}, 1},
        {{.recipient = "bounces@mail.example"}, -1}, /* stands elsewhere in the lines */
        {{.recipient = "@MAIL.example"}, -1},        /* the sender's */
        {{.recipient = "@sub.B.Example"}, 3},
        {{.recipient = "@example"}, -1},
        {{.recipient = "gr\xc3\xbc\xc3\x9f\"e@b.example"}, 2},
        {{.since_ms = 1795489803000}, 3},
        {{.since_ms = 1795489803001}, -1},
        {{.since_ms = 1, .id = "000001-07a1b2c3d4e01", .recipient = "second@b.example"}, 1},
        {{.since_ms = 1, .id = "000001-07a1b2c3d4e01", .recipient = "first@b.example"}, -1},
    };

    fixture_make(&f);
    event.sender = BYTES("bounces@mail.example");
    for (unsigned i = 0; i < 4; i++) {
        static const char *const recipients[] = {"first@b.example", "second@b.example",
                                                 "gr\xc3\xbc\xc3\x9f\"e@b.example",
                                                 "last@sub.b.example"};

        event.seq = i;
        event.id.value = (uint64_t)1 << 56 | (0x7a1b2c3d4e00 + i);
        event.recipient = bytes_of(recipients[i]);
        event.reply_text = BYTES("x,\"time\":\"2099-01-01T00:00:00.000Z\"");
        event.time_ms = 1795489800000 + 1000 * i;
        add(&f, &event);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event_tail *tail = tail_open(&f, &rows[i].filter, false);

        if (rows[i].seq >= 0)
            expect_seq(tail, (unsigned)rows[i].seq);
        expect_nothing(tail);
        event_tail_close(&tail);
    }
    fixture_remove(&f);
}

TEST(event_tail_skips_files_closed_before_since)
{
    struct fixture f;

    fixture_make(&f);
    add_numbered(&f);
    rotate(&f, true);
    add_numbered(&f);
    /* Would be an error to read; its name says that it need not be. */
    shell(&f, "printf rubbish > events-20200101T000000Z-1.jsonl.zst; rm events-202[1-9]*");
    const struct event_filter filter = {.since_ms = 1700000000000};
    struct event_tail *tail = tail_open(&f, &filter, false);
    expect_seq(tail, 1);
    expect_nothing(tail);
    event_tail_close(&tail);
    fixture_remove(&f);
}

TEST(event_tail_open_without_directory_fails)
{
    struct event_tail *tail = NULL;

    assert_int_equal(event_tail_open("/nonexistent/events", &everything, false, &tail), -ENOENT);
    assert_null(tail);
}

TEST(event_show_says_an_event_in_a_line)
{
    struct event event = event_sample();
    struct buf json;
    struct buf text;

    buf_init(&json, EVENT_JSON_MAX);
    buf_init(&text, EVENT_JSON_MAX);
    event.reply_text = BYTES("Ok \x1b[2J \"queued\"");
    assert_true(event_json(&event, &json));
    assert_true(event_show(bytes_slice(buf_bytes(&json), 0, buf_len(&json) - 1), &text));
    const char *expected =
        "2026-11-24T03:10:00.123Z delivered  id=000001-07a1b2c3d4e5f to=someone@customer.example "
        "from=bounces+17@mail.sender.example tenant=acme attempt=1 mx=mx1.customer.example "
        "ip=198.51.100.25 reply=\"250 2.0.0 Ok \\u001B[2J \\\"queued\\\"\" class=delivered "
        "rule=reply-2xx";
    assert_int_equal(buf_len(&text), strlen(expected));
    assert_memory_equal(buf_bytes(&text).ptr, expected, strlen(expected));
    buf_clear(&text);
    assert_true(event_show(
        BYTES("{\"kind\":\"x\",\"recipient\":\"gr\xc3\xbc\xc3\x9f\",\"rule\":\"\xc2\x9b\"}"),
        &text));
    expected = "-                        x          to=\"gr\xc3\xbc\xc3\x9f\" rule=\"\\u009B\"";
    assert_int_equal(buf_len(&text), strlen(expected));
    assert_memory_equal(buf_bytes(&text).ptr, expected, strlen(expected));
    buf_clear(&text);
    assert_true(event_show(BYTES("{\"kind\":\"x\",\"reply\":{\"from\":\"relay\",\"code\":null,"
                                 "\"enhanced\":\"4.4.1\",\"text\":\"refused\"}}"),
                           &text));
    assert_true(bytes_ends_nocase(buf_bytes(&text), BYTES(" reply=\"4.4.1 refused\"")));
    buf_clear(&text);
    assert_true(event_show(BYTES("{\"kind\":\"x\",\"time\":\"\\u001b[2J\",\"rule\":\"a\x7f\x7f\"}"),
                           &text));
    expected = "-                        x          rule=\"a\\u007F\\u007F\"";
    assert_int_equal(buf_len(&text), strlen(expected));
    assert_memory_equal(buf_bytes(&text).ptr, expected, strlen(expected));
    assert_false(event_show(BYTES("{}"), &text));
    assert_false(event_show(BYTES("{\"kind\":7}"), &text));
    assert_false(event_show(BYTES("{\"kind\":\"\\u001b[2J\"}"), &text));
    assert_false(event_show(BYTES("rubbish"), &text));
    buf_free(&json);
    buf_free(&text);
}
