/*
 * srs.h - senders rewritten for mail that is forwarded, and the way back (Sender Rewriting Scheme).
 *
 * Who forwards is asked by SPF in place of the sender, so that the reverse-path must be of a domain
 * of its own; what bounces comes back to it, and goes on to whom the address names:
 *
 *   user@from.example              SRS0=HASH=DAY=from.example=user@our.example
 *   SRS0=h=d=from.example=user@a   SRS1=HASH=a==h=d=from.example=user@our.example
 *   SRS1=h=a==...@b                SRS1=HASH=a==...@our.example
 *
 * The hash is HMAC-SHA-256 of what follows it and of our domain, 40 bits in base32, over lower
 * case: some servers change the case on the way. The day is that of 1,024 on which it was made, so
 * that an address dies. SRS1 has none: the first forwarder looks at its own. A local part that
 * needs quotes makes the whole one quoted. Local parts grow beyond the 64 octets of RFC 5321
 * section 4.5.3.1.1, as everybody's do who forwards; smtp/address.h takes such ones.
 *
 * Pure functions; any thread.
 */
#pragma once

#include "base/buf.h"

enum {
    SRS_KEY_LEN_MIN = 16,
    SRS_KEYS_MAX = 4,
    SRS_ADDRESS_MAX = 254, /* octets: SMTP_PATH_MAX without the brackets */
    SRS_DAYS_MAX = 21,     /* how long a bounce may take; DSNs of most come within five */
    SRS_DAYS_AHEAD_MAX = 1 /* of a clock that was set since */
};

struct srs_keys {
    size_t count;                      /* at least one */
    struct bytes secret[SRS_KEYS_MAX]; /* the first makes addresses, each may have made one */
};

enum srs_result {
    SRS_OK,
    SRS_FORGED,  /* the hash is not ours, or there is none */
    SRS_EXPIRED, /* it is ours, and too old or of days to come */
    SRS_REFUSED, /* not an address, or what comes out would be longer than SRS_ADDRESS_MAX */
};

/* Does the address, or the local part, claim to be of ours: "SRS0=" or "SRS1=", in any case? */
bool srs_is_claimed(struct bytes address);
/* Appends the address at `domain` (normalised) under which `sender` sends; nothing unless SRS_OK,
 * else SRS_REFUSED. */
must_use enum srs_result srs_forward(const struct srs_keys *keys, struct bytes sender,
                                     struct bytes domain, int64_t wall_ms, struct buf *out);
/* Appends the address that mail for `address` goes on to; nothing unless SRS_OK. What stands in
 * there was somebody's sender: it is an address. */
must_use enum srs_result srs_reverse(const struct srs_keys *keys, struct bytes address,
                                     int64_t wall_ms, struct buf *out);
