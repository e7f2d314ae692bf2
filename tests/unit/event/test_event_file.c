#include "event/event_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "event/event_age.h"
#include "event/event_archive.h"
#include "event/event_cursor.h"
#include "event/event_room.h"
#include "event/event_tail.h"
#include "support/unit.h"

struct fixture {
    char directory[64];
    struct event_file_settings settings;
    struct event_file *file;
    struct event_cursors cursors;
};

static void fixture_open(struct fixture *f)
{
    f->settings.directory = f->directory;
    assert_int_equal(event_file_open(&f->settings, &f->file, &f->cursors), 0);
}

static void fixture_make(struct fixture *f)
{
    *f = (struct fixture){.directory = "/tmp/ringpost-events-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
    fixture_open(f);
}

static void fixture_remove(struct fixture *f)
{
    char command[128];

    if (f->file != NULL)
        event_file_close(&f->file);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
}

static void append(struct fixture *f, unsigned number)
{
    char line[128];
    int len = snprintf(line, sizeof(line), "{\"seq\":%u,\"time\":\"2026-11-24T03:10:00.000Z\"}\n",
                       number);

    assert_int_equal(event_file_append(f->file, bytes_range(line, (size_t)len)), 0);
}

static void commit(struct fixture *f)
{
    assert_int_equal(event_file_commit(f->file, &f->cursors), 0);
}

static struct clocks later(int64_t ms)
{
    struct clocks clocks = clocks_read();

    return (struct clocks){clocks.now_ms + ms, clocks.wall_ms + ms};
}

static void rotate_at(struct fixture *f, struct clocks clocks)
{
    for (size_t i = 0; i < 20; i++)
        event_file_rotate_if_due(f->file, clocks);
}

/* In the place of libc's: what a power cut might lose. */
static ino_t synced_file;
static bool names_are_synced = true;
static unsigned rash_count; /* names given or taken before what they need was durable */

int fsync(int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0) {
        names_are_synced |= S_ISDIR(status.st_mode);
        synced_file = S_ISREG(status.st_mode) ? status.st_ino : synced_file;
    }
    return (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat status;

    if (bytes_ends_nocase(bytes_of(from), BYTES(".zst.tmp")) &&
        (fstatat(from_fd, from, &status, 0) < 0 || status.st_ino != synced_file))
        rash_count++;
    names_are_synced = false;
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int unlinkat(int directory_fd, const char *name, int flags)
{
    rash_count += bytes_ends_nocase(bytes_of(name), BYTES(".jsonl")) && !names_are_synced;
    return (int)syscall(SYS_unlinkat, directory_fd, name, flags);
}

/* Rotates some time later and goes on until everything closed is compressed. */
static void rotate(struct fixture *f, int64_t later_ms)
{
    rotate_at(f, later(later_ms));
}

/* Reads all lines back; they must count from 0. Returns how many. */
static unsigned count_lines(const char *directory)
{
    const struct event_filter filter = {0};
    struct event_tail *tail;
    struct bytes line;
    unsigned count = 0;
    char expected[64];

    assert_int_equal(event_tail_open(directory, &filter, false, &tail), 0);
    for (int result; (result = event_tail_next(tail, &line)) != 0; count++) {
        assert_int_equal(result, 1);
        snprintf(expected, sizeof(expected), "{\"seq\":%u,", count);
        if (!bytes_starts_nocase(line, bytes_of(expected)))
            fail_msg("line %u is %.*s", count, BYTES_ARG(line));
    }
    event_tail_close(&tail);
    return count;
}

static unsigned count_files(const char *directory, const char *suffix)
{
    DIR *list = opendir(directory);
    struct dirent *entry;
    unsigned count = 0;

    assert_non_null(list);
    while ((entry = readdir(list)) != NULL)
        count += bytes_starts_nocase(bytes_of(entry->d_name), BYTES("events-")) &&
                 bytes_ends_nocase(bytes_of(entry->d_name), bytes_of(suffix));
    closedir(list);
    return count;
}

TEST(event_file_starts_empty_without_cursors)
{
    struct fixture f;
    uint64_t bytes;

    fixture_make(&f);
    for (size_t i = 0; i < MESSAGE_ID_SHARDS_MAX; i++)
        assert_int_equal(f.cursors.positions[i], 0);
    assert_false(event_file_has_uncommitted(f.file, &bytes));
    assert_int_equal(count_lines(f.directory), 0);
    fixture_remove(&f);
}

TEST(event_file_keeps_what_was_committed)
{
    struct fixture f;
    uint64_t bytes;

    fixture_make(&f);
    append(&f, 0);
    append(&f, 1);
    event_file_mark(f.file, 3, (uint64_t)5 << 32 | 4096);
    assert_true(event_file_has_uncommitted(f.file, &bytes));
    assert_int_equal(bytes, event_file_unwritten(f.file));
    commit(&f);
    assert_false(event_file_has_uncommitted(f.file, &bytes));
    assert_int_equal(f.cursors.positions[3], (uint64_t)5 << 32 | 4096);
    event_file_close(&f.file);
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[3], (uint64_t)5 << 32 | 4096);
    assert_int_equal(f.cursors.positions[0], 0);
    assert_int_equal(count_lines(f.directory), 2);
    fixture_remove(&f);
}

TEST(event_file_cuts_what_was_not_committed)
{
    struct fixture f;

    fixture_make(&f);
    append(&f, 0);
    event_file_mark(f.file, 0, 100);
    commit(&f);
    append(&f, 1);
    event_file_mark(f.file, 0, 200);
    assert_int_equal(event_file_flush(f.file), 0);
    assert_int_equal(count_lines(f.directory), 2); /* readers see it early */
    event_file_close(&f.file);
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[0], 100);
    assert_int_equal(count_lines(f.directory), 1);
    append(&f, 1);
    event_file_mark(f.file, 0, 200);
    commit(&f);
    assert_int_equal(count_lines(f.directory), 2);
    fixture_remove(&f);
}

