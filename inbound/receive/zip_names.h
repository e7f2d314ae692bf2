/*
 * zip_names.h - names of what lies in a zip archive, read while its bytes go by.
 *
 * Headers are found by their signatures, those of files and those of the directory at the end
 * (PKWARE's APPNOTE sections 4.3.7 and 4.3.12), wherever they stand: so it does not matter what
 * lies before the archive, whether both tell the same names, or whether one is missing, which
 * readers disagree about; and what an archive in it has stored is found as well. What is packed is
 * not unpacked.
 *
 * Bounded: a header of ZIP_HEADER_MAX bytes is held. Thread: any; pure.
 */
#pragma once

#include "base/buf.h"

enum { ZIP_HEADER_MAX = 16 * 1024, ZIP_FEED_MAX = 4 * 1024 };

struct zip_names {
    struct buf held;
    size_t done; /* of `held`: seen */
    bool is_end;
};

struct zip_member {
    struct bytes name;    /* as it stands: with a path, in any character set */
    struct bytes unicode; /* its other name (section 4.6.9), which some readers take; empty: none */
    bool is_encrypted;
};

enum zip_found {
    ZIP_NOTHING, /* in what was fed */
    ZIP_MEMBER,
    ZIP_TOO_LONG, /* a header of more than ZIP_HEADER_MAX bytes: it was passed over */
};

void zip_names_init(struct zip_names *names);
/* What comes next, at most ZIP_FEED_MAX bytes, where zip_names_next() had nothing more. */
void zip_names_feed(struct zip_names *names, struct bytes run);
/* The part ends: zip_names_next() tells of headers, too, whose own end is missing. */
void zip_names_end(struct zip_names *names);
/* The next member; its slices live until the next call. */
enum zip_found zip_names_next(struct zip_names *names, struct zip_member *member_out);
/* Another part begins: what is held is no part of it. */
void zip_names_clear(struct zip_names *names);
void zip_names_free(struct zip_names *names);
