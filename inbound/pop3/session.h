/*
 * session.h - a POP3 session on its engine, and one engine's part of the service. Private to the
 * folder.
 *
 *   GREET --> COMMAND <--> WORK           what reads or changes the maildrop (work.h)
 *     |        |   |
 *     v        |   '-----> AUTH --> DELAY --> COMMAND   a login's lines; a refusal said later
 *   HANDSHAKE<-'
 *   every state --> CLOSING
 *
 * HANDSHAKE is before the greeting on a listener that is so, else after STLS. RFC 1939's states are
 * told by `work`: without one nobody has logged in (AUTHORIZATION), with one it is TRANSACTION, and
 * QUIT's work is UPDATE. One command at a time: what is pipelined behind it waits in the
 * connection's input.
 *
 * A circle of command.c, login.c, session.c, tls.c and work.c: session.c has the table of states,
 * whose steps are in the others; and these say what they answer, and go on to the next command, by
 * session.c.
 *
 * Thread: the engine's.
 */
#pragma once

#include "inbound/pop3/pop3.h"
#include "io/blocking.h"
#include "serve/service.h"

enum pop3_state {
    POP3_GREET,
    POP3_HANDSHAKE,
    POP3_COMMAND,
    POP3_AUTH,
    POP3_DELAY,
    POP3_WORK,
    POP3_CLOSING,
    POP3_STATE_COUNT,
};

enum {
    POP3_LINE_MAX = 1024, /* of a command with its CRLF; RFC 2449 section 4 asks for 255 */
    POP3_REPLY_MAX = 1024,
    POP3_INPUT_MAX = 16 * 1024,
    POP3_STRANGER_OUTPUT_MAX = 16 * 1024,
    POP3_OUTPUT_MAX = 256 * 1024,
};

/* Settings, as the sessions that began under them use them. */
struct pop3_generation {
    struct generation generation; /* serve/generation.h */
    struct pop3_settings settings;
    char hostname[256];
};

struct pop3 {
    struct service service;
    struct pop3_setup setup;
    uint8_t login_key[POP3_LOGIN_KEY_LEN];
    unsigned work_count; /* that the pool or we still hold */
};

struct pop3_login; /* login.c */
struct pop3_work;  /* work.h */

struct pop3_session {
    struct session session;
    const struct pop3_listener *listener;
    struct pop3_login *login; /* while lines of AUTH come */
    char *user;               /* what USER said; NULL: nothing */
    struct pop3_work *work;   /* from the login on */
    unsigned login_failures, errors;
    bool may_log_in_plain;
    bool is_last_failure; /* DELAY: the end follows */
    int64_t delay_ms;
};

static inline struct pop3_session *pop3_session_of(struct session *session)
{
    return container_of(session, struct pop3_session, session);
}

static inline struct pop3 *pop3_of(const struct pop3_session *session)
{
    return container_of(session->session.service, struct pop3, service);
}

static inline const struct pop3_settings *pop3_settings_of(const struct pop3_session *session)
{
    return &container_of(session->session.generation, struct pop3_generation, generation)->settings;
}

void pop3_session_start(struct pop3_session *session, int fd);
/* How much ending it gives back; 0 while that cannot be. */
size_t pop3_session_held(const struct session *session);

/* Says one line, which has room: see the step of COMMAND. */
enum step pop3_say(struct pop3_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "-ERR text", and the end. */
enum step pop3_leave(struct pop3_session *session, const char *text);
/* "-ERR text" for what is no command; the last is the end. */
enum step pop3_bad(struct pop3_session *session, const char *text);
/* May it log in now, without TLS or with it? */
bool pop3_may_log_in(const struct pop3_session *session);
/* Takes the first line off the input. STEP_AGAIN: it is at *line_out until it is consumed, which
 * is *len_out bytes; else what to do instead. */
enum step pop3_next_line(struct pop3_session *session, size_t max, struct bytes *line_out,
                         size_t *len_out);
enum step pop3_next_command(struct pop3_session *session);

/* command.c: a line without its end. */
enum step pop3_run_command(struct pop3_session *session, struct bytes line);

/* login.c */
enum step pop3_handle_user(struct pop3_session *session, struct bytes argument);
enum step pop3_handle_pass(struct pop3_session *session, struct bytes argument);
enum step pop3_handle_auth(struct pop3_session *session, struct bytes argument);
enum step pop3_auth_step(struct session *session);
void pop3_forget_login(struct pop3_session *session);
/* Is -PLUS offered? It needs a channel to bind to. */
bool pop3_is_bound(const struct pop3_session *session);

/* tls.c */
enum step pop3_begin_tls(struct pop3_session *session);
enum step pop3_handle_stls(struct pop3_session *session, struct bytes argument);
enum step pop3_handshake_step(struct session *session);
void pop3_tell_tls_failure(const struct pop3_session *session);