/* A commit may come while a record of several events is being appended. */
TEST(event_file_commits_up_to_the_mark_only)
{
    struct fixture f;

    fixture_make(&f);
    append(&f, 0);
    event_file_mark(f.file, 1, 100);
    append(&f, 1);
    commit(&f);
    assert_int_equal(count_lines(f.directory), 2);
    event_file_close(&f.file);
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[1], 100);
    assert_int_equal(count_lines(f.directory), 1);
    fixture_remove(&f);
}

TEST(event_file_commits_marks_without_bytes)
{
    struct fixture f;
    uint64_t bytes;

    fixture_make(&f);
    event_file_mark(f.file, 0, 4096);
    assert_true(event_file_has_uncommitted(f.file, &bytes));
    assert_int_equal(bytes, 0);
    commit(&f);
    event_file_close(&f.file);
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[0], 4096);
    fixture_remove(&f);
}

TEST(event_file_writes_by_itself_when_much_waits)
{
    struct fixture f;
    unsigned count = 0;

    fixture_make(&f);
    for (size_t before = 0; event_file_unwritten(f.file) >= before; count++) {
        before = event_file_unwritten(f.file);
        append(&f, count);
    }
    assert_true(count > 1000);
    assert_int_equal(event_file_flush(f.file), 0);
    assert_int_equal(count_lines(f.directory), count);
    fixture_remove(&f);
}

TEST(event_file_rotates_by_size_and_compresses)
{
    struct fixture f;

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.rotate_size = 1000;
    fixture_open(&f);
    for (unsigned i = 0; i < 100; i++) {
        append(&f, i);
        event_file_mark(f.file, 0, i + 1);
        commit(&f);
        event_file_rotate_if_due(f.file, later(0));
    }
    rotate(&f, 0);
    assert_in_range(count_files(f.directory, ".jsonl.zst"), 4, 6);
    assert_int_equal(count_files(f.directory, ".jsonl"), 0);
    assert_int_equal(count_lines(f.directory), 100);
    event_file_close(&f.file);
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[0], 100);
    assert_int_equal(count_lines(f.directory), 100);
    fixture_remove(&f);
}

TEST(event_file_rotates_by_age_but_not_when_empty_or_uncommitted)
{
    struct fixture f;
    int64_t far_ms = (int64_t)1 << 42;

    fixture_make(&f);
    rotate(&f, far_ms);
    assert_int_equal(count_files(f.directory, ""), 0);
    append(&f, 0);
    event_file_mark(f.file, 0, 1);
    rotate(&f, far_ms);
    assert_int_equal(count_files(f.directory, ""), 0);
    commit(&f);
    append(&f, 1); /* not marked */
    rotate(&f, far_ms);
    assert_int_equal(count_files(f.directory, ""), 0);
    event_file_mark(f.file, 0, 2);
    commit(&f);
    f.settings.retention_s = 0;
    event_file_rotate_if_due(f.file, later(0)); /* too young */
    assert_int_equal(count_files(f.directory, ""), 0);
    rotate(&f, 3700000);
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    assert_int_equal(count_lines(f.directory), 2);
    fixture_remove(&f);
}

