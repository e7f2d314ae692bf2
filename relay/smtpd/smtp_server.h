/*
 * smtp_server.h - one SMTP server session (RFC 5321), for any service behind policy.h.
 *
 *     .---> HANDSHAKE <-.
 *     | .----'  '----.  | asked for
 *     | v            v  |     DATA, BDAT
 *   GREET ------> COMMAND ----------> CONTENT
 *     |            ^ ^ |                | |
 *     |            | | |                | |  chunk taken, content refused or answered at once
 *     |            | '-|----------------' |
 *     |            |   |                  |  answered later
 *     '------------+---+------ ASKING <---'
 *   COMMAND <--> AUTH <--> ASKING: a challenge was said (334), and its response is waited for
 *   every state --> CLOSING: QUIT, 421, end of stream, error
 *
 * HANDSHAKE puts the connection under TLS: before the greeting on a listener that is so, else by
 * STARTTLS, and then nothing that was said in plain text is known any more.
 * GREET asks the service and greets, COMMAND takes lines, CONTENT takes DATA or BDAT bytes. Every
 * question to the service may be answered at once, which costs nothing, or later: then the session
 * is ASKING, and goes on as if the answer had come at once. What is pipelined behind the question
 * waits in the connection's input meanwhile: nothing is read ahead beyond the connection's
 * input_max, and no command is taken while the replies that wait to be sent leave no room for
 * another one. Replies of a pipelined group leave in one send.
 *
 * Lines of a login (RFC 4954) may be 12,288 octets long, those of a client that nobody vouches for
 * included. They hold secrets: nothing of them is logged or told. Who logged in is told from
 * strangers no more, and gets the buffers of those who are known.
 *
 * Refused content is still read to its true end, so that no byte of it is taken for a command. A
 * session whose content held a bare CR or LF is over with the reply: its client and we may not
 * agree on where that end is.
 *
 * Content has a deadline of its own for every block, one for all of it, and a rate that it must
 * keep up from a first content_timeout_s on, chunks and what stands between them included. Time in
 * which the service has no room for it does not count.
 *
 * Thread: the engine's. Memory: one slab object a session, nothing else but its buffers.
 */
#pragma once

#include "serve/service.h"
#include "smtpd/policy.h"

struct service;
struct tls_context;

enum smtp_server_state {
    SERVER_GREET,
    SERVER_HANDSHAKE,
    SERVER_COMMAND,
    SERVER_AUTH,
    SERVER_CONTENT,
    SERVER_ASKING,
    SERVER_CLOSING,
    SERVER_STATE_COUNT,
};

/* One a generation of the service's settings (serve/generation.h), which its sessions keep. */
enum {
    SMTP_SERVER_ERRORS_DEFAULT = 20, /* Postfix's smtpd_hard_error_limit */
    SMTP_SERVER_IDLE_DEFAULT = 100,  /* Postfix's smtpd_junk_command_limit */
    SMTP_SERVER_CONTENT_S_DEFAULT = 3600,
    SMTP_SERVER_CONTENT_RATE_DEFAULT = 500, /* Postfix's smtpd_min_data_rate */
};

/* How a listener comes by TLS. */
enum smtp_tls { SMTP_TLS_NONE, SMTP_TLS_STARTTLS, SMTP_TLS_IMPLICIT };

/* What a session may do, and how long it may take. */
struct smtp_limits {
    uint64_t message_size_max;  /* SIZE; 552 5.3.4 beyond; 0: no limit */
    unsigned recipients_max;    /* a transaction; LIMITS RCPTMAX; 452 4.5.3 beyond; 0: no limit */
    unsigned mails_max;         /* transactions a session; LIMITS MAILMAX; 0: no limit */
    unsigned errors_max;        /* commands and content refused 5xx, then 421 4.7.0; 0: default */
    unsigned idle_commands_max; /* commands that move nothing, between two messages, then 421 4.7.0;
                                   0: default */
    size_t line_length_max;     /* content lines with CRLF; 0: any (passed on unchanged) */
    unsigned command_timeout_s; /* RFC 5321 section 4.5.3.2.7; 0: 300 */
    unsigned content_timeout_s; /* RFC 5321 section 4.5.3.2.5; 0: 180 */
    unsigned content_deadline_s; /* all of a content; 0: default */
    unsigned content_rate_min;   /* bytes a second of content; 0: any */
    uint64_t swallow_max; /* bytes of refused content that a session may make us read; 0: 1 GiB */
    bool is_strict;       /* no spaces behind "FROM:" and "TO:" (RFC 5321 section 3.3) */
};

struct smtp_service {
    const struct smtp_policy *policy;
    void *context;           /* first argument of every policy call */
    const char *name;        /* "submission": events, metrics */
    const char *section;     /* of the configuration, with its limits of sessions */
    const char *hostname;    /* greeting, EHLO, Received */
    struct tls_context *tls; /* of the engine; NULL: TLS cannot be started (454) */
    struct smtp_limits limits;
};

