/*
 * file_read.h - files of a folder that are read at once, and whether they changed. Blocks; any
 * thread.
 */
#pragma once

#include "base/buf.h"

/* Appended to what is empty; -ENOENT, -EFBIG: more than its cap, or -errno. */
must_use int file_read(int directory, const char *name, struct buf *out);
/* Another number when the file is another one, or was written to; 0: there is none. */
uint64_t file_stamp(int directory, const char *name);
/* When anything in the directory got or lost a name: nanoseconds of wall time; 0: not to be had. */
uint64_t directory_stamp(int directory, const char *name);
/* A directory's stamp, or 0: it is so fresh that the directory may change and keep it. */
uint64_t stamp_settled(uint64_t stamp);