static void close_one(struct fixture *f, unsigned number)
{
    append(f, number);
    event_file_mark(f->file, 0, number + 1);
    commit(f);
    rotate(f, 0);
}

TEST(event_file_goes_once_what_it_was_compressed_into_is_durable)
{
    struct fixture f;

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    fixture_open(&f);
    rash_count = 0;
    close_one(&f, 0);
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    assert_int_equal(count_files(f.directory, ".jsonl"), 0);
    assert_int_equal(rash_count, 0);
    fixture_remove(&f);
}

TEST(event_file_retention_removes_the_oldest_beyond_the_bytes)
{
    struct fixture f;

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    f.settings.retention_bytes = 200; /* a closed file of one line takes some 60 */
    fixture_open(&f);
    for (unsigned i = 0; i < 10; i++)
        close_one(&f, i);
    assert_in_range(count_files(f.directory, ".zst"), 2, 4);
    assert_int_equal(f.cursors.positions[0], 10);
    fixture_remove(&f);
}

TEST(event_file_retention_removes_what_is_too_old)
{
    struct fixture f;

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    f.settings.retention_s = 100;
    fixture_open(&f);
    close_one(&f, 0);
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    append(&f, 1);
    event_file_mark(f.file, 0, 2);
    commit(&f);
    rotate(&f, 200000);
    assert_int_equal(count_files(f.directory, ""), 1); /* the one that was closed just now */
    rotate(&f, 301000);
    assert_int_equal(count_files(f.directory, ""), 0);
    /* The number goes on although no closed file shows it. */
    close_one(&f, 2);
    DIR *list = opendir(f.directory);
    struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        struct event_archive archive;

        if (event_archive_parse(entry->d_name, &archive))
            assert_int_equal(archive.number, 3);
    }
    closedir(list);
    fixture_remove(&f);
}

static struct clocks stepped(int64_t later_ms, int64_t step_ms)
{
    struct clocks clocks = later(later_ms);

    clocks.wall_ms += step_ms;
    return clocks;
}

enum { DAY_MS = 24 * 3600 * 1000 };

TEST(event_file_retention_counts_no_step_of_the_clock)
{
    static const int64_t steps_ms[] = {4LL * DAY_MS, -4LL * DAY_MS, 20000LL * DAY_MS};

    for (unsigned i = 0; i < ARRAY_LEN(steps_ms); i++) {
        struct fixture f;

        fixture_make(&f);
        event_file_close(&f.file);
        f.settings.rotate_size = 1;
        f.settings.retention_s = 100;
        fixture_open(&f);
        close_one(&f, 0);
        append(&f, 1);
        event_file_mark(f.file, 0, 2);
        commit(&f);
        rotate_at(&f, stepped(61000, steps_ms[i]));
        expect_row(i, count_files(f.directory, ".zst") == 2); /* one closed before it, one after */
        rotate_at(&f, stepped(61000 + 61000, steps_ms[i]));
        expect_row(i, count_files(f.directory, ".zst") == 1);
        rotate_at(&f, stepped(61000 + 2 * 61000, steps_ms[i]));
        expect_row(i, count_files(f.directory, ".zst") == 0);
        fixture_remove(&f);
    }
}

/* Of what a start finds only names tell the age, and the clock may be wrong yet. */
TEST(event_file_retention_waits_after_a_start)
{
    struct fixture f;
    int64_t wait_ms = EVENT_AGE_WAIT_MS;

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    f.settings.retention_s = 100;
    fixture_open(&f);
    close_one(&f, 0);
    event_file_close(&f.file);
    fixture_open(&f);
    rotate(&f, wait_ms - 10000);
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    rotate_at(&f, stepped(wait_ms + 60000, -1LL * DAY_MS)); /* it was set right: not so old */
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    rotate(&f, wait_ms + 120000);
    assert_int_equal(count_files(f.directory, ".zst"), 0);
    fixture_remove(&f);
}

