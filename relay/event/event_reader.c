/*
 * event_reader.c - places in the event files, whatever form the files have.
 *
 * The number of a file decides where it is: below that of what is committed it is closed, and in
 * the list of closed files; else it is current.jsonl, as long as no closed file has its number
 * after it was opened.
 */
#include "event/event_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "event/event.h"
#include "event/event_archive.h"

enum {
    READ_CHUNK = 256 * 1024,
    OPEN_TRIES = 16, /* a file was renamed, compressed or removed between list and open */
};

struct event_reader {
    int directory_fd;
    int fd; /* -1: the file of `place` is to be opened */
    bool is_compressed;
    struct event_place place; /* of the first line that was not handed out */
    uint64_t text_end;        /* offset in the file's text behind what is in `text` */
    size_t line_len;          /* handed out last; consumed at the next call */
    struct buf text;
    ZSTD_DCtx *zstd;
    bool is_in_frame; /* of zstd: it is not whole yet */
    bool is_flushing; /* it has text left that found no room */
    ZSTD_inBuffer packed;
    uint8_t packed_bytes[READ_CHUNK];
};

int event_reader_open(const char *directory, struct event_place from,
                      struct event_reader **reader_out)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    struct event_reader *reader = calloc(1, sizeof(*reader));
    check(reader != NULL);
    reader->directory_fd = fd;
    reader->fd = -1;
    reader->place = from;
    reader->packed.src = reader->packed_bytes;
    buf_init(&reader->text, EVENT_JSON_MAX + 2 * READ_CHUNK);
    *reader_out = reader;
    return 0;
}

static void close_file(struct event_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
    reader->line_len = 0;
    buf_clear(&reader->text);
}

void event_reader_close(struct event_reader **reader)
{
    close_file(*reader);
    close((*reader)->directory_fd);
    buf_free(&(*reader)->text);
    ZSTD_freeDCtx((*reader)->zstd);
    free(*reader);
    *reader = NULL;
}

struct event_place event_reader_place(const struct event_reader *reader)
{
    return reader->place;
}

/* Back to the line that was handed out last, which is still there. */
static bool take_back(struct event_reader *reader, struct event_place place)
{
    bool is_last = reader->line_len > 0 && place.number == reader->place.number &&
                   place.offset + reader->line_len == reader->place.offset &&
                   place.events + 1 == reader->place.events;

    if (is_last)
        reader->line_len = 0;
    return is_last;
}

/* On in a compressed file, where that is shorter a way than from its beginning. */
static bool step_on(struct event_reader *reader, struct event_place place)
{
    if (reader->fd < 0 || !reader->is_compressed || place.number != reader->place.number ||
        place.offset <= reader->place.offset)
        return false;
    buf_consume(&reader->text, reader->line_len);
    reader->line_len = 0;
    uint64_t step = place.offset - reader->place.offset;
    buf_consume(&reader->text, (size_t)MIN(step, (uint64_t)buf_len(&reader->text)));
    return true;
}

void event_reader_seek(struct event_reader *reader, struct event_place place)
{
    if (!take_back(reader, place) && !step_on(reader, place))
        close_file(reader);
    reader->place = place;
}

/* --- files ------------------------------------------------------------------------------------ */

/* The closed file of this number: 1, 0 where there is none, or -errno. */
static int find_closed(const struct event_reader *reader, uint64_t number,
                       struct event_archive *out)
{
    struct event_archive *list;
    size_t count, i = 0;

    int error = event_archive_list(reader->directory_fd, &list, &count);
    if (error < 0)
        return error;
    while (i < count && list[i].number != number)
        i++;
    bool is_found = i < count;
    if (is_found)
        *out = list[i];
    free(list);
    return is_found;
}

