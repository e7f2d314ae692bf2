/*
 * archive_kind.h - whether bytes or a name are an archive's, or of something packed. Pure.
 */
#pragma once

#include "base/bytes.h"

enum { ARCHIVE_START = 512 }; /* bytes of it that tell; all of it where it is shorter */

enum archive_kind {
    ARCHIVE_NONE,
    ARCHIVE_ZIP,
    ARCHIVE_OTHER, /* that libarchive may read: tar, 7z, rar, cab, gzip and the like */
};
enum archive_kind archive_kind(struct bytes start);

/* By the end of its name: who opens it will find an archive, or something packed. */
bool archive_kind_has_name(struct bytes name);
/* "a.exe" of "a.exe.gz", which is what unpacking it makes; `name` itself where it is not so. */
struct bytes archive_kind_unpacked(struct bytes name);