TEST(event_file_rotates_by_age_whatever_is_done_to_the_clock)
{
    struct fixture f;

    fixture_make(&f);
    append(&f, 0);
    event_file_mark(f.file, 0, 1);
    commit(&f);
    event_file_close(&f.file);
    fixture_open(&f); /* its age is kept over a restart */
    rotate_at(&f, stepped(3500000, 4LL * DAY_MS));
    assert_int_equal(count_files(f.directory, ""), 0);
    rotate_at(&f, stepped(3700000, -4LL * DAY_MS));
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    fixture_remove(&f);
}

/* Its beginning lies ahead then. */
TEST(event_file_rotates_by_age_though_the_clock_was_set_back_over_a_restart)
{
    struct fixture f;
    struct event_cursor cursor;

    fixture_make(&f);
    append(&f, 0);
    event_file_mark(f.file, 0, 1);
    commit(&f);
    event_file_close(&f.file);
    int directory = open(f.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(directory >= 0);
    assert_int_equal(event_cursor_read(directory, &cursor), 0);
    cursor.opened_ms += 4LL * DAY_MS;
    assert_int_equal(event_cursor_write(directory, &cursor), 0);
    close(directory);
    fixture_open(&f);
    rotate(&f, 3500000);
    assert_int_equal(count_files(f.directory, ""), 0);
    rotate(&f, 3700000);
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    fixture_remove(&f);
}

TEST(event_age_keeps_a_bounded_number_of_steps)
{
    struct clocks clocks = {.now_ms = 1000, .wall_ms = 1795489800000};
    struct event_age age = event_age_begin(clocks, 1);
    struct event_archive archives[3 * EVENT_AGE_STEPS_MAX];

    for (unsigned i = 0; i < ARRAY_LEN(archives); i++) {
        archives[i] = (struct event_archive){.number = i + 1, .closed_ms = clocks.wall_ms};
        clocks.now_ms += 1000;
        clocks.wall_ms += 1000 + DAY_MS;
        event_age_look(&age, clocks, i + 2);
    }
    for (unsigned i = 0; i < ARRAY_LEN(archives); i++) {
        int64_t expected_ms = 1000LL * ((int64_t)ARRAY_LEN(archives) - i);
        int64_t age_ms = event_age_ms(&age, &archives[i], clocks);

        /* Before the oldest steps that are kept apart it is too young, not too old. */
        expect_row(i, i <= ARRAY_LEN(archives) - EVENT_AGE_STEPS_MAX ? age_ms <= expected_ms
                                                                     : age_ms == expected_ms);
    }
}

/* --- crashes --------------------------------------------------------------------------------- */

/* What stands on disk after each of the steps of a rotation, put there by hand. */
TEST(event_file_recovers_from_a_crash_inside_a_rotation)
{
    for (unsigned step = 0; step < 3; step++) {
        struct fixture f;
        char command[512];

        fixture_make(&f);
        append(&f, 0);
        event_file_mark(f.file, 0, 100);
        commit(&f);
        event_file_close(&f.file);
        snprintf(command, sizeof(command), "cd '%s' && touch next.jsonl.tmp%s%s", f.directory,
                 step > 0 ? " && mv current.jsonl events-20261124T031000Z-1.jsonl" : "",
                 step > 1 ? " && mv next.jsonl.tmp current.jsonl" : "");
        assert_int_equal(system(command), 0);
        fixture_open(&f);
        assert_int_equal(f.cursors.positions[0], 100);
        assert_int_equal(count_lines(f.directory), 1);
        append(&f, 1);
        event_file_mark(f.file, 0, 200);
        commit(&f);
        event_file_close(&f.file);
        fixture_open(&f);
        assert_int_equal(f.cursors.positions[0], 200);
        rotate(&f, 0);
        assert_int_equal(count_lines(f.directory), 2);
        assert_int_equal(count_files(f.directory, ".zst"), step > 0);
        fixture_remove(&f);
    }
}

TEST(event_file_finishes_an_interrupted_compression)
{
    struct fixture f;
    char command[512];

    fixture_make(&f);
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    fixture_open(&f);
    append(&f, 0);
    event_file_mark(f.file, 0, 100);
    commit(&f);
    event_file_rotate_if_due(f.file, later(0)); /* rotated, compression started */
    event_file_close(&f.file);
    assert_int_equal(count_files(f.directory, ".jsonl"), 1);
    snprintf(command, sizeof(command),
             "cd '%s' && head -c 5 /dev/zero > events-20261124T031000Z-1.jsonl.zst.tmp",
             f.directory);
    assert_int_equal(system(command), 0);
    fixture_open(&f);
    rotate(&f, 0);
    assert_int_equal(count_files(f.directory, ".jsonl"), 0);
    assert_int_equal(count_files(f.directory, ".zst"), 1);
    assert_int_equal(count_files(f.directory, ".tmp"), 0);
    assert_int_equal(count_lines(f.directory), 1);
    fixture_remove(&f);
}

static void overwrite_cursor(const struct fixture *f, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/cursor", f->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

TEST(event_file_without_a_good_cursor_keeps_the_old_file_and_starts_again)
{
    struct fixture f;

    fixture_make(&f);
    append(&f, 0);
    event_file_mark(f.file, 0, 100);
    commit(&f);
    event_file_close(&f.file);
    overwrite_cursor(&f, "ringpost-events 1\nfile 1 5 5\nshard 0 1 1\ncheck 1\n");
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[0], 0);
    assert_int_equal(count_files(f.directory, ".jsonl"), 1);
    assert_int_equal(count_lines(f.directory), 1);
    append(&f, 1);
    event_file_mark(f.file, 0, 300);
    commit(&f);
    assert_int_equal(count_lines(f.directory), 2);
    fixture_remove(&f);
}

static ino_t cursor_inode(const struct fixture *f)
{
    char path[128];
    struct stat status;

    snprintf(path, sizeof(path), "%s/cursor", f->directory);
    assert_int_equal(stat(path, &status), 0);
    return status.st_ino;
}

/* A start on a full disk must work: then mail is delivered and frees space. */
TEST(event_file_open_writes_nothing_when_nothing_changed)
{
    struct fixture f;

    fixture_make(&f);
    append(&f, 0);
    event_file_mark(f.file, 0, 100);
    commit(&f);
    ino_t before = cursor_inode(&f);
    append(&f, 1);
    assert_int_equal(event_file_flush(f.file), 0);
    event_file_close(&f.file);
    fixture_open(&f);
    assert_true(cursor_inode(&f) == before);
    assert_int_equal(count_lines(f.directory), 1);
    commit(&f);
    assert_true(cursor_inode(&f) == before);
    fixture_remove(&f);
}

TEST(event_file_refuses_a_later_cursor)
{
    struct fixture f;

    fixture_make(&f);
    event_file_close(&f.file);
    overwrite_cursor(&f, "ringpost-events 2\n");
    f.settings.directory = f.directory;
    assert_int_equal(event_file_open(&f.settings, &f.file, &f.cursors), -ENOTSUP);
    assert_null(f.file);
    fixture_remove(&f);
}

TEST(event_file_open_without_directory_fails)
{
    struct event_file_settings settings = {.directory = "/nonexistent/events"};
    struct event_file *file = NULL;
    struct event_cursors cursors;

    assert_int_equal(event_file_open(&settings, &file, &cursors), -ENOENT);
    assert_null(file);
}

/* A limit on the size of files stands in for a full disk: the same short writes and errors. */
TEST(event_file_full_disk_loses_nothing)
{
    struct fixture f;
    unsigned appended = 0;
    char line[2048];

    fixture_make(&f);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    /* current.jsonl's descriptor is the only one that the fixture's file reads and writes. */
    char path[128], target[256];
    int fd = -1;
    for (int i = 3; i < 64; i++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
        ssize_t len = readlink(path, target, sizeof(target) - 1);
        if (len > 0 && bytes_ends_nocase(bytes_range(target, (size_t)len), BYTES("current.jsonl")))
            fd = i;
    }
    assert_true(fd >= 0);
    int saved = dup(fd);
    assert_int_equal(dup2(full, fd), fd);
    for (int error = 0; error == 0; appended += error == 0) {
        int len = snprintf(line, sizeof(line), "{\"seq\":%u,\"text\":\"%01000u\"}\n", appended, 1);

        error = event_file_append(f.file, bytes_range(line, (size_t)len));
        assert_true(error == 0 || error == -ENOSPC);
    }
    assert_true(appended > 900);
    event_file_mark(f.file, 0, 100);
    assert_int_equal(event_file_commit(f.file, &f.cursors), -ENOSPC);
    assert_int_equal(f.cursors.positions[0], 0);
    assert_int_equal(dup2(saved, fd), fd);
    commit(&f);
    assert_int_equal(f.cursors.positions[0], 100);
    assert_int_equal(count_lines(f.directory), appended);
    close(saved);
    close(full);
    fixture_remove(&f);
}

/* --- room ------------------------------------------------------------------------------------ */

static struct stat status_of(const struct fixture *f, const char *name)
{
    char path[128];
    struct stat status;

    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    assert_int_equal(stat(path, &status), 0);
    return status;
}

static blkcnt_t blocks_of_closed(const char *directory)
{
    DIR *list = opendir(directory);
    struct dirent *entry;
    struct stat status;
    blkcnt_t blocks = 0;

    assert_non_null(list);
    while ((entry = readdir(list)) != NULL)
        if (bytes_starts_nocase(bytes_of(entry->d_name), BYTES("events-")) &&
            bytes_ends_nocase(bytes_of(entry->d_name), BYTES(".jsonl")) &&
            fstatat(dirfd(list), entry->d_name, &status, 0) == 0)
            blocks += status.st_blocks;
    closedir(list);
    return blocks;
}

TEST(event_file_has_blocks_before_it_needs_them)
{
    struct fixture f;

    fixture_make(&f);
    assert_true(event_file_has_room(f.file));
    struct stat status = status_of(&f, "current.jsonl");
    assert_int_equal(status.st_size, 0);
    assert_true(status.st_blocks * 512 >= EVENT_ROOM_MIN);
    append(&f, 0);
    event_file_mark(f.file, 7, 1);
    commit(&f);
    assert_true(status_of(&f, "current.jsonl").st_size > 0);
    assert_true(status_of(&f, "current.jsonl").st_blocks * 512 >= EVENT_ROOM_MIN);
    /* A closed file gives back what it did not use, the next has its own. */
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    fixture_open(&f);
    assert_true(event_file_rotate_if_due(f.file, later(0))); /* closed, not compressed yet */
    assert_int_equal(count_files(f.directory, ".jsonl"), 1);
    assert_true(blocks_of_closed(f.directory) * 512 < EVENT_ROOM_MIN / 4);
    while (event_file_rotate_if_due(f.file, later(0)))
        ;
    assert_true(event_file_has_room(f.file));
    assert_int_equal(status_of(&f, "current.jsonl").st_size, 0);
    assert_true(status_of(&f, "current.jsonl").st_blocks * 512 >= EVENT_ROOM_MIN);
    fixture_remove(&f);
}

/* In the place of libc's: from now on nothing more is set aside. */
static bool is_disk_full;

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (!is_disk_full)
        return (int)syscall(SYS_fallocate, fd, mode, offset, len);
    errno = ENOSPC;
    return -1;
}

