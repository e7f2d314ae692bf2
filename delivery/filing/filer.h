/*
 * filer.h - the carriers of the site "local:store": each takes one message at a time to our store.
 *
 *   OPENING --> READY <---------------------------------------------------.
 *                 |  next message                                          |
 *                 '--> LOADING --> READING --> FILING --all are settled ---'
 *                      envelope    content     each copy is with the store
 *
 * Whom a recipient means is asked of the directory when its message is filed, not before: accounts
 * come and go while mail waits. What waits behind a slow account does not hold up the message's
 * other recipients: those that have come to an end are settled at the end of each turn.
 *
 * A copy is never filed twice (inbound/store/mail_store.h), so that a recipient of several accounts
 * of which one has no room is tried again as a whole.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/carrier.h"
#include "directory/recipient_lookup.h"
#include "directory/snapshot_feed.h"
#include "inbound/returns/returns.h"
#include "inbound/store/mail_store.h"

struct filers; /* one engine's */

struct signer;
struct srs_keys;

struct filers_setup {
    struct mail_store *store;
    struct returns *returns; /* reads what comes to return paths */
    const uint8_t *return_key;
    struct snapshot_reader *reader;
    const char *scripts;   /* the directory of accounts' scripts; NULL: there are none. It lives as
                          * long as the filers */
    struct signer *signer; /* of ARC sets; NULL: none are made */
    const struct srs_keys *srs; /* of rewritten senders (auth/srs/srs.h); NULL: what is to be sent
                                   on waits */
};

struct filers *filers_create(const struct filers_setup *setup);
void filers_free(struct filers **filers);
/* Whom a message is for that is to nobody: recipient_rules, of a normalised name and an address in
 * any valid form (NULL: none), which are copied. What has more Received fields than received_max is
 * not sent on. Messages from now on. */
void filers_configure(struct filers *filers, struct bytes hostname, const char *postmaster,
                      unsigned received_max);
const struct carrier_kind *filers_kind(const struct filers *filers);
