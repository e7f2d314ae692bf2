/*
 * session.h - a submission session: the SMTP session and who its client is. Private to the folder.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/slab.h"
#include "intake/intake.h"
#include "submission/admission.h"
#include "submission/note_budget.h"
#include "submission/submission.h"

/* Settings, as the sessions that began under them use them. */
struct generation {
    struct submission *submission;
    struct submission_settings settings;
    struct smtp_service service;
    unsigned references; /* sessions, and one while it is the newest */
    char hostname[256];
};

struct session {
    struct smtp_server server;
    const struct submission_listener *listener;
    struct admission_key client;
    bool is_trusted;
};

struct submission {
    struct engine *engine;
    struct shard *shard;
    struct generation *generation; /* the newest */
    struct slab sessions, intakes;
    struct list list; /* of smtp_server.sessions */
    unsigned session_count;
    _Atomic int *load; /* NULL: nobody asked */
    struct intake_home home;
    /* Rejected events: of all, and of strangers, who must not push those of customers out of the
     * files. */
    struct note_budget notes, stranger_notes;
    struct turn_hook relief; /* pressure.c */
    int64_t relief_rest_ms;  /* not looked at before */
    /* stop */
    bool is_stopping;
    struct timeout deadline;
    struct turn_end stop_end;
    void (*stopped)(void *context);
    void *stopped_context;
};

extern const struct smtp_policy submission_policy; /* context: the generation */

/* What ending the session would give back. */
size_t session_memory(const struct session *session);
/* submission.c: a session or an intake is gone. */
void submission_session_gone(struct submission *submission, struct session *session,
                             struct generation *generation);