TEST(event_file_says_when_half_of_its_room_is_used_on_a_full_disk)
{
    struct fixture f;
    char line[1024];
    unsigned lines = 0;

    fixture_make(&f);
    int len = snprintf(line, sizeof(line), "{\"text\":\"%0900u\"}\n", 1);
    is_disk_full = true;
    for (; event_file_has_room(f.file) && lines < 100000; lines++) {
        assert_int_equal(event_file_append(f.file, bytes_range(line, (size_t)len)), 0);
        event_file_mark(f.file, 7, lines + 1);
    }
    assert_true(lines < 100000);
    commit(&f);
    assert_false(event_file_has_room(f.file));
    assert_in_range(status_of(&f, "current.jsonl").st_size, EVENT_ROOM_MIN / 2,
                    EVENT_ROOM_MAX / 2 + 2 * EVENT_FILE_UNWRITTEN_MAX);
    /* It does not rotate into a file without room either. */
    event_file_close(&f.file);
    f.settings.rotate_size = 1;
    fixture_open(&f);
    (void)event_file_rotate_if_due(f.file, later(0));
    assert_true(status_of(&f, "current.jsonl").st_size > 0);
    is_disk_full = false;
    commit(&f);
    assert_true(event_file_has_room(f.file));
    (void)event_file_rotate_if_due(f.file, later(0));
    assert_int_equal(status_of(&f, "current.jsonl").st_size, 0);
    fixture_remove(&f);
}

