/*
 * disk_fault.h - the spool's file operations with faults, for one test program.
 *
 * Include it in the test's only file: it defines every function of queue/disk.h, so the library's
 * own are not linked.
 */
#pragma once

#define disk_open real_disk_open
#define disk_close real_disk_close
#define disk_size real_disk_size
#define disk_read real_disk_read
#define disk_write real_disk_write
#define disk_sync real_disk_sync
#define disk_sync_directory real_disk_sync_directory
#define disk_rename real_disk_rename
#define disk_unlink real_disk_unlink
#define disk_make_directory real_disk_make_directory
#define disk_list real_disk_list
#define disk_lock real_disk_lock
#define disk_buffer real_disk_buffer
#include "queue/disk.c"
#undef disk_open
#undef disk_close
#undef disk_size
#undef disk_read
#undef disk_write
#undef disk_sync
#undef disk_sync_directory
#undef disk_rename
#undef disk_unlink
#undef disk_make_directory
#undef disk_list
#undef disk_lock
#undef disk_buffer

enum disk_call {
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_SYNC_DIRECTORY,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_SIZE,
    DISK_CALLS
};

/* The nth call of a kind from now (1: the next) fails with -error; every: each from then on. */
static struct {
    unsigned nth[DISK_CALLS];
    int error[DISK_CALLS];
    bool every[DISK_CALLS];
    unsigned files_max; /* creating more fails with -ENOSPC; 0: no limit */
    unsigned files;
} disk_faults;

static int disk_fault(enum disk_call call)
{
    if (disk_faults.nth[call] == 0)
        return 0;
    if (disk_faults.nth[call] > 1) {
        disk_faults.nth[call]--;
        return 0;
    }
    if (!disk_faults.every[call])
        disk_faults.nth[call] = 0;
    return -disk_faults.error[call];
}

int disk_open(const char *path, enum disk_mode mode);
void disk_close(int fd);
int64_t disk_size(int fd);
int disk_read(int fd, void *into, size_t len, uint64_t offset);
int disk_write(int fd, const void *from, size_t len, uint64_t offset);
int disk_sync(int fd);
int disk_sync_directory(const char *path);
int disk_rename(const char *from, const char *to);
int disk_unlink(const char *path);
int disk_make_directory(const char *path);
int disk_list(const char *path, int (*visit)(void *context, const char *name), void *context);
int disk_lock(const char *path);
void *disk_buffer(size_t len);

int disk_open(const char *path, enum disk_mode mode)
{
    int error = disk_fault(CALL_OPEN);

    if (error < 0)
        return error;
    if (mode == DISK_CREATE && disk_faults.files_max != 0 &&
        disk_faults.files >= disk_faults.files_max)
        return -ENOSPC;
    int fd = real_disk_open(path, mode);
    if (fd >= 0 && mode == DISK_CREATE)
        disk_faults.files++;
    return fd;
}

void disk_close(int fd)
{
    real_disk_close(fd);
}

int64_t disk_size(int fd)
{
    int error = disk_fault(CALL_SIZE);

    return error < 0 ? error : real_disk_size(fd);
}

int disk_read(int fd, void *into, size_t len, uint64_t offset)
{
    int error = disk_fault(CALL_READ);

    return error < 0 ? error : real_disk_read(fd, into, len, offset);
}

int disk_write(int fd, const void *from, size_t len, uint64_t offset)
{
    int error = disk_fault(CALL_WRITE);

    return error < 0 ? error : real_disk_write(fd, from, len, offset);
}

int disk_sync(int fd)
{
    int error = disk_fault(CALL_SYNC);

    return error < 0 ? error : real_disk_sync(fd);
}

int disk_sync_directory(const char *path)
{
    int error = disk_fault(CALL_SYNC_DIRECTORY);

    return error < 0 ? error : real_disk_sync_directory(path);
}

int disk_rename(const char *from, const char *to)
{
    int error = disk_fault(CALL_RENAME);

    return error < 0 ? error : real_disk_rename(from, to);
}

int disk_unlink(const char *path)
{
    int error = disk_fault(CALL_UNLINK);

    if (error < 0)
        return error;
    error = real_disk_unlink(path);
    if (error == 0 && disk_faults.files > 0)
        disk_faults.files--;
    return error;
}

int disk_make_directory(const char *path)
{
    return real_disk_make_directory(path);
}

int disk_list(const char *path, int (*visit)(void *context, const char *name), void *context)
{
    return real_disk_list(path, visit, context);
}

int disk_lock(const char *path)
{
    return real_disk_lock(path);
}

void *disk_buffer(size_t len)
{
    return real_disk_buffer(len);
}
