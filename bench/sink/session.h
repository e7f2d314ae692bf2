/*
 * session.h - one SMTP conversation of the sink.
 *
 *   GREET -> COMMAND -> CONTENT (DATA) -> ANSWER -> COMMAND
 *                   \-> CHUNK (BDAT) --/ (LAST)
 *   any -> ENDING (a last reply is being sent) -> CLOSING (waiting for the ring)
 *
 * Steps pull what is there. A step that has a latency to keep arms `wait` and is run again after
 * it; what arrives meanwhile stays in `input`.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "io/engine.h"

struct receiver;

enum session_state {
    SESSION_GREET,
    SESSION_COMMAND,
    SESSION_CONTENT,
    SESSION_CHUNK,
    SESSION_ANSWER,
    SESSION_ENDING,
    SESSION_CLOSING,
};

struct session {
    struct list_node node;
    struct receiver *receiver;
    enum session_state state;
    int fd;
    struct op receive;
    struct op send;
    struct timeout wait; /* latency */
    struct timeout drip; /* between the bytes of a slow reply */
    struct buf input;
    struct buf filling; /* replies */
    struct buf sending; /* the kernel's while send is in flight */
    bool is_waiting;    /* for `wait` */
    bool has_waited;    /* the step may go on */
    bool is_held;       /* receive stopped: too much input */
    bool has_helo;
    uint64_t number; /* of the session */
    uint64_t steps;  /* a key for draws that have no recipient */
    uint64_t messages;

    /* The transaction. */
    bool has_mail;
    bool uses_chunks;
    bool is_chunk_last;
    uint8_t matched; /* of CRLF.CRLF, at the end of what was read */
    uint64_t key;    /* of its recipients and their attempts */
    uint64_t recipient_count;
    uint64_t content_len;
    uint64_t chunk_left;
    struct buf recipients; /* each with its LF */
    struct buf content;    /* if it is to be verified */
};

/* Takes over an accepted descriptor. */
void session_open(struct receiver *receiver, int fd);
void session_free_all(struct receiver *receiver);

/* session_command.c: runs one line. False: not yet, a latency is being kept. */
must_use bool session_command(struct session *session, struct bytes line);
/* session.c, for session_command.c: */
void session_reply(struct session *session, struct bytes reply);
/* A scripted refusal; true if `code` is one (0 is not). The session may end by it. */
bool session_refuse(struct session *session, unsigned stage, unsigned code);
/* True: the caller has to return and will be run again. */
must_use bool session_delay(struct session *session, unsigned stage);
/* Sends what there is, then closes. */
void session_end(struct session *session);
void session_reset(struct session *session); /* the transaction */
