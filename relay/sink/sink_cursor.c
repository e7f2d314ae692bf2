/* sink_cursor.c - reads and replaces a sink's cursor file. */
#include "sink/sink_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

enum {
    TEXT_MAX = 1024,
    VERSION = 1,
    APART_MAX = 4, /* cursors that are synced one by one */
};

bool sink_name_is_valid(struct bytes name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    bool is_good = name.len > 0 && name.len <= SINK_NAME_MAX && name.ptr[0] != '.';

    for (size_t i = 0; is_good && i < name.len; i++)
        is_good = name.ptr[i] != '\0' && strchr(allowed, name.ptr[i]) != NULL;
    return is_good;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool take_number(struct bytes *line, uint64_t *value_out)
{
    return bytes_take_nocase(line, BYTES(" ")) && bytes_take_u64(line, value_out);
}

static bool take_place(struct bytes *line, struct event_place *out)
{
    return take_number(line, &out->number) && take_number(line, &out->offset) &&
           take_number(line, &out->events) && out->number > 0 && out->offset <= INT64_MAX;
}

const char *sink_gap_reason(struct bytes name)
{
    static const char *const reasons[] = {"events.sink_budget", "webhooks.retry_for", "file-gone",
                                          "file-damaged"};

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (bytes_equal(name, bytes_of(reasons[i])))
            return reasons[i];
    return NULL;
}

static bool take_gap(struct bytes *line, struct event_gap *out)
{
    uint64_t time_ms;

    if (!take_number(line, &out->from_events) || !take_number(line, &out->events) ||
        !take_number(line, &out->wanted) || !take_number(line, &time_ms) || time_ms > INT64_MAX ||
        out->events == 0 || !bytes_take_nocase(line, BYTES(" ")))
        return false;
    out->time_ms = (int64_t)time_ms;
    out->reason = sink_gap_reason(*line);
    return out->reason != NULL;
}

static bool take_failing(struct bytes *line, struct sink_failing *out)
{
    uint64_t since_ms, for_ms;

    if (!take_number(line, &since_ms) || !take_number(line, &for_ms) || since_ms == 0 ||
        since_ms > INT64_MAX || for_ms > INT64_MAX / 2)
        return false;
    out->since_ms = (int64_t)since_ms;
    out->for_ms = (int64_t)for_ms;
    return true;
}

static bool parse_line(struct bytes line, struct sink_cursor *cursor)
{
    uint64_t time_ms;

    if (bytes_take_nocase(&line, BYTES("at"))) {
        if (!take_place(&line, &cursor->at) || !take_number(&line, &time_ms) || line.len > 0)
            return false;
        cursor->time_ms = (int64_t)time_ms;
        return cursor->time_ms >= 0;
    }
    if (bytes_take_nocase(&line, BYTES("go")))
        return take_place(&line, &cursor->go) && line.len == 0;
    if (bytes_take_nocase(&line, BYTES("owed")))
        return take_gap(&line, &cursor->owed);
    if (bytes_take_nocase(&line, BYTES("for")))
        return take_number(&line, &cursor->owner) && line.len == 0;
    if (bytes_take_nocase(&line, BYTES("failing")))
        return take_failing(&line, &cursor->failing) && line.len == 0;
    if (bytes_equal(line, BYTES("paused")))
        cursor->is_paused = true;
    return true;
}

static int parse(struct bytes text, struct sink_cursor *out)
{
    struct sink_cursor cursor = {0};
    struct bytes rest = text, line;
    uint64_t value;

    if (!bytes_take_until(&rest, '\n', &line) ||
        !bytes_take_nocase(&line, BYTES("ringpost-sink")) || !take_number(&line, &value))
        return -EBADMSG;
    if (value > VERSION)
        return -ENOTSUP;
    for (size_t checked = text.len - rest.len; bytes_take_until(&rest, '\n', &line);
         checked = text.len - rest.len) {
        struct bytes check_line = line;

        if (bytes_take_nocase(&check_line, BYTES("check"))) {
            if (cursor.at.number == 0 || rest.len > 0 || !take_number(&check_line, &value) ||
                check_line.len > 0 || value != bytes_hash(bytes_slice(text, 0, checked)))
                return -EBADMSG;
            *out = cursor;
            return 0;
        }
        if (!parse_line(line, &cursor))
            return -EBADMSG;
    }
    return -EBADMSG;
}

int sink_cursor_read(int directory_fd, const char *name, struct sink_cursor *out)
{
    uint8_t text[TEXT_MAX];
    int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -errno;
    ssize_t len = read(fd, text, sizeof(text));
    int error = len < 0 ? -errno : 0;
    close(fd);
    return error < 0 ? error : parse((struct bytes){text, (size_t)len}, out);
}

void sink_cursor_pause(struct sink_cursor *cursor, bool is_paused)
{
    cursor->is_paused = is_paused;
    cursor->failing = (struct sink_failing){0};
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool print_place(struct buf *out, const char *word, struct event_place place)
{
    return buf_printf(out, "%s %llu %llu %llu", word, (unsigned long long)place.number,
                      (unsigned long long)place.offset, (unsigned long long)place.events);
}

static bool print(const struct sink_cursor *cursor, struct buf *out)
{
    bool fits = buf_printf(out, "ringpost-sink %d\n", VERSION) &&
                print_place(out, "at", cursor->at) &&
                buf_printf(out, " %lld\n", (long long)cursor->time_ms);

    if (cursor->go.number != 0)
        fits = fits && print_place(out, "go", cursor->go) && buf_append_byte(out, '\n');
    if (cursor->owed.events != 0)
        fits = fits && buf_printf(out, "owed %llu %llu %llu %lld %s\n",
                                  (unsigned long long)cursor->owed.from_events,
                                  (unsigned long long)cursor->owed.events,
                                  (unsigned long long)cursor->owed.wanted,
                                  (long long)cursor->owed.time_ms, cursor->owed.reason);
    if (cursor->owner != 0)
        fits = fits && buf_printf(out, "for %llu\n", (unsigned long long)cursor->owner);
    if (cursor->failing.since_ms != 0)
        fits = fits && buf_printf(out, "failing %lld %lld\n", (long long)cursor->failing.since_ms,
                                  (long long)cursor->failing.for_ms);
    if (cursor->is_paused)
        fits = fits && buf_append(out, BYTES("paused\n"));
    return fits && buf_printf(out, "check %llu\n", (unsigned long long)bytes_hash(buf_bytes(out)));
}

static int write_text(int directory_fd, const char *name, struct bytes text, bool is_synced)
{
    int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    if (fd < 0)
        return -errno;
    errno = ENOSPC; /* what a short write means */
    bool is_written =
        write(fd, text.ptr, text.len) == (ssize_t)text.len && (!is_synced || fdatasync(fd) == 0);
    int error = is_written ? 0 : -errno;
    close(fd);
    return error;
}

struct tmp_name {
    char text[SINK_NAME_MAX + 8];
};

static struct tmp_name tmp_of(const char *name)
{
    struct tmp_name tmp;

    int len = snprintf(tmp.text, sizeof(tmp.text), ".%s.tmp", name);
    check(len > 0 && len < (int)sizeof(tmp.text));
    return tmp;
}

static int write_aside(int directory_fd, const char *name, const struct sink_cursor *cursor,
                       bool is_synced)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    bool fits = print(cursor, &text);
    check(fits);
    int error = write_text(directory_fd, tmp_of(name).text, buf_bytes(&text), is_synced);
    buf_free(&text);
    return error;
}

static int put_in_place(int directory_fd, const char *name)
{
    return renameat(directory_fd, tmp_of(name).text, directory_fd, name) < 0 ? -errno : 0;
}

int sink_cursor_write(int directory_fd, const char *name, const struct sink_cursor *cursor)
{
    int error = write_aside(directory_fd, name, cursor, true);

    return error == 0 ? put_in_place(directory_fd, name) : error;
}

void sink_cursors_write(int directory_fd, struct sink_cursor_write *writes, size_t count)
{
    const bool is_apart = count <= APART_MAX;

    for (size_t i = 0; i < count; i++)
        writes[i].error = write_aside(directory_fd, writes[i].name, writes[i].cursor, is_apart);
    int error = is_apart || syncfs(directory_fd) == 0 ? 0 : -errno;
    for (size_t i = 0; i < count; i++) {
        if (writes[i].error == 0)
            writes[i].error = error;
        if (writes[i].error == 0)
            writes[i].error = put_in_place(directory_fd, writes[i].name);
    }
}
