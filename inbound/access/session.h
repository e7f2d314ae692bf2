/*
 * session.h - a session of who reads mail, on its engine: what the protocols share of it.
 *
 *   GREET --> COMMAND <--> WORK          what touches a mailbox (work.h)
 *     |        |  ^ |
 *     |        |  | '----> AUTH --> DELAY   a login's lines; a refusal that is said later (login.h)
 *     v        v  |
 *   HANDSHAKE--'  '------- states of the protocol's own
 *   every state --> CLOSING
 *
 * HANDSHAKE is before the greeting on a listener that is so, else after STARTTLS or STLS; nothing
 * that was said in plain text is known afterwards. One command at a time: what is pipelined behind
 * it waits in the connection's input. Whoever has a work has logged in.
 *
 * A protocol embeds an access_session as the first member of its own, has a table of states that
 * begins with these (serve/session.h), with the steps and hooks below, and an access_kind.
 *
 * Thread: the engine's.
 */
#pragma once

#include "inbound/access/access.h"
#include "serve/service.h"

enum access_state {
    ACCESS_GREET,
    ACCESS_HANDSHAKE,
    ACCESS_COMMAND,
    ACCESS_AUTH,
    ACCESS_DELAY,
    ACCESS_WORK,
    ACCESS_CLOSING,
    ACCESS_STATE_COUNT, /* the protocol's own come next */
};

enum {
    ACCESS_STRANGER_S = 180, /* what who has not logged in may take for a command */
    ACCESS_HANDSHAKE_S = 60,
    ACCESS_WORK_S = 300,
    ACCESS_LOOK_S = 60, /* after so long a silent session is looked at: is its login still good? */
    ACCESS_STEPS_MAX = 64,
    ACCESS_REPLY_MAX = 4096, /* more than any line of the engine's has */
    ACCESS_INPUT_MAX = 16 * 1024,
    ACCESS_STRANGER_OUTPUT_MAX = 16 * 1024,
    ACCESS_OUTPUT_MAX = 384 * 1024, /* what a slice says, and what is left of the last one */
};

struct access_login; /* login.c */
struct access_work;  /* work.h */

struct access_session {
    struct session session;
    const struct access_listener *listener;
    struct access_login *login; /* while an exchange of SASL goes on */
    struct access_work *work;   /* from the login on */
    uint32_t credential;        /* its id; 0: nobody logged in */
    unsigned login_failures, errors;
    bool may_log_in_plain;
    bool is_shared;       /* the client is many users: failed logins are counted by their names */
    bool is_last_failure; /* DELAY: the end follows */
    int64_t delay_ms;
    int64_t silent_from_ms; /* monotonic: it said, or was told, something */
};

/* The last things a session hears: an answer (NULL: none), then the word of leaving. */
struct access_end {
    const char *answer, *leave;
};

/* What is said in the protocol's way: texts for answer(), bad() and leave(). */
struct access_words {
    const char *starttls; /* the verb */
    const char *begin_tls, *no_tls;
    const char *no_login, *wrong_login;
    struct access_end blocked, last_failure;
    const char *timeout;
    const char *expired;             /* of a login that is not good any more */
    const char *unavailable, *limit; /* response codes: "[SYS/TEMP]" */
};

struct access_kind {
    const char *name; /* `service=` of log lines */
    size_t session_size, work_size;
    size_t out_max; /* of a slice; what is larger comes in pieces */
    const struct session_protocol *protocol;
    unsigned idle_states; /* as bits: who logged in has settings.idle_timeout_s in them */
    enum metric refused, shed, timeouts;
    struct access_words words;
    /* Before the session's first step. NULL: nothing. */
    void (*begin)(struct access_session *session);
    /* Memory of the protocol's own. NULL: none. */
    size_t (*held)(const struct access_session *session);
    /* A reply to the command: "OK text", "-ERR text". */
    enum step (*answer)(struct access_session *session, const char *text);
    const char *last; /* in front of a session's last word: "* BYE" */
    /* One more command that is none; the last is told the end. */
    enum step (*bad)(struct access_session *session, const char *text);
    enum step (*next_command)(struct access_session *session);
    enum step (*greet)(struct access_session *session);
    /* What a login in pieces has said so far goes. NULL: there are none. */
    void (*forget)(struct access_session *session);
    /* It has a work now. */
    enum step (*logged_in)(struct access_session *session);
    /* The session goes. NULL: nothing is to be given up. */
    void (*ended)(struct access_session *session);

    /* The work's: work.h. */
    void (*work_init)(struct access_work *work); /* its part, zeroed, of who logged in */
    bool (*work_run)(struct access_work *work);  /* a slice (work.h); true: it is over */
    /* On the engine: what the command needs is to be had without waiting, and is the caller's until
     * work_leave(). NULL: it never is. */
    bool (*work_enter)(struct access_work *work);
    void (*work_leave)(struct access_work *work);
    void (*work_close)(struct access_work *work); /* on the pool, the last chore */
    /* It must not be freed yet: access_work_look_if_over() follows. NULL: it always may. */
    bool (*work_is_held)(const struct access_work *work);
    void (*work_free)(struct access_work *work); /* what its part has */
    /* A command is over and its output sent: what comes next. NULL: the next command. */
    enum step (*worked)(struct access_session *session);
};

/* Settings, as the sessions that began under them use them. */
struct access_generation {
    struct generation generation; /* serve/generation.h */
    struct access_settings settings;
    char hostname[256];
};

struct access {
    struct service service;
    struct service_kind service_kind;
    const struct access_kind *kind;
    struct access_setup setup;
    uint8_t login_key[ACCESS_LOGIN_KEY_LEN];
    unsigned work_count; /* that the pool or we still hold */
};

static inline struct access_session *access_session_of(struct session *session)
{
    return container_of(session, struct access_session, session);
}

static inline struct access *access_of(const struct access_session *session)
{
    return container_of(session->session.service, struct access, service);
}

static inline const struct access_kind *access_kind_of(const struct access_session *session)
{
    return access_of(session)->kind;
}

static inline const struct access_settings *access_settings_of(const struct access_session *session)
{
    return &container_of(session->session.generation, struct access_generation, generation)
                ->settings;
}

/* Its silence begins anew. */
static inline void access_note_life(struct access_session *session)
{
    session->silent_from_ms = engine_now_ms(session->session.conn.engine);
}

void access_session_start(struct access_session *session, int fd);
/* How much ending it gives back; 0 while that cannot be. */
size_t access_session_held(const struct session *session);

/* Steps and hooks for the protocol's tables. */
enum step access_greet_step(struct session *session);
enum step access_delay_step(struct session *session);
int64_t access_deadline_ms(const struct session *session);
/* Says so where a command was waited for (is_boundary); a work that runs is us who are slow. */
enum step access_timed_out(struct session *session);
void access_leave_for(struct session *session, enum session_leave why);
void access_ended(struct session *session);
void access_closed(struct session *session);

/* Says one line, which has room. */
enum step access_say(struct access_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The last word, and the end. */
enum step access_leave(struct access_session *session, const char *text);
