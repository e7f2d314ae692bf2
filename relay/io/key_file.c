/* key_file.c - files with secrets. */
#include "io/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/owner.h"

enum { PATH_SIZE = 4096 };

static int make_folder(const char *path, const char *state_dir)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int error = owner_give(fd, state_dir);
    close(fd);
    return error;
}

static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.ptr, text.len);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0)
            text = bytes_slice(text, (size_t)written, text.len);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* Under another name first: whoever finds it finds it whole. */
static int write_file(const char *path, const char *state_dir, struct bytes text)
{
    char fresh[PATH_SIZE + 32];

    snprintf(fresh, sizeof(fresh), "%s.new-%ld", path, (long)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int error = owner_give(fd, state_dir);
    if (error == 0)
        error = write_all(fd, text);
    close(fd);
    if (error == 0 && link(fresh, path) < 0)
        error = -errno;
    (void)unlink(fresh);
    return error;
}

static bool path_of(const char *state_dir, const char *file, char out[static PATH_SIZE])
{
    return snprintf(out, PATH_SIZE, "%s/keys/%s", state_dir, file) < PATH_SIZE;
}

int key_file_make(const char *state_dir, const char *file, struct bytes text)
{
    char keys[PATH_SIZE], folder[PATH_SIZE], path[PATH_SIZE];

    if (!path_of(state_dir, file, path))
        return -ENAMETOOLONG;
    snprintf(keys, sizeof(keys), "%s/keys", state_dir);
    memcpy(folder, path, sizeof(folder));
    *strrchr(folder, '/') = '\0';
    int error = make_folder(keys, state_dir);
    if (error == 0)
        error = make_folder(folder, state_dir);
    if (error == 0)
        error = write_file(path, state_dir, text);
    if (error == 0)
        error = sync_folder(folder);
    return error == 0 ? sync_folder(keys) : error;
}

int key_file_read(const char *state_dir, const char *file, struct buf *out)
{
    char path[PATH_SIZE];
    ssize_t got = 1;

    if (!path_of(state_dir, file, path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = 0;
    while (error == 0 && got > 0) {
        uint8_t piece[1024];

        got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno != EINTR)
            error = -errno;
        else if (got > 0 && !buf_append(out, bytes_range(piece, (size_t)got)))
            error = -EFBIG;
        else if (got < 0)
            got = 1;
    }
    close(fd);
    return error;
}

void key_file_remove(const char *state_dir, const char *file)
{
    char path[PATH_SIZE];

    if (!path_of(state_dir, file, path))
        return;
    (void)unlink(path);
    if (strchr(file, '/') == NULL)
        return;
    *strrchr(path, '/') = '\0';
    (void)rmdir(path); /* not empty: others are in it */
}
