#include "event/event_reader.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "event/event_file.h"
#include "support/unit.h"

struct fixture {
    char directory[64];
    struct event_bounds bounds;
    struct event_file_settings settings;
    struct event_file *file;
    struct event_cursors cursors;
    struct event_reader *reader;
    unsigned appended;
};

static void file_open(struct fixture *f)
{
    assert_int_equal(event_file_open(&f->settings, &f->file, &f->cursors), 0);
}

static void fixture_make(struct fixture *f)
{
    *f = (struct fixture){.directory = "/tmp/ringpost-reader-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
    event_bounds_init(&f->bounds);
    f->settings = (struct event_file_settings){.directory = f->directory,
                                               .rotate_size = 1,
                                               .bounds = &f->bounds};
    file_open(f);
    assert_int_equal(event_reader_open(f->directory, (struct event_place){.number = 1}, &f->reader),
                     0);
}

static void fixture_remove(struct fixture *f)
{
    char command[128];

    event_reader_close(&f->reader);
    event_file_close(&f->file);
    event_bounds_free(&f->bounds);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
}

static void shell(const struct fixture *f, const char *what)
{
    char command[512];

    snprintf(command, sizeof(command), "cd '%s' && %s", f->directory, what);
    assert_int_equal(system(command), 0);
}

static void add(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char line[64];
        int len = snprintf(line, sizeof(line), "{\"seq\":%u}\n", f->appended++);

        assert_int_equal(event_file_append(f->file, bytes_range(line, (size_t)len)), 0);
        event_file_mark(f->file, 0, f->appended);
    }
}

static void commit(struct fixture *f)
{
    assert_int_equal(event_file_commit(f->file, &f->cursors), 0);
}

static void rotate(struct fixture *f, bool and_compress)
{
    commit(f);
    for (size_t i = 0; i < (and_compress ? 10 : 1); i++)
        event_file_rotate_if_due(f->file, clocks_read());
}

static struct event_place committed(struct fixture *f)
{
    return event_bounds_committed(&f->bounds);
}

static void expect_line(struct fixture *f, unsigned seq)
{
    struct bytes line;
    char text[64];

    snprintf(text, sizeof(text), "{\"seq\":%u}", seq);
    assert_int_equal(event_reader_next(f->reader, committed(f), &line), 1);
    assert_true(bytes_equal(line, bytes_of(text)));
    assert_int_equal(event_reader_place(f->reader).events, seq + 1);
}

static void expect(struct fixture *f, int result)
{
    struct bytes line;

    assert_int_equal(event_reader_next(f->reader, committed(f), &line), result);
}

TEST(event_reader_reads_nothing_that_is_not_committed)
{
    struct fixture f;

    fixture_make(&f);
    expect(&f, 0);
    add(&f, 2);
    assert_int_equal(event_file_flush(f.file), 0);
    expect(&f, 0);
    commit(&f);
    add(&f, 1);
    assert_int_equal(event_file_flush(f.file), 0);
    expect_line(&f, 0);
    expect_line(&f, 1);
    expect(&f, 0);
    /* What a crash cuts is not seen, what is written in its place is. */
    event_file_close(&f.file);
    file_open(&f);
    f.appended = 2;
    add(&f, 1);
    commit(&f);
    assert_int_equal(committed(&f).events, 3);
    expect_line(&f, 2);
    expect(&f, 0);
    fixture_remove(&f);
}

TEST(event_reader_follows_rotation_and_compression)
{
    for (unsigned compress = 0; compress < 2; compress++) {
        struct fixture f;

        fixture_make(&f);
        add(&f, 3);
        commit(&f);
        expect_line(&f, 0);
        rotate(&f, compress);
        add(&f, 2);
        rotate(&f, compress);
        add(&f, 1);
        commit(&f);
        for (unsigned seq = 1; seq < 6; seq++)
            expect_line(&f, seq);
        expect(&f, 0);
        assert_int_equal(event_place_compare(event_reader_place(f.reader), committed(&f)), 0);
        fixture_remove(&f);
    }
}

TEST(event_reader_goes_on_at_any_place)
{
    for (unsigned compress = 0; compress < 2; compress++) {
        struct event_place places[6];
        struct fixture f;

        fixture_make(&f);
        add(&f, 5);
        commit(&f);
        places[0] = event_reader_place(f.reader);
        for (unsigned seq = 0; seq < 5; seq++) {
            expect_line(&f, seq);
            places[seq + 1] = event_reader_place(f.reader);
        }
        rotate(&f, compress);
        add(&f, 1);
        commit(&f);
        for (unsigned from = 0; from <= 5; from++) {
            event_reader_seek(f.reader, places[from]);
            for (unsigned seq = from; seq < 6; seq++)
                expect_line(&f, seq);
            expect(&f, 0);
        }
        fixture_remove(&f);
    }
}

/* Without a look at the file, which is gone meanwhile. */
TEST(event_reader_steps_back_to_the_line_that_it_read_last)
{
    struct fixture f;

    fixture_make(&f);
    add(&f, 3);
    commit(&f);
    expect_line(&f, 0);
    struct event_place before = event_reader_place(f.reader);
    expect_line(&f, 1);
    rotate(&f, false);
    shell(&f, "rm -f events-*");
    for (unsigned i = 0; i < 2; i++) {
        event_reader_seek(f.reader, before);
        assert_int_equal(event_place_compare(event_reader_place(f.reader), before), 0);
        assert_int_equal(event_reader_place(f.reader).events, before.events);
        expect_line(&f, 1);
    }
    expect_line(&f, 2);
    fixture_remove(&f);
}

