/*
 * disk.h - every file operation of the spool but the engine's reads and writes.
 *
 * Narrow on purpose: tests replace this file at link time by a disk that fails, forgets what was
 * not synced, or stops at any point. All of them block, so they run at start, on the pool's
 * thread, or in tools. Results are 0 (or what is said) or -errno.
 */
#pragma once

#include "base/bytes.h"

enum disk_mode {
    DISK_READ,       /* an existing file, only to look at */
    DISK_READ_WRITE, /* an existing file */
    DISK_CREATE,     /* a new file; -EEXIST when it is there */
};

/* Opens past the page cache (O_DIRECT) where the file system can, else through it. fd or -errno. */
must_use int disk_open(const char *path, enum disk_mode mode);
void disk_close(int fd);
must_use int64_t disk_size(int fd);
/* Buffers, lengths and offsets are multiples of SPOOL_BLOCK. Whole or -errno; a file that ends
 * before is -ENODATA. */
must_use int disk_read(int fd, void *into, size_t len, uint64_t offset);
must_use int disk_write(int fd, const void *from, size_t len, uint64_t offset);
must_use int disk_sync(int fd);
must_use int disk_sync_directory(const char *path);
must_use int disk_rename(const char *from, const char *to);
must_use int disk_unlink(const char *path);
must_use int disk_make_directory(const char *path); /* 0 also when it is there */
/* Calls visit for every name but "." and "..", in no order; it may stop with a value below 0. */
must_use int disk_list(const char *path, int (*visit)(void *context, const char *name),
                       void *context);
/* Takes the lock at `path` until disk_close(): fd, or -EBUSY when another process has it. */
must_use int disk_lock(const char *path);

/* SPOOL_BLOCK-aligned memory, for free(); NULL when there is none. */
must_use void *disk_buffer(size_t len);
