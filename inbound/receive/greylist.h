/*
 * greylist.h - who is new here comes again: the first mail of a network from a sender to a
 * recipient is put off, and taken when it is tried again after a while (RFC 6647).
 *
 * A network is a /24 of IPv4 or a /64 of IPv6. One whose mail came again is known from then on, and
 * nothing of it is put off. In memory, for the whole process, and bounded: GREYLIST_MAX of both
 * kinds; where a new one finds no room it takes that of the one that was not seen for longest. A
 * restart forgets: then mail is put off once more.
 *
 * Any thread.
 */
#pragma once

#include "base/bytes.h"
#include "io/address.h"

enum {
    GREYLIST_MAX = 65536,
    GREYLIST_WAITS_S = 2 * 24 * 3600,  /* what was put off is forgotten */
    GREYLIST_KNOWN_S = 35 * 24 * 3600, /* who is known, without mail */
};

/* False: it is to be put off. Times are monotonic. */
must_use bool greylist_passes(const struct address *client, struct bytes sender,
                              struct bytes recipient, int64_t delay_ms, int64_t now_ms);
/* Of tests: as after a start. */
void greylist_forget_all(void);
