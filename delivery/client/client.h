/*
 * client.h - one connection to another server: the client side of RFC 5321. Private to this folder.
 *
 *   CONNECT --> GREETING --> EHLO --(5xx: HELO)--> READY <--> TRANSACTION
 *    ^ |            |         ^ | |                  |  idle, enough, others wait
 *    | |            |         | | |                  '--> QUIT --> CLOSING
 *    | |            |         | | '--> STARTTLS          ^
 *    | |            |         | |          |             |
 *    | |            |         '-+----- HANDSHAKE         |
 *    | |            |           |                        |
 *  REOPEN <--- TLS failed       |                        |
 *      '------------+-----------+-- failed: the site tries the next host
 *
 * A TRANSACTION that breaks is deferred. REOPEN waits for the end of a connection whose TLS failed
 * and goes on in plain with the same host, where that may be (client_tls.c).
 *
 * Two halves joined by a fifo of commands: one sends as far as the peer's extensions and the output
 * allow, the other (client_replies.c) reads replies and gives each to the command it answers. A
 * transaction's own walk is in transaction.h.
 *
 * A circle of client_commands.c, client_end.c, client_replies.c, client_tls.c, smtp_client.c,
 * transaction.c and transaction_content.c: a reply may end the connection or the transaction, which
 * may send the next command. smtp_client.c drives them all.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/slab.h"
#include "delivery/client/pipeline.h"
#include "delivery/client/smtp_client.h"
#include "delivery/client/tls_memory.h"
#include "delivery/line/carrier.h"
#include "io/conn.h"
#include "smtp/reply.h"

enum client_state {
    CLIENT_CONNECT,
    CLIENT_GREETING,
    CLIENT_EHLO, /* or HELO */
    CLIENT_STARTTLS,
    CLIENT_HANDSHAKE,
    CLIENT_REOPEN,
    CLIENT_READY,
    CLIENT_TRANSACTION,
    CLIENT_QUIT,
    CLIENT_CLOSING,
    CLIENT_STATE_COUNT
};

struct transaction;

/* One engine's. */
struct smtp_clients {
    struct carrier_kind kind;
    struct slab slab;
    struct buf scratch;      /* of a command, of content being stuffed */
    struct tls_context *tls; /* NULL: TLS is not spoken */
    struct tls_memory *memory;
    smtp_return_path_fn *return_path; /* NULL: the message's own */
    void *return_context;
};

/* Whether the 2xx of a site's hosts say by their enhanced codes which step they answer: 2.1.X to
 * MAIL and RCPT, another to the content. Then one reply too many is noticed before it is taken for
 * the word on a message that went along with its envelope (client_replies.c). Once they did not
 * they are not trusted again; and where there was one too many, a connection carries one message,
 * whose word is the first that answers an end of data. The lesson of the site's carriers. */
enum client_codes { CODES_UNSEEN, CODES_TELL, CODES_DO_NOT_TELL, CODES_SAY_TOO_MUCH };

struct smtp_client {
    struct conn conn;
    struct carrier carrier;
    struct smtp_clients *clients;
    uint8_t state;
    bool is_closed;      /* nothing of the connection is in flight */
    bool needs_rset;     /* the peer may still think that a transaction is open */
    bool is_worn;        /* it refused MAIL after it had taken messages: to be left */
    bool has_greeted;    /* EHLO or HELO went well: the line counts it as ready */
    bool is_tls_begun;   /* STARTTLS was sent */
    bool is_plain;       /* STARTTLS is not to be sent (any more) */
    bool is_quiet;       /* nothing is with the kernel either: looked at in this client_run() */
    bool is_early_reply; /* the reply that has begun did so before the peer had its command */
    uint16_t answer_s;   /* the host has so long to be reached */
    int32_t connect_ms, dns_ms; /* -1: not known */
    int32_t tls_ms;             /* of the handshake; -1: there was none */
    int64_t connect_began_ms, tls_began_ms;
    char tls_why[TLS_WHY_LEN]; /* carrier.seen.reason */
    int64_t idle_since_ms;
    unsigned messages_done;
    struct message_id last_id; /* of these, the last */
    unsigned mails_taken;      /* MAIL was answered with 2xx */
    unsigned recipients_max;   /* what the peer has shown to take; 0: not known */
    struct pipeline pipeline;
    struct smtp_extensions extensions;
    struct arena arena; /* the transaction's */
    struct transaction *transaction;
    struct smtp_reply_reader reader;
};

static inline int64_t client_now_ms(const struct smtp_client *client)
{
    return engine_now_ms(client->carrier.engine);
}

/* Ends it now; recipients in a transaction stay unfinished. */
void client_abort(struct smtp_client *client);

/* The only writer of state. */
void client_enter(struct smtp_client *client, enum client_state state);
/* Broken: whoever waits for an answer gets the judgement. Returns true: there was progress. */
bool client_fail(struct smtp_client *client, const struct judgement *judgement);
/* The same of one that is not ready yet, after a last QUIT. */
bool client_fail_with_quit(struct smtp_client *client, const struct judgement *judgement);
bool client_fail_ours(struct smtp_client *client, uint16_t subject, uint16_t detail,
                      const char *class, const char *rule, const char *text);
/* The peer closed it, or sending or receiving failed with -errno. */
void client_lost(struct smtp_client *client, int error);
/* The same of one that was about to take a message: where it never carried any, the site must not
 * open the next one at once. `judgement` is what the peer said, NULL: nothing that makes sense. */
void client_lost_unused(struct smtp_client *client, const struct judgement *judgement);
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
/* The same where nothing of it was read yet: it will be, before anything is sent. */
bool client_has_unasked_bytes(struct smtp_client *client);
/* The peer's replies do not belong to our commands any more. As client_fail(). */
bool client_out_of_step(struct smtp_client *client);
/* A reply too many was seen: for the log, the metrics, and the site's next connections. */
void client_tell_surplus(struct smtp_client *client);
/* Behind the last reply of a transaction another one is here that nobody asked for and that says
 * the opposite, and one of an earlier message may have come in its place: which of them is the word
 * on the content? NOT_READ: something has come, and its code is not here yet. */
enum contradiction { CONTRADICTION_NONE, CONTRADICTION_NOT_READ, CONTRADICTION_FOUND };
enum contradiction client_contradiction(struct smtp_client *client);
/* The later lesson; what is worse stays. */
void client_learn(struct smtp_client *client, enum client_codes lesson);

/* client_tls.c */
/* Of a new one: whether it is to speak TLS. */
void client_tls_begin(struct smtp_client *client);
/* Of one that ends, while the connection is there. */
void client_tls_end(struct smtp_client *client);
/* EHLO went well: STARTTLS, or READY. */
bool client_choose_tls(struct smtp_client *client);
bool client_on_starttls_reply(struct smtp_client *client, const struct smtp_reply *reply,
                              uint32_t none);
void client_secured(struct smtp_client *client);
/* In HANDSHAKE; the peer's, or `otherwise`. */
bool client_handshake_failed(struct smtp_client *client, const char *otherwise);
/* Goes on in plain, or fails. */
bool client_tls_failed(struct smtp_client *client, enum tls_result result, const char *why);
/* False: this failure is not TLS's, or nothing may go in plain. */
bool client_falls_back(struct smtp_client *client, const struct judgement *judgement);

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
/* READY: EHLO or HELO went well, and there is TLS or there will not be. */
bool client_greeted(struct smtp_client *client);
