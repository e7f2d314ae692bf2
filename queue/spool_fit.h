/*
 * spool_fit.h - would a start take this spool? Looked at without changing it.
 *
 * Headers of segments are all that is read, so a spool may be served meanwhile.
 * Thread: any; does file I/O.
 */
#pragma once

#include <stddef.h>

#include "base/check.h"

enum {
    SPOOL_FIT_WHY_MAX = 1200,
    SPOOL_FIT_NO_NODE = -1, /* none was made yet: any segment is another's */
};

/* 0, also where there is no spool yet; or -errno with a sentence: a shard that is no directory or
 * cannot be read, a segment of a later format (-EPROTO) or of another node (-EPROTO). What is
 * damaged does not keep a start from going on. */
must_use int spool_fit(const char *spool, int node, char why_out[static SPOOL_FIT_WHY_MAX]);