/* The file is opened once, though it is more than is read at once. */
TEST(event_reader_steps_on_in_a_compressed_file)
{
    enum { LINES = 60000, STEP = 7001 };
    static struct event_place places[LINES + 1];
    struct fixture f;

    fixture_make(&f);
    add(&f, LINES);
    rotate(&f, true);
    for (unsigned seq = 0; seq < LINES; seq++) {
        places[seq] = event_reader_place(f.reader);
        expect_line(&f, seq);
    }
    event_reader_seek(f.reader, places[1]);
    expect_line(&f, 1);
    shell(&f, "ls events-*.zst > /dev/null && rm -f events-*");
    for (unsigned seq = 4; seq < LINES - 1; seq += seq < 20 ? 1 : STEP) {
        event_reader_seek(f.reader, places[seq - 1]);
        event_reader_seek(f.reader, places[seq]); /* before anything of it was read */
        expect_line(&f, seq);
        expect_line(&f, seq + 1);
        seq += 3;
    }
    event_reader_seek(f.reader, places[0]);
    expect(&f, -ENOENT);
    fixture_remove(&f);
}

TEST(event_reader_tells_that_a_file_is_gone)
{
    _Atomic bool stop = false;
    uint64_t number, count;
    struct fixture f;

    fixture_make(&f);
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 2);
        rotate(&f, true);
    }
    add(&f, 1);
    commit(&f);
    expect_line(&f, 0);
    event_reader_seek(f.reader, event_reader_place(f.reader));
    shell(&f, "rm events-*-1.jsonl.zst events-*-2.jsonl.zst");
    expect(&f, -ENOENT);
    assert_int_equal(event_reader_place(f.reader).events, 1);
    assert_int_equal(event_reader_oldest(f.reader, 1, committed(&f), &number), 0);
    assert_int_equal(number, 3);
    event_reader_seek(f.reader, (struct event_place){.number = number});
    assert_int_equal(event_reader_count(f.reader, committed(&f), &stop, &count), 0);
    assert_int_equal(count, 3);
    event_reader_seek(f.reader, (struct event_place){.number = number, .events = 4});
    for (unsigned seq = 4; seq < 7; seq++)
        expect_line(&f, seq);
    assert_int_equal(event_reader_oldest(f.reader, 4, committed(&f), &number), 0);
    assert_int_equal(number, committed(&f).number);
    fixture_remove(&f);
}

TEST(event_reader_tells_that_a_file_is_damaged)
{
    struct fixture f;

    fixture_make(&f);
    add(&f, 2);
    rotate(&f, true);
    add(&f, 1);
    commit(&f);
    shell(&f, "truncate -s 10 events-*-1.jsonl.zst");
    expect(&f, -EBADMSG);
    expect(&f, -EBADMSG);
    event_reader_seek(f.reader, (struct event_place){.number = 2, .events = 2});
    expect_line(&f, 2);
    fixture_remove(&f);
}

TEST(event_reader_tells_that_a_file_was_cut)
{
    struct fixture f;

    fixture_make(&f);
    add(&f, 2);
    assert_int_equal(event_file_flush(f.file), 0);
    expect(&f, 0);
    assert_false(event_reader_is_short(f.reader, committed(&f))); /* nothing is committed */
    commit(&f);
    expect_line(&f, 0);
    expect_line(&f, 1);
    expect(&f, 0);
    assert_false(event_reader_is_short(f.reader, committed(&f)));
    event_reader_seek(f.reader, (struct event_place){.number = 1});
    shell(&f, "truncate -s 12 current.jsonl");
    expect_line(&f, 0);
    expect(&f, 0);
    assert_true(event_reader_is_short(f.reader, committed(&f)));
    shell(&f, "mv current.jsonl away"); /* as between the two halves of a rotation */
    event_reader_seek(f.reader, event_reader_place(f.reader));
    expect(&f, 0);
    assert_false(event_reader_is_short(f.reader, committed(&f)));
    fixture_remove(&f);
}

TEST(event_files_stay_as_long_as_they_are_kept)
{
    struct event_held held;
    struct fixture f;

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.retention_bytes = 1;
    file_open(&f);
    event_bounds_keep(&f.bounds, 2);
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 1);
        rotate(&f, true);
    }
    shell(&f, "test ! -e events-*-1.jsonl.zst && test -e events-*-2.jsonl.zst && "
              "test -e events-*-3.jsonl.zst");
    assert_int_equal(event_reader_held(f.reader, 3, &held), 0);
    assert_true(held.bytes > 0);
    assert_int_equal(held.bytes, held.packed);
    event_bounds_keep(&f.bounds, UINT64_MAX);
    add(&f, 1);
    rotate(&f, true);
    shell(&f, "test ! -e events-*-2.jsonl.zst && test ! -e events-*-3.jsonl.zst");
    fixture_remove(&f);
}

TEST(event_counts_go_on_after_a_start)
{
    struct fixture f;

    fixture_make(&f);
    add(&f, 3);
    rotate(&f, true);
    event_file_close(&f.file);
    file_open(&f);
    assert_int_equal(committed(&f).events, 3);
    add(&f, 1);
    commit(&f);
    assert_int_equal(committed(&f).events, 4);
    fixture_remove(&f);
}
