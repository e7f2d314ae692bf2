/*
 * event_file.c - appends, commits and rotates the event files.
 *
 * The length and the marks are made durable in one step, the rename of the cursor file, after the
 * data itself. A file is closed only when all of it is committed: rename first, then the cursor.
 * A crash between the two leaves a cursor with the number of a file that is closed by now, which
 * is how event_file_open() knows that current.jsonl is a new one.
 */
#include "event/event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "event/event_age.h"
#include "event/event_archive.h"
#include "event/event_cursor.h"
#include "event/event_room.h"

enum { RETAIN_EVERY_MS = 60000 };

static const char NEXT_NAME[] = "next.jsonl.tmp";

struct event_file {
    struct event_file_settings settings;
    int directory_fd;
    int fd;                      /* current.jsonl */
    struct event_cursor durable; /* what the cursor file says */
    struct event_cursor marked;  /* what the next commit makes of it */
    uint64_t written_len;        /* bytes the kernel has */
    struct buf unwritten;
    struct event_room room; /* of the file behind `fd` */
    bool is_failing;        /* the last write or commit did */
    struct event_packer *packer;
    bool needs_name;     /* the file behind `fd` is not called current.jsonl yet */
    bool may_have_plain; /* closed files that are not compressed */
    int64_t opened_ms;   /* monotonic; of marked.opened_ms, while that is not 0 */
    int64_t retain_ms;   /* monotonic; next time to look */
    struct event_age age;
    uint64_t events; /* appended, those before the start included */
};

/* --- open ------------------------------------------------------------------------------------ */

/* Number of the newest closed file, 0 without one. */
static int last_number(int directory_fd, uint64_t *number_out)
{
    struct event_archive *list;
    size_t count;

    int error = event_archive_list(directory_fd, &list, &count);
    if (error < 0)
        return error;
    *number_out = count == 0 ? 0 : list[count - 1].number;
    free(list);
    return 0;
}

