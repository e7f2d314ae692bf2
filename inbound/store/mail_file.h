/*
 * mail_file.h - every file operation of the store.
 *
 * Narrow on purpose: tests replace this file at link time by one in which any call fails, or by a
 * disk that forgets what was not synced. All of them block but where that is said, so they run on
 * the store's pool or in tools. No name is followed through a link but that of the root. Results
 * are 0 (or what is said) or -errno.
 */
#pragma once

#include <sys/stat.h>
#include <sys/uio.h>

#include "base/bytes.h"

/* `flags` as of open(2); what is made is 0600. fd or -errno; -ELOOP: a link stands there. */
must_use int mail_file_open(int directory, const char *name, int flags);
/* By a path, which is made for good where it is missing, and whose links are followed. fd or
 * -errno. */
must_use int mail_file_open_root(const char *path);
/* Another descriptor of the same file. */
must_use int mail_file_keep(int fd);
/* An existing directory; fd or -errno, -ENOTDIR where it is none, a link included. */
must_use int mail_file_open_directory(int directory, const char *name);
must_use int mail_file_make_directory(int directory, const char *name); /* 0700 */
/* Nobody else has it until it is closed; -EBUSY: somebody has. */
must_use int mail_file_lock(int fd);
void mail_file_close(int fd);
/* All of it, whatever the pieces. Changes `pieces`. */
must_use int mail_file_write(int fd, struct iovec *pieces, size_t count);
must_use int mail_file_write_at(int fd, struct bytes b, uint64_t offset);
/* Up to `len` bytes; their number, less only at the end of the file. */
must_use int64_t mail_file_read_at(int fd, void *into, size_t len, uint64_t offset);
/* For who must not wait for a disk: what the kernel has in memory, the file to be read only, and of
 * its bytes as many as there are at once. Whatever they cannot is -EAGAIN. */
must_use int mail_file_open_cached(int directory, const char *name);
must_use int64_t mail_file_read_cached(int fd, void *into, size_t len, uint64_t offset);
must_use int mail_file_truncate(int fd, uint64_t size);
/* When it was changed last, in seconds of wall time. */
must_use int mail_file_set_time(int fd, int64_t time_s);
/* An empty directory goes. */
must_use int mail_file_remove_directory(int directory, const char *name);
/* Content and what is needed to find it; of a directory its entries. */
must_use int mail_file_sync(int fd);
/* Of a file that has its size already, for less: its content alone. */
must_use int mail_file_sync_content(int fd);
/* All that was written to its file system. */
must_use int mail_file_sync_all(int fd);
must_use int mail_file_rename(int from, const char *name, int to, const char *new_name);
must_use int mail_file_link(int from, const char *name, int to, const char *new_name);
must_use int mail_file_unlink(int directory, const char *name);
must_use int mail_file_stat(int directory, const char *name, struct stat *out);
enum { MAIL_FILE_BOOT_LEN = 36 };
/* The kernel's name for the time since it was started; "???" where it is not known. */
void mail_file_boot(char out[static MAIL_FILE_BOOT_LEN]);
/* Calls visit for every name but "." and "..", in no order, until one returns false. */
must_use int mail_file_list(int directory, bool (*visit)(void *context, const char *name),
                            void *context);
