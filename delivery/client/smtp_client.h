/*
 * smtp_client.h - one connection to another server: the client side of RFC 5321.
 *
 *   CONNECT --> GREETING --> EHLO --(5xx: HELO)--> READY <--> TRANSACTION
 *      |            |          |                     |  idle, enough, others wait
 *      |            |          |                     '--> QUIT --> CLOSING
 *      '------------+----------+-- failed: the site tries the next host --^
 *                                    TRANSACTION broken: deferred ---------^
 *
 * Two halves joined by a fifo of commands: one sends as far as the peer's extensions and the output
 * allow, the other (client_replies.c) reads replies and gives each to the command it answers. A
 * transaction's own walk is in transaction.h.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/client/pipeline.h"
#include "delivery/line/site.h"
#include "io/conn.h"
#include "smtp/reply.h"

enum client_state {
    CLIENT_CONNECT,
    CLIENT_GREETING,
    CLIENT_EHLO, /* or HELO */
    CLIENT_READY,
    CLIENT_TRANSACTION,
    CLIENT_QUIT,
    CLIENT_CLOSING,
    CLIENT_STATE_COUNT
};

struct transaction;

/* The rule of a failure that says nothing of the host. */
#define FAILED_SOURCE "source-address"

struct smtp_client {
    struct conn conn;
    struct list_node in_site, in_idle;
    struct delivery *delivery;
    struct site *site;
    struct site_egress *egress;
    struct hosts *hosts; /* keeps host_name alive */
    struct bytes host_name;
    struct address address;
    uint8_t state;
    bool is_opening;            /* the site counts it as such */
    bool is_closed;             /* nothing of the connection is in flight */
    bool needs_rset;            /* the peer may still think that a transaction is open */
    bool is_worn;               /* it refused MAIL after it had taken messages: to be left */
    bool has_greeted;           /* EHLO or HELO went well: the site counts it as ready */
    int32_t connect_ms, dns_ms; /* -1: not known */
    int64_t opened_ms, opened_wall_ms, idle_since_ms;
    unsigned messages_done;
    unsigned mails_taken;    /* MAIL was answered with 2xx */
    unsigned recipients_max; /* what the peer has shown to take; 0: not known */
    struct pipeline pipeline;
    struct smtp_extensions extensions;
    struct arena arena; /* the transaction's */
    struct transaction *transaction;
    struct smtp_reply_reader reader;
};

/* Connects; takes over the egress slot. False when connections ran out: the slot stays with the
 * caller. */
must_use bool smtp_client_open(struct site *site, struct site_egress *egress,
                               const struct host *host);
/* An idle one, out of the site's idle list: look for mail. */
void smtp_client_wake(struct smtp_client *client);
/* Ends it at the next boundary; what is not yet ready for mail at once. */
void smtp_client_leave(struct smtp_client *client);
/* Ends it now; recipients in a transaction stay unfinished. */
void smtp_client_abort(struct smtp_client *client);

/* --- between the files of the client --------------------------------------------------------- */

/* The only writer of state. */
void client_enter(struct smtp_client *client, enum client_state state);
/* Broken: whoever waits for an answer gets the verdict. Returns true: there was progress. */
bool client_fail(struct smtp_client *client, const struct verdict *verdict);
bool client_fail_ours(struct smtp_client *client, uint16_t subject, uint16_t detail,
                      const char *class, const char *rule, const char *text);
/* The peer closed it, or sending or receiving failed with -errno. */
void client_lost(struct smtp_client *client, int error);
/* The same of one that was about to take a message: where it never carried any, the site must not
 * open the next one at once. `verdict` is what the peer said, NULL: nothing that makes sense. */
void client_lost_unused(struct smtp_client *client, const struct verdict *verdict);
void client_quit(struct smtp_client *client);
/* For what is outstanding now, from now. */
void client_arm_deadline(struct smtp_client *client);
void client_run(struct smtp_client *client);
/* Frees it if nothing is in flight. */
void client_check_free(struct smtp_client *client);

enum { BROKEN_LINE_MAX = 400 }; /* of what was no reply, in an event */

/* client_replies.c: takes one reply off the input, gives it to the command it answers. */
bool client_take_reply(struct smtp_client *client);
/* A reply has begun to come that answers no command: nothing may be sent, lest it be taken for the
 * answer. */
bool client_has_unasked_input(const struct smtp_client *client);
/* The peer's replies do not belong to our commands any more. As client_fail(). */
bool client_out_of_step(struct smtp_client *client);

/* client_commands.c */
extern const struct client_command_info {
    const char *name;
    unsigned timeout_s; /* RFC 5321 section 4.5.3.2 */
    bool (*on_reply)(struct smtp_client *client, const struct smtp_reply *reply,
                     uint32_t recipient);
} client_commands[COMMAND_COUNT];
/* Room for one command, and its turn: nothing outstanding unless PIPELINING was offered. */
bool client_may_send(const struct smtp_client *client);
bool perform_ehlo(struct smtp_client *client);
bool perform_helo(struct smtp_client *client);
bool perform_rset(struct smtp_client *client);
bool perform_mail(struct smtp_client *client);
bool perform_rcpt(struct smtp_client *client, uint32_t recipient);
bool perform_data(struct smtp_client *client);
bool perform_bdat(struct smtp_client *client);
bool perform_quit(struct smtp_client *client);
