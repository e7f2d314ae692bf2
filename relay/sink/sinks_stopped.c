/* sinks_stopped.c - cursors of sinks that do not run. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/owner.h"
#include "event/event_committed.h"
#include "sink/sink_cursor.h"
#include "sink/sinks.h"

enum { PATH_SIZE = 4096 };

static int open_folder(const char *directory, bool is_made)
{
    char path[PATH_SIZE];

    if (snprintf(path, sizeof(path), "%s/sinks", directory) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    if (is_made && mkdir(path, 0750) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int read_cursor(int fd, const char *name, uint64_t owner, struct sink_cursor *out)
{
    int error = sink_cursor_read(fd, name, out);

    return error == 0 && out->owner != owner ? -ENOENT : error;
}

/* A sink that was never started begins at the end, and is paused there. */
static int begin(const char *directory, uint64_t owner, struct sink_cursor *out)
{
    struct event_committed committed;

    int error = event_committed_read(directory, &committed);
    if (error == 0)
        *out =
            (struct sink_cursor){.at = committed.place, .time_ms = clock_wall_ms(), .owner = owner};
    return error;
}

static int give(int fd, const char *directory, const char *name)
{
    int error = owner_give(fd, directory);

    return error == 0 ? owner_give_at(fd, name, directory) : error;
}

int sinks_pause_stopped(const char *directory, const char *name, uint64_t owner, bool is_paused)
{
    struct sink_cursor cursor;
    int fd = open_folder(directory, true);

    if (fd < 0)
        return fd;
    int error = read_cursor(fd, name, owner, &cursor);
    if (error == -ENOENT)
        error = begin(directory, owner, &cursor);
    if (error == 0) {
        sink_cursor_pause(&cursor, is_paused);
        error = sink_cursor_write(fd, name, &cursor);
    }
    if (error == 0)
        error = give(fd, directory, name);
    close(fd);
    return error;
}

int sinks_is_paused(const char *directory, const char *name, uint64_t owner)
{
    struct sink_cursor cursor;
    int fd = open_folder(directory, false);

    if (fd < 0)
        return fd;
    int error = read_cursor(fd, name, owner, &cursor);
    close(fd);
    return error == 0 ? cursor.is_paused : error;
}

void sinks_forget(const char *directory, const char *name, uint64_t owner)
{
    struct sink_cursor cursor;
    int fd = open_folder(directory, false);

    if (fd < 0)
        return;
    if (read_cursor(fd, name, owner, &cursor) == 0)
        (void)unlinkat(fd, name, 0);
    close(fd);
}
