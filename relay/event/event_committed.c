/* event_committed.c - reads the cursor of the event files. */
#include "event/event_committed.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "event/event_cursor.h"

int event_committed_read(const char *directory, struct event_committed *out)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct event_cursor cursor;

    if (fd < 0)
        return -errno;
    int error = event_cursor_read(fd, &cursor);
    close(fd);
    if (error < 0)
        return error;
    *out = (struct event_committed){
        .place = {cursor.number, cursor.len, cursor.events},
        .journals = cursor.cursors,
    };
    return 0;
}
