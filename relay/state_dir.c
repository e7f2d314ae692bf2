/* state_dir.c - check, lock and name the state directory. */
#include "relay/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event/event.h"
#include "queue/disk.h"

bool state_dir_file(const char *path, const char *name, char *out, size_t out_size)
{
    int len = snprintf(out, out_size, "%s/%s", path, name);

    return len > 0 && (size_t)len < out_size;
}

/* Makes the directory's entry of `path` durable: the file's own sync does not. */
static int sync_entry(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[4096] = ".";

    if (slash != NULL && snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path + 1),
                                  path) >= (int)sizeof(directory))
        return -ENAMETOOLONG;
    return disk_sync_directory(directory);
}

int state_dir_rename(const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : sync_entry(to);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why_out, int error,
                                                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why_out, STATE_DIR_WHY_MAX, format, args); /* a long path is cut, not refused */
    va_end(args);
    return error;
}

static int make_directory(const char *path, char *why_out)
{
    struct stat status;

    int error = mkdir(path, 0700) < 0 ? -errno : sync_entry(path);
    if (error < 0 && error != -EEXIST)
        return refuse(why_out, error,
                      "%s cannot be made: %s; make its parent, or name another "
                      "state_dir",
                      path, strerror(-error));
    if (stat(path, &status) < 0)
        return refuse(why_out, -errno, "%s cannot be read: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return refuse(why_out, -ENOTDIR, "%s is no directory: %s", path, strerror(ENOTDIR));
    if ((status.st_mode & 077) != 0)
        return refuse(why_out, -EPERM,
                      "%s can be read by others, and mail lies in it; chmod 700 it (%s)", path,
                      strerror(EPERM));
    if (access(path, R_OK | W_OK | X_OK) < 0)
        return refuse(why_out, -errno, "%s cannot be written: %s", path, strerror(errno));
    return 0;
}

static int take_lock(struct state_dir *state_dir, char *why_out)
{
    char path[4096], pid[32];
    ssize_t len;

    if (!state_dir_file(state_dir->path, "lock", path, sizeof(path)))
        return refuse(why_out, -ENAMETOOLONG, "%s: %s", state_dir->path, strerror(ENAMETOOLONG));
    state_dir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state_dir->lock_fd < 0)
        return refuse(why_out, -errno, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(state_dir->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
        if (ftruncate(state_dir->lock_fd, 0) < 0 ||
            pwrite(state_dir->lock_fd, pid, (size_t)len, 0) != len)
            return refuse(why_out, -EIO, "%s cannot be written: %s", path, strerror(EIO));
        return 0;
    }
    len = pread(state_dir->lock_fd, pid, sizeof(pid) - 1, 0);
    pid[len < 0 ? 0 : len] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    snprintf(why_out, STATE_DIR_WHY_MAX,
             "another ringpost (pid %s) serves %s; stop it first, or give this one a state_dir of "
             "its own",
             pid, state_dir->path);
    return -EBUSY;
}

static int make_node(const char *path, uint16_t *node_out, char *why_out)
{
    char text[8], temporary[4096];
    uint16_t node;

    if (getrandom(&node, sizeof(node), 0) != sizeof(node))
        return refuse(why_out, -errno, "%s: no random bytes: %s", path, strerror(errno));
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
        return refuse(why_out, -ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return refuse(why_out, -errno, "%s cannot be made: %s", temporary, strerror(errno));
    int len = snprintf(text, sizeof(text), "%04x\n", (unsigned)node);
    int error = write(fd, text, (size_t)len) != len || fsync(fd) < 0 ? -EIO : 0;
    close(fd);
    if (error == 0)
        error = state_dir_rename(temporary, path);
    if (error < 0)
        return refuse(why_out, error, "%s cannot be written: %s", path, strerror(-error));
    *node_out = node;
    return 0;
}

/* -ENOENT without a sentence: it was not made yet. */
static int read_node(const char *path, uint16_t *node_out, char *why_out)
{
    char text[8] = "";
    char *end;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0)
        return refuse(why_out, -errno, "%s cannot be read: %s", path, strerror(errno));
    ssize_t len = read(fd, text, sizeof(text) - 1);
    close(fd);
    unsigned long node = strtoul(text, &end, 16);
    if (len < 4 || node > UINT16_MAX || (*end != '\n' && *end != '\0') || end != text + 4)
        return refuse(why_out, -EINVAL,
                      "%s does not hold four hex digits (%s); restore it from a backup, since ids "
                      "and event ids lean on it",
                      path, strerror(EINVAL));
    *node_out = (uint16_t)node;
    return 0;
}

static int open_node(struct state_dir *state_dir, char *why_out)
{
    char path[4096];

    if (!state_dir_file(state_dir->path, "node", path, sizeof(path)))
        return refuse(why_out, -ENAMETOOLONG, "%s: %s", state_dir->path, strerror(ENAMETOOLONG));
    int error = read_node(path, &state_dir->node, why_out);
    return error == -ENOENT ? make_node(path, &state_dir->node, why_out) : error;
}

int state_dir_look_at_node(const char *path, uint16_t *node_out,
                           char why_out[static STATE_DIR_WHY_MAX])
{
    char node_path[4096];

    if (!state_dir_file(path, "node", node_path, sizeof(node_path)))
        return refuse(why_out, -ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
    return read_node(node_path, node_out, why_out);
}

int state_dir_open(const char *path, struct state_dir *out, char why_out[static STATE_DIR_WHY_MAX])
{
    static const char *const parts[] = {"spool", "events"};
    char part[4096];
    int error;

    *out = (struct state_dir){.path = path, .lock_fd = -1};
    if ((error = make_directory(path, why_out)) < 0 || (error = take_lock(out, why_out)) < 0)
        goto fail;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!state_dir_file(path, parts[i], part, sizeof(part))) {
            error = refuse(why_out, -ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
            goto fail;
        }
        if ((error = make_directory(part, why_out)) < 0)
            goto fail;
    }
    if ((error = open_node(out, why_out)) < 0)
        goto fail;
    event_set_node(out->node);
    return 0;
fail:
    state_dir_close(out);
    return error;
}

void state_dir_close(struct state_dir *state_dir)
{
    if (state_dir->lock_fd >= 0)
        close(state_dir->lock_fd);
    state_dir->lock_fd = -1;
}
