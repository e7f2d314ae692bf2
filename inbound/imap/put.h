/*
 * put.h - numbers and dates of replies, written where they go: what stands in each line of a FETCH
 * of all is not worth a format.
 *
 * Pure, any thread. False: no room in `out`.
 */
#pragma once

#include "base/buf.h"

must_use bool imap_put_number(struct buf *out, uint64_t number);
/* "\"01-Feb-2020 02:03:04 +0000\""; what lies outside of 1970 to 9999 is clipped. */
must_use bool imap_put_date_time(struct buf *out, int64_t seconds);
