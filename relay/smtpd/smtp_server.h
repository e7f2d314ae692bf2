/*
 * smtp_server.h - one SMTP server session (RFC 5321), for any service behind policy.h.
 *
 *   GREET --> COMMAND <--> CONTENT --> COMMIT --> COMMAND ... --> CLOSING
 *               ^  \--RSET, MAIL, RCPT...--^         |
 *               \----------------------------------- /
 *
 * GREET waits a moment for early talkers (they are told 554 5.5.1 on the inbound service, ignored on
 * submission), COMMAND takes lines, CONTENT takes DATA or BDAT bytes, COMMIT waits for the service.
 * Replies of a pipelined group leave in one send. Commands that arrive behind DATA or a BDAT LAST
 * wait in the connection's input until the commit is answered.
 *
 * Thread: the engine's. Memory: one slab object a session, nothing else but its buffers.
 */
#pragma once

#include "io/conn.h"
#include "smtpd/policy.h"

enum smtp_server_state {
    SERVER_GREET,
    SERVER_COMMAND,
    SERVER_CONTENT,
    SERVER_COMMIT,
    SERVER_CLOSING,
};

/* One a listener and engine; replaced whole on reload, old sessions keep theirs. */
struct smtp_service {
    const struct smtp_policy *policy;
    void *context;               /* first argument of every policy call */
    const char *name;            /* "submission": events, metrics */
    const char *hostname;        /* greeting, EHLO, Received */
    uint64_t message_size_max;   /* SIZE; 552 5.3.4 beyond */
    unsigned recipients_max;     /* a transaction; LIMITS RCPTMAX; 452 4.5.3 beyond */
    unsigned mails_max;          /* transactions a session; LIMITS MAILMAX; 0: no limit */
    unsigned errors_max;         /* then 421 4.7.0; 0: 20 */
    size_t line_length_max;      /* content lines with CRLF; 0: any (passed on unchanged) */
    unsigned command_timeout_s;  /* RFC 5321 section 4.5.3.2.7; 0: 300 */
    unsigned content_timeout_s;  /* RFC 5321 section 4.5.3.2.5; 0: 180 */
    unsigned *references;        /* sessions that use it */
};

struct smtp_server {
    struct conn conn;
    const struct smtp_service *service;
    void *transaction;           /* the service's */
    uint8_t state;
    bool is_esmtp, has_greeted, in_transaction, is_bdat, bdat_last, stopping;
    bool content_refused;        /* content is read and dropped: the reply is known already */
    unsigned recipient_count;    /* accepted in this transaction */
    unsigned mail_count, error_count, command_count;
    uint64_t bdat_left;
    struct dot_reader reader;
    struct verdict refusal;      /* for content_refused */
    char ehlo[256];              /* what the client said it is; empty before */
    char peer[ADDRESS_TEXT_MAX];
    struct list_node sessions;   /* the service's list of sessions */
    uint64_t serial;             /* "session=" in logs */
};

/* Takes over an accepted fd. The object comes from the caller's slab; policy->closed gives it back.
 */
void smtp_server_start(struct smtp_server *server, struct engine *engine, int fd,
                       const struct smtp_service *service);
/* Graceful stop: 421 4.3.2 at the next command boundary, content and commits under way finish. */
void smtp_server_stop(struct smtp_server *server);
void smtp_server_abort(struct smtp_server *server); /* at once */

/* The service's answers. */
void smtp_server_resume(struct smtp_server *server); /* takes content again */
void smtp_server_accepted(struct smtp_server *server, struct verdict verdict,
                          const char *id); /* verdict 0: "250 2.0.0 Ok: <id>" */
/* Answers an fd that no session can be had for: "421 4.3.2 ..." best effort, closes it. */
void smtp_server_turn_away(struct engine *engine, int fd, const char *hostname, const char *why);