static int open_current(struct event_file *file)
{
    file->fd = openat(file->directory_fd, EVENT_CURRENT_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (file->fd < 0)
        return -errno;
    event_room_init(&file->room, file->fd);
    return 0;
}

/* Gives the open current.jsonl the name of a closed file. */
static int put_away(struct event_file *file, uint64_t number, int64_t wall_ms)
{
    struct event_archive archive = {.number = number, .closed_ms = wall_ms};
    char name[EVENT_ARCHIVE_NAME_MAX];

    event_archive_name(&archive, name);
    if (renameat(file->directory_fd, EVENT_CURRENT_NAME, file->directory_fd, name) < 0)
        return -errno;
    file->may_have_plain = true;
    return 0;
}

/* No cursor: whatever current.jsonl holds is kept as a closed file, and the journals are told from
 * their beginnings. */
static int start_without_cursor(struct event_file *file, uint64_t last)
{
    struct stat status;

    file->marked = (struct event_cursor){.number = last + 1};
    if (fstat(file->fd, &status) < 0)
        return -errno;
    if (status.st_size == 0)
        return 0;
    int error = put_away(file, last + 1, clock_wall_ms());
    if (error < 0)
        return error;
    close(file->fd);
    file->marked.number = last + 2;
    return open_current(file);
}

/* Readers may go as far. */
static void tell_committed(const struct event_file *file)
{
    if (file->settings.bounds != NULL)
        event_bounds_commit(file->settings.bounds,
                            (struct event_place){.number = file->durable.number,
                                                 .offset = file->durable.len,
                                                 .events = file->durable.events});
}

static int cut_to_cursor(struct event_file *file)
{
    struct stat status;

    if (fstat(file->fd, &status) < 0)
        return -errno;
    uint64_t size = (uint64_t)status.st_size;
    if (size < file->marked.len) {
        log_error("event_file=" EVENT_CURRENT_NAME " bytes=%llu expected=%llu what=\"shorter than "
                  "what was committed; the difference is lost from the event files\"",
                  (unsigned long long)size, (unsigned long long)file->marked.len);
        file->marked.len = size;
    } else if (size > file->marked.len) {
        log_info("event_file=" EVENT_CURRENT_NAME " bytes=%llu cut_to=%llu what=\"not committed; "
                 "comes again from the journal\"",
                 (unsigned long long)size, (unsigned long long)file->marked.len);
        if (ftruncate(file->fd, (off_t)file->marked.len) < 0)
            return -errno;
    }
    event_room_keep(&file->room, file->fd, file->marked.len);
    return fsync(file->fd) < 0 ? -errno : 0;
}

static int recover(struct event_file *file)
{
    uint64_t last;

    int error = last_number(file->directory_fd, &last);
    if (error < 0 || (error = open_current(file)) < 0)
        return error;
    error = event_cursor_read(file->directory_fd, &file->marked);
    bool has_cursor = error == 0;
    if (has_cursor)
        file->durable = file->marked;
    if (error == -EBADMSG)
        log_error(
            "event_file=cursor what=\"damaged; events that are still in the spool are written "
            "again\"");
    if (error == -ENOENT || error == -EBADMSG)
        error = start_without_cursor(file, last);
    if (error < 0)
        return error;
    if (file->marked.number <= last) { /* closed, and the cursor had no time to learn of it */
        file->marked.number = last + 1;
        file->marked.len = 0;
        file->marked.opened_ms = 0;
    }
    error = cut_to_cursor(file);
    if (error < 0)
        return error;
    file->written_len = file->marked.len;
    file->events = file->marked.events;
    struct event_cursors unused;
    error = event_file_commit(file, &unused);
    /* A full disk must not keep mail from being delivered: the next commit tries again, and until
     * then the old cursor leads to the same place. */
    return error == -ENOSPC && has_cursor ? 0 : error;
}

/* A file that was begun before the start is as old as the wall clock says, within bounds. */
static void begin_ages(struct event_file *file, struct clocks clocks)
{
    int64_t opened_ms = clocks_to_monotonic(clocks, file->marked.opened_ms);
    int64_t oldest_ms = clocks.now_ms - (int64_t)file->settings.rotate_age_s * 1000;

    file->opened_ms = MIN(MAX(opened_ms, oldest_ms), clocks.now_ms);
    file->age = event_age_begin(clocks, file->marked.number);
}

static void set_defaults(struct event_file_settings *settings)
{
    if (settings->rotate_size == 0)
        settings->rotate_size = 64 << 20;
    if (settings->rotate_age_s == 0)
        settings->rotate_age_s = 3600;
    if (settings->retention_s == 0)
        settings->retention_s = 7 * 86400;
    if (settings->retention_bytes == 0)
        settings->retention_bytes = (uint64_t)4 << 30;
}

int event_file_open(const struct event_file_settings *settings, struct event_file **file_out,
                    struct event_cursors *cursors_out)
{
    struct event_file *file = calloc(1, sizeof(*file));
    int error;

    check(file != NULL);
    file->settings = *settings;
    set_defaults(&file->settings);
    file->fd = -1;
    file->may_have_plain = true;
    buf_init(&file->unwritten, EVENT_FILE_UNWRITTEN_MAX + EVENT_JSON_MAX);
    file->directory_fd = open(settings->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->directory_fd < 0) {
        error = -errno;
        goto fail;
    }
    event_archive_clean(file->directory_fd);
    error = recover(file);
    if (error < 0)
        goto fail;
    begin_ages(file, clocks_read());
    file->settings.directory = NULL; /* the descriptor stands for it */
    tell_committed(file);
    *cursors_out = file->durable.cursors;
    *file_out = file;
    return 0;
fail:
    event_file_close(&file);
    return error;
}

void event_file_close(struct event_file **file)
{
    struct event_file *f = *file;

    event_packer_abandon(&f->packer);
    if (f->fd >= 0)
        close(f->fd);
    if (f->directory_fd >= 0)
        close(f->directory_fd);
    buf_free(&f->unwritten);
    free(f);
    *file = NULL;
}

/* --- append and commit ----------------------------------------------------------------------- */

static uint64_t total_len(const struct event_file *file)
{
    return file->written_len + buf_len(&file->unwritten);
}

int event_file_append(struct event_file *file, struct bytes line)
{
    check(line.len > 0 && line.len <= EVENT_JSON_MAX);
    if (buf_len(&file->unwritten) + line.len > EVENT_FILE_UNWRITTEN_MAX) {
        int error = event_file_flush(file);
        if (error < 0)
            return error;
    }
    if (file->marked.opened_ms == 0) {
        struct clocks clocks = clocks_read();

        file->marked.opened_ms = clocks.wall_ms;
        file->opened_ms = clocks.now_ms;
    }
    bool fits = buf_append(&file->unwritten, line);
    check(fits);
    file->events++;
    return 0;
}

void event_file_mark(struct event_file *file, unsigned shard, uint64_t position)
{
    check(shard < MESSAGE_ID_SHARDS_MAX);
    file->marked.cursors.positions[shard] = position;
    file->marked.len = total_len(file);
    file->marked.events = file->events;
}

static int write_unwritten(struct event_file *file)
{
    while (buf_len(&file->unwritten) > 0) {
        struct bytes bytes = buf_bytes(&file->unwritten);
        ssize_t written = pwrite(file->fd, bytes.ptr, bytes.len, (off_t)file->written_len);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            file->written_len += (uint64_t)written;
            buf_consume(&file->unwritten, (size_t)written);
        }
    }
    return 0;
}

int event_file_flush(struct event_file *file)
{
    int error = write_unwritten(file);

    if (error == 0)
        event_room_keep(&file->room, file->fd, file->written_len);
    file->is_failing = file->is_failing || error < 0;
    return error;
}

static bool is_committed(const struct event_file *file)
{
    return memcmp(&file->marked, &file->durable, sizeof(file->marked)) == 0;
}

/* Second half of a rotation; the cursor may not speak of the new file before it has its name. */
static int take_name(struct event_file *file)
{
    if (!file->needs_name)
        return 0;
    if (renameat(file->directory_fd, NEXT_NAME, file->directory_fd, EVENT_CURRENT_NAME) < 0)
        return -errno;
    file->needs_name = false;
    return 0;
}

