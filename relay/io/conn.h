/*
 * conn.h - one TCP connection: what protocol code sees of the network.
 *
 * A conn owns the fd, the only receive op (multishot, provided buffers) and the only send op (one
 * buffer being filled, one owned by the kernel). Protocol code embeds a conn, is woken with a
 * reason, looks at conn_input(), writes with conn_write(), and decides. A layer (conn_layer.h) may
 * stand between the ops and these functions; above them nothing of it is seen.
 *
 * Back-pressure is by not reading: when input_max bytes wait unread, the receive is cancelled and
 * armed again once the owner consumed below half of it. What the kernel received before the cancel
 * reached it still arrives, and that is 32 provided buffers (512 KiB) for each connection on the
 * kernels of today. A careful connection therefore asks for each receive by itself, and for no more
 * than is missing to input_max: what waits unread never passes it, of one or of all together (with
 * a layer, by no more than one of its records).
 * Whoever may be anybody's is to be careful; it costs a submission for each piece that arrives.
 *
 * Addresses are `struct address` (io/address.h, 28 bytes), not sockaddr_storage.
 *
 *   (new) --conn_accept--------------> OPEN --conn_finish--> DRAINING --sent, EOF---> CLOSING
 *   (new) --conn_connect--> CONNECTING --^  \  \--conn_close, error after report-----^   |
 *   (new) --conn_attach--------------> OPEN   \               no op in flight: OVER <----'
 *                                              '--conn_detach--> DETACHING --no op in flight: OVER
 *
 * DRAINING sends what is left, says so to the peer (FIN) and discards what it still sends until its
 * end, so that unread input does not turn the last reply into a reset. CLOSING waits for every op
 * in flight; then wake(CONN_CLOSED) is called exactly once, last, and only there may the owner free
 * itself. After conn_close() and conn_finish() no other reason is delivered.
 * DETACHING waits for every op in flight as well, which are cancelled; then wake(CONN_DETACHED) is
 * called, once and last, in place of CONN_CLOSED.
 * wake() is only called from the loop, never from inside a conn_* call; owners may call any conn_*
 * function from inside wake().
 *
 * Idle connections hold no buffers. Thread: the engine's.
 */
#pragma once

#include "base/buf.h"
#include "io/address.h"
#include "io/engine.h"

enum conn_wake {
    CONN_CONNECTED, /* connect finished well */
    CONN_SECURED,   /* the layer's handshake is over: room to write */
    CONN_DATA,      /* new input arrived */
    CONN_DRAINED,   /* output fell to nothing, or below half of its cap: room to write */
    CONN_EOF,       /* the peer sent its last byte; input may still wait unread */
    CONN_TIMEOUT,   /* the deadline passed; it is disarmed */
    CONN_ERROR,     /* connect, receive or send failed: conn->error; closes when wake() returns */
    CONN_DETACHED,  /* nothing is in flight any more; conn_take(), then free the owner */
    CONN_CLOSED,    /* nothing is in flight any more; free the owner now or later */
};

enum conn_state {
    CONN_NEW,
    CONN_CONNECTING,
    CONN_OPEN,
    CONN_DRAINING,
    CONN_DETACHING,
    CONN_CLOSING,
    CONN_OVER
};

struct conn;
struct conn_layer;
typedef void conn_wake_fn(struct conn *conn, enum conn_wake reason);

struct conn_settings { /* NULL stands for both defaults */
    size_t input_max;  /* bytes waiting unread before the receive is stopped; 0: 64 KiB */
    size_t output_max; /* cap of what waits to be sent (under a layer: conn_layer.h); 0: 256 KiB */
    bool is_careful;   /* see above */
};

struct conn {
    struct engine *engine;
    conn_wake_fn *wake;
    int fd;
    int error; /* -errno, with CONN_ERROR */
    uint8_t state;
    uint8_t pending;        /* wakes that the loop owes */
    bool eof;               /* the peer sent its last byte */
    bool paused;            /* conn_pause() */
    bool receive_stopped;   /* by back-pressure */
    bool receive_cancelled; /* and its last completion is to come */
    bool fin_sent;
    bool is_careful;
    bool owes_data_wake; /* conn_waits_for_unread() */
    uint32_t counted;    /* bytes of buffers that the budget knows of */
    uint32_t input_max;
    uint32_t output_max;
    uint64_t written; /* bytes of all output so far, sent or not */
    uint64_t taken;   /* bytes that the kernel took, as they go over the wire */
    uint64_t own_end; /* of these, behind the last that the owner wrote */
    struct buf input;
    struct buf filling;       /* output the owner is adding to */
    struct buf sending;       /* output the kernel owns; front = not sent yet */
    struct conn_layer *layer; /* NULL: what is written is what is sent */
    struct op receive;
    struct op send; /* the connect as well: nothing is sent before that is over */
    struct timeout deadline;
    struct turn_end turn_end; /* starts the send, delivers pending wakes */
    struct address peer;      /* zeroed when it is not IP (a socketpair in tests) */
    struct address local;
};

