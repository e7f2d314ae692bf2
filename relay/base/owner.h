/*
 * owner.h - who owns what root's commands leave in the state directory: whoever owns that.
 *
 * Thread: any; blocks.
 */
#pragma once

/* Where we are root, the file has the owner and group of `directory` afterwards. Who has them
 * already is left alone: a program whose system calls are filtered may not change owners at all.
 * 0 or -errno. */
int owner_give(int fd, const char *directory);
/* The same of a name in a directory (AT_FDCWD: a path); a link itself, not what it leads to. */
int owner_give_at(int at_fd, const char *name, const char *directory);
