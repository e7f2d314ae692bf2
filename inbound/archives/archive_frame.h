/*
 * archive_frame.h - what goes between us and the process that reads archives.
 *
 * When it is ready it says so by an end. Asked: struct archive_request, then the archive. Answered:
 * struct archive_frame with a path behind it, one a member, then one with is_end and no path. Both
 * sides run the same program.
 */
#pragma once

#include "inbound/archives/archive_names.h"

struct archive_request {
    uint32_t len, members_max;
};

struct archive_frame {
    uint8_t is_end, result; /* enum archive_result, where it is the end */
    uint8_t depth, is_encrypted, is_nested;
    uint8_t zero;
    uint16_t path_len; /* at most ARCHIVE_PATH_MAX */
};
_Static_assert(sizeof(struct archive_frame) == 8, "no byte of it is left unset");
