/*
 * session.h - a submission session: the SMTP session and who its client is. Private to the folder.
 *
 * A circle of login.c and session.c: a session asks for a login, and one that failed is told of as
 * any other refusal.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/slab.h"
#include "directory/tenants.h"
#include "intake/intake.h"
#include "serve/note_budget.h"
#include "serve/service.h"
#include "submission/submission.h"

/* Settings, as the sessions that began under them use them. */
struct settings_generation {
    struct generation generation; /* serve/generation.h */
    struct submission *submission;
    struct submission_settings settings;
    struct smtp_service service;
    char hostname[256];
};

/* Rows of submission.fields behind those of the intake. */
enum {
    SUBMISSION_BCC = INTAKE_FIELDS,
    SUBMISSION_RESENT_BCC,
    SUBMISSION_FROM,
    SUBMISSION_SENDER,
    SUBMISSION_LABELS, /* of enum submission_label, one behind the other */
};

struct submission_session {
    struct smtp_server server;
    const struct submission_listener *listener;
    uint64_t content; /* the token of its content's question */
    bool is_trusted;
    bool may_log_in_plain;   /* without TLS */
    bool is_shared;          /* the client is many users: failures are counted by their names */
    uint8_t class;           /* enum mail_class: of its mail */
    unsigned login_failures; /* how many */
    uint32_t credential;     /* that it logged in with: its row in the directory; 0: none */
    uint32_t account;        /* whose that is; 0: no user's */
    struct scan *scan;       /* of its transaction's message; NULL: it is not scanned */
    char tenant[TENANT_NAME_MAX + 1]; /* whose mail it is; "": nobody's */
    bool has_claim;                   /* the content that is being answered has a key, which is: */
    struct claim claim;
    struct timeout again; /* what it depends on is not known yet */
};

struct submission {
    struct service service;
    struct shard *shard;
    struct snapshot_reader *reader; /* NULL: there is no directory */
    uint8_t login_key[SASL_KEY_LEN];
    struct slab intakes;
    struct header_table fields; /* of the header, that intakes tell apart */
    char label_names[SUBMISSION_LABEL_COUNT][SUBMISSION_LABEL_NAME_MAX + 1];
    struct intake_home home;
    /* Rejected events: of all, and of strangers, who must not push those of customers out of the
     * files. */
    struct note_budget notes, stranger_notes;
    struct rspamd *rspamd; /* for what users submit */
};

extern const struct smtp_policy submission_policy; /* context: the settings' generation */

/* An event of something that is refused for good; `whom` as far as it is known. */
void submission_tell_refused(const struct settings_generation *generation,
                             struct smtp_server *server, const struct verdict *verdict,
                             struct smtp_concerned whom);
/* What ending the session would give back; 0 while it ends or its commit is under way. */
size_t submission_held(const struct session *session);
