/*
 * sealing.h - the ARC set of one message that is passed on (RFC 8617), made with a domain's keys.
 *
 *   begin --> [the key is read] --> [the body is hashed, so much a turn] --> [sealed] --> done
 *
 * The key is the RSA key with which the domain signs its own mail, or else its other one: verifiers
 * of ARC are sure to know RSA. Where there is none, and where a chain has ended, nothing is added:
 * a forwarded message without a seal is worth what it was before there was ARC, so that it is not
 * held up for one.
 *
 * Thread: the engine's.
 */
#pragma once

#include "auth/arc/verify.h"
#include "signing/signer.h"

enum { SEALING_FIELDS_MAX = 64 * 1024 /* bytes of a set */ };

struct sealing;

/* All of it is looked at until done(). */
struct sealing_request {
    struct bytes domain;    /* normalised; a domain of the directory, or below one */
    struct bytes prefix;    /* whole fields that go before the content */
    struct bytes content;   /* the message as it leaves, but for these and the set */
    struct bytes results;   /* of the Authentication-Results that it was received with */
    enum arc_status status; /* what its chain was worth then */
};

struct sealing_result {
    const char *word;    /* "sealed"; or why not: "no-key", "key", "ended", "refused" */
    struct bytes fields; /* whole fields, to go before everything; empty where it is not sealed */
    struct bytes domain, selector; /* of the seal; empty */
};

/* NULL: no memory. done() is called once, never before this returned; what it is told lives until
 * sealing_free(), which may be called in there. */
must_use struct sealing *sealing_begin(struct signer *signer, const struct sealing_request *request,
                                       void (*done)(void *context,
                                                    const struct sealing_result *result),
                                       void *context);
/* At any time; done() is not called any more. NULL is fine. */
void sealing_free(struct sealing **sealing);
