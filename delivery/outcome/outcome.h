/*
 * outcome.h - from a reply, or a failure of ours, to each recipient's durable outcome.
 *
 * A judgement is what was said; an outcome is what becomes of one recipient because of it:
 * delivered, deferred until the next try, bounced, expired. A settlement collects the recipients
 * of one message that came to an end together, writes the notifications they cause (dsn.h) and
 * gives all of it to the shard in one commit, so that no failure is told twice and none is
 * forgotten.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/families.h"
#include "delivery/outcome/outcomes.h"
#include "smtp/reply.h"

enum judgement_kind {
    JUDGEMENT_DELIVERED,
    JUDGEMENT_FILED,     /* into an account of ours */
    JUDGEMENT_FORWARDED, /* copies for other addresses are in the spool: delivered, by us to them */
    JUDGEMENT_DEFERRED,  /* for now; the retry rule says when again, or that its time is over */
    JUDGEMENT_BOUNCED,
    JUDGEMENT_EXPIRED,   /* too old, without another try */
    JUDGEMENT_CANCELLED, /* by an operator */
};

struct judgement {
    enum judgement_kind kind;
    bool is_ours;     /* nobody replied this: we say it */
    bool is_expanded; /* of what went well: it became several addresses (RFC 3464 section 2.3.3) */
    uint16_t code;
    struct smtp_enhanced enhanced;
    struct bytes text;
    const char *class;
    const char *rule;
};

/* The text is the reply's: copy it to keep it. */
struct judgement judgement_of_reply(const struct smtp_reply *reply);
/* A sentence of ours. The enhanced code's class follows from the kind. */
struct judgement judgement_of_ours(enum judgement_kind kind, uint16_t subject, uint16_t detail,
                                   const char *class, const char *rule, struct bytes text);

/* The class of failures for want of TLS, or of a host that is who it says. */
#define CLASS_TLS "tls"

/* What there is to know of an attempt's TLS. The names live for ever; NULL: none. */
struct attempt_tls {
    const char *version, *cipher; /* NULL: it was in plain, or came to none */
    const char *policy, *source;  /* what was demanded, by whom */
    const char *result;           /* RFC 8460 section 4.3, or "success" */
    enum event_answer verified;   /* the peer is who it says */
    struct bytes reason;          /* words for the result, or for why it is not verified */
};

/* What the recipients of one attempt share. Text is copied. */
struct attempt_facts {
    struct series *counts; /* the site's, of family_sites; NULL: none is known */
    bool is_attempt;       /* false: an end without a try */
    int64_t started_ms;    /* wall */
    struct attempt_times times;
    struct bytes source, source_ip, site, mx_host, mx_ip;
    struct attempt_tls tls;
    bool peer_has_dsn; /* success notices are the next hop's business (RFC 3461 section 5.2.2) */
};

struct settlement;

/* Takes a reference of its own to the message, which may be NULL if it cannot be read any more. */
struct settlement *settlement_begin(struct outcomes *outcomes, struct shard *shard,
                                    struct message *message, const struct attempt_facts *facts,
                                    size_t recipient_max);
/* The pending is READY, busy, unlinked and of the message; it is the shard's from here on. */
void settlement_add(struct settlement *settlement, struct pending *pending,
                    const struct judgement *judgement);
/* Before the commit, of a settlement with one recipient: what is to be accepted with its end,
 * answers to the sender, whose ids are set; the settlement's from here on. They are signed as
 * notifications are, and the event names them. Of one that is deferred there are none yet. */
void settlement_answer(struct settlement *settlement, struct message *const *answers, size_t count);
/* Frees the settlement once everything is durable. A failure may wait some seconds for others of
 * its message (gathering.h). */
void settlement_commit(struct settlement **settlement);

size_t settlement_size(void); /* for the slab */
