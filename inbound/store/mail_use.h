/*
 * mail_use.h - what accounts were last seen to hold: a table for who cannot wait for a disk.
 *
 * Bounded: of MAIL_USE_MAX accounts, the longest not asked for goes first. What stands in it is of
 * some moment; its age is told, so that it can be counted anew in time.
 *
 * Thread: any.
 */
#pragma once

#include "base/bytes.h"

enum {
    MAIL_USE_MAX = 65536,               /* some 150 bytes each */
    MAIL_USE_FRESH_MS = 60 * 1000,      /* as old as a count may get before it is made anew */
    MAIL_USE_HOLDS_MS = 60 * 60 * 1000, /* older than this it says nothing any more */
};

struct mail_uses;

struct mail_uses *mail_uses_create(size_t max);
void mail_uses_free(struct mail_uses **uses);
/* `key`: "DOMAIN/LOCAL", encoded. `now_ms`: monotonic. */
void mail_use_set(struct mail_uses *uses, struct bytes key, uint64_t bytes, int64_t now_ms);
/* False: not known. *counts_out: the caller is to have it counted; said once a MAIL_USE_FRESH_MS,
 * whoever asks, so that one that cannot be counted costs no more. */
must_use bool mail_use_find(struct mail_uses *uses, struct bytes key, int64_t now_ms,
                            uint64_t *bytes_out, bool *counts_out);
