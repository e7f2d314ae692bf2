/* maildir_size.c - reads, adds to and writes maildirsize. */
#include "inbound/store/maildir_size.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "inbound/store/mail_file.h"

static const char file_name[] = "maildirsize";

static bool take_number(struct bytes *line, int64_t *value_out)
{
    uint64_t value;
    bool is_negative = line->len > 0 && line->ptr[0] == '-';

    if (is_negative)
        *line = bytes_slice(*line, 1, line->len);
    if (!bytes_take_u64(line, &value) || value > INT64_MAX)
        return false;
    *value_out = is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* "SIZE COUNT" with any blanks around. */
static bool take_line(struct bytes line, int64_t *bytes, int64_t *messages)
{
    int64_t size, count;

    line = bytes_trim(line);
    if (!take_number(&line, &size) || line.len == 0 || line.ptr[0] != ' ')
        return false;
    line = bytes_trim(line);
    return take_number(&line, &count) && line.len == 0 &&
           !__builtin_add_overflow(*bytes, size, bytes) &&
           !__builtin_add_overflow(*messages, count, messages);
}

/* "1000S,10C": the number before S. */
static bool is_quota(struct bytes line, uint64_t quota)
{
    uint64_t value;

    return bytes_take_u64(&line, &value) && value == quota &&
           bytes_equal(bytes_slice(line, 0, 1), BYTES("S"));
}

bool maildir_size_parse(struct bytes text, uint64_t quota, struct maildir_usage *usage_out)
{
    int64_t bytes = 0, messages = 0;
    struct bytes line;

    if (!bytes_take_until(&text, '\n', &line) || !is_quota(line, quota))
        return false;
    while (bytes_take_until(&text, '\n', &line))
        if (!take_line(line, &bytes, &messages))
            return false;
    /* The rest is a line that is being written, or was when the machine went down. */
    if (text.len > 0 || bytes < 0 || messages < 0)
        return false;
    *usage_out = (struct maildir_usage){(uint64_t)bytes, (uint64_t)messages};
    return true;
}

/* Whole or not at all for whoever reads it meanwhile. Not synced: it is counted anew in doubt. */
static int write_anew(const struct maildir *maildir, uint64_t quota,
                      const struct maildir_usage *usage)
{
    static const char temporary[] = "maildirsize.new";
    char text[128];
    int len = snprintf(text, sizeof(text), "%" PRIu64 "S\n%" PRIu64 " %" PRIu64 "\n", quota,
                       usage->bytes, usage->messages);
    struct iovec piece = {text, (size_t)len};
    int fd = mail_file_open(maildir->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC);

    if (fd < 0)
        return fd;
    int error = mail_file_write(fd, &piece, 1);

    mail_file_close(fd);
    if (error == 0)
        error = mail_file_rename(maildir->fd, temporary, maildir->fd, file_name);
    if (error < 0)
        (void)!mail_file_unlink(maildir->fd, temporary);
    return error;
}

static int count_anew(const struct maildir *maildir, uint64_t quota, struct maildir_usage *out)
{
    int error = maildir_count(maildir, out);

    return error < 0 ? error : write_anew(maildir, quota, out);
}

/* False: it is to be counted. */
static bool read_file(const struct maildir *maildir, uint64_t quota, struct maildir_usage *out,
                      int64_t *age_s_out)
{
    uint8_t text[MAILDIR_SIZE_FILE_MAX + 1];
    struct stat status;
    int fd = mail_file_open(maildir->fd, file_name, O_RDONLY);

    if (fd < 0)
        return false;
    int64_t len = mail_file_read_at(fd, text, sizeof(text), 0);

    mail_file_close(fd);
    if (len <= 0 || len > MAILDIR_SIZE_FILE_MAX ||
        mail_file_stat(maildir->fd, file_name, &status) < 0)
        return false;
    *age_s_out = clock_wall_ms() / 1000 - (int64_t)status.st_mtime;
    return maildir_size_parse(bytes_range(text, (size_t)len), quota, out);
}

int maildir_size_read(const struct maildir *maildir, uint64_t quota, bool in_doubt, uint64_t needed,
                      struct maildir_usage *usage_out)
{
    int64_t age_s = 0;

    if (in_doubt || !read_file(maildir, quota, usage_out, &age_s))
        return count_anew(maildir, quota, usage_out);
    bool is_full = usage_out->bytes + needed > quota;

    if (is_full && (age_s < 0 || age_s >= MAILDIR_SIZE_OLD_S))
        return count_anew(maildir, quota, usage_out);
    return 0;
}

int maildir_size_add(const struct maildir *maildir, int64_t bytes, int64_t messages)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 "\n", bytes, messages);
    struct iovec piece = {text, (size_t)len};
    int fd = mail_file_open(maildir->fd, file_name, O_WRONLY | O_APPEND);

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd; /* whoever removed it wants it counted */
    int error = mail_file_write(fd, &piece, 1);

    mail_file_close(fd);
    return error;
}

int maildir_size_drop(const struct maildir *maildir)
{
    int error = mail_file_unlink(maildir->fd, file_name);

    return error == -ENOENT ? 0 : error;
}
