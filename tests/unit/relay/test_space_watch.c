/* test_space_watch.c - when new mail is to be refused, and when again not. */
#include "relay/space_watch.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "support/unit.h"

enum { WAIT_MS = 20000 };

/* In the place of libc's: what is free on two file systems. */
static _Atomic uint64_t spool_free, events_free; /* blocks of 1,024 bytes */
static _Atomic int spool_error;
static _Atomic unsigned look_count;

int statvfs(const char *path, struct statvfs *out)
{
    bool is_spool = path[1] == 's';

    atomic_fetch_add(&look_count, is_spool);
    if (is_spool && atomic_load(&spool_error) != 0) {
        errno = atomic_load(&spool_error);
        return -1;
    }
    *out = (struct statvfs){.f_frsize = 1024, .f_blocks = 1000};
    out->f_bavail = atomic_load(is_spool ? &spool_free : &events_free);
    return 0;
}

static bool becomes(struct space *space, bool is_low)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (atomic_load(&space->is_low) != is_low && clock_monotonic_ms() < until_ms)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return atomic_load(&space->is_low) == is_low;
}

TEST(space_is_low_below_the_mark_on_either_file_system)
{
    struct space space = {0};
    struct space_state seen;

    spool_free = events_free = 500;
    struct space_watch *watch = space_watch_start("/s", "/e", 400 * 1024, 0, &space);
    assert_non_null(watch);
    assert_false(atomic_load(&space.is_low));
    spool_free = 399;
    assert_true(becomes(&space, true));
    spool_free = 400;
    assert_true(becomes(&space, false));
    events_free = 100;
    assert_true(becomes(&space, true));
    space_watch_state(watch, &seen);
    assert_int_equal(seen.spool_free_bytes, 400 * 1024);
    assert_int_equal(seen.events_free_bytes, 100 * 1024);
    assert_int_equal(seen.min_free_bytes, 400 * 1024);
    assert_true(seen.is_low);
    space_watch_set(watch, 100 * 1024); /* a reload */
    assert_true(becomes(&space, false));
    atomic_store(&spool_error, EIO);
    assert_true(becomes(&space, true));
    space_watch_set(watch, 0); /* nobody asks */
    assert_true(becomes(&space, false));
    atomic_store(&spool_error, 0);
    space_watch_stop(&watch);
    assert_null(watch);
}

/* Of one file system, and with a quota of its own (project quotas). */
TEST(space_of_each_directory_is_its_own)
{
    struct space space = {0};

    spool_free = 500;
    events_free = 100;
    struct space_watch *watch = space_watch_start("/sbin", "/etc", 400 * 1024, 0, &space);
    assert_true(atomic_load(&space.is_low));
    space_watch_stop(&watch);
}

TEST(space_is_low_at_once_at_a_start)
{
    struct space space = {0};

    spool_free = events_free = 10;
    struct space_watch *watch = space_watch_start("/s", "/e", 400 * 1024, 0, &space);
    assert_true(atomic_load(&space.is_low));
    space_watch_stop(&watch);
}

/* The nearer the mark, the more often. */
TEST(space_is_looked_at_as_often_as_it_may_run_out)
{
    enum { MARK = 400, GIB = 1024 * 1024, TIME_MS = 2200, WAKE_MS = 30 };
    static const struct {
        uint64_t above; /* the mark */
        unsigned at_least, at_most;
    } rows[] = {{16 * GIB, 2, 4}, {4 * GIB, 5, 13}, {GIB / 4, 20, 1000}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct space space = {0};

        spool_free = events_free = MARK + rows[i].above;
        look_count = 0;
        struct space_watch *watch = space_watch_start("/s", "/e", MARK * 1024, 0, &space);
        for (unsigned ms = 0; ms < TIME_MS; ms += WAKE_MS)
            nanosleep(&(struct timespec){.tv_nsec = WAKE_MS * 1000000}, NULL);
        expect_row(i, look_count >= rows[i].at_least);
        expect_row(i, look_count <= rows[i].at_most);
        space_watch_stop(&watch);
    }
}

/* What the shards take back must not make it low again. */
TEST(space_is_enough_again_with_what_is_taken_back)
{
    struct space space = {0};
    struct space_state seen;
    int64_t until_ms;

    spool_free = events_free = 300;
    struct space_watch *watch = space_watch_start("/s", "/e", 400 * 1024, 100 * 1024, &space);
    assert_true(atomic_load(&space.is_low));
    spool_free = events_free = 499;
    until_ms = clock_monotonic_ms() + WAIT_MS;
    do
        space_watch_state(watch, &seen);
    while (seen.events_free_bytes != 499 * 1024 && clock_monotonic_ms() < until_ms);
    assert_true(seen.is_low);
    spool_free = events_free = 500;
    assert_true(becomes(&space, false));
    spool_free = 400; /* they took it */
    events_free = 401;
    until_ms = clock_monotonic_ms() + WAIT_MS;
    do
        space_watch_state(watch, &seen);
    while (seen.events_free_bytes != 401 * 1024 && clock_monotonic_ms() < until_ms);
    assert_false(seen.is_low);
    space_watch_stop(&watch);
}
