/*
 * event_tail.c - follows the event files.
 *
 * Files are read in the order of their numbers; current.jsonl has the number after the newest
 * closed one. When it is rotated our descriptor still reads the old file to its end, then its
 * number says which closed files follow.
 */
#include "event/event_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "event/event.h"
#include "event/event_archive.h"
#include "event/event_cursor.h"

enum {
    READ_CHUNK = 128 * 1024,
    LINE_MAX_LEN = EVENT_JSON_MAX,
    OPEN_TRIES = 16, /* a file was renamed, compressed or removed between list and open */
};

struct event_tail {
    struct event_filter filter;
    int directory_fd;
    int fd; /* -1: the file with `number` is to be opened */
    uint64_t number;
    bool is_current;
    bool is_compressed;
    bool from_end;
    size_t line_len; /* handed out last; consumed at the next call */
    struct buf text; /* what was read and not handed out */
    ZSTD_DCtx *zstd;
    ZSTD_inBuffer packed;
    uint8_t packed_bytes[READ_CHUNK];
};

/* --- files ----------------------------------------------------------------------------------- */

int event_tail_open(const char *directory, const struct event_filter *filter, bool from_end,
                    struct event_tail **tail_out)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    struct event_tail *tail = calloc(1, sizeof(*tail));
    check(tail != NULL);
    tail->filter = *filter;
    tail->directory_fd = fd;
    tail->fd = -1;
    tail->from_end = from_end;
    tail->packed.src = tail->packed_bytes;
    buf_init(&tail->text, 2 * LINE_MAX_LEN + READ_CHUNK);
    *tail_out = tail;
    return 0;
}

static void close_file(struct event_tail *tail)
{
    if (tail->fd >= 0)
        close(tail->fd);
    tail->fd = -1;
    tail->line_len = 0;
    buf_clear(&tail->text);
}

void event_tail_close(struct event_tail **tail)
{
    close_file(*tail);
    close((*tail)->directory_fd);
    buf_free(&(*tail)->text);
    ZSTD_freeDCtx((*tail)->zstd);
    free(*tail);
    *tail = NULL;
}

/* The oldest closed file from tail->number on that can hold something wanted. */
static bool choose(const struct event_tail *tail, const struct event_archive *list, size_t count,
                   struct event_archive *out)
{
    for (size_t i = 0; i < count && !tail->from_end; i++) {
        if (list[i].number < tail->number)
            continue;
        /* A second more: the name knows no fractions. */
        if (list[i].closed_ms + 1000 < tail->filter.since_ms)
            continue;
        *out = list[i];
        return true;
    }
    return false;
}

static int open_archive(struct event_tail *tail, const struct event_archive *archive)
{
    char name[EVENT_ARCHIVE_NAME_MAX];

    event_archive_name(archive, name);
    tail->fd = openat(tail->directory_fd, name, O_RDONLY | O_CLOEXEC);
    if (tail->fd < 0)
        return -errno;
    tail->number = archive->number;
    tail->is_current = false;
    tail->is_compressed = archive->is_compressed;
    if (archive->is_compressed) {
        tail->packed.size = tail->packed.pos = 0;
        if (tail->zstd == NULL)
            tail->zstd = ZSTD_createDCtx();
        check(tail->zstd != NULL);
        (void)ZSTD_DCtx_reset(tail->zstd, ZSTD_reset_session_only);
    }
    return 1;
}

/* The number that current.jsonl will have. The cursor knows it even when retention left no closed
 * file; between the two halves of a rotation the closed files know better. */
static uint64_t current_number(const struct event_tail *tail, const struct event_archive *list,
                               size_t count)
{
    uint64_t next = count == 0 ? 1 : list[count - 1].number + 1;
    struct event_cursor cursor;

    return event_cursor_read(tail->directory_fd, &cursor) == 0 ? MAX(next, cursor.number) : next;
}

