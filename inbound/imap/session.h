/*
 * session.h - an IMAP session on its engine, and one engine's part of the service. Private to the
 * folder.
 *
 *   GREET --> COMMAND --> WORK --> COMMAND     what touches a mailbox (work.h)
 *     |        |  ^ |
 *     |        |  | '---> UPLOAD <--> WORK     bytes of a message on their way in (append.c)
 *     v        v  |
 *   HANDSHAKE--'  +-----> AUTH --> DELAY       a login's lines; a refusal that is said later
 *                 '-----> IDLE <--> WORK       RFC 9051 section 6.3.13
 *   every state --> CLOSING
 *
 * HANDSHAKE is before the greeting on a listener that is so, else after STARTTLS; nothing that was
 * said in plain text is known afterwards. One command at a time: what is pipelined behind it waits
 * in the connection's input.
 *
 * Thread: the engine's.
 */
#pragma once

#include "inbound/imap/frame.h"
#include "inbound/imap/imap.h"
#include "inbound/imap/scan.h"
#include "io/blocking.h"
#include "serve/service.h"

enum imap_state {
    IMAP_GREET,
    IMAP_HANDSHAKE,
    IMAP_COMMAND,
    IMAP_AUTH,
    IMAP_DELAY,
    IMAP_WORK,
    IMAP_UPLOAD,
    IMAP_IDLE,
    IMAP_CLOSING,
    IMAP_STATE_COUNT,
};

enum {
    COMMAND_MAX = 128 * 1024,        /* lines and literals of a command, but messages */
    COMMAND_STRANGER_MAX = 8 * 1024, /* of who has not logged in */
    REPLY_MAX = 4096,                /* more than any line of the engine's has */
    OUTPUT_MAX = 256 * 1024,
    STRANGER_INPUT_MAX = 16 * 1024,
    STRANGER_OUTPUT_MAX = 16 * 1024,
    UPLOAD_PIECE = 64 * 1024,
};

/* Settings, as the sessions that began under them use them. */
struct imap_generation {
    struct generation generation; /* serve/generation.h */
    struct imap_settings settings;
    char hostname[256];
};

struct imap {
    struct service service;
    struct imap_setup setup;
    uint8_t login_key[IMAP_LOGIN_KEY_LEN];
    unsigned work_count; /* that the pool or we still hold */
};

struct imap_login; /* login.c */
struct imap_work;  /* work.h */

struct imap_session {
    struct session session;
    const struct imap_listener *listener;
    struct frame frame;
    struct imap_login *login; /* while lines of AUTHENTICATE come */
    struct imap_work *work;   /* from the login on */
    uint32_t credential;      /* its id; 0: nobody logged in */
    unsigned login_failures, errors;
    bool may_log_in_plain;
    bool is_last_failure; /* DELAY: BYE follows */
    bool is_uploading;    /* APPEND is under way: its lines go on */
    int64_t delay_ms;
    /* IMAP_WORK is over: what comes next. NULL: the next command. */
    enum step (*worked)(struct imap_session *session);
    char tag[IMAP_TAG_MAX + 1];
};

static inline struct imap_session *imap_session_of(struct session *session)
{
    return container_of(session, struct imap_session, session);
}

static inline struct imap *imap_of(const struct imap_session *session)
{
    return container_of(session->session.service, struct imap, service);
}

static inline const struct imap_settings *imap_settings_of(const struct imap_session *session)
{
    return &container_of(session->session.generation, struct imap_generation, generation)->settings;
}

void imap_session_start(struct imap_session *session, int fd);
/* How much ending it gives back; 0 while that cannot be. */
size_t imap_session_held(const struct session *session);

/* Each says one line, which has room: see command_step(). */
enum step imap_say(struct imap_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "TAG STATUS TEXT", with the tag of the session's command. */
enum step imap_answer(struct imap_session *session, const char *status_and_text);
/* BYE, and the end. */
enum step imap_leave(struct imap_session *session, const char *text);
/* One more command that is none; the last is told BYE. */
enum step imap_bad(struct imap_session *session, const char *text);
/* "CAPABILITY ..." of this moment, without "* " and CRLF. */
void imap_capability(const struct imap_session *session, struct buf *out);
/* May it log in now, without TLS or with it? */
bool imap_may_log_in(const struct imap_session *session);
/* Begins the next command. */
enum step imap_next_command(struct imap_session *session);

/* command.c: a whole command stands in session->frame. */
enum step imap_run_command(struct imap_session *session);
/* One announced a literal. */
enum step imap_on_literal(struct imap_session *session);

/* login.c */
enum step imap_handle_login(struct imap_session *session, struct bytes arguments);
enum step imap_handle_authenticate(struct imap_session *session, struct bytes arguments);
enum step imap_auth_step(struct session *session);
void imap_forget_login(struct imap_session *session);
/* May what the session logged in with still be used? At each command. */
bool imap_login_still_good(const struct imap_session *session);

/* tls.c */
enum step imap_begin_tls(struct imap_session *session);
enum step imap_handle_starttls(struct imap_session *session, struct bytes arguments);
enum step imap_handshake_step(struct session *session);
void imap_tell_tls_failure(const struct imap_session *session);

/* append.c */
/* A literal was announced behind `text`: is it a message of APPEND or REPLACE? */
bool imap_expects_message(const struct imap_session *session, struct bytes text);
enum step imap_begin_upload(struct imap_session *session);
enum step imap_upload_step(struct session *session);
