/*
 * policy.h - what an SMTP server session asks the service it belongs to.
 *
 * The session speaks the protocol (RFC 5321) and knows no spool, no accounts, no DNS. A service
 * (submission now, inbound later) implements this table; every answer is a verdict with the reply
 * to give. Questions that need time complete later through their `done`.
 *
 * Thread: the engine's.
 */
#pragma once

#include "smtp/command.h"
#include "smtp/content.h"
#include "smtp/reply.h"

struct smtp_server;

/* A reply of the service's: static or arena text. code 0: go on, the session gives its own 250. */
struct verdict {
    unsigned code;
    const char *enhanced; /* "5.7.1" */
    const char *text;
    const char *rule;     /* which rule decided: for the log and the rejected event */
    bool close;           /* 421: say it and close */
};
#define VERDICT_OK ((struct verdict){0})

struct smtp_policy {
    /* A client connected, before the greeting: 0 = greet; 554/421 = say so and close. */
    struct verdict (*connected)(void *context, struct smtp_server *server);
    /* MAIL: may this client send, and from this reverse-path? Starts the service's transaction. */
    struct verdict (*mail)(void *context, struct smtp_server *server, const struct smtp_mail *mail);
    struct verdict (*rcpt)(void *context, struct smtp_server *server, const struct smtp_rcpt *rcpt);
    /* DATA or first BDAT: content begins. */
    struct verdict (*content_begin)(void *context, struct smtp_server *server);
    /* Content as it arrives, un-stuffed. False: the service cannot take more just now; it calls
     * smtp_server_resume() later, and gets the same bytes again from *taken on. */
    bool (*content)(void *context, struct smtp_server *server, struct bytes run, size_t *taken);
    /* Content is complete and well-formed. The service answers later with smtp_server_accepted(). */
    void (*content_end)(void *context, struct smtp_server *server, const struct dot_reader *reader);
    /* RSET, EHLO, refusal, disconnect: every way out of a transaction comes through here, also
     * after smtp_server_accepted(). The service forgets the transaction; a commit under way
     * completes without the session. */
    void (*reset)(void *context, struct smtp_server *server);
    /* The session refused something by itself (syntax, limits): for rejected events. */
    void (*refused)(void *context, struct smtp_server *server, unsigned code, const char *enhanced,
                    struct bytes text, const char *rule);
    /* The session is over; nothing of it may be used afterwards. */
    void (*closed)(void *context, struct smtp_server *server);
};