/* Takes over a connected fd; the first wake comes from the loop. */
void conn_accept(struct conn *conn, struct engine *engine, int fd, conn_wake_fn *wake,
                 const struct conn_settings *settings);
/* Opens a socket, binds it to `source` if not NULL (its port is usually 0), connects. Every failure
 * is a later wake. Both addresses are copied. */
void conn_connect(struct conn *conn, struct engine *engine, const struct address *peer,
                  const struct address *source, conn_wake_fn *wake,
                  const struct conn_settings *settings);

/* What there is of a connection while no engine has it. */
struct conn_parcel {
    int fd;
    int error; /* -errno that its owner has not been told */
    bool eof;
    bool is_secured_untold; /* CONN_SECURED is owed */
    uint32_t counted;
    uint64_t written, taken, own_end;
    struct buf input, filling, sending;
    struct conn_layer *layer;
    struct address peer, local;
};

/* Of an OPEN connection: leaves the engine, with what is unread and what is unsent. */
void conn_detach(struct conn *conn);
/* In CONN_DETACHED, and has to be called there. Any thread may have the parcel then, one at a time;
 * it ends in conn_attach() or conn_parcel_discard(). */
void conn_take(struct conn *conn, struct conn_parcel *parcel_out);
/* As conn_accept(), where conn_detach() left off. What is unread, the peer's end or an error is
 * announced by the loop. Clears the parcel. */
void conn_attach(struct conn *conn, struct engine *engine, struct conn_parcel *parcel,
                 conn_wake_fn *wake, const struct conn_settings *settings);
/* Closes the connection and clears the parcel. */
void conn_parcel_discard(struct conn_parcel *parcel);

/* Puts a layer on an OPEN connection that has none. What was written goes out as it is; nothing
 * may be written until CONN_SECURED. False, and nothing was done, where the peer already sent
 * something behind what asked for it: who goes on then takes an attacker's plain text for the
 * peer's (RFC 3207 section 4.2). On true the layer is the connection's. */
must_use bool conn_secure(struct conn *conn, struct conn_layer *layer);
/* Puts a layer that has no handshake above what there is, on an OPEN connection. What was written
 * goes out without it, all that is written later through it. False where unread input came without
 * it, a handshake is not over, or what was written cannot be sealed, which closes the connection.
 * On true the layer is the connection's. */
must_use bool conn_stack(struct conn *conn, struct conn_layer *layer);

struct bytes conn_input(const struct conn *conn); /* valid until consumed or the next wake */
void conn_consume(struct conn *conn, size_t len);
/* The peer has sent something that is not in conn_input() yet: it is with the kernel, or in a
 * completion that has not run. */
bool conn_has_unread(const struct conn *conn);
/* The same for an owner who does not go on before it is read: then CONN_DATA comes in any case,
 * also where a layer makes no input of it. */
bool conn_waits_for_unread(struct conn *conn);
/* Appends to the output, sent at the end of this turn. False (nothing appended) past output_max,
 * when the connection is not open, and while a layer is not secured. */
must_use bool conn_write(struct conn *conn, struct bytes b);
/* The same of all that is in `from`, which is empty then: where nothing else was written in this
 * turn its memory becomes the connection's, and nothing is copied. */
must_use bool conn_write_buf(struct conn *conn, struct buf *from);
must_use bool conn_printf(struct conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
size_t conn_output_room(const struct conn *conn);
size_t conn_output_len(const struct conn *conn); /* not yet taken by the kernel */
/* Of conn->written: what the kernel was given. The peer cannot have seen anything behind it. */
uint64_t conn_output_begun(const struct conn *conn);
/* False: the peer's TCP has not confirmed all that was written. What is read of it now, it said
 * before it could have seen the end of that: a later answer confirms what it answers. */
bool conn_peer_may_have_all(const struct conn *conn);
/* The same of what was written up to `end` (of conn->written), as far as it is known: under a layer
 * it is known of all that was written, or of none. */
bool conn_peer_may_have(const struct conn *conn, uint64_t end);
/* Bytes allocated for its buffers, which are counted in base/budget.h. */
size_t conn_memory(const struct conn *conn);

/* Of an OPEN connection that was careful: it is not any more, its owner knows the peer now. What is
 * larger than before of `settings` counts from here on. */
void conn_trust(struct conn *conn, const struct conn_settings *settings);

/* Stop and resume reading for a reason of the owner's. What arrives nevertheless is announced after
 * the resume; errors and the deadline at once. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

void conn_deadline(struct conn *conn, int64_t after_ms); /* replaces the old one; 0 disarms */

/* Sends what was written, then closes in good order; all of it bounded by 5 s. Only CONN_CLOSED
 * follows. */
void conn_finish(struct conn *conn);
/* Closes at once. Only CONN_CLOSED follows. May be called more than once. */
void conn_close(struct conn *conn);
bool conn_is_open(const struct conn *conn); /* CONNECTING or OPEN */