/* On a disk without a free block no new file would get one. */
TEST(event_cursor_is_written_without_a_new_file)
{
    struct fixture f;
    ino_t first, second;

    fixture_make(&f);
    for (unsigned i = 0; i < 3; i++) {
        append(&f, i);
        event_file_mark(f.file, 7, i + 1);
        commit(&f);
    }
    first = status_of(&f, "cursor").st_ino;
    second = status_of(&f, "cursor.spare").st_ino;
    for (unsigned i = 3; i < 8; i++) {
        append(&f, i);
        event_file_mark(f.file, 7, i + 1);
        commit(&f);
        assert_int_equal(status_of(&f, "cursor").st_ino, i % 2 == 1 ? second : first);
        assert_int_equal(status_of(&f, "cursor.spare").st_ino, i % 2 == 1 ? first : second);
    }
    event_file_close(&f.file);
    fixture_open(&f);
    assert_int_equal(f.cursors.positions[7], 8);
    fixture_remove(&f);
}

/* Random appends, marks, commits, rotations and crashes against a counter. */
TEST(event_file_holds_each_line_once_whatever_crashes)
{
    struct fixture f;
    unsigned next = 0;

    fixture_make(&f);
    random_seed(5);
    event_file_close(&f.file);
    f.settings.rotate_size = 2000;
    fixture_open(&f);
    for (size_t step = 0; step < 3000; step++) {
        switch (random_below(8)) {
        case 0:
            commit(&f);
            break;
        case 1:
            assert_int_equal(event_file_flush(f.file), 0);
            break;
        case 2:
            event_file_rotate_if_due(f.file, later(0));
            break;
        case 3:
            if (random_below(8) > 0)
                break;
            event_file_close(&f.file);
            fixture_open(&f);
            next = (unsigned)f.cursors.positions[7];
            break;
        default:
            append(&f, next++);
            if (random_below(3) > 0)
                event_file_mark(f.file, 7, next);
            break;
        }
    }
    event_file_mark(f.file, 7, next);
    commit(&f);
    assert_true(next > 300);
    assert_int_equal(count_lines(f.directory), next);
    fixture_remove(&f);
}

