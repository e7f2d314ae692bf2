/* file_read.c - small files of a folder, and whether they changed. */
#include "inbound/mailbox/file_read.h"

#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "inbound/store/mail_file.h"

enum { FRESH_MS = 20 /* more than a tick of the kernel, which is how fine these times are */ };

int file_read(int directory, const char *name, struct buf *out)
{
    struct stat status;
    int fd = mail_file_open(directory, name, O_RDONLY);

    if (fd < 0)
        return fd;
    int64_t len = mail_file_stat(directory, name, &status);

    if (len == 0)
        len = !S_ISREG(status.st_mode) ? -ENOENT : (int64_t)status.st_size;
    uint8_t *at = len <= 0 ? NULL : buf_reserve(out, (size_t)len);

    if (len > 0)
        len = at == NULL ? -EFBIG : mail_file_read_at(fd, at, (size_t)len, 0);
    if (len > 0)
        buf_extend(out, (size_t)len);
    mail_file_close(fd);
    return (int)MIN(len, (int64_t)0);
}

uint64_t directory_stamp(int directory, const char *name)
{
    struct stat status;

    if (mail_file_stat(directory, name, &status) < 0)
        return 0;
    return (uint64_t)status.st_mtim.tv_sec * 1000000000U + (uint64_t)status.st_mtim.tv_nsec;
}

uint64_t stamp_settled(uint64_t stamp)
{
    uint64_t now_ns = (uint64_t)clock_wall_us() * 1000;

    return stamp + (uint64_t)FRESH_MS * 1000000 < now_ns ? stamp : 0;
}

uint64_t file_stamp(int directory, const char *name)
{
    struct stat status;

    if (mail_file_stat(directory, name, &status) < 0)
        return 0;
    uint64_t values[] = {(uint64_t)status.st_ino, (uint64_t)status.st_size,
                         (uint64_t)status.st_mtim.tv_sec, (uint64_t)status.st_mtim.tv_nsec};

    return bytes_hash(bytes_range(values, sizeof(values))) | 1;
}
