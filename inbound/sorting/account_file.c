/* account_file.c - small files of accounts on disk. */
#include "inbound/sorting/account_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/owner.h"
#include "inbound/store/mail_name.h"

enum { SUFFIX_MAX = 16 };

/* The folder's path and the file's name in it. */
struct place {
    char folder[PATH_MAX];
    char name[MAIL_NAME_MAX + SUFFIX_MAX];
    char path[PATH_MAX + MAIL_NAME_MAX + SUFFIX_MAX + 1];
};

static int find_place(const char *directory, struct bytes domain, struct bytes local,
                      const char *suffix, struct place *out)
{
    char of[MAIL_NAME_MAX + 1], name[MAIL_NAME_MAX + 1];

    if (!mail_name_encode(domain, of) || !mail_name_encode(local, name))
        return -ENAMETOOLONG;
    int len = snprintf(out->name, sizeof(out->name), "%s%s", name, suffix);

    if (len > MAIL_NAME_MAX)
        return -ENAMETOOLONG;
    len = snprintf(out->folder, sizeof(out->folder), "%s/%s", directory, of);
    if (len < 0 || (size_t)len >= sizeof(out->folder))
        return -ENAMETOOLONG;
    (void)snprintf(out->path, sizeof(out->path), "%s/%s", out->folder, out->name);
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_all(int fd, size_t size_max, struct buf *out)
{
    size_t total = 0;

    for (;;) {
        uint8_t piece[4096];
        ssize_t count = read(fd, piece, sizeof(piece));

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : 0;
        total += (size_t)count;
        if (total > size_max || !buf_append(out, bytes_range(piece, (size_t)count)))
            return -EFBIG;
    }
}

int account_file_read(const char *directory, struct bytes domain, struct bytes local,
                      const char *suffix, size_t size_max, struct buf *out)
{
    struct place place;
    int error = find_place(directory, domain, local, suffix, &place);

    if (error < 0)
        return error;
    /* Not to wait for a writer where somebody put a pipe. */
    int fd = open(place.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    error = read_all(fd, size_max, out);
    close(fd);
    return error;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* 0700, of the parent's owner where it is made. */
static int make_directory(const char *path, const char *parent)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -errno;
    int error = owner_give(fd, parent);

    close(fd);
    return error;
}

static int write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t count = write(fd, text.ptr, text.len);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        text = bytes_slice(text, (size_t)count, text.len);
    }
    return 0;
}

static int sync_directory(int folder)
{
    return fsync(folder) < 0 ? -errno : 0;
}

/* Under a name of its own first: of the process and the file, so that neither a command and the
 * daemon nor two of its threads meet. */
static int write_in(int folder, const struct place *place, struct bytes text)
{
    char temporary[64];

    (void)snprintf(temporary, sizeof(temporary), ".new.%ld.%016" PRIx64, (long)getpid(),
                   bytes_hash(bytes_of(place->name)));
    (void)unlinkat(folder, temporary, 0);
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    int error = owner_give(fd, place->folder);

    if (error == 0)
        error = write_all(fd, text);
    if (error == 0 && fsync(fd) < 0)
        error = -errno;
    close(fd);
    if (error == 0 && renameat(folder, temporary, folder, place->name) < 0)
        error = -errno;
    if (error < 0)
        (void)unlinkat(folder, temporary, 0);
    return error < 0 ? error : sync_directory(folder);
}

static int open_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? -errno : fd;
}

/* The directory that holds `directory`, which ends in no "/". */
static void parent_of(const char *directory, char out[static PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s", directory);
    size_t len = bytes_of(out).len;

    while (len > 1 && out[len - 1] != '/')
        len--;
    out[len] = '\0';
}

int account_file_write(const char *directory, struct bytes domain, struct bytes local,
                       const char *suffix, struct bytes text)
{
    struct place place;
    char parent[PATH_MAX];
    int error = find_place(directory, domain, local, suffix, &place);

    parent_of(directory, parent);
    if (error == 0)
        error = make_directory(directory, parent);
    if (error == 0)
        error = make_directory(place.folder, directory);
    if (error < 0)
        return error;
    int folder = open_folder(place.folder);

    if (folder < 0)
        return folder;
    error = write_in(folder, &place, text);
    close(folder);
    int top = error < 0 ? error : open_folder(directory);

    if (top < 0)
        return top;
    error = sync_directory(top);
    close(top);
    return error;
}

int account_file_remove(const char *directory, struct bytes domain, struct bytes local,
                        const char *suffix)
{
    struct place place;
    int error = find_place(directory, domain, local, suffix, &place);

    if (error < 0)
        return error;
    int folder = open_folder(place.folder);

    if (folder < 0)
        return folder;
    error = unlinkat(folder, place.name, 0) < 0 ? -errno : sync_directory(folder);
    close(folder);
    return error;
}
