/*
 * session.h - a submission session: the SMTP session and who its client is. Private to the folder.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/slab.h"
#include "directory/tenants.h"
#include "intake/intake.h"
#include "serve/service.h"
#include "submission/note_budget.h"
#include "submission/submission.h"

/* Settings, as the sessions that began under them use them. */
struct settings_generation {
    struct generation generation; /* serve/generation.h */
    struct submission *submission;
    struct submission_settings settings;
    struct smtp_service service;
    char hostname[256];
};

struct submission_session {
    struct smtp_server server;
    const struct submission_listener *listener;
    uint64_t content; /* the token of its content's question */
    bool is_trusted;
    char tenant[TENANT_NAME_MAX + 1]; /* whose mail it is; "": nobody's */
};

struct submission {
    struct service service;
    struct shard *shard;
    struct snapshot_reader *reader; /* NULL: there is no directory */
    struct slab intakes;
    struct header_table fields; /* of the header, that intakes tell apart */
    struct intake_home home;
    /* Rejected events: of all, and of strangers, who must not push those of customers out of the
     * files. */
    struct note_budget notes, stranger_notes;
};

extern const struct smtp_policy submission_policy; /* context: the settings' generation */

/* What ending the session would give back; 0 while it ends or its commit is under way. */
size_t submission_held(const struct session *session);
