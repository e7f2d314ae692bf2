/* mail_file.c - system calls, with -errno for results and no links followed. */
#include "inbound/store/mail_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result_of(int returned)
{
    return returned < 0 ? -errno : returned;
}

int mail_file_open(int directory, const char *name, int flags)
{
    int fd;

    do
        fd = openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    while (fd < 0 && errno == EINTR);
    return result_of(fd);
}

int mail_file_open_root(const char *path)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = result_of(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int above = fd < 0 ? fd : result_of(openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int error = above < 0 ? above : result_of(fsync(above));

    if (above >= 0)
        close(above);
    if (fd >= 0 && error < 0)
        close(fd);
    return error < 0 ? error : fd;
}

int mail_file_keep(int fd)
{
    return result_of(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int mail_file_open_directory(int directory, const char *name)
{
    return result_of(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

int mail_file_make_directory(int directory, const char *name)
{
    return result_of(mkdirat(directory, name, 0700));
}

int mail_file_lock(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

void mail_file_close(int fd)
{
    close(fd);
}

/* Past the bytes that were written. */
static size_t skip(struct iovec *pieces, size_t count, size_t written)
{
    size_t done = 0;

    while (done < count && written >= pieces[done].iov_len)
        written -= pieces[done++].iov_len;
    if (done < count) {
        pieces[done].iov_base = (uint8_t *)pieces[done].iov_base + written;
        pieces[done].iov_len -= written;
    }
    return done;
}

int mail_file_write(int fd, struct iovec *pieces, size_t count)
{
    while (count > 0) {
        ssize_t written = writev(fd, pieces, (int)count);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        size_t done = skip(pieces, count, (size_t)written);

        pieces += done;
        count -= done;
    }
    return 0;
}

int mail_file_write_at(int fd, struct bytes b, uint64_t offset)
{
    while (b.len > 0) {
        ssize_t written = pwrite(fd, b.ptr, b.len, (off_t)offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        b = bytes_slice(b, (size_t)written, b.len);
        offset += (uint64_t)written;
    }
    return 0;
}

int64_t mail_file_read_at(int fd, void *into, size_t len, uint64_t offset)
{
    size_t have = 0;

    while (have < len) {
        ssize_t got = pread(fd, (uint8_t *)into + have, len - have, (off_t)(offset + have));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (int64_t)have;
}

int mail_file_open_cached(int directory, const char *name)
{
    /* The time of a read would be written, which may wait. */
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOATIME,
        .resolve = RESOLVE_CACHED,
    };
    long fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));

    return fd < 0 ? -EAGAIN : (int)fd;
}

int64_t mail_file_read_cached(int fd, void *into, size_t len, uint64_t offset)
{
    struct iovec piece = {.iov_base = into, .iov_len = len};
    ssize_t got = preadv2(fd, &piece, 1, (off_t)offset, RWF_NOWAIT);

    return got < 0 ? -EAGAIN : (int64_t)got;
}

int mail_file_truncate(int fd, uint64_t size)
{
    return result_of(ftruncate(fd, (off_t)size));
}

int mail_file_set_time(int fd, int64_t time_s)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)time_s}};

    return result_of(futimens(fd, times));
}

int mail_file_remove_directory(int directory, const char *name)
{
    return result_of(unlinkat(directory, name, AT_REMOVEDIR));
}

int mail_file_sync(int fd)
{
    return result_of(fsync(fd));
}

int mail_file_sync_content(int fd)
{
    return result_of(fdatasync(fd));
}

int mail_file_sync_all(int fd)
{
    return result_of(syncfs(fd));
}

int mail_file_rename(int from, const char *name, int to, const char *new_name)
{
    return result_of(renameat(from, name, to, new_name));
}

int mail_file_link(int from, const char *name, int to, const char *new_name)
{
    return result_of(linkat(from, name, to, new_name, 0));
}

int mail_file_unlink(int directory, const char *name)
{
    return result_of(unlinkat(directory, name, 0));
}

int mail_file_stat(int directory, const char *name, struct stat *out)
{
    return result_of(fstatat(directory, name, out, AT_SYMLINK_NOFOLLOW));
}

void mail_file_boot(char out[static MAIL_FILE_BOOT_LEN])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    memset(out, '?', MAIL_FILE_BOOT_LEN); /* never equal to one that is known */
    if (fd < 0)
        return;
    if (read(fd, out, MAIL_FILE_BOOT_LEN) != MAIL_FILE_BOOT_LEN)
        memset(out, '?', MAIL_FILE_BOOT_LEN);
    close(fd);
}

int mail_file_list(int directory, bool (*visit)(void *context, const char *name), void *context)
{
    /* A description of its own: the position of the given one is not to move. */
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int error = 0;

    if (entries == NULL) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    for (errno = 0; (entry = readdir(entries)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!visit(context, entry->d_name)) {
            errno = 0;
            break;
        }
    }
    error = -errno;
    closedir(entries);
    return error;
}
