/*
 * tail.h - what a message carries besides its envelope: entries of tag, length, bytes.
 *
 * It stands in the accept record as it is. Who does not know a tag passes it on: compaction copies
 * the whole tail, `ringpost spool dump` shows each entry. Tags are given out here, once, and are
 * never used for something else. An entry is u32 tag, u32 length, then the bytes.
 */
#pragma once

#include "base/arena.h"

enum { TAIL_LEN_MAX = 64 * 1024 };

enum tail_tag {
    TAIL_SESSION = 1, /* which session handed it in: u64 wall ms of its connection, then its name */
    TAIL_SIGNING = 2, /* what became of its DKIM signatures, in words: tail_signing() */
    TAIL_CHECKS = 12, /* what was checked when it was received: event/event_checks.h */
    TAIL_METADATA = 16,  /* the submitter's: a JSON object */
    TAIL_THROTTLED = 17, /* by what it waits, and until about when: u64 wall ms, then the rule */
    TAIL_CLAIM = 18,     /* by which its tenant knows it: intake/claims.h */
    TAIL_TLS = 19,       /* what its sender asks of TLS: u8 enum mail_tls */
    TAIL_SENT = 20,      /* which recipient is the sender's own Sent: u32 its number */
    TAIL_SHOWN = 21,     /* one that is an account which is shown what another's report is: u32 its
                        number, u32 the other's */
    TAIL_ACCOUNT = 22,   /* whose rates it counts to, of a user who submitted it: u32 account */
};

/* The value of TAIL_SESSION: TAIL_SESSION_MAX bytes hold every one. */
enum { TAIL_SESSION_NAME_MAX = 32, TAIL_SESSION_MAX = 8 + TAIL_SESSION_NAME_MAX };
must_use bool tail_add_session(struct arena *arena, struct bytes *tail, int64_t connected_ms,
                               struct bytes name);
/* False, with nothing set, where there is none. */
bool tail_session(struct bytes tail, int64_t *connected_ms_out, struct bytes *name_out);

/* The value of TAIL_SIGNING: "signed shop.example rp1r,rp1e", or a word why not. */
struct tail_signing {
    struct bytes word, domain, selectors; /* empty: none */
};
/* False, with nothing set, where there is none. */
bool tail_signing(struct bytes tail, struct tail_signing *out);

must_use bool tail_add_throttled(struct arena *arena, struct bytes *tail, int64_t until_ms,
                                 struct bytes rule);
/* False, with nothing set, where there is none. */
bool tail_throttled(struct bytes tail, int64_t *until_ms_out, struct bytes *rule_out);

enum { TAIL_RULE_MAX = 128 };

/* The value of TAIL_ACCOUNT; 0: there is none. */
must_use bool tail_add_account(struct arena *arena, struct bytes *tail, uint32_t account);
uint32_t tail_account(struct bytes tail);

/* The value of TAIL_TLS; 0: there is none, or one that is not known here. */
unsigned tail_tls(struct bytes tail, unsigned known_max);

must_use bool tail_add_sent(struct arena *arena, struct bytes *tail, uint32_t recipient);
/* Is that recipient the sender's own Sent? */
bool tail_is_sent(struct bytes tail, uint32_t recipient);
must_use bool tail_add_shown(struct arena *arena, struct bytes *tail, uint32_t recipient,
                             uint32_t of);
/* False, with nothing set: it is a recipient like others. */
bool tail_is_shown(struct bytes tail, uint32_t recipient, uint32_t *of_out);
/* One of both: nobody wrote it into the envelope. */
bool tail_is_copy(struct bytes tail, uint32_t recipient);

/* Appends an entry; *tail moves within the arena. False without memory or beyond TAIL_LEN_MAX. */
must_use bool tail_add(struct arena *arena, struct bytes *tail, uint32_t tag, struct bytes value);
/* The first of that tag; ptr NULL: there is none. */
struct bytes tail_find(struct bytes tail, uint32_t tag);
/* Takes the next entry off; false at the end, or where the rest is none. */
must_use bool tail_next(struct bytes *tail, uint32_t *tag_out, struct bytes *value_out);
/* Whole entries and nothing else, of at most TAIL_LEN_MAX bytes. */
must_use bool tail_is_valid(struct bytes tail);
