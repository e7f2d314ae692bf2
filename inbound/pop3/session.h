/*
 * session.h - a POP3 session on its engine, with the states that all sessions of readers have
 * (inbound/access/session.h). Private to the folder.
 *
 * RFC 1939's states are told by the work: without one nobody has logged in (AUTHORIZATION), with
 * one it is TRANSACTION, and QUIT's work is UPDATE.
 *
 * Thread: the engine's.
 */
#pragma once

#include "inbound/access/session.h"
#include "inbound/pop3/pop3.h"

enum {
    POP3_LINE_MAX = 1024, /* of a command with its CRLF; RFC 2449 section 4 asks for 255 */
    POP3_REPLY_MAX = 1024,
};

struct pop3_session {
    struct access_session access;
    char *user; /* what USER said; NULL: nothing */
};

/* The table of states, and what drives them. */
extern const struct session_protocol pop3_protocol;

static inline struct pop3_session *pop3_session_from(struct access_session *access)
{
    return container_of(access, struct pop3_session, access);
}

static inline struct pop3_session *pop3_session_of(struct session *session)
{
    return pop3_session_from(access_session_of(session));
}

/* Says one line, which has room: see the step of COMMAND. */
#define pop3_say(session, ...) access_say(&(session)->access, __VA_ARGS__)
/* "-ERR text", and the end. */
static inline enum step pop3_leave(struct pop3_session *session, const char *text)
{
    return access_leave(&session->access, text);
}
/* "-ERR text" for what is no command; the last is the end. */
enum step pop3_bad(struct pop3_session *session, const char *text);
/* Takes the first line off the input. STEP_AGAIN: it is at *line_out until it is consumed, which
 * is *len_out bytes; else what to do instead. */
enum step pop3_next_line(struct pop3_session *session, size_t max, struct bytes *line_out,
                         size_t *len_out);
enum step pop3_next_command(struct pop3_session *session);

/* command.c: a line without its end. */
enum step pop3_run_command(struct pop3_session *session, struct bytes line);

/* auth.c */
enum step pop3_handle_user(struct pop3_session *session, struct bytes argument);
enum step pop3_handle_pass(struct pop3_session *session, struct bytes argument);
enum step pop3_handle_auth(struct pop3_session *session, struct bytes argument);
enum step pop3_auth_step(struct session *session);
