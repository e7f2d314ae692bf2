/*
 * claims.h - keys by which tenants' messages are known, so that one handed in twice is taken once.
 *
 *   ask --> TAKEN: the asker's, until it says how it ended: claims_keep(), the message has its id;
 *     |            claims_drop(), it was refused and the key is free
 *     |---> BUSY: somebody else's who has not said so yet: ask again
 *     |---> KNOWN: a message has it, the one whose id is told
 *     '---> DIFFERS, FULL: what is asked for cannot be had
 *
 * A message's key stands in its accept record, in the tail: it is durable when the message is, and
 * no sooner. Whoever follows the spool's journal writes keys to a file of their own, from which a
 * start restores them (relay/tenant_book.h); until then nobody is told that a key is free.
 *
 * Keys are hashes of tenant and text under a secret of the node: nobody can make two that are the
 * same. A key is forgotten CLAIM_AGE_S after its message, by a clock that setting the wall clock
 * does not move while the program runs.
 *
 * Thread: any; each key is guarded with some others by a lock that is held for a look.
 */
#pragma once

#include "base/bytes.h"

enum {
    CLAIM_AGE_S = 24 * 3600,
    CLAIMS_MAX_DEFAULT = 1000000,
    CLAIM_SECRET_LEN = 32,
    CLAIM_LEN = 24, /* encoded */
};

struct claim {
    uint64_t hash[2];
    uint64_t envelope; /* of sender and recipients: the same key means the same mail */
};

/* Before anything is asked. At most `max` keys are known at a time: 32 bytes each, and up to twice
 * as much while their table grows. */
void claims_begin(const uint8_t secret[static CLAIM_SECRET_LEN], size_t max);
void claims_end(void);

struct claim claim_of(struct bytes tenant, struct bytes key);
/* Sender first, then each recipient, whose order does not matter. */
void claim_add_address(struct claim *claim, struct bytes address, bool is_sender);
void claim_encode(const struct claim *claim, uint8_t out[static CLAIM_LEN]);
must_use bool claim_decode(struct bytes bytes, struct claim *out);

enum claim_answer { CLAIM_TAKEN, CLAIM_BUSY, CLAIM_KNOWN, CLAIM_DIFFERS, CLAIM_FULL };
enum claim_answer claims_ask(const struct claim *claim, int64_t now_s, uint64_t *id_out);
/* Of one that was taken. */
void claims_keep(const struct claim *claim, uint64_t id, int64_t now_s);
void claims_drop(const struct claim *claim);

/* A message has had it since `since_s`. What is known already stays as it is. */
void claims_restore(const struct claim *claim, uint64_t id, int64_t since_s);
/* Forgets what is too old, a part of all at a time; the whole within 256 calls. */
void claims_sweep(int64_t now_s);
size_t claims_count(void);
/* Of all that are known, each once; not those that are only taken. */
void claims_visit(void (*visit)(void *context, const struct claim *claim, uint64_t id,
                                int64_t since_s),
                  void *context);
