/* disk.c - the spool's file operations on a real file system. */
#include "queue/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096 };

int disk_open(const char *path, enum disk_mode mode)
{
    static const int flags[] = {
        [DISK_READ] = O_RDONLY,
        [DISK_READ_WRITE] = O_RDWR,
        [DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };
    int fd = open(path, flags[mode] | O_DIRECT | O_CLOEXEC, 0600);

    /* tmpfs before Linux 6.6 and some others know no O_DIRECT. The kernel may have created the
     * file before it found out, so O_EXCL is of no use the second time. */
    if (fd < 0 && errno == EINVAL)
        fd = open(path, (flags[mode] & ~O_EXCL) | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : -errno;
}

void disk_close(int fd)
{
    close(fd);
}

int64_t disk_size(int fd)
{
    struct stat status;

    return fstat(fd, &status) < 0 ? -errno : status.st_size;
}

int disk_read(int fd, void *into, size_t len, uint64_t offset)
{
    uint8_t *at = into;

    while (len > 0) {
        ssize_t got = pread(fd, at, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -ENODATA;
        at += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

int disk_write(int fd, const void *from, size_t len, uint64_t offset)
{
    const uint8_t *at = from;

    while (len > 0) {
        ssize_t put = pwrite(fd, at, len, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        if (put == 0)
            return -EIO;
        at += put;
        len -= (size_t)put;
        offset += (uint64_t)put;
    }
    return 0;
}

int disk_sync(int fd)
{
    /* Not fdatasync: this is for new files, whose size has to stand as well. */
    return fsync(fd) < 0 ? -errno : 0;
}

int disk_sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int result = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return result;
}

int disk_rename(const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : 0;
}

int disk_unlink(const char *path)
{
    return unlink(path) < 0 ? -errno : 0;
}

int disk_make_directory(const char *path)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    return 0;
}

int disk_list(const char *path, int (*visit)(void *context, const char *name), void *context)
{
    DIR *directory = opendir(path);
    int result = 0;

    if (directory == NULL)
        return -errno;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);

        if (entry == NULL) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = visit(context, entry->d_name);
        if (result < 0)
            break;
    }
    closedir(directory);
    return result;
}

int disk_lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(fd);
        return error;
    }
    return fd;
}

void *disk_buffer(size_t len)
{
    return aligned_alloc(BLOCK, (len + BLOCK - 1) / BLOCK * BLOCK);
}
