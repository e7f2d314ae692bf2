/*
 * account_shows.h - which folders of its tenant's an account has: a set, and how it is written.
 *
 *   "bounces,complaints,queue"   "none"
 *
 * Pure. Thread: any.
 */
#pragma once

#include "base/bytes.h"

/* Bits. The numbers are in databases. */
enum account_shows {
    SHOWS_BOUNCES = 1,
    SHOWS_COMPLAINTS = 2,
    SHOWS_REPORTS = 4,
    SHOWS_QUEUE = 8,
    SHOWS_ALL = 15,
    /* Of a tenant with privacy: the others name whom its mail was for. */
    SHOWS_PRIVATE = SHOWS_REPORTS,
    SHOWS_RETURNED = SHOWS_BOUNCES | SHOWS_COMPLAINTS | SHOWS_REPORTS
};

enum {
    SHOWS_TEXT_MAX = 48,
    SHOWING_ACCOUNTS_MAX = 8, /* of a tenant */
};

/* What comes back may be shown to an account of a tenant with privacy, or without. */
static inline unsigned account_shows_returned(bool has_privacy)
{
    return has_privacy ? SHOWS_PRIVATE : SHOWS_RETURNED;
}

/* Words in any order, each once at most, or "none". */
must_use bool account_shows_parse(struct bytes text, unsigned *shows_out);
struct bytes account_shows_format(unsigned shows, char out[static SHOWS_TEXT_MAX]);
/* The word of one bit. */
const char *account_shows_name(enum account_shows shows);
