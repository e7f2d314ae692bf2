/*
 * session.h - an IMAP session on its engine. Private to the folder.
 *
 * To what all sessions of readers have (inbound/access/session.h) come two states:
 *
 *   WORK <--> UPLOAD             bytes of a message on their way in (append.c)
 *   COMMAND --> IDLE <--> WORK   RFC 9051 section 6.3.13
 *
 * Thread: the engine's.
 */
#pragma once

#include "inbound/access/session.h"
#include "inbound/imap/frame.h"
#include "inbound/imap/imap.h"
#include "inbound/imap/scan.h"

enum imap_state {
    IMAP_UPLOAD = ACCESS_STATE_COUNT,
    IMAP_IDLE,
    IMAP_STATE_COUNT,
};

enum {
    COMMAND_MAX = 128 * 1024,        /* lines and literals of a command, but messages */
    COMMAND_STRANGER_MAX = 8 * 1024, /* of who has not logged in */
    UPLOAD_PIECE = 64 * 1024,
};

struct imap_session {
    struct access_session access;
    struct frame frame;
    bool is_uploading; /* APPEND is under way: its lines go on */
    /* ACCESS_WORK is over: what comes next. NULL: the next command. */
    enum step (*worked)(struct imap_session *session);
    char tag[IMAP_TAG_MAX + 1];
};

/* The table of states, and what drives them. */
extern const struct session_protocol imap_protocol;

static inline struct imap_session *imap_session_from(struct access_session *access)
{
    return container_of(access, struct imap_session, access);
}

static inline struct imap_session *imap_session_of(struct session *session)
{
    return imap_session_from(access_session_of(session));
}

/* Each says one line, which has room: see the step of COMMAND. */
#define imap_say(session, ...) access_say(&(session)->access, __VA_ARGS__)
/* "TAG STATUS TEXT", with the tag of the session's command. */
enum step imap_answer(struct imap_session *session, const char *status_and_text);
/* BYE, and the end. */
static inline enum step imap_leave(struct imap_session *session, const char *text)
{
    return access_leave(&session->access, text);
}
/* May the client do more, or be told more? Else it was told BYE, and *step_out is what to do. */
bool imap_may_go_on(struct imap_session *session, enum step *step_out);
/* One more command that is none; the last is told BYE. */
enum step imap_bad(struct imap_session *session, const char *text);
/* "CAPABILITY ..." of this moment, in `room`. */
const char *imap_capability_text(const struct imap_session *session, char *room, size_t size);
/* Begins the next command. */
enum step imap_next_command(struct imap_session *session);

/* command.c: a whole command stands in session->frame. */
enum step imap_run_command(struct imap_session *session);
/* One announced a literal. */
enum step imap_on_literal(struct imap_session *session);

/* auth.c */
enum step imap_handle_login(struct imap_session *session, struct bytes arguments);
enum step imap_handle_authenticate(struct imap_session *session, struct bytes arguments);
enum step imap_auth_step(struct session *session);

/* append.c */
/* A literal was announced behind `text`: is it a message of APPEND or REPLACE? */
bool imap_expects_message(const struct imap_session *session, struct bytes text);
/* It would be one but for what stands before it: that is answered, and nothing more is to come. */
bool imap_refuses_message(struct imap_session *session, struct bytes text, enum step *step_out);
enum step imap_begin_upload(struct imap_session *session);
enum step imap_upload_step(struct session *session);