static int open_current(struct event_tail *tail, uint64_t number)
{
    struct event_archive *list = NULL;
    size_t count = 0;

    tail->fd = openat(tail->directory_fd, EVENT_CURRENT_NAME, O_RDONLY | O_CLOEXEC);
    if (tail->fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = event_archive_list(tail->directory_fd, &list, &count);
    /* Rotated meanwhile: the descriptor may be of either file. */
    if (error == 0 && current_number(tail, list, count) != number)
        error = -EAGAIN;
    free(list);
    if (error == 0 && tail->from_end && lseek(tail->fd, 0, SEEK_END) < 0)
        error = -errno;
    if (error < 0) {
        close_file(tail);
        return error;
    }
    tail->number = number;
    tail->is_current = true;
    tail->is_compressed = false;
    tail->from_end = false;
    return 1;
}

static int open_once(struct event_tail *tail)
{
    struct event_archive *list;
    struct event_archive archive;
    size_t count;

    int error = event_archive_list(tail->directory_fd, &list, &count);
    if (error < 0)
        return error;
    uint64_t current = current_number(tail, list, count);
    bool is_chosen = choose(tail, list, count, &archive);
    free(list);
    if (!is_chosen)
        return open_current(tail, current);
    error = open_archive(tail, &archive);
    return error == -ENOENT ? -EAGAIN : error;
}

/* Opens the next file: 1, 0 when there is none (yet), -errno. */
static int open_next(struct event_tail *tail)
{
    for (size_t i = 0; i < OPEN_TRIES; i++) {
        int result = open_once(tail);

        if (result != -EAGAIN)
            return result;
    }
    return 0;
}

/* --- bytes ----------------------------------------------------------------------------------- */

/* Bytes read from the descriptor; 0 at the end. */
static ssize_t read_some(int fd, void *into, size_t len)
{
    ssize_t got;

    do {
        got = read(fd, into, len);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t fill_plain(struct event_tail *tail)
{
    uint8_t *into = buf_reserve(&tail->text, READ_CHUNK);

    check(into != NULL);
    ssize_t got = read_some(tail->fd, into, READ_CHUNK);
    if (got > 0)
        buf_extend(&tail->text, (size_t)got);
    return got;
}

static ssize_t fill_packed(struct event_tail *tail)
{
    uint8_t *into = buf_reserve(&tail->text, READ_CHUNK);

    check(into != NULL);
    for (;;) {
        ZSTD_outBuffer out = {into, READ_CHUNK, 0};

        size_t left = ZSTD_decompressStream(tail->zstd, &out, &tail->packed);
        if (ZSTD_isError(left))
            return -EBADMSG;
        if (out.pos > 0) {
            buf_extend(&tail->text, out.pos);
            return (ssize_t)out.pos;
        }
        if (tail->packed.pos < tail->packed.size)
            continue;
        ssize_t got = read_some(tail->fd, tail->packed_bytes, READ_CHUNK);
        if (got <= 0)
            return got;
        tail->packed.size = (size_t)got;
        tail->packed.pos = 0;
    }
}

static ssize_t fill(struct event_tail *tail)
{
    return tail->is_compressed ? fill_packed(tail) : fill_plain(tail);
}

/* current.jsonl has another file behind its name than ours. */
static bool is_rotated(const struct event_tail *tail)
{
    struct stat ours;
    struct stat named;

    return fstat(tail->fd, &ours) == 0 &&
           fstatat(tail->directory_fd, EVENT_CURRENT_NAME, &named, 0) == 0 &&
           (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev);
}

/* A restart after a crash cut the file: what was cut comes again behind the cut. */
static void follow_cut(struct event_tail *tail)
{
    struct stat status;
    off_t at = lseek(tail->fd, 0, SEEK_CUR);

    if (at < 0 || fstat(tail->fd, &status) < 0 || status.st_size >= at)
        return;
    if (lseek(tail->fd, 0, SEEK_END) >= 0)
        buf_clear(&tail->text);
}

/* More text: 1, nothing for now: 0, or -errno. */
static int more(struct event_tail *tail)
{
    if (tail->fd < 0) {
        int opened = open_next(tail);
        if (opened <= 0)
            return opened;
    }
    ssize_t got = fill(tail);
    if (got == 0 && tail->is_current) {
        if (!is_rotated(tail)) {
            follow_cut(tail);
            return 0;
        }
        got = fill(tail); /* what came between the end and the rotation */
    }
    if (got > 0)
        return 1;
    /* The end of a closed file, or one that cannot be read on: the next one. */
    close_file(tail);
    tail->number++;
    return got < 0 ? (int)got : 1;
}

/* --- lines ----------------------------------------------------------------------------------- */

/* Takes the next whole line; the last call's is gone. */
static bool next_line(struct event_tail *tail, struct bytes *line_out)
{
    buf_consume(&tail->text, tail->line_len);
    tail->line_len = 0;
    struct bytes text = buf_bytes(&tail->text);
    size_t len = bytes_find(text, '\n', 0);
    if (len == text.len) {
        if (text.len > LINE_MAX_LEN) /* no line of ours: drop it piece by piece */
            buf_clear(&tail->text);
        return false;
    }
    tail->line_len = len + 1;
    *line_out = bytes_slice(text, 0, len);
    return true;
}

int event_tail_next(struct event_tail *tail, struct bytes *line_out)
{
    for (;;) {
        struct bytes line;

        while (next_line(tail, &line)) {
            if (!event_filter_matches(&tail->filter, line))
                continue;
            *line_out = line;
            return 1;
        }
        int result = more(tail);
        if (result <= 0)
            return result;
    }
}
