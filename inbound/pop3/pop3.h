/*
 * pop3.h - an account's INBOX by POP3 (RFC 1939, 2449, 2595, 3206, 5034): one engine's part of the
 * service.
 *
 * Sessions stand on serve/session.h. What touches a mailbox is done on the pool "mail", one piece
 * at a time a session (work.h); an engine waits for no disk. docs/pop3.md says what is offered.
 *
 * Thread: the engine's.
 */
#pragma once

#include "directory/snapshot_feed.h"
#include "serve/login_guard.h"

struct engine;
struct tls_context;
struct blocking_pool;
struct mail_accounts;

enum pop3_tls { POP3_TLS_NONE, POP3_TLS_STLS, POP3_TLS_IMPLICIT };

struct pop3_settings {
    const char *hostname;
    struct tls_context *tls;          /* of this engine; NULL: no listener speaks TLS */
    unsigned sessions_max;            /* of the engine's share */
    unsigned sessions_per_client_max; /* of the whole process; 0: no limit */
    uint64_t memory_max;              /* of the process: serve/pressure.h; 0: no limit */
    unsigned errors_max;              /* commands that are none, of a session */
    unsigned idle_timeout_s;          /* of who logged in */
    unsigned failures_max;            /* logins of a session */
    struct login_guard_rule guard;
};

/* One a listener of this service; lives as long as sessions use it. */
struct pop3_listener {
    const char *name; /* "pop3" */
    enum pop3_tls tls;
    const struct network *plaintext; /* clients that may log in without TLS */
    size_t plaintext_count;
};

enum { POP3_LOGIN_KEY_LEN = 32 };

struct pop3_setup {
    struct engine *engine;
    struct snapshot_reader *reader; /* of the engine */
    struct blocking_pool *pool;     /* takes a chore of every session at once */
    struct mail_accounts *accounts; /* NULL: they cannot be read now */
    const uint8_t *login_key;       /* what SCRAM makes up unknown users from; copied */
    _Atomic int *load;              /* where the listener looks for the number of sessions */
};

struct pop3;

/* Copies both; what the setup points to outlives it. */
struct pop3 *pop3_create(const struct pop3_setup *setup, const struct pop3_settings *settings);
/* New sessions use these; sessions that run keep theirs. */
void pop3_configure(struct pop3 *pop3, const struct pop3_settings *settings);
/* Takes over an accepted connection. `listener` must outlive its sessions. */
void pop3_accept(struct pop3 *pop3, int fd, const struct pop3_listener *listener);
/* A word between commands, and the end; what is still there at deadline_ms (monotonic) is closed
 * at once. stopped() is called later, once every session is gone and nothing of it runs on the
 * pool. */
void pop3_stop(struct pop3 *pop3, int64_t deadline_ms, void (*stopped)(void *context),
               void *context);
void pop3_abort(struct pop3 *pop3);
void pop3_free(struct pop3 **pop3);
unsigned pop3_sessions(const struct pop3 *pop3);
