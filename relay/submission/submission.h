/*
 * submission.h - the submission service: applications hand in mail (RFC 6409).
 *
 * Decides who may (trusted networks, and who logs in by the directory), builds the message:
 * Received, missing Message-ID and Date added, Return-Path and Bcc taken out, loops found by
 * counting Received; spools it; answers 250 when the spool says it is durable.
 *
 * A client that disconnects while its commit is under way has submitted the message all the same:
 * it is delivered and its events are told. If it tries again, that is the duplicate which RFC 5321
 * section 6.1 prefers to a loss.
 *
 * Thread: one object an engine, the engine's thread.
 */
#pragma once

#include <stdatomic.h>

#include "directory/snapshot_feed.h"
#include "inbound/rspamd/rspamd.h"
#include "queue/shard.h"
#include "serve/login_guard.h"
#include "smtpd/smtp_server.h"
#include "submission/account_rate.h"

enum { SUBMISSION_RECEIVED_DEFAULT = 50 };

/* Header fields by which submitters label mail; taken out of it. */
enum submission_label {
    LABEL_CLASS,
    LABEL_CAMPAIGN,
    LABEL_TAGS,
    LABEL_METADATA,
    LABEL_KEY,
    SUBMISSION_LABEL_COUNT
};
enum { SUBMISSION_LABEL_NAME_MAX = 64 };

struct login_settings {
    unsigned failures_max; /* of a session; the last one is told 421 */
    struct login_guard_rule guard;
};

struct submission_settings {
    const char *hostname;
    struct tls_context *tls; /* of this engine; NULL: no listener speaks TLS */
    struct service_limits sessions;
    struct smtp_limits smtp;
    unsigned received_max; /* more Received fields than this is a loop: 554 5.4.6; 0: default */
    struct login_settings login;
    struct rspamd_settings rspamd; /* is asked about what accounts submit */
    bool scan_defers;              /* where it has no answer */
    struct account_rate account_rate;
    /* Names of fields, no two the same, none that mail needs, at most SUBMISSION_LABEL_NAME_MAX
     * bytes; NULL: the default. submission_create() looks at them, and nobody after it. */
    const char *labels[SUBMISSION_LABEL_COUNT];
};

/* The default's name. */
const char *submission_label_name(enum submission_label label);

/* One a listener of this service; lives as long as sessions use it. `trust` and `plaintext` are
 * looked at when a client connects and may be replaced in between. */
struct submission_listener {
    const char *name;            /* "submission" */
    const struct network *trust; /* clients that need no AUTH */
    size_t trust_count;
    enum smtp_tls tls;
    const char *tenant;              /* whose mail it is that they hand in; NULL: nobody's */
    const struct network *plaintext; /* clients that may log in without TLS */
    size_t plaintext_count;
    const struct network *shared; /* clients that are many users: a webmail */
    size_t shared_count;
};

struct submission;
struct signer; /* signing/signer.h */

/* `load`: where the listener looks for the number of sessions (listener_load.sessions). */
struct submission *submission_create(struct engine *engine, struct shard *shard,
                                     const struct submission_settings *settings, _Atomic int *load);
/* Where tenants and credentials are looked up; without it none exists, and AUTH is not offered.
 * Before the first session. It must live as long as the submission, whose thread it is of. */
void submission_read(struct submission *submission, struct snapshot_reader *reader);
/* Signs tenants' mail; without it none is signed. Before the first session; it must live as long as
 * the submission. */
void submission_sign(struct submission *submission, struct signer *signer);
/* The secret from which SCRAM makes up what unknown users have (sasl_settings.fake_key): the same
 * for every engine and start. Before the first session. */
void submission_set_login_key(struct submission *submission,
                              const uint8_t key[static SASL_KEY_LEN]);
/* New sessions use these; sessions that run keep theirs. Copies what it needs. */
void submission_configure(struct submission *submission,
                          const struct submission_settings *settings);
/* Takes over an accepted connection. `listener` must outlive its sessions. */
void submission_accept(struct submission *submission, int fd,
                       const struct submission_listener *listener);
/* 421 at command boundaries; what is still there at deadline_ms (monotonic) is closed at once.
 * stopped() is called later, once every session is gone and every commit answered. */
void submission_stop(struct submission *submission, int64_t deadline_ms,
                     void (*stopped)(void *context), void *context);
void submission_abort(struct submission *submission); /* second signal: at once */
void submission_free(struct submission **submission); /* stopped, or no session ever accepted */
unsigned submission_sessions(const struct submission *submission);
