/*
 * event_cursor.c - reads and replaces the cursor file.
 *
 * Two files take turns and change names, so that a cursor can be written on a disk without a single
 * free block: without it nothing that the event file took would count.
 *
 *   ringpost-events 1
 *   file 17 48213 1795489800123
 *   events 1204417
 *   shard 0 7 74560            segment and offset
 *   shard 1 12 4096
 *   check 5f0c...
 */
#include "event/event_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_MAX = 16384, VERSION = 1 };

static const char NAME[] = "cursor";
static const char SPARE_NAME[] = "cursor.spare";

/* Takes " <number>". */
static bool take_number(struct bytes *line, uint64_t *value_out)
{
    return bytes_take_nocase(line, BYTES(" ")) && bytes_take_u64(line, value_out);
}

static bool parse_shard(struct bytes line, struct event_cursors *cursors)
{
    uint64_t shard;
    uint64_t segment;
    uint64_t offset;

    if (!take_number(&line, &shard) || !take_number(&line, &segment) ||
        !take_number(&line, &offset) || line.len > 0)
        return false;
    if (shard >= MESSAGE_ID_SHARDS_MAX || segment > UINT32_MAX || offset > UINT32_MAX)
        return false;
    cursors->positions[shard] = segment << 32 | offset;
    return true;
}

static bool parse_file(struct bytes line, struct event_cursor *cursor)
{
    uint64_t opened_ms;

    if (!take_number(&line, &cursor->number) || !take_number(&line, &cursor->len) ||
        !take_number(&line, &opened_ms) || line.len > 0)
        return false;
    cursor->opened_ms = (int64_t)opened_ms;
    return cursor->number > 0 && cursor->len <= INT64_MAX && cursor->opened_ms >= 0;
}

static bool parse_events(struct bytes line, struct event_cursor *cursor)
{
    return take_number(&line, &cursor->events) && line.len == 0;
}

static int parse(struct bytes text, struct event_cursor *out)
{
    struct event_cursor cursor = {0};
    struct bytes rest = text;
    struct bytes line;
    uint64_t value;
    bool has_file = false;

    if (!bytes_take_until(&rest, '\n', &line) ||
        !bytes_take_nocase(&line, BYTES("ringpost-events")) || !take_number(&line, &value))
        return -EBADMSG;
    if (value > VERSION)
        return -ENOTSUP;
    for (size_t checked = text.len - rest.len; bytes_take_until(&rest, '\n', &line);
         checked = text.len - rest.len) {
        if (bytes_take_nocase(&line, BYTES("file")))
            has_file = parse_file(line, &cursor);
        else if (bytes_take_nocase(&line, BYTES("shard")) && !parse_shard(line, &cursor.cursors))
            return -EBADMSG;
        else if (bytes_take_nocase(&line, BYTES("events")) && !parse_events(line, &cursor))
            return -EBADMSG;
        if (!bytes_take_nocase(&line, BYTES("check")))
            continue;
        if (!has_file || rest.len > 0 || !take_number(&line, &value) || line.len > 0 ||
            value != bytes_hash(bytes_slice(text, 0, checked)))
            return -EBADMSG;
        *out = cursor;
        return 0;
    }
    return -EBADMSG;
}

int event_cursor_read(int directory_fd, struct event_cursor *out)
{
    uint8_t text[TEXT_MAX];
    int fd = openat(directory_fd, NAME, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t len = read(fd, text, sizeof(text));
    int error = len < 0 ? -errno : 0;
    close(fd);
    return error < 0 ? error : parse((struct bytes){text, (size_t)len}, out);
}

static bool print(const struct event_cursor *cursor, struct buf *out)
{
    bool fits = buf_printf(out, "ringpost-events %d\nfile %llu %llu %lld\nevents %llu\n", VERSION,
                           (unsigned long long)cursor->number, (unsigned long long)cursor->len,
                           (long long)cursor->opened_ms, (unsigned long long)cursor->events);

    for (unsigned shard = 0; fits && shard < MESSAGE_ID_SHARDS_MAX; shard++) {
        uint64_t position = cursor->cursors.positions[shard];

        if (position != 0)
            fits =
                buf_printf(out, "shard %u %llu %llu\n", shard, (unsigned long long)(position >> 32),
                           (unsigned long long)(uint32_t)position);
    }
    return fits && buf_printf(out, "check %llu\n", (unsigned long long)bytes_hash(buf_bytes(out)));
}

static int write_spare(int directory_fd, struct bytes text)
{
    int fd = openat(directory_fd, SPARE_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0)
        return -errno;
    /* Once it has its blocks this takes none; what fails here fails again below, if it matters. */
    (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, TEXT_MAX);
    errno = ENOSPC; /* what a short write means */
    bool is_written = pwrite(fd, text.ptr, text.len, 0) == (ssize_t)text.len &&
                      ftruncate(fd, (off_t)text.len) == 0 && fsync(fd) == 0;
    int error = is_written ? 0 : -errno;
    close(fd);
    return error;
}

/* The spare becomes the cursor, and the cursor the spare where the file system knows how. */
static int swap_names(int directory_fd, bool *has_spare_out)
{
    *has_spare_out = renameat2(directory_fd, SPARE_NAME, directory_fd, NAME, RENAME_EXCHANGE) == 0;
    if (*has_spare_out)
        return 0;
    return renameat(directory_fd, SPARE_NAME, directory_fd, NAME) < 0 ? -errno : 0;
}

int event_cursor_write(int directory_fd, const struct event_cursor *cursor)
{
    struct buf text;
    bool has_spare = true;

    buf_init(&text, TEXT_MAX);
    bool fits = print(cursor, &text);
    check(fits);
    int error = write_spare(directory_fd, buf_bytes(&text));
    if (error == 0)
        error = swap_names(directory_fd, &has_spare);
    if (error == 0 && fsync(directory_fd) < 0)
        error = -errno;
    /* The first time: while there is room. Should there be none already, the next write says so. */
    if (error == 0 && !has_spare)
        (void)!write_spare(directory_fd, buf_bytes(&text));
    buf_free(&text);
    return error;
}
