/*
 * policy.h - what an SMTP server session asks the service it belongs to.
 *
 * The session speaks the protocol (RFC 5321) and knows no spool, no accounts, no DNS. A service
 * (submission now, inbound later) implements this table; every answer is a verdict with the reply
 * to give. Those that return one may answer later (smtp_server_later()); a lack of room is over
 * with smtp_server_resume().
 *
 * A transaction is open from a MAIL that the service said yes to until reset. Slices handed in live
 * until the call returns.
 *
 * Thread: the engine's.
 */
#pragma once

#include "auth/sasl/sasl.h"
#include "serve/session.h"
#include "smtp/command.h"
#include "smtp/content.h"
#include "smtp/reply.h"
#include "smtp/verdict.h"

struct smtp_server;

/* In place of a verdict: it comes later. Made by smtp_server_later() alone. */
enum { VERDICT_CODE_LATER = 1 };

/* Whom something concerns; ptr NULL: not known. */
struct smtp_concerned {
    struct bytes from;   /* the reverse-path; empty: the null path */
    struct bytes to;     /* the recipient, of content the only one */
    struct bytes tenant; /* whose they are shown as: event/event_privacy.h */
};

/* Something of a transaction was refused, by the session (syntax, limits) or by the service. */
struct smtp_refused {
    enum smtp_verb verb; /* SMTP_MAIL, SMTP_RCPT, or SMTP_DATA for content, also by BDAT */
    struct verdict verdict;
    struct smtp_concerned concerned; /* of MAIL or RCPT as far as it could be read */
};

/* A login under way, of whom: all as sasl_prepare() made it. */
struct smtp_login {
    enum sasl_mechanism mechanism;
    struct bytes user;
    struct bytes secret; /* ptr NULL: it is not told, the user's keys are wanted */
};

struct smtp_policy {
    /* What comes before everything else, TLS included, of sessions with has_preamble set: takes it
     * off the connection's input. AGAIN: it is taken. NULL where no session has one. */
    enum step (*preamble)(void *context, struct smtp_server *server);
    /* A client connected, before the greeting: 0 = greet; 554/421 = say so and close. */
    struct verdict (*connected)(void *context, struct smtp_server *server);
    /* MAIL: may this client send, and from this reverse-path? Yes opens a transaction: until then
     * no reset is called for it, but cancel is for a question that was open. */
    struct verdict (*mail)(void *context, struct smtp_server *server, const struct smtp_mail *mail);
    struct verdict (*rcpt)(void *context, struct smtp_server *server, const struct smtp_rcpt *rcpt);
    /* DATA or the first BDAT: content begins. The verdict's strings live as long as the service:
     * to a BDAT the reply comes after the chunk. */
    struct verdict (*content_begin)(void *context, struct smtp_server *server);
    /* How many bytes of content the service can take now. 0: none, it will call
     * smtp_server_resume() when it can, never from inside a call of this table. */
    size_t (*content_room)(void *context, struct smtp_server *server);
    /* Content as it arrives, un-stuffed: at most content_room() bytes, in one or more runs. */
    void (*content)(void *context, struct smtp_server *server, struct bytes run);
    /* Content is complete and well-formed: is it taken? Yes may have code 250 and words of its own
     * (smtp_server_accepted()). */
    struct verdict (*content_end)(void *context, struct smtp_server *server,
                                  const struct dot_reader *reader);
    /* Logins (RFC 4954); these five, or none of them.
     * By which mechanisms this client may log in now, a bit 1 << enum sasl_mechanism for each. 0:
     * by none, and *why_out is what it is told of that. */
    unsigned (*mechanisms)(void *context, const struct smtp_server *server,
                           struct verdict *why_out);
    /* A login begins: 0 = go on by *settings_out, whose slices live until the next call. At once.
     */
    struct verdict (*login_begin)(void *context, struct smtp_server *server,
                                  struct sasl_settings *settings_out);
    /* Is that his secret? 0 = yes; 535 = no; any other reply ends the login, and says nothing of
     * it. Where keys are wanted: 0 = go on, by what smtp_server_keys() was told before; who was
     * told nothing has no such user. */
    struct verdict (*login)(void *context, struct smtp_server *server,
                            const struct smtp_login *login);
    /* The login is right: 0 = the client is that user from now on; else so it ends. At once. */
    struct verdict (*login_done)(void *context, struct smtp_server *server,
                                 const struct smtp_login *login);
    /* It is wrong: the reply to say, later if that is to take its time (then the reply is that of
     * an answer that never comes). User may be empty. */
    struct verdict (*login_failed)(void *context, struct smtp_server *server,
                                   const struct smtp_login *login);
    /* The question that is open is over without an answer: its deadline passed, or the session
     * ends. Nothing waits for the answer any more. Comes before reset where both do. NULL: reset
     * tells the service all it has to know. */
    void (*cancel)(void *context, struct smtp_server *server);
    /* RSET, EHLO, refused content, disconnect: every way out of an open transaction comes through
     * here, also after content_end was answered. The service forgets the transaction and does not
     * answer it any more; a commit under way completes without the session. */
    void (*reset)(void *context, struct smtp_server *server);
    /* Whom the open transaction concerns so far: slices that live until it is reset. While none is
     * open nobody, but of a tenant. */
    struct smtp_concerned (*concerned)(void *context, const struct smtp_server *server);
    /* For rejected events. Called before the transaction is reset. */
    void (*refused)(void *context, struct smtp_server *server, const struct smtp_refused *refused);
    /* The session is over and nothing of it is in flight; its memory goes when this returns. NULL:
     * the service holds nothing for it. */
    void (*closed)(void *context, struct smtp_server *server);
};
