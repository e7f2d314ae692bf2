/* login_key.c - a small file that is written once. */
#include "relay/login_key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "relay/state_dir.h"

static int read_key(const char *path, uint8_t *key)
{
    uint8_t bytes[LOGIN_KEY_LEN + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t got = read(fd, bytes, sizeof(bytes));
    int error = got < 0 ? -errno : 0;
    close(fd);
    if (error == 0 && got != LOGIN_KEY_LEN)
        return -EBADMSG;
    for (size_t i = 0; i < LOGIN_KEY_LEN && error == 0; i++)
        key[i] = bytes[i];
    return error;
}

static int write_key(const char *path, const uint8_t *key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = 0;

    if (fd < 0)
        return -errno;
    ssize_t put = write(fd, key, LOGIN_KEY_LEN);
    if (put != LOGIN_KEY_LEN)
        error = put < 0 ? -errno : -EIO;
    else if (fsync(fd) < 0)
        error = -errno;
    close(fd);
    return error;
}

int login_key_open(const char *state_dir, const char *name, uint8_t key_out[static LOGIN_KEY_LEN])
{
    char path[PATH_MAX];
    char fresh[PATH_MAX], fresh_name[64];

    snprintf(fresh_name, sizeof(fresh_name), "%.50s.new", name);
    if (!state_dir_file(state_dir, name, path, sizeof(path)) ||
        !state_dir_file(state_dir, fresh_name, fresh, sizeof(fresh)))
        return -ENAMETOOLONG;
    int error = read_key(path, key_out);
    if (error != -ENOENT)
        return error;
    if (getrandom(key_out, LOGIN_KEY_LEN, 0) != LOGIN_KEY_LEN)
        return -EIO;
    error = write_key(fresh, key_out);
    return error < 0 ? error : state_dir_rename(fresh, path);
}

int login_key_look(const char *state_dir, const char *name)
{
    uint8_t key[LOGIN_KEY_LEN];
    char path[PATH_MAX];

    if (!state_dir_file(state_dir, name, path, sizeof(path)))
        return -ENAMETOOLONG;
    int error = read_key(path, key);
    explicit_bzero(key, sizeof(key));
    return error == -ENOENT ? 0 : error;
}
