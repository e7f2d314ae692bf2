/*
 * fuzz_files.h - a directory in memory where a fuzz target lays out the files it fuzzes, and the
 * fields that an input is cut into.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define FUZZ_MAY __attribute__((unused)) static

static char fuzz_directory[48]; /* room for a name behind it where 64 are */

/* One pass; false when there was nothing to remove. */
FUZZ_MAY bool fuzz_empty_once(const char *directory)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    bool is_removed = false;
    char path[512];

    check(entries != NULL);
    while ((entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        check(snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < (int)sizeof(path));
        if (unlink(path) == 0) {
            is_removed = true;
        } else {
            check(errno == EISDIR);
            is_removed |= fuzz_empty_once(path);
        }
    }
    closedir(entries);
    return is_removed;
}

/* Files go, folders stay. A listing may leave names out while others are removed: again until it
 * is empty. */
FUZZ_MAY void fuzz_empty(const char *directory)
{
    while (fuzz_empty_once(directory))
        continue;
}

FUZZ_MAY void fuzz_remove_directory(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", fuzz_directory);
    check(system(command) == 0);
}

/* One for all runs, gone when the program ends well. */
FUZZ_MAY const char *fuzz_make_directory(void)
{
    if (fuzz_directory[0] != '\0')
        return fuzz_directory;
    snprintf(fuzz_directory, sizeof(fuzz_directory), "%s/ringpost-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    check(mkdtemp(fuzz_directory) != NULL);
    check(atexit(fuzz_remove_directory) == 0);
    return fuzz_directory;
}

FUZZ_MAY void fuzz_write(const char *path, struct bytes content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    check(fd >= 0);
    check(write(fd, content.ptr, content.len) == (ssize_t)content.len);
    close(fd);
}

/* Everything up to the next NUL, or all that is left. */
FUZZ_MAY struct bytes fuzz_field(struct bytes *input)
{
    struct bytes field;

    if (bytes_take_until(input, '\0', &field))
        return field;
    field = *input;
    *input = BYTES_NONE;
    return field;
}

FUZZ_MAY unsigned fuzz_byte(struct bytes *input)
{
    if (input->len == 0)
        return 0;
    unsigned byte = input->ptr[0];
    *input = bytes_slice(*input, 1, input->len);
    return byte;
}
