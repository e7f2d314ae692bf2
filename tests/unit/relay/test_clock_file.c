/* test_clock_file.c - what a start believes of the wall clock. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay/clock_file.h"
#include "support/unit.h"

enum { HOUR_MS = 3600 * 1000, BEGAN_MS = 50 * HOUR_MS };

static const int64_t wall_ms = 1767225600000;

static char directory[] = "/tmp/clock-file-XXXXXX";

static struct clocks at(int64_t after_ms, int64_t step_ms)
{
    return (struct clocks){BEGAN_MS + after_ms, wall_ms + after_ms + step_ms};
}

static int64_t start(struct clock_file *file, struct clocks clocks)
{
    return clock_file_open(file, directory, clocks);
}

static void setup_directory(void)
{
    memset(directory + strlen(directory) - 6, 'X', 6);
    assert_non_null(mkdtemp(directory));
}

static void put(const struct clock_file *file, const char *text)
{
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void remove_directory(const struct clock_file *file)
{
    unlink(file->path);
    assert_int_equal(rmdir(directory), 0);
}

TEST(ages_are_sure_over_restarts_of_one_boot)
{
    struct clock_file file;

    setup_directory();
    assert_int_equal(start(&file, at(0, 0)), BEGAN_MS);
    assert_int_equal(start(&file, at(HOUR_MS, 0)), BEGAN_MS);
    clock_file_look(&file, at(2 * HOUR_MS, 0), false);
    /* Slewed by the tenth of a second in an hour. */
    assert_int_equal(start(&file, at(30 * HOUR_MS, 3000)), BEGAN_MS);
    assert_int_equal(start(&file, at(60 * HOUR_MS, 0)), BEGAN_MS);
    remove_directory(&file);
}

TEST(nothing_is_sure_where_the_clock_was_set_meanwhile)
{
    struct clock_file file;

    setup_directory();
    (void)start(&file, at(0, 0));
    assert_int_equal(start(&file, at(HOUR_MS, 96 * HOUR_MS)), BEGAN_MS + HOUR_MS);
    assert_int_equal(start(&file, at(2 * HOUR_MS, 96 * HOUR_MS)), BEGAN_MS + HOUR_MS);
    assert_int_equal(start(&file, at(3 * HOUR_MS, 0)), BEGAN_MS + 3 * HOUR_MS);
    assert_int_equal(start(&file, at(4 * HOUR_MS, -10000)), BEGAN_MS + 4 * HOUR_MS);
    remove_directory(&file);
}

/* The next start finds the clock as it was left: what came before the step is not sure. */
TEST(a_step_in_the_last_run_is_remembered)
{
    struct clock_file file;

    setup_directory();
    (void)start(&file, at(0, 0));
    clock_file_look(&file, at(HOUR_MS, 96 * HOUR_MS), true);
    assert_int_equal(start(&file, at(2 * HOUR_MS, 96 * HOUR_MS)), BEGAN_MS + HOUR_MS);
    assert_int_equal(start(&file, at(3 * HOUR_MS, 96 * HOUR_MS)), BEGAN_MS + HOUR_MS);
    remove_directory(&file);
}

TEST(the_file_is_written_now_and_then_but_not_at_each_look)
{
    struct clock_file file;
    struct stat before, after;

    setup_directory();
    (void)start(&file, at(0, 0));
    assert_int_equal(stat(file.path, &before), 0);
    clock_file_look(&file, at(1000, 0), false);
    assert_int_equal(stat(file.path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    clock_file_look(&file, at(HOUR_MS, 0), false);
    assert_int_equal(stat(file.path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    remove_directory(&file);
}

TEST(another_boot_or_what_is_no_such_file_is_not_believed)
{
    struct clock_file file;
    char other[300];
    const long long began = BEGAN_MS, wall = wall_ms;

    setup_directory();
    (void)start(&file, at(0, 0));
    for (unsigned i = 0; i < 7; i++) {
        static const char min[] = "-9223372036854775808", max[] = "9223372036854775807";
        const char *boot = file.boot;

        if (i == 0)
            snprintf(other, sizeof(other), "1 another-boot %lld %lld %lld\n", began, wall, began);
        else if (i == 1) /* of a later version */
            snprintf(other, sizeof(other), "2 %s %lld %lld %lld\n", boot, began, wall, began);
        else if (i == 2)
            snprintf(other, sizeof(other), "1 %s %lld %lld\n", boot, began, wall);
        else if (i == 3)
            snprintf(other, sizeof(other), "1 %s %s %s %s\n", boot, min, max, min);
        else if (i == 4)
            snprintf(other, sizeof(other), "1 %s %s 0 0\n", boot, max);
        else if (i == 5)
            snprintf(other, sizeof(other), "1 %s 0 %s 0\n", boot, min);
        else
            other[0] = '\0';
        put(&file, other);
        assert_int_equal(start(&file, at(HOUR_MS, 0)), BEGAN_MS + HOUR_MS);
    }
    remove_directory(&file);
}

/* A full or foreign disk: the run goes on, the next start is not sure. */
TEST(a_file_that_cannot_be_written_is_only_told)
{
    struct clock_file file;

    assert_int_equal(clock_file_open(&file, "/nonexistent/state", at(0, 0)), BEGAN_MS);
    clock_file_look(&file, at(HOUR_MS, 0), true);
    assert_int_equal(file.steady_ms, BEGAN_MS + HOUR_MS);
}
