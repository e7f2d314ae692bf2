/*
 * maildir.h - an account's directory: found or made, its folders, what lies in them.
 *
 *   state_dir/mail/DOMAIN/LOCAL/          the inbox: tmp/ new/ cur/
 *                              .Junk/     a folder: the same three, and an empty maildirfolder
 *
 * Nothing is followed through a link: an account whose directory is one has no store. Directories
 * are 0700, and durable before anything is put into them.
 *
 * Blocks; any thread. Errors are -errno.
 */
#pragma once

#include "inbound/store/mail_name.h"

/* Opened for one use; the account may be gone at the next. */
struct maildir {
    int fd;      /* the account's directory */
    int tmp_fd;  /* of the inbox: every message begins there */
    bool is_new; /* it was made just now */
};

/* `mail_fd`: of state_dir/mail. Makes what is missing. */
must_use int maildir_open(int mail_fd, const char *domain, const char *local,
                          struct maildir *maildir_out);
/* The same in two steps, for several accounts of a domain; fd of its directory or -errno. */
must_use int maildir_open_domain(int mail_fd, const char *domain);
must_use int maildir_open_in(int domain_fd, const char *local, struct maildir *maildir_out);
/* Only if it is there; tmp_fd is -1. */
must_use int maildir_look(int mail_fd, const char *domain, const char *local,
                          struct maildir *maildir_out);
void maildir_close(struct maildir *maildir);

/* `folder` as mail_folder_encode() makes it, "" the inbox; `part` is "new" or "cur". Made where it
 * is missing. fd or -errno. */
must_use int maildir_open_folder(const struct maildir *maildir, const char *folder,
                                 const char *part);

/* A folder with this file in it is somebody else's copy (inbound/mailbox/mirror.h), which counts
 * for no quota. */
#define MAILDIR_MIRROR "ringpost.mirror"
must_use bool maildir_is_mirror(int folder_fd); /* false where it is below 0 */

struct maildir_usage {
    uint64_t bytes, messages;
};
/* Counts new/ and cur/ of all folders: sizes by S= of the names, else of the files. What comes and
 * goes meanwhile is counted or not. */
must_use int maildir_count(const struct maildir *maildir, struct maildir_usage *usage_out);
/* Whether new/ or cur/ of the folder has a file whose name begins so. Not for every message: it
 * reads both directories. */
must_use int maildir_has(const struct maildir *maildir, const char *folder, struct bytes start,
                         bool *has_out);
