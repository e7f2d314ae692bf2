/*
 * forward.h - a received message sent on to addresses elsewhere: an alias' targets, a redirect of
 * Sieve, and what comes back to a sender that we rewrote.
 *
 *   filer_forward() for each address, until a recipient's copies are all answered
 *   forward_begin() then: one message for all of them
 *      --> the sender is rewritten (auth/srs/srs.h); the null path stays null
 *      --> an ARC set, where the message was received from outside (signing/sealing.h)
 *      --> content larger than a chunk is written to the spool
 *      --> one commit: the new message, and EVENT_FORWARDED of the recipient
 *      --> the recipient is judged, with what became of its copies for accounts here
 *
 * Exactly once: the new message and the mark that there is one are one commit, which the spool
 * recovers whole or not at all. Whoever files the recipient again, after a crash or because one of
 * its accounts was full, finds pending.is_forwarded and sends nothing on.
 *
 * The copy keeps the content byte for byte. Before the fields that we added on arrival go the ARC
 * set and a Delivered-To with the address whose doing it is: by that a loop is known, and by more
 * Received fields than limits.received allows. What loops bounces, 5.4.6.
 *
 * ENVID, RET, ORCPT and NOTIFY go along. Where the recipient is one address and no account here, it
 * is left to that address to tell of success; else SUCCESS is taken out, and who asked for it is
 * told "expanded" (RFC 3461 section 5.2.7.3 and before).
 *
 * Private to the folder. Thread: the engine's.
 */
#pragma once

#include "base/bytes.h"

struct filer;
struct filed_recipient;

struct forward_to {
    struct bytes address; /* "local@domain" in any valid form; of whatever domain */
    /* Whose doing it is, as directory_address() says: the alias, or the account of the script. */
    struct bytes by;
    const char *rule; /* "alias", "sieve", "srs": in the event; a constant */
};

/*
 * Adds an address that the recipient is to be sent on to; copied. An address that was added before
 * is not added again. Until the last of the recipient's copies is answered, and with the same
 * addresses each time it is filed: what is added after a try that sent some on is not sent. False:
 * no memory; the caller judges.
 */
must_use bool filer_forward(struct filer *filer, struct filed_recipient *recipient,
                            const struct forward_to *to);
/* Has the filer's message been sent on by this address before? Then filer_forward() would come to a
 * bounce. Who would rather keep it asks first. */
bool filer_is_loop(struct filer *filer, struct bytes by);

/* For a recipient that has addresses to be sent on to and was not settled: ends in a judgement,
 * later or before it returns; the filer has one more outstanding until then. */
void forward_begin(struct filer *filer, struct filed_recipient *recipient);
/* It became several, or copies beside those of accounts: who asked is told "expanded". */
bool forward_expands(const struct filed_recipient *recipient);
/* What can be broken off is: the filer was aborted. */
void forward_abort(struct filed_recipient *recipient);