/* One MAIL..DATA exchange (RFC 5321 section 3.3); cleared whole, in one place. */
struct smtp_transaction {
    void *of_service; /* the service's own; it sets it in mail() */
    bool is_open;
    bool is_smtputf8; /* said with MAIL */
    bool has_chunks;  /* BDAT began: no DATA and no RCPT any more */
    unsigned recipient_count;
    unsigned refused_count; /* recipients refused */
};

/* Content on its way in, also after its transaction was refused and reset. */
struct smtp_incoming {
    struct dot_reader reader; /* of all chunks of a transaction */
    bool is_chunk, is_last;   /* BDAT; LAST */
    uint64_t chunk_left;
    uint64_t received;      /* of the transaction's content, as it came over the wire */
    int64_t began_ms;       /* later by what the service had us wait */
    int64_t waits_since_ms; /* for room at the service; 0: it does not */
    uint64_t swallowed;     /* bytes of refused content read so far in this session */
    struct verdict refusal; /* code 0: none; else the reply when the end was read */
    struct verdict broken;  /* a chunk was refused: so are the chunks behind it; code 0: none */
};

enum smtp_question_kind {
    ASKS_CONNECTED,
    ASKS_LOGIN,
    ASKS_LOGIN_FAILED,
    ASKS_MAIL,
    ASKS_RCPT,
    ASKS_CONTENT_BEGIN,
    ASKS_CONTENT_END,
};

/* What the service will answer later. */
struct smtp_question {
    uint64_t token; /* 0: nothing */
    uint8_t kind;
    bool is_inside;    /* the call that asked has not returned yet */
    bool is_delay;     /* its end is the answer, and was meant to be */
    bool is_answered;  /* and the answer is there */
    uint32_t line_len; /* of the command that is asked about; 0: none is */
    int64_t due_ms;
    struct verdict verdict; /* if no answer comes in time; with is_answered: the answer */
};

struct smtp_server {
    struct session session; /* the driver's: connection, state, name */
    const struct smtp_service *service;
    bool has_greeted;  /* EHLO or HELO was answered */
    bool is_esmtp;     /* it was EHLO */
    bool has_preamble; /* set before the start; policy->preamble takes it */
    /* Set before the start, until a login: neither trusted nor known, so that it gets small
     * buffers, and talking out of turn ends it. */
    bool is_stranger;
    bool skips_line;       /* inside a line that was too long */
    bool skips_login;      /* and that is one of a login */
    bool is_authenticated; /* as the policy's login_done() was told */
    uint8_t tls;           /* enum smtp_tls; set before the start */
    bool needs_tls;        /* or a login, before what NEEDS_TLS (else 530); connected() sets it */
    struct smtp_transaction transaction;
    struct smtp_incoming incoming;
    struct smtp_question question;
    struct server_login *login; /* while one is under way */
    unsigned mail_count, error_count, command_count, idle_count;
    char ehlo[256]; /* what the client said it is; empty before */
};

/* Takes over an accepted fd. The object comes from service_admit() (serve/service.h) or is zeroed;
 * policy->closed is told when it is over. session_stop() says 421 4.3.2 at the next command
 * boundary (RFC 5321 section 3.8): content and commits under way finish. */
void smtp_server_start(struct smtp_server *server, struct engine *engine, int fd,
                       const struct smtp_service *service);
/* Whether ending it for want of memory gains anything: not one that ends already, nor one whose
 * content is being answered. */
bool smtp_server_can_be_shed(const struct smtp_server *server);
/* What that gives back: its buffers, not what the service holds for it. */
size_t smtp_server_memory(const struct smtp_server *server);

/* The service's answers. */
void smtp_server_resume(struct smtp_server *server); /* there is room for content again */
/* From inside a question of the policy's, whose return value it is: the answer will be given by
 * smtp_server_answer() with the token, once, within timeout_ms. When that is over the question is
 * cancelled and answered with `overdue`, whose strings live as long as the service. */
must_use struct verdict smtp_server_later(struct smtp_server *server, int64_t timeout_ms,
                                          struct verdict overdue, uint64_t *token_out);
/* The same for an answer that is known and takes its time: nobody gives another one. `verdict`'s
 * strings live as long as the service. */
must_use struct verdict smtp_server_delayed(struct smtp_server *server, int64_t delay_ms,
                                            struct verdict verdict);
/* The answer. False: the question is over (a deadline, an end), nothing happened. As long as the
 * server lives; policy->cancel tells of every question that ends without an answer. May be called
 * before the question has returned: strings live until then. */
bool smtp_server_answer(struct smtp_server *server, uint64_t token, struct verdict verdict);
/* From a login question that wants keys, or before it is answered: these are the user's. */
void smtp_server_keys(struct smtp_server *server, const struct sasl_keys *keys);
/* Answers content_end with "250 2.0.0 Ok: queued as <id>"; not from inside it. */
bool smtp_server_accepted(struct smtp_server *server, uint64_t token, const char *id);
/* Answers an fd that no session can be had for with 421, best effort, and closes it. Where TLS
 * comes first there is nothing to be said. */
void smtp_server_turn_away(struct service *service, const struct smtp_service *smtp, int fd,
                           const struct address *client, enum service_answer answer,
                           enum smtp_tls tls);

const char *smtp_server_state_name(enum smtp_server_state state);
