/* privilege.c - become the user to serve as, for a while and then for good. */
#include "relay/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int privilege_plan(const char *user, struct privilege *out, char why_out[static PRIVILEGE_WHY_MAX])
{
    *out = (struct privilege){.user = user};
    if (user == NULL)
        return 0;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        snprintf(why_out, PRIVILEGE_WHY_MAX,
                 "user: there is no user %s on this machine; `useradd --system %s` makes one", user,
                 user);
        return -ENOENT;
    }
    out->uid = entry->pw_uid;
    out->gid = entry->pw_gid;
    if (geteuid() == entry->pw_uid)
        return 0;
    if (geteuid() != 0) {
        snprintf(why_out, PRIVILEGE_WHY_MAX,
                 "user: started by user %u, who cannot become %s; start it as root or as %s",
                 (unsigned)geteuid(), user, user);
        return -EPERM;
    }
    out->is_dropping = true;
    return 0;
}

int privilege_make_directory(const struct privilege *privilege, const char *path)
{
    if (!privilege->is_dropping)
        return 0;
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    if (chown(path, privilege->uid, privilege->gid) == 0)
        return 0;
    int error = -errno;
    (void)rmdir(path);
    return error;
}

int privilege_lower(const struct privilege *privilege)
{
    if (!privilege->is_dropping)
        return 0;
    if (initgroups(privilege->user, privilege->gid) < 0 ||
        setresgid(privilege->gid, privilege->gid, privilege->gid) < 0 ||
        setresuid(privilege->uid, privilege->uid, 0) < 0)
        return -errno;
    return 0;
}

int privilege_raise(const struct privilege *privilege)
{
    if (privilege->is_dropping && seteuid(0) < 0)
        return -errno;
    return 0;
}

int privilege_drop(const struct privilege *privilege)
{
    if (!privilege->is_dropping)
        return 0;
    if (setresuid(privilege->uid, privilege->uid, privilege->uid) < 0)
        return -errno;
    if (seteuid(0) == 0 || setegid(0) == 0)
        return -EPERM; /* it must not be possible: nothing goes on with it */
    /* What gives privileges by being executed gives none from here on. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* The change of user took /proc/self away, which tells our own descriptors and memory. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return 0;
}
