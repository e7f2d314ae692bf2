/*
 * imap.h - mailboxes for their users: one engine's part of the service (RFC 9051, RFC 3501).
 *
 * Sessions stand on serve/session.h. What touches a mailbox is done on the pool "mail", one piece
 * at a time a session (work.h); an engine waits for no disk. docs/imap.md says what is offered.
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

enum imap_tls { IMAP_TLS_NONE, IMAP_TLS_STARTTLS, IMAP_TLS_IMPLICIT };

struct imap_settings {
    const char *hostname;
    struct tls_context *tls;          /* of this engine; NULL: no listener speaks TLS */
    uint64_t message_size_max;        /* of APPEND */
    unsigned sessions_max;            /* of the engine's share */
    unsigned sessions_per_client_max; /* of the whole process; 0: no limit */
    uint64_t memory_max;              /* of the process: serve/pressure.h; 0: no limit */
    unsigned errors_max;              /* commands that are none, of a session */
    unsigned idle_timeout_s;          /* of who logged in */
    unsigned failures_max;            /* logins of a session */
    struct login_guard_rule guard;
};

/* One a listener of this service; lives as long as sessions use it. */
struct imap_listener {
    const char *name; /* "imap" */
    enum imap_tls tls;
    const struct network *plaintext; /* clients that may log in without TLS */
    size_t plaintext_count;
};

enum { IMAP_LOGIN_KEY_LEN = 32 };

struct imap_setup {
    struct engine *engine;
    struct snapshot_reader *reader; /* of the engine */
    struct blocking_pool *pool;     /* takes a chore of every session at once */
    struct mail_accounts *accounts; /* NULL: they cannot be read now */
    const uint8_t *login_key;       /* what SCRAM makes up unknown users from; copied */
    _Atomic int *load;              /* where the listener looks for the number of sessions */
};

struct imap;

/* Copies both; what the setup points to outlives it. */
struct imap *imap_create(const struct imap_setup *setup, const struct imap_settings *settings);
/* New sessions use these; sessions that run keep theirs. */
void imap_configure(struct imap *imap, const struct imap_settings *settings);
/* Takes over an accepted connection. `listener` must outlive its sessions. */
void imap_accept(struct imap *imap, int fd, const struct imap_listener *listener);
/* BYE between commands; what is still there at deadline_ms (monotonic) is closed at once. stopped()
 * is called later, once every session is gone and nothing of it runs on the pool. */
void imap_stop(struct imap *imap, int64_t deadline_ms, void (*stopped)(void *context),
               void *context);
void imap_abort(struct imap *imap);
void imap_free(struct imap **imap);
unsigned imap_sessions(const struct imap *imap);
