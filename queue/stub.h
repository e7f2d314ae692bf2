/*
 * stub.h - what memory keeps of an unfinished message: 80 bytes with one recipient, 32 for each
 * more.
 *
 * A stub and its pendings (one a recipient, in the order of RCPT) are one allocation, freed when
 * the last recipient is final. Addresses, envelope and content are on disk. The index finds a stub
 * by message id.
 *
 * A pending is always exactly one of: SCHEDULED (the schedule holds it until due), READY
 * (delivery holds it: waiting at its destination or in an attempt with a deadline), COMMITTING
 * (its outcome is on its way to disk), FINAL. `link` belongs to whoever holds it. What is final
 * may be freed with its stub before commit.done() is told.
 *
 * Thread: the engine that owns the shard.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "queue/message.h"

struct domain;
struct flow;

enum { STUB_COUNT_BITS = 17 };
_Static_assert(MESSAGE_RECIPIENTS_MAX < 1 << STUB_COUNT_BITS, "all of them are counted");

enum pending_state { PENDING_SCHEDULED, PENDING_READY, PENDING_COMMITTING, PENDING_FINAL };

enum {
    PENDING_DELAY_TOLD = 1, /* a delay notice was sent */
    PENDING_FLAGS_STORED = 0x01,
    PENDING_UNTRIED = 0x08, /* found at the start and not tried since: see stub_accepted_ms() */
    PENDING_LETS_GO = 0x04, /* the shard's: READY, but not soon; its message need not stay */
    PENDING_WAITS = 0x02,   /* of a stub's first: its not-before stands behind all pendings */
    PENDING_KEEPS = 0x80,   /* the shard's: counted in keeper_count of the resident message */
};

enum { ATTEMPTS_MAX = 0x7fff /* that are counted */ };

struct pending {
    struct list_node link;
    struct flow *flow;         /* flow.h; NULL once it is FINAL */
    uint32_t due_s;            /* SCHEDULED: monotonic seconds; see schedule.h */
    uint16_t attempts : 15;    /* made so far */
    uint16_t is_forwarded : 1; /* EVENT_FORWARDED is durable: its copies for elsewhere are here */
    uint8_t flags;
    uint8_t state : 2;
    uint8_t back : 5;     /* pending_stub()'s */
    uint8_t is_gated : 1; /* its tenant's rates were not asked yet, or hold it: delivery's gate */
};

/* Packed: a queue is as long as memory allows. */
struct stub {
    struct stub *next; /* in the index's bucket */
    struct message_id id;
    union {
        struct message *message;       /* while resident */
        struct record_lengths lengths; /* else */
    } what;                            /* stub_message(), stub_lengths() */
    uint32_t sequence;                 /* of the segment that holds the accept record */
    uint32_t offset_8 : 29;            /* where it stands there: stub_offset() */
    uint32_t is_resident : 1;          /* `message` holds */
    uint32_t is_inline : 1;            /* its content's records stand right before it */
    uint32_t is_moved : 1;             /* an older accept record of it may still be there */
    uint32_t accepted_s;               /* monotonic: stub_accepted_ms() */
    uint32_t next_seq;                 /* of its next event */
    uint64_t recipient_count : STUB_COUNT_BITS;
    uint64_t live_count : STUB_COUNT_BITS; /* recipients that are not final */
    uint64_t staged : 18;                  /* outcomes on their way to disk */
    uint64_t reach : 12; /* how many segments before `sequence` its content begins */
    struct pending pendings[];
};

/* When it was accepted, in monotonic time; below 0 if that was before the machine was started. So a
 * message does not age by a clock that is set. What was found at the start knows wall time only: if
 * the clock was set since, its age is wrong, and it must not expire before it was tried once more
 * (PENDING_UNTRIED). Seconds are kept modulo 2^32, good for 68 years of age. */
static inline int64_t stub_accepted_ms(const struct stub *stub, int64_t now_ms)
{
    int64_t now_s = now_ms / 1000;
    int32_t age_s = (int32_t)((uint32_t)now_s - stub->accepted_s);

    return (now_s - MAX(age_s, 0)) * 1000;
}

static inline void stub_set_accepted_ms(struct stub *stub, int64_t accepted_ms)
{
    int64_t seconds = accepted_ms / 1000 - (accepted_ms % 1000 < 0);

    stub->accepted_s = (uint32_t)seconds;
}

/* Few messages have a not-before: a number behind the pendings, monotonic seconds modulo 2^32 as
 * above, rounded up, so that nothing is ever early. While a start applies the log it is wall
 * seconds, as all times of a stub are. */
enum { NOT_BEFORE_S_MAX = 60 * 365 * 86400 }; /* ahead: a later one is taken for this */

static inline bool stub_has_not_before(const struct stub *stub)
{
    return (stub->pendings[0].flags & PENDING_WAITS) != 0;
}

static inline uint32_t *stub_not_before_s(const struct stub *stub)
{
    return (uint32_t *)((uintptr_t)stub->pendings + stub->recipient_count * sizeof(struct pending));
}

