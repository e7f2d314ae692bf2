/*
 * return_path.h - addresses that a tenant's mail returns to, signed, so that nobody can make one.
 *
 *   MAIL FROM:<b67tmlai...@bounces.shop.example>
 *
 * "b", and in base32 (a-z, 2-7) the message's id, a recipient's number, and 80 bits of an HMAC of
 * these and the domain, by a key of this node. What comes to such an address is about that message;
 * who got the message knows the address, and nobody else.
 *
 * It is used for the mail of a domain whose return-path name, "bounces." and its own, is a domain
 * of the directory too: of the same tenant, active and hosted. Where it is not, the sender's
 * address stays.
 *
 * Pure functions; any thread.
 */
#pragma once

#include "directory/snapshot.h"

#define RETURN_PATH_LABEL "bounces." /* what `domain add` prints a record for */
#define RETURN_PATH_COMPLAINTS "complaints"
#define RETURN_PATH_REPORTS "reports" /* DMARC's and TLS' */

enum {
    RETURN_PATH_KEY_LEN = 32,
    RETURN_PATH_LOCAL_LEN = 37,
    RETURN_PATH_MAX = RETURN_PATH_LOCAL_LEN + 1 + 255,
    RETURN_PATH_ANY = UINT32_MAX, /* the number where a transaction was for several recipients */
};

struct return_path {
    uint64_t message;
    uint32_t recipient; /* its number, or RETURN_PATH_ANY */
};

/* The domain that mail of `sender` (an address of any case) of that tenant returns to: a slice of
 * the snapshot; empty: none. */
struct bytes return_path_domain(const struct snapshot *snapshot, struct bytes tenant,
                                struct bytes sender);
/* Whether a domain (normalised) is one that such mail returns to. */
bool return_path_is_domain(const struct snapshot *snapshot, struct bytes domain);
/* `domain`: normalised. Not NUL-terminated; the local part alone. */
void return_path_sign(const uint8_t key[static RETURN_PATH_KEY_LEN], const struct return_path *path,
                      struct bytes domain, char local_out[static RETURN_PATH_LOCAL_LEN]);
/* False: it is none, or its signature does not hold. Case does not matter. */
must_use bool return_path_read(const uint8_t key[static RETURN_PATH_KEY_LEN], struct bytes local,
                               struct bytes domain, struct return_path *out);
/* The first in the text (of a report) that holds, at that domain. */
must_use bool return_path_find(const uint8_t key[static RETURN_PATH_KEY_LEN], struct bytes text,
                               struct bytes domain, struct return_path *out);
