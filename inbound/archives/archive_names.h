/*
 * archive_names.h - names of what lies in an archive, in archives in it too, by libarchive.
 *
 * Read are tar, 7z, rar, cab, cpio, lha, iso and zip, packed by gzip, bzip2, xz, zstd and the like
 * or not, and what those alone hold. Headers are read; of contents only those of members that are
 * archives by their name, ARCHIVE_DEPTH deep, ARCHIVE_UNPACKED bytes of them in all.
 *
 * The bytes are a stranger's, libarchive is large, and it may unpack what it passes over, for any
 * time: so this runs in a process of its own that can do nothing else (archive_child.h).
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"

enum {
    ARCHIVE_DEPTH = 3, /* archives in one another, the outermost counted */
    ARCHIVE_UNPACKED = 16 * 1024 * 1024,
    ARCHIVE_PATH_MAX = 1024, /* of a longer path its end is told */
};

struct archive_member {
    struct bytes
        path; /* "inner.zip/a.exe"; empty: an archive that tells no names without a password */
    unsigned depth; /* 1: of the outermost */
    bool is_encrypted;
    bool is_nested; /* it is an archive */
};

/* In the order of what they weigh. */
enum archive_result {
    ARCHIVE_WHOLE,
    ARCHIVE_UNREAD,  /* not to its end: damaged, of no known form, encrypted, beyond bounds; or it
                      * tells nothing */
    ARCHIVE_CROWDED, /* it has more than members_max */
};

typedef void archive_member_fn(void *context, const struct archive_member *member);

enum archive_result archive_names(struct bytes archive, unsigned members_max,
                                  archive_member_fn *take, void *context);
