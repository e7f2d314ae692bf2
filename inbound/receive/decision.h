/*
 * decision.h - what the checks of a message come to: taken, marked, deferred or refused.
 *
 * Each check leaves a line in the record (event/event_checks.h) with what it found and what that
 * weighed. Refusals name the rule, and say what whoever runs the sender's domain can do.
 *
 * DMARC is followed as published (RFC 9989 section 5) where `dmarc` is to enforce: reject refuses,
 * quarantine marks. Who forwards mail breaks it without being a forger, so three things override
 * it, each told by its name: the client is of a network of `forwarders`; the chain of ARC holds,
 * its newest sealer is among `arc_sealers` and says that DMARC passed there; or the author's domain
 * is among `dmarc_exempt`.
 *
 * Where mail is reported to its authors' domains (relay/reporter.h), the record has a line more:
 * `dmarc-record`, whose words are the policy as published and what of it was aligned.
 *
 * Thread: any; no state.
 */
#pragma once

#include "inbound/receive/attachments.h"
#include "inbound/rspamd/rspamd.h"
#include "inbound/verify/verification.h"
#include "smtp/verdict.h"

/* What a rule does with what it finds. */
enum decision_action { DECISION_TAG, DECISION_DEFER, DECISION_REFUSE };

enum decision_away { DECISION_AWAY_ACCEPT, DECISION_AWAY_TAG, DECISION_AWAY_DEFER };

/* Of mail that names no author. */
enum decision_author { DECISION_AUTHOR_ACCEPT, DECISION_AUTHOR_TAG, DECISION_AUTHOR_REFUSE };

enum decision_dmarc { DECISION_DMARC_ENFORCE, DECISION_DMARC_MONITOR };

struct decision_rules {
    int dmarc;         /* enum decision_dmarc */
    bool tells_record; /* a line `dmarc-record` beside DMARC's: what reports need */
    int spf_fail;      /* enum decision_action: of SPF's fail where DMARC does not pass */
    int no_author;     /* enum decision_author: without a domain in From DMARC says nothing */
    int rspamd_away;   /* enum decision_away: where it has no answer */
    int temperror;     /* of checks that DNS had no answer for, where nothing else passed */
    bool allow_overrides_dmarc; /* of who is on a tenant's list */
    size_t forwarder_count;
    const struct network *forwarders;
    size_t arc_sealer_count;
    const char *const *arc_sealers; /* domains, lower case */
    size_t dmarc_exempt_count;
    const char *const *dmarc_exempt; /* patterns of smtp/domain_pattern.h */
};

enum { DECISION_TEXT_MAX = 400, DECISION_CHECKS_MAX = 3072 };

struct decision {
    struct verdict verdict; /* code 0: taken; strings are static or `text` */
    bool is_spam;           /* to be marked as such */
    bool is_allowed;        /* by a tenant's list: it is no spam, whatever is said */
    const char *spam_why;   /* a phrase */
    struct buf checks;      /* the record */
    char text[DECISION_TEXT_MAX];
};

/* A rule of the tenant's about sender or client (directory/sender_rules.h). */
struct decision_sender {
    bool is_allowed;    /* else it is blocked */
    bool is_of_client;  /* of its network, which nobody can claim to be of */
    struct bytes value; /* the rule's */
};

void decision_init(struct decision *decision);
void decision_free(struct decision *decision);
/*
 * What the tenant says of the sender: before all else, by a verification that is done. Who is
 * blocked is refused. Who is allowed is no spam; but a sender who is not who it says, by SPF that
 * fails where DMARC does not pass, is not allowed for its name.
 */
void decision_note_sender(struct decision *decision, const struct decision_sender *sender,
                          const struct verification *verification);
/* The refusal of who is blocked, with the rule's value in `text`. */
struct verdict decision_blocked(struct bytes value, char text[static DECISION_TEXT_MAX]);
/* What it carries is refused or marked: 550 5.7.1, 552 5.3.4 for what is too large, 451 4.7.1 for
 * what cannot be looked into now, with its name. */
void decision_note_attachment(struct decision *decision, const struct attachment_found *found);
/* A list of addresses has the client, and marks its mail; "": none has. */
void decision_note_list(struct decision *decision, const char *list);
/* What rspamd said; `answer` NULL: nothing, and why. */
void decision_note_scan(struct decision *decision, const struct decision_rules *rules,
                        const struct rspamd_answer *answer, const char *why);
/* By the checks of a verification that is done. */
void decision_make(struct decision *decision, const struct decision_rules *rules,
                   const struct verification *verification, const struct address *client);