/* Monotonic, perhaps below 0. INT64_MIN: it has none. */
static inline int64_t stub_not_before_ms(const struct stub *stub, int64_t now_ms)
{
    if (!stub_has_not_before(stub))
        return INT64_MIN;
    int64_t now_s = now_ms / 1000;

    return (now_s + (int32_t)(*stub_not_before_s(stub) - (uint32_t)now_s)) * 1000;
}

static inline int64_t stub_not_before_wall_ms(const struct stub *stub, int64_t wall_offset_ms)
{
    uint32_t wall_s = *stub_not_before_s(stub) + (uint32_t)(wall_offset_ms / 1000);

    return (int64_t)wall_s * 1000 + wall_offset_ms % 1000;
}

static inline void stub_set_not_before_ms(struct stub *stub, int64_t not_before_ms, int64_t now_ms)
{
    int64_t latest_ms = now_ms + (int64_t)NOT_BEFORE_S_MAX * 1000;
    int64_t ms = MIN(not_before_ms, latest_ms);

    *stub_not_before_s(stub) = (uint32_t)(ms / 1000 + (ms % 1000 > 0));
}

/* From when its age counts for whoever gives up on what is too old: its acceptance, or the time
 * before which nobody may try. */
static inline int64_t stub_age_from_ms(const struct stub *stub, int64_t now_ms)
{
    return MAX(stub_accepted_ms(stub, now_ms), stub_not_before_ms(stub, now_ms));
}

static inline struct message *stub_message(const struct stub *stub) /* NULL: not resident */
{
    return stub->is_resident ? stub->what.message : NULL;
}

static inline struct record_lengths stub_lengths(const struct stub *stub)
{
    return stub->is_resident ? stub->what.message->lengths : stub->what.lengths;
}

static inline void stub_set_lengths(struct stub *stub, struct record_lengths lengths)
{
    *(stub->is_resident ? &stub->what.message->lengths : &stub->what.lengths) = lengths;
}

/* Resident from now on, or with NULL no longer; references are the caller's. */
static inline void stub_set_message(struct stub *stub, struct message *message)
{
    struct record_lengths lengths = stub_lengths(stub);

    stub->is_resident = message != NULL;
    if (message != NULL)
        stub->what.message = message;
    stub_set_lengths(stub, lengths);
}

/* All of them live. */
static inline void stub_set_count(struct stub *stub, uint32_t recipient_count)
{
    check(recipient_count <= MESSAGE_RECIPIENTS_MAX);
    stub->recipient_count = recipient_count & ((1U << STUB_COUNT_BITS) - 1);
    stub->live_count = stub->recipient_count;
}

/* Of the accept record; records stand at multiples of 8. */
static inline uint32_t stub_offset(const struct stub *stub)
{
    return (uint32_t)stub->offset_8 * 8;
}

static inline void stub_set_offset(struct stub *stub, uint32_t offset)
{
    check(offset % 8 == 0);
    stub->offset_8 = offset / 8 & ((1U << 29) - 1);
}

/* A pointer to its stub in each pending would take a tenth of all this memory. Instead each knows
 * the lowest bit of its number: that far back stands the one whose number lacks this bit, and after
 * as many steps as the number has bits, the first one. */
enum { PENDING_IS_FIRST = 0x1f };

static inline void pending_place(struct stub *stub, uint32_t number)
{
    unsigned back = number == 0 ? PENDING_IS_FIRST : (unsigned)__builtin_ctz(number);

    stub->pendings[number].back = back & PENDING_IS_FIRST;
}

static inline struct stub *pending_stub(const struct pending *pending)
{
    while (pending->back != PENDING_IS_FIRST)
        pending -= (ptrdiff_t)1 << pending->back;
    return (struct stub *)((uintptr_t)pending - offsetof(struct stub, pendings));
}

/* A time of its own at which it is due, to be kept on disk: what waits for its not-before has none,
 * as the not-before is the message's, and what is due at once neither. */
static inline bool pending_has_due(const struct pending *pending)
{
    const struct stub *stub = pending_stub(pending);

    return pending->state == PENDING_SCHEDULED && pending->due_s != 0 &&
           !(stub_has_not_before(stub) && pending->due_s == *stub_not_before_s(stub));
}

/* What is kept of it on disk in one byte: PENDING_FLAGS_STORED, and that it is forwarded. */
enum { STORED_FORWARDED = 0x02 };

static inline uint8_t pending_stored_flags(const struct pending *pending)
{
    unsigned forwarded = pending->is_forwarded ? STORED_FORWARDED : 0;

    return (uint8_t)((pending->flags & PENDING_FLAGS_STORED) | forwarded);
}

/* Added to what it has. */
static inline void pending_restore_flags(struct pending *pending, uint8_t stored)
{
    pending->flags |= stored & PENDING_FLAGS_STORED;
    if ((stored & STORED_FORWARDED) != 0)
        pending->is_forwarded = 1;
}

static inline void pending_set_attempts(struct pending *pending, unsigned attempts)
{
    pending->attempts = MIN(attempts, (unsigned)ATTEMPTS_MAX) & ATTEMPTS_MAX;
}

/* Which RCPT this pending is: index into message->recipients. */
static inline uint32_t pending_number(const struct pending *pending)
{
    return (uint32_t)(pending - pending_stub(pending)->pendings);
}

_Static_assert(sizeof(struct stub) + sizeof(struct pending) == 80, "docs/spool.md says so");
