/* owner.c - files of whoever owns their directory. */
#include "base/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int give(int at_fd, const char *name, int flags, const char *directory)
{
    struct stat wanted, had;

    if (geteuid() != 0 || stat(directory, &wanted) < 0)
        return 0;
    if (fstatat(at_fd, name, &had, flags) < 0)
        return -errno;
    if (had.st_uid == wanted.st_uid && had.st_gid == wanted.st_gid)
        return 0;
    return fchownat(at_fd, name, wanted.st_uid, wanted.st_gid, flags) < 0 ? -errno : 0;
}

int owner_give(int fd, const char *directory)
{
    return give(fd, "", AT_EMPTY_PATH, directory);
}

int owner_give_at(int at_fd, const char *name, const char *directory)
{
    return give(at_fd, name, AT_SYMLINK_NOFOLLOW, directory);
}
