/*
 * access.h - mailboxes for their users, whatever protocol they speak: one engine's part of such a
 * service, IMAP's (inbound/imap) or POP3's (inbound/pop3).
 *
 * What both have is here: how sessions begin and end (session.h), TLS (tls.h), logins by the
 * directory (login.h), and commands that touch mailboxes, done on the pool "mail" one piece at a
 * time a session (work.h), so that an engine waits for no disk. A protocol brings its states, verbs
 * and words (struct access_kind, session.h).
 *
 * Thread: the engine's.
 */
#pragma once

#include "directory/snapshot_feed.h"
#include "serve/login_guard.h"
#include "serve/service.h"

struct engine;
struct tls_context;
struct blocking_pool;
struct mail_accounts;
struct access_kind;

enum access_tls { ACCESS_TLS_NONE, ACCESS_TLS_STARTTLS, ACCESS_TLS_IMPLICIT };

struct access_settings {
    const char *hostname;
    struct tls_context *tls;   /* of this engine; NULL: no listener speaks TLS */
    uint64_t message_size_max; /* of what a client may file */
    struct service_limits sessions;
    unsigned errors_max;     /* commands that are none, of a session */
    unsigned idle_timeout_s; /* of who logged in */
    unsigned progress_s;     /* of IMAP: between two words on how far a command is */
    unsigned failures_max;   /* logins of a session */
    struct login_guard_rule guard;
};

/* One a listener of this service; lives as long as sessions use it. */
struct access_listener {
    enum access_tls tls;
    const struct network *plaintext; /* clients that may log in without TLS */
    size_t plaintext_count;
    const struct network *shared; /* clients that are many users: a webmail */
    size_t shared_count;
};

enum { ACCESS_LOGIN_KEY_LEN = 32 };

/* The folder Queue of an account (relay/queue_folder.h), which shows mail of its tenant. On the
 * pool. */
struct access_mirrors {
    void *context;
    /* Has it brought up to date, and waits a moment for that. */
    void (*refresh)(void *context, const char *domain, const char *local, const char *tenant);
    /* From now on somebody looks at it, or does not any more. */
    void (*keep)(void *context, const char *domain, const char *local, const char *tenant,
                 bool is_kept);
};

struct access_setup {
    struct engine *engine;
    struct snapshot_reader *reader;       /* of the engine */
    struct blocking_pool *pool;           /* takes a chore of every session at once */
    struct mail_accounts *accounts;       /* NULL: they cannot be read now */
    const struct access_mirrors *mirrors; /* NULL: there are none */
    const uint8_t *login_key;             /* what SCRAM makes up unknown users from; copied */
    _Atomic int *load;                    /* where the listener looks for the number of sessions */
};

struct access;

/* Copies both; what the setup points to outlives it. `kind` is imap_access or pop3_access. */
struct access *access_create(const struct access_kind *kind, const struct access_setup *setup,
                             const struct access_settings *settings);
/* New sessions use these; sessions that run keep theirs. */
void access_configure(struct access *access, const struct access_settings *settings);
/* Takes over an accepted connection. `listener` must outlive its sessions. */
void access_accept(struct access *access, int fd, const struct access_listener *listener);
/* A word between commands, and the end; what is still there at deadline_ms (monotonic) is closed
 * at once. stopped() is called later, once every session is gone and nothing of it runs on the
 * pool. */
void access_stop(struct access *access, int64_t deadline_ms, void (*stopped)(void *context),
                 void *context);
void access_abort(struct access *access);
void access_free(struct access **access);
unsigned access_sessions(const struct access *access);
