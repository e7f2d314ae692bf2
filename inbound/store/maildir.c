/* maildir.c - directories of an account. */
#include "inbound/store/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "inbound/store/mail_file.h"

static const char *const parts[] = {"tmp", "new", "cur"};

/* Found, or made for good. */
static int need_directory(int parent, const char *name, bool *is_new_out)
{
    int fd = mail_file_open_directory(parent, name);

    if (fd != -ENOENT)
        return fd;
    int error = mail_file_make_directory(parent, name);
    if (error < 0 && error != -EEXIST)
        return error;
    if ((error = mail_file_sync(parent)) < 0)
        return error;
    *is_new_out = true;
    return mail_file_open_directory(parent, name);
}

/* All three, for others expect them; fd of one of them. */
static int need_part(int folder, const char *name)
{
    bool is_new = false;
    int fd = mail_file_open_directory(folder, name);

    if (fd != -ENOENT)
        return fd;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        fd = need_directory(folder, parts[i], &is_new);
        if (fd < 0)
            return fd;
        mail_file_close(fd);
    }
    return mail_file_open_directory(folder, name);
}

int maildir_open_domain(int mail_fd, const char *domain)
{
    bool is_new = false;

    return need_directory(mail_fd, domain, &is_new);
}

int maildir_open_in(int domain_fd, const char *local, struct maildir *out)
{
    struct maildir maildir = {.fd = -1, .tmp_fd = -1};
    bool is_new = false;

    maildir.fd = need_directory(domain_fd, local, &is_new);
    if (maildir.fd < 0)
        return maildir.fd;
    maildir.tmp_fd = need_part(maildir.fd, "tmp");
    if (maildir.tmp_fd < 0) {
        mail_file_close(maildir.fd);
        return maildir.tmp_fd;
    }
    maildir.is_new = is_new;
    *out = maildir;
    return 0;
}

int maildir_open(int mail_fd, const char *domain, const char *local, struct maildir *out)
{
    int domain_fd = maildir_open_domain(mail_fd, domain);

    if (domain_fd < 0)
        return domain_fd;
    int error = maildir_open_in(domain_fd, local, out);

    mail_file_close(domain_fd);
    return error;
}

int maildir_look(int mail_fd, const char *domain, const char *local, struct maildir *out)
{
    int domain_fd = mail_file_open_directory(mail_fd, domain);

    if (domain_fd < 0)
        return domain_fd;
    int fd = mail_file_open_directory(domain_fd, local);

    mail_file_close(domain_fd);
    if (fd < 0)
        return fd;
    *out = (struct maildir){.fd = fd, .tmp_fd = -1};
    return 0;
}

void maildir_close(struct maildir *maildir)
{
    if (maildir->tmp_fd >= 0)
        mail_file_close(maildir->tmp_fd);
    mail_file_close(maildir->fd);
    *maildir = (struct maildir){.fd = -1, .tmp_fd = -1};
}

/* Says that it is a folder and no account. */
static int mark_folder(int folder)
{
    int fd = mail_file_open(folder, "maildirfolder", O_WRONLY | O_CREAT);

    if (fd < 0)
        return fd;
    mail_file_close(fd);
    return mail_file_sync(folder);
}

int maildir_open_folder(const struct maildir *maildir, const char *folder, const char *part)
{
    bool is_new = false;

    if (folder[0] == '\0')
        return need_part(maildir->fd, part);
    int fd = need_directory(maildir->fd, folder, &is_new);
    if (fd < 0)
        return fd;
    int result = is_new ? mark_folder(fd) : 0;

    if (result == 0)
        result = need_part(fd, part);
    mail_file_close(fd);
    return result;
}

bool maildir_is_mirror(int folder_fd)
{
    struct stat status;

    return folder_fd >= 0 && mail_file_stat(folder_fd, MAILDIR_MIRROR, &status) == 0;
}

/* --- what lies in it -------------------------------------------------------------------------- */

struct count {
    int directory; /* the one being read */
    struct maildir_usage usage;
};

static bool count_file(void *context, const char *name)
{
    struct count *count = context;
    struct stat status;
    uint64_t size;

    if (name[0] == '.')
        return true;
    if (!mail_file_name_size(bytes_of(name), &size)) {
        if (mail_file_stat(count->directory, name, &status) < 0 || !S_ISREG(status.st_mode))
            return true;
        size = (uint64_t)status.st_size;
    }
    count->usage.bytes += size;
    count->usage.messages++;
    return true;
}

static int count_part(int folder, const char *part, struct count *count)
{
    int fd = mail_file_open_directory(folder, part);

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    count->directory = fd;
    int error = mail_file_list(fd, count_file, count);

    mail_file_close(fd);
    return error;
}

static int count_folder(int folder, struct count *count)
{
    int error = count_part(folder, "new", count);

    return error < 0 ? error : count_part(folder, "cur", count);
}

struct walk {
    int account;
    int error;
    struct count *count;
};

static bool visit_folder(void *context, const char *name)
{
    struct walk *walk = context;

    if (name[0] != '.')
        return true;
    int fd = mail_file_open_directory(walk->account, name);

    if (fd < 0) { /* gone meanwhile, or no folder */
        walk->error = fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd;
        return walk->error == 0;
    }
    if (!maildir_is_mirror(fd))
        walk->error = count_folder(fd, walk->count);
    mail_file_close(fd);
    return walk->error == 0;
}

int maildir_count(const struct maildir *maildir, struct maildir_usage *usage_out)
{
    struct count count = {.directory = -1};
    struct walk walk = {.account = maildir->fd, .count = &count};
    int error = count_folder(maildir->fd, &count);

    if (error == 0)
        error = mail_file_list(maildir->fd, visit_folder, &walk);
    if (error == 0)
        error = walk.error;
    if (error < 0)
        return error;
    *usage_out = count.usage;
    return 0;
}

struct search {
    struct bytes start;
    bool is_found;
};

static bool look_at(void *context, const char *name)
{
    struct search *search = context;

    search->is_found = strncmp(name, (const char *)search->start.ptr, search->start.len) == 0;
    return !search->is_found;
}

int maildir_has(const struct maildir *maildir, const char *folder, struct bytes start,
                bool *has_out)
{
    struct search search = {.start = start};

    for (size_t i = 1; i < ARRAY_LEN(parts) && !search.is_found; i++) {
        int fd = maildir_open_folder(maildir, folder, parts[i]);

        if (fd < 0)
            return fd;
        int error = mail_file_list(fd, look_at, &search);

        mail_file_close(fd);
        if (error < 0)
            return error;
    }
    *has_out = search.is_found;
    return 0;
}