static int open_closed(struct event_reader *reader)
{
    struct event_archive archive;
    char name[EVENT_ARCHIVE_NAME_MAX];

    int found = find_closed(reader, reader->place.number, &archive);
    if (found <= 0)
        return found == 0 ? -ENOENT : found;
    event_archive_name(&archive, name);
    reader->fd = openat(reader->directory_fd, name, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno; /* compressed or removed meanwhile */
    reader->is_compressed = archive.is_compressed;
    return 0;
}

static int open_current(struct event_reader *reader)
{
    struct event_archive archive;

    reader->fd = openat(reader->directory_fd, EVENT_CURRENT_NAME, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno; /* between the two halves of a rotation */
    /* What has no closed name by now had none when it was opened. */
    int found = find_closed(reader, reader->place.number, &archive);
    if (found != 0) {
        close_file(reader);
        return found < 0 ? found : open_closed(reader);
    }
    reader->is_compressed = false;
    return 0;
}

/* Goes to the place's offset: there at once, or by decompressing what is before it. */
static int go_to_offset(struct event_reader *reader)
{
    reader->text_end = reader->place.offset;
    if (!reader->is_compressed)
        return lseek(reader->fd, (off_t)reader->place.offset, SEEK_SET) < 0 ? -errno : 0;
    reader->text_end = 0;
    reader->packed.size = reader->packed.pos = 0;
    reader->is_in_frame = reader->is_flushing = false;
    if (reader->zstd == NULL)
        reader->zstd = ZSTD_createDCtx();
    check(reader->zstd != NULL);
    (void)ZSTD_DCtx_reset(reader->zstd, ZSTD_reset_session_only);
    return 0;
}

static int open_file(struct event_reader *reader, struct event_place until)
{
    int error = -EAGAIN;

    for (size_t i = 0; i < OPEN_TRIES && error == -EAGAIN; i++)
        error = reader->place.number < until.number ? open_closed(reader) : open_current(reader);
    if (error == 0)
        error = go_to_offset(reader);
    if (error < 0)
        close_file(reader);
    return error;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static ssize_t read_some(int fd, void *into, size_t len)
{
    ssize_t got;

    do {
        got = read(fd, into, len);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* The next compressed bytes: 1; 0 at the end, which must be that of a frame; or -errno. */
static int read_packed_bytes(struct event_reader *reader)
{
    ssize_t got = read_some(reader->fd, reader->packed_bytes, READ_CHUNK);

    if (got == 0)
        return reader->is_in_frame ? -EBADMSG : 0;
    if (got < 0)
        return (int)got;
    reader->packed.size = (size_t)got;
    reader->packed.pos = 0;
    reader->is_in_frame = true;
    return 1;
}

static ssize_t read_packed(struct event_reader *reader, uint8_t *into, size_t len)
{
    for (;;) {
        ZSTD_outBuffer out = {into, len, 0};

        if (reader->packed.pos == reader->packed.size && !reader->is_flushing) {
            int got = read_packed_bytes(reader);
            if (got <= 0)
                return got;
        }
        size_t left = ZSTD_decompressStream(reader->zstd, &out, &reader->packed);
        if (ZSTD_isError(left))
            return -EBADMSG;
        reader->is_in_frame = left > 0;
        reader->is_flushing = left > 0 && out.pos == out.size;
        if (out.pos > 0)
            return (ssize_t)out.pos;
    }
}

/* More text, none of it behind `until`: how many bytes, 0 at the end of the file, or -errno. */
static ssize_t fill(struct event_reader *reader, struct event_place until)
{
    size_t len = READ_CHUNK;

    if (reader->place.number == until.number)
        len = (size_t)MIN(until.offset - MIN(until.offset, reader->text_end), (uint64_t)READ_CHUNK);
    if (len == 0)
        return 0;
    uint8_t *into = buf_reserve(&reader->text, READ_CHUNK);
    if (into == NULL) { /* a line longer than any of ours */
        buf_clear(&reader->text);
        reader->place.offset = reader->text_end;
        into = buf_reserve(&reader->text, READ_CHUNK);
        check(into != NULL);
    }
    ssize_t got =
        reader->is_compressed ? read_packed(reader, into, len) : read_some(reader->fd, into, len);
    if (got <= 0)
        return got;
    uint64_t before = reader->text_end;
    reader->text_end += (uint64_t)got;
    buf_extend(&reader->text, (size_t)got);
    if (before < reader->place.offset) /* what a seek in a compressed file steps over */
        buf_consume(&reader->text, (size_t)MIN(reader->place.offset - before, (uint64_t)got));
    return got;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* The next whole line of what was read. */
static bool take_line(struct event_reader *reader, struct bytes *line_out)
{
    buf_consume(&reader->text, reader->line_len);
    reader->line_len = 0;
    struct bytes text = buf_bytes(&reader->text);
    size_t len = bytes_find(text, '\n', 0);
    if (len == text.len)
        return false;
    reader->line_len = len + 1;
    reader->place.offset += len + 1;
    reader->place.events++;
    *line_out = bytes_slice(text, 0, len);
    return true;
}

/* 1: there is more; 0: nothing for now; or -errno. */
static int more(struct event_reader *reader, struct event_place until)
{
    if (reader->fd < 0) {
        int error = open_file(reader, until);
        if (error < 0)
            return error == -EAGAIN ? 0 : error;
    }
    ssize_t got = fill(reader, until);
    if (got != 0)
        return got > 0 ? 1 : (int)got;
    if (reader->place.number >= until.number)
        return 0;
    close_file(reader);
    reader->place.number++;
    reader->place.offset = 0;
    return 1;
}

int event_reader_next(struct event_reader *reader, struct event_place until, struct bytes *line_out)
{
    while (!take_line(reader, line_out)) {
        if (event_place_compare(reader->place, until) >= 0)
            return 0;
        int result = more(reader, until);
        if (result < 0)
            close_file(reader);
        if (result <= 0)
            return result;
    }
    return 1;
}

bool event_reader_is_short(const struct event_reader *reader, struct event_place until)
{
    return reader->fd >= 0 && event_place_compare(reader->place, until) < 0;
}

int event_reader_count(struct event_reader *reader, struct event_place until,
                       const _Atomic bool *stop, uint64_t *count_out)
{
    uint64_t count = 0;
    struct bytes line;
    int got;

    while ((got = event_reader_next(reader, until, &line)) == 1)
        if (++count % 1024 == 0 && atomic_load(stop))
            return -ECANCELED;
    *count_out = count;
    return got;
}

/* --- the list --------------------------------------------------------------------------------- */

static int first_number(struct event_reader *reader, uint64_t number, int64_t since_ms,
                        struct event_place until, uint64_t *number_out)
{
    struct event_archive *list;
    size_t count, i = 0;

    int error = event_archive_list(reader->directory_fd, &list, &count);
    if (error < 0)
        return error;
    /* A second more: names know no fractions. */
    while (i < count && (list[i].number < number || list[i].closed_ms + 1000 < since_ms))
        i++;
    *number_out = i < count ? MIN(list[i].number, until.number) : until.number;
    free(list);
    return 0;
}

int event_reader_oldest(struct event_reader *reader, uint64_t number, struct event_place until,
                        uint64_t *number_out)
{
    return first_number(reader, number, INT64_MIN, until, number_out);
}

int event_reader_since(struct event_reader *reader, int64_t since_ms, struct event_place until,
                       uint64_t *number_out)
{
    return first_number(reader, 0, since_ms, until, number_out);
}

int event_reader_held(struct event_reader *reader, uint64_t number, struct event_held *held_out)
{
    struct event_archive *list;
    struct event_held held = {0};
    size_t count;

    if (number == UINT64_MAX) {
        *held_out = held;
        return 0;
    }
    int error = event_archive_list(reader->directory_fd, &list, &count);
    if (error < 0)
        return error;
    for (size_t i = 0; i < count; i++) {
        char name[EVENT_ARCHIVE_NAME_MAX];
        struct stat status;

        event_archive_name(&list[i], name);
        if (list[i].number < number || fstatat(reader->directory_fd, name, &status, 0) < 0)
            continue;
        held.bytes += (uint64_t)status.st_size;
        held.packed += list[i].is_compressed ? (uint64_t)status.st_size : 0;
    }
    free(list);
    *held_out = held;
    return 0;
}
