#include "sink/sink_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/unit.h"

static char directory[64];

static int directory_open(void)
{
    snprintf(directory, sizeof(directory), "/tmp/ringpost-cursor-XXXXXX");
    assert_non_null(mkdtemp(directory));
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void shell(const char *what)
{
    char command[512];

    snprintf(command, sizeof(command), "cd '%s' && %s", directory, what);
    assert_int_equal(system(command), 0);
}

static void directory_remove(int fd)
{
    close(fd);
    shell("rm -rf \"$PWD\"");
}

TEST(sink_cursor_comes_back_as_it_was_written)
{
    const struct sink_cursor written = {
        .at = {.number = 17, .offset = 48213, .events = UINT64_MAX},
        .go = {.number = 19, .offset = 5, .events = 1209999},
        .owed = {.from_events = 7,
                 .events = 12,
                 .wanted = EVENT_GAP_UNKNOWN,
                 .time_ms = 5,
                 .reason = "webhooks.retry_for"},
        .owner = 17,
        .time_ms = 1795489800123,
        .failing = {.since_ms = 1795489712004,
                    .for_ms = 86399000,
                    .began_ms = 1,
                    .is_settled = true},
        .is_paused = true,
    };
    const struct sink_cursor plain = {.at = {.number = 1}};
    struct sink_cursor read;
    int fd = directory_open();

    assert_int_equal(sink_cursor_read(fd, "kafka", &read), -ENOENT);
    assert_int_equal(sink_cursor_write(fd, "kafka", &written), 0);
    assert_int_equal(sink_cursor_read(fd, "kafka", &read), 0);
    assert_int_equal(event_place_compare(read.at, written.at), 0);
    assert_true(read.at.events == written.at.events && read.go.events == written.go.events);
    assert_int_equal(event_place_compare(read.go, written.go), 0);
    assert_true(read.is_paused && read.time_ms == written.time_ms);
    assert_true(read.owner == 17 && read.owed.from_events == 7 && read.owed.events == 12);
    assert_true(read.owed.wanted == EVENT_GAP_UNKNOWN && read.owed.time_ms == 5);
    assert_string_equal(read.owed.reason, "webhooks.retry_for");
    assert_true(read.failing.since_ms == 1795489712004 && read.failing.for_ms == 86399000);
    assert_true(read.failing.began_ms == 0 && !read.failing.is_settled); /* of another run */
    sink_cursor_pause(&read, false);
    assert_true(!read.is_paused && read.failing.since_ms == 0 && read.failing.for_ms == 0);
    assert_int_equal(sink_cursor_write(fd, "kafka", &plain), 0);
    assert_int_equal(sink_cursor_read(fd, "kafka", &read), 0);
    assert_true(!read.is_paused && read.go.number == 0 && read.at.number == 1);
    assert_true(read.owner == 0 && read.owed.events == 0 && read.failing.since_ms == 0);
    shell("test \"$(ls -A)\" = kafka");
    directory_remove(fd);
}

TEST(sink_cursor_with_any_byte_changed_is_damaged)
{
    const struct sink_cursor written = {.at = {.number = 17, .offset = 48213, .events = 1204417}};
    struct sink_cursor read;
    uint8_t bytes[256];
    int fd = directory_open();

    assert_int_equal(sink_cursor_write(fd, "kafka", &written), 0);
    int file = openat(fd, "kafka", O_RDWR);
    ssize_t len = pread(file, bytes, sizeof(bytes), 0);
    assert_true(len > 20);
    for (ssize_t at = 0; at < len; at++) {
        uint8_t changed = bytes[at] ^ 1;

        assert_int_equal(pwrite(file, &changed, 1, at), 1);
        int error = sink_cursor_read(fd, "kafka", &read);
        /* Case is ignored in words, and a version that is newer is told apart. */
        if (error != -EBADMSG && error != -ENOTSUP)
            fail_msg("byte %zd changed: %d", at, error);
        assert_int_equal(pwrite(file, &bytes[at], 1, at), 1);
    }
    for (ssize_t cut = 0; cut < len - 1; cut++) {
        assert_int_equal(ftruncate(file, cut), 0);
        assert_int_equal(sink_cursor_read(fd, "kafka", &read), -EBADMSG);
        assert_int_equal(pwrite(file, bytes, (size_t)len, 0), len);
    }
    close(file);
    directory_remove(fd);
}

TEST(sink_cursor_of_a_later_version_is_not_touched)
{
    struct sink_cursor read;
    int fd = directory_open();

    shell("echo 'ringpost-sink 2' >kafka");
    assert_int_equal(sink_cursor_read(fd, "kafka", &read), -ENOTSUP);
    directory_remove(fd);
}

TEST(sink_names_are_names_of_files)
{
    assert_true(sink_name_is_valid(BYTES("kafka")));
    assert_true(sink_name_is_valid(BYTES("a.b_c-9")));
    assert_false(sink_name_is_valid(BYTES("")));
    assert_false(sink_name_is_valid(BYTES(".kafka.tmp")));
    assert_false(sink_name_is_valid(BYTES("a/b")));
    assert_false(sink_name_is_valid(BYTES("a\0b")));
}