static int make_durable(struct event_file *file)
{
    int error = event_file_flush(file);

    if (error < 0)
        return error;
    if (file->marked.len != file->durable.len && fdatasync(file->fd) < 0)
        return -EIO;
    if (!is_committed(file)) {
        error = take_name(file);
        if (error == 0)
            error = event_cursor_write(file->directory_fd, &file->marked);
        if (error < 0)
            return error;
        file->durable = file->marked;
        tell_committed(file);
    }
    return 0;
}

int event_file_commit(struct event_file *file, struct event_cursors *durable_out)
{
    int error = make_durable(file);

    file->is_failing = error < 0;
    if (error == 0)
        *durable_out = file->durable.cursors;
    return error;
}

bool event_file_has_room(const struct event_file *file)
{
    return !file->is_failing && event_room_is_enough(&file->room, file->written_len);
}

size_t event_file_unwritten(const struct event_file *file)
{
    return buf_len(&file->unwritten);
}

bool event_file_has_uncommitted(const struct event_file *file, uint64_t *bytes_out)
{
    uint64_t len = total_len(file);

    *bytes_out = len - MIN(len, file->durable.len);
    return *bytes_out > 0 || !is_committed(file);
}

/* --- rotation -------------------------------------------------------------------------------- */

static bool is_due(const struct event_file *file, int64_t now_ms)
{
    int64_t age_ms = now_ms - file->opened_ms;

    if (total_len(file) == 0 || total_len(file) != file->durable.len || !is_committed(file))
        return false;
    return file->durable.len >= file->settings.rotate_size ||
           age_ms >= (int64_t)file->settings.rotate_age_s * 1000;
}

/* The next file exists, with its room, before the old one gets its closed name: on a full disk
 * nothing happens. */
static int rotate(struct event_file *file, int64_t wall_ms)
{
    int next = openat(file->directory_fd, NEXT_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    struct event_room room;
    int error;

    if (next < 0)
        return -errno;
    event_room_init(&room, next);
    event_room_keep(&room, next, 0);
    error =
        event_room_is_enough(&room, 0) ? put_away(file, file->durable.number, wall_ms) : -ENOSPC;
    if (error < 0) {
        (void)unlinkat(file->directory_fd, NEXT_NAME, 0);
        close(next);
        return error;
    }
    /* From here on the old file is closed, whatever fails; a restart would see it the same way. */
    event_room_release(file->fd, file->written_len);
    close(file->fd);
    file->room = room;
    file->fd = next;
    file->written_len = 0;
    file->marked.number++;
    file->marked.len = 0;
    file->marked.opened_ms = 0;
    file->needs_name = true;
    struct event_cursors unused;
    return event_file_commit(file, &unused);
}

static void pack(struct event_file *file)
{
    struct event_archive *list;
    size_t count;
    int error = 0;

    if (file->packer != NULL) {
        error = event_packer_step(&file->packer);
    } else if (event_archive_list(file->directory_fd, &list, &count) == 0) {
        size_t plain = 0;

        while (plain < count && list[plain].is_compressed)
            plain++;
        file->may_have_plain = plain < count;
        if (plain < count)
            error = event_packer_start(file->directory_fd, &list[plain], &file->packer);
        free(list);
    }
    if (error < 0)
        log_limited(LOG_LEVEL_WARN, "event_file=closed error=\"%s\" what=\"not compressed\"",
                    strerror(-error));
    if (error < 0)
        file->may_have_plain = false; /* tried again after the next rotation */
}

static int retain(struct event_file *file, struct clocks clocks)
{
    const struct event_retention retention = {
        .age_max_ms = (int64_t)file->settings.retention_s * 1000,
        .bytes_max = file->settings.retention_bytes,
        .keep_from =
            file->settings.bounds == NULL ? UINT64_MAX : event_bounds_kept(file->settings.bounds),
    };

    return event_archive_retain(file->directory_fd, &file->age, clocks, &retention);
}

bool event_file_rotate_if_due(struct event_file *file, struct clocks clocks)
{
    int error = 0;

    event_age_look(&file->age, clocks, file->durable.number);
    if (is_due(file, clocks.now_ms)) {
        error = rotate(file, clocks.wall_ms);
        file->retain_ms = clocks.now_ms;
    }
    if (file->may_have_plain || file->packer != NULL)
        pack(file);
    if (clocks.now_ms >= file->retain_ms && file->packer == NULL) {
        int failed = retain(file, clocks);

        error = error < 0 ? error : failed;
        file->retain_ms = clocks.now_ms + RETAIN_EVERY_MS;
    }
    if (error < 0)
        log_limited(LOG_LEVEL_WARN,
                    "event_file=" EVENT_CURRENT_NAME
                    " error=\"%s\" what=\"rotation or retention failed\"",
                    strerror(-error));
    return file->may_have_plain || file->packer != NULL;
}