/* --- names and cursor ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool valid;
} names[] = {
    {"events-20261124T031000Z-17.jsonl", true},
    {"events-20261124T031000Z-17.jsonl.zst", true},
    {"events-20261124T031000Z-17.jsonl.zst.tmp", false},
    {"events-20261124T031000Z-.jsonl", false},
    {"events-20261124T031000-17.jsonl", false},
    {"events-2026112aT031000Z-17.jsonl", false},
    {"events-20261124T031000Z-99999999999999999999999.jsonl", false},
    {"current.jsonl", false},
    {"", false},
};

TEST(event_archive_parse_takes_its_own_names_only)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct event_archive archive;
        char name[EVENT_ARCHIVE_NAME_MAX];

        expect_row(i, event_archive_parse(names[i].name, &archive) == names[i].valid);
        if (!names[i].valid)
            continue;
        event_archive_name(&archive, name);
        assert_string_equal(name, names[i].name);
        assert_int_equal(archive.number, 17);
        assert_int_equal(archive.closed_ms, 1795489800000);
    }
}

TEST(event_cursor_survives_every_damaged_byte)
{
    struct fixture f;
    struct event_cursor cursor = {.number = 4, .len = 12345, .opened_ms = 1795489800123};
    struct event_cursor read_back;
    uint8_t text[512];
    char path[128];

    fixture_make(&f);
    int directory = open(f.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cursor.cursors.positions[0] = (uint64_t)7 << 32 | 4096;
    cursor.cursors.positions[255] = UINT64_MAX;
    assert_int_equal(event_cursor_write(directory, &cursor), 0);
    assert_int_equal(event_cursor_read(directory, &read_back), 0);
    assert_memory_equal(&read_back, &cursor, sizeof(cursor));
    snprintf(path, sizeof(path), "%s/cursor", f.directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t len = read(fd, text, sizeof(text));
    assert_true(len > 0 && len < 512);
    for (ssize_t at = 0; at < len; at++) {
        uint8_t bad = text[at] ^ 4;

        assert_int_equal(pwrite(fd, &bad, 1, at), 1);
        assert_true(event_cursor_read(directory, &read_back) < 0);
        assert_int_equal(pwrite(fd, &text[at], 1, at), 1);
    }
    for (ssize_t cut = len; cut-- > 0;) {
        assert_int_equal(ftruncate(fd, cut), 0);
        assert_int_equal(event_cursor_read(directory, &read_back), -EBADMSG);
    }
    close(fd);
    close(directory);
    fixture_remove(&f);
}
