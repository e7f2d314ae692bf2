/*
 * arrival.h - a message while it arrives: its checks beside its way into the spool. Private to the
 * folder.
 *
 *   MAIL --> HEADER --whole--> BODY --end of data--> AWAITED --checks done--> [refused]
 *    SPF, iprev ask      keys, policy asked                        '--> committing --> answered
 *
 * The header is held back until it is whole: signatures are checked on all of it, and fields that
 * claim to be our word (Authentication-Results with our name, X-Spam) do not go on. A header beyond
 * bounds is refused: what cannot be looked at cannot be checked.
 *
 * Memory beside the intake's is counted in base/budget.h. Thread: the engine's.
 */
#pragma once

#include "auth/mail_header.h"
#include "directory/sender_rules.h"
#include "directory/tenants.h"
#include "inbound/receive/inspection.h"
#include "inbound/receive/session.h"
#include "intake/intake.h"

enum arrival_state { ARRIVAL_HEADER, ARRIVAL_BODY, ARRIVAL_AWAITED, ARRIVAL_COMMITTING };

struct arrival {
    struct receive_session *session;
    struct intake *intake;
    struct verification *verification;
    struct mail_header header;
    uint64_t size;          /* as announced; 0: it was not */
    uint64_t holds_max;     /* the largest mailbox that it is for, were it empty */
    uint64_t content_size;  /* that has come */
    struct verdict refusal; /* found while it arrived; code 0: none */
    struct decision decision;
    enum arrival_state state;
    char asked_tenant[TENANT_NAME_MAX + 1]; /* of the last RCPT's domain; "": the message's */
    bool has_return; /* a recipient is a return path of ours: the first's number */
    uint32_t return_number;
    bool is_verified, is_scanned, is_inspected; /* all: it can be decided */
    /* rspamd, where it is asked: a copy of the content, what it is told beside it, its answer. */
    bool has_scan, is_scannable;
    struct buf copy, told;
    struct rspamd_question question;
    bool has_score;
    struct rspamd_answer score;
    const char *scan_why;        /* without one: why; a static string */
    bool has_rule;               /* of the tenant's, about the sender: */
    struct decision_sender rule; /* `value` in: */
    char rule_value[SENDER_RULE_TEXT_MAX];
    struct attachments *attachments; /* NULL: none are looked for, or: */
    struct inspection *inspection;   /* has them */
    unsigned forged_count;           /* fields that claimed to be ours */
    size_t counted;                  /* bytes that the budget knows of */
};

/* Rows of receive.fields behind those of the intake. */
enum { RECEIVE_SPAM = INTAKE_FIELDS, RECEIVE_SPAM_SCORE };

/* MAIL. The arrival is the transaction's until arrival_let_go(). */
must_use struct verdict arrival_open(struct receive_session *session, const struct smtp_mail *mail,
                                     struct arrival **arrival_out);
size_t arrival_room(const struct arrival *arrival);
void arrival_content(struct arrival *arrival, struct bytes run); /* at most arrival_room() */
/* The end of content: a refusal, or the answer comes later. */
must_use struct verdict arrival_end(struct arrival *arrival, bool has_8bit);
/* A rule of its tenant's about who sends it; copied. */
void arrival_keep_rule(struct arrival *arrival, const struct directory_rule *rule);
/* No mailbox that it is for holds it, were it empty: at RCPT by what was announced, at the end of
 * the content by what came. */
struct verdict arrival_too_large(void);
/* What ending it gives back. */
size_t arrival_memory(const struct arrival *arrival);
void arrival_let_go(struct arrival **arrival);
