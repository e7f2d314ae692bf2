/* conn.c - one TCP connection: buffers, back-pressure and an orderly end. */
#include "io/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/budget.h"

enum {
    INPUT_MAX = 64 * 1024,
    OUTPUT_MAX = 256 * 1024,
    DRAIN_MS_MAX = 5000,
};

enum {
    PENDING_DATA = 1 << 0,
    PENDING_EOF = 1 << 1,
    PENDING_ERROR = 1 << 2,
};

/* A hundred thousand of them are meant to idle. */
_Static_assert(sizeof(struct conn) <= 384, "conn has a budget of 384 bytes");

static void receive_done(struct op *op, int result, uint32_t flags);
static void send_done(struct op *op, int result, uint32_t flags);
static void connect_done(struct op *op, int result, uint32_t flags);
static void deadline_fired(struct timeout *timeout);
static void turn_ended(struct turn_end *turn_end);

static void conn_init(struct conn *conn, struct engine *engine, conn_wake_fn *wake,
                      const struct conn_settings *settings)
{
    struct conn_settings s = settings != NULL ? *settings : (struct conn_settings){0};

    check(wake != NULL);
    check(s.input_max <= UINT32_MAX);
    check(s.output_max <= UINT32_MAX);
    *conn = (struct conn){
        .engine = engine,
        .wake = wake,
        .fd = -1,
        .input_max = s.input_max != 0 ? (uint32_t)s.input_max : INPUT_MAX,
        .output_max = s.output_max != 0 ? (uint32_t)s.output_max : OUTPUT_MAX,
        .is_careful = s.is_careful,
    };
    buf_init(&conn->input, conn->input_max + (s.is_careful ? 0 : engine_buffers_size(engine)));
    buf_init(&conn->filling, conn->output_max);
    buf_init(&conn->sending, conn->output_max);
    op_init(&conn->receive, receive_done);
    op_init(&conn->send, send_done);
    timeout_init(&conn->deadline, deadline_fired);
    turn_end_init(&conn->turn_end, turn_ended);
}

/* Replies leave when a turn ends; Nagle's waiting would only add to that. Fails on a socketpair. */
static void set_nodelay(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *len);

static void read_address(int fd, name_fn *name, struct address *out)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);

    if (name(fd, (struct sockaddr *)&storage, &len) != 0 ||
        !address_from((const struct sockaddr *)&storage, out))
        *out = (struct address){0};
}

size_t conn_memory(const struct conn *conn)
{
    return conn->input.capacity + conn->filling.capacity + conn->sending.capacity;
}

/* After whatever may have changed the size of a buffer. */
static void count_memory(struct conn *conn)
{
    size_t memory = conn_memory(conn);

    if (memory == conn->counted)
        return;
    budget_add((int64_t)memory - (int64_t)conn->counted);
    conn->counted = (uint32_t)memory;
}

/* --- receiving ------------------------------------------------------------------------------ */

static bool wants_input(const struct conn *conn)
{
    if (conn->eof || conn->error != 0)
        return false;
    return conn->state == CONN_DRAINING ||
           (conn->state == CONN_OPEN && !conn->paused && !conn->receive_stopped);
}

/* What is drained is not kept. Never 0: at input_max the receive is stopped. */
static size_t input_room(const struct conn *conn)
{
    size_t len = conn->state == CONN_DRAINING ? 0 : buf_len(&conn->input);

    return conn->input_max - MIN(len, (size_t)conn->input_max - 1);
}

/* A receive being cancelled is started again by its own last completion. */
static void start_receive(struct conn *conn)
{
    if (!wants_input(conn) || conn->receive.in_flight)
        return;
    if (conn->is_careful)
        engine_receive_once(conn->engine, &conn->receive, conn->fd, input_room(conn));
    else
        engine_receive(conn->engine, &conn->receive, conn->fd);
}

static void stop_receive(struct conn *conn)
{
    if (!conn->receive.in_flight || conn->receive_cancelled)
        return;
    conn->receive_cancelled = true;
    engine_cancel(conn->engine, &conn->receive);
}

/* The loop's side of a reason to wake the owner: later if it paused. */
static void announce(struct conn *conn, uint8_t pending, enum conn_wake reason)
{
    if (conn->paused)
        conn->pending |= pending;
    else
        conn->wake(conn, reason);
}

/* Called from the loop only: it wakes the owner. */
static void fail(struct conn *conn, int error)
{
    bool is_reported = conn->state == CONN_DRAINING;

    check(error < 0);
    if (conn->state == CONN_CLOSING)
        return;
    conn->error = error;
    if (!is_reported)
        conn->wake(conn, CONN_ERROR);
    conn_close(conn);
}

static void take_input(struct conn *conn, struct bytes b)
{
    if (conn->state != CONN_OPEN)
        return;
    /* Only if the kernel went on receiving after a cancel; see input_max in conn.h. */
    if (!buf_append(&conn->input, b)) {
        conn->error = -ENOBUFS;
        return;
    }
    count_memory(conn);
    if (buf_len(&conn->input) >= conn->input_max && !conn->receive_stopped) {
        conn->receive_stopped = true;
        stop_receive(conn);
    }
}

static void receive_done(struct op *op, int result, uint32_t flags)
{
    struct conn *conn = container_of(op, struct conn, receive);

    if (flags & ENGINE_BUFFER) {
        take_input(conn, engine_buffer(conn->engine, op, result));
        engine_buffer_return(conn->engine, op);
    }
    if (!(flags & ENGINE_MORE))
        conn->receive_cancelled = false;
    if (conn->state == CONN_CLOSING) {
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    if (conn->error == 0 && result < 0 && result != -ENOBUFS && result != -ECANCELED)
        conn->error = result;
    if (conn->error != 0) {
        fail(conn, conn->error);
        return;
    }
    if (result == 0)
        conn->eof = true;
    /* Data without MORE ends the op too: the completion queue was full. -ENOBUFS: by the time the
     * new receive is submitted, this turn has given all buffers back. */
    start_receive(conn);
    if (conn->state == CONN_DRAINING) {
        if (result == 0 && conn_output_len(conn) == 0)
            conn_close(conn);
    } else if (result > 0) {
        announce(conn, PENDING_DATA, CONN_DATA);
    } else if (result == 0) {
        announce(conn, PENDING_EOF, CONN_EOF);
    }
}

struct bytes conn_input(const struct conn *conn)
{
    return buf_bytes(&conn->input);
}

bool conn_has_unread(const struct conn *conn)
{
    int len = 0;

    return ioctl(conn->fd, FIONREAD, &len) == 0 && len > 0;
}

void conn_consume(struct conn *conn, size_t len)
{
    buf_consume(&conn->input, len);
    if (buf_len(&conn->input) == 0)
        buf_free(&conn->input); /* who waits for a command holds nothing */
    count_memory(conn);
    if (conn->receive_stopped && buf_len(&conn->input) < conn->input_max / 2) {
        conn->receive_stopped = false;
        start_receive(conn);
    }
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
    if (conn->state == CONN_OPEN)
        stop_receive(conn);
}

void conn_resume(struct conn *conn)
{
    conn->paused = false;
    start_receive(conn);
    if (conn->pending != 0)
        engine_at_turn_end(conn->engine, &conn->turn_end);
}

/* --- sending -------------------------------------------------------------------------------- */

/* Starts the only send, if there is something and none is under way. */
static void start_send(struct conn *conn)
{
    if (conn->send.in_flight || (conn->state != CONN_OPEN && conn->state != CONN_DRAINING))
        return;
    if (buf_len(&conn->sending) == 0) {
        struct buf empty = conn->sending;

        conn->sending = conn->filling;
        conn->filling = empty;
    }
    if (buf_len(&conn->sending) > 0)
        engine_send(conn->engine, &conn->send, conn->fd, buf_bytes(&conn->sending));
}

/* DRAINING, and nothing is left to send. Closing with unread input would reset the connection and
 * could take the last reply away from the peer: say FIN and wait for the peer's. */
static void output_drained(struct conn *conn)
{
    if (conn->eof) {
        conn_close(conn);
        return;
    }
    if (!conn->fin_sent) {
        conn->fin_sent = true;
        (void)shutdown(conn->fd, SHUT_WR); /* if it fails, the receive fails too */
    }
}

static void send_done(struct op *op, int result, uint32_t flags)
{
    struct conn *conn = container_of(op, struct conn, send);
    size_t before = conn_output_len(conn);

    (void)flags;
    if (conn->state == CONN_CLOSING) {
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    if (result <= 0) {
        fail(conn, result < 0 ? result : -EPIPE);
        return;
    }
    buf_consume(&conn->sending, (size_t)result);
    start_send(conn);
    size_t left = conn_output_len(conn);

    if (left == 0) {
        buf_free(&conn->sending);
        buf_free(&conn->filling);
        count_memory(conn);
    }
    if (conn->state == CONN_DRAINING) {
        if (left == 0)
            output_drained(conn);
        return;
    }
    if (left == 0 || (before >= conn->output_max / 2 && left < conn->output_max / 2))
        conn->wake(conn, CONN_DRAINED);
}

size_t conn_output_len(const struct conn *conn)
{
    return buf_len(&conn->filling) + buf_len(&conn->sending);
}

uint64_t conn_output_begun(const struct conn *conn)
{
    return conn->written - buf_len(&conn->filling);
}

size_t conn_output_room(const struct conn *conn)
{
    return conn_is_open(conn) ? conn->output_max - conn_output_len(conn) : 0;
}

/* What is being filled may have what the kernel does not owe yet. */
static bool prepare_write(struct conn *conn)
{
    if (!conn_is_open(conn))
        return false;
    conn->filling.len_max = conn->output_max - buf_len(&conn->sending);
    engine_at_turn_end(conn->engine, &conn->turn_end);
    return true;
}

bool conn_write(struct conn *conn, struct bytes b)
{
    if (!prepare_write(conn) || !buf_append(&conn->filling, b))
        return false;
    conn->written += b.len;
    count_memory(conn);
    return true;
}

bool conn_printf(struct conn *conn, const char *format, ...)
{
    va_list args;

    if (!prepare_write(conn))
        return false;
    size_t before = buf_len(&conn->filling);

    va_start(args, format);
    bool fits = buf_vprintf(&conn->filling, format, args);
    va_end(args);
    conn->written += buf_len(&conn->filling) - before;
    count_memory(conn);
    return fits;
}

/* --- opening -------------------------------------------------------------------------------- */

void conn_accept(struct conn *conn, struct engine *engine, int fd, conn_wake_fn *wake,
                 const struct conn_settings *settings)
{
    check(fd >= 0);
    conn_init(conn, engine, wake, settings);
    conn->fd = fd;
    conn->state = CONN_OPEN;
    set_nodelay(fd);
    read_address(fd, getpeername, &conn->peer);
    read_address(fd, getsockname, &conn->local);
    start_receive(conn);
}

static int open_socket(struct conn *conn, const struct address *source)
{
    int on = 1;

    conn->fd = socket(conn->peer.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (conn->fd < 0)
        return -errno;
    set_nodelay(conn->fd);
    if (source == NULL)
        return 0;
    /* connect() chooses the port, since it knows the peer: unique for a peer, not for the host. */
    if (address_port(source) == 0)
        (void)setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(conn->fd, &source->any, address_len(source)) == 0 ? 0 : -errno;
}

void conn_connect(struct conn *conn, struct engine *engine, const struct address *peer,
                  const struct address *source, conn_wake_fn *wake,
                  const struct conn_settings *settings)
{
    check(address_len(peer) != 0);
    conn_init(conn, engine, wake, settings);
    conn->peer = *peer;
    conn->state = CONN_CONNECTING;
    int error = open_socket(conn, source);

    if (error < 0) {
        conn->error = error;
        conn->pending = PENDING_ERROR;
        engine_at_turn_end(engine, &conn->turn_end);
        return;
    }
    conn->send.done = connect_done;
    engine_connect(engine, &conn->send, conn->fd, &conn->peer.any, address_len(&conn->peer));
}

static void connect_done(struct op *op, int result, uint32_t flags)
{
    struct conn *conn = container_of(op, struct conn, send);

    (void)flags;
    if (conn->state == CONN_CLOSING) {
        engine_at_turn_end(conn->engine, &conn->turn_end);
        return;
    }
    if (result < 0) {
        fail(conn, result);
        return;
    }
    conn->send.done = send_done;
    conn->state = CONN_OPEN;
    read_address(conn->fd, getsockname, &conn->local);
    start_receive(conn);
    start_send(conn);
    conn->wake(conn, CONN_CONNECTED);
}

/* --- the end -------------------------------------------------------------------------------- */

void conn_deadline(struct conn *conn, int64_t after_ms)
{
    if (!conn_is_open(conn))
        return; /* the timeout bounds draining now */
    if (after_ms > 0)
        engine_timeout(conn->engine, &conn->deadline, after_ms);
    else
        engine_timeout_cancel(conn->engine, &conn->deadline);
}

static void deadline_fired(struct timeout *timeout)
{
    struct conn *conn = container_of(timeout, struct conn, deadline);

    if (conn->state == CONN_DRAINING)
        conn_close(conn);
    else if (conn_is_open(conn))
        conn->wake(conn, CONN_TIMEOUT);
}

void conn_finish(struct conn *conn)
{
    if (conn->state == CONN_CONNECTING)
        conn_close(conn);
    if (conn->state != CONN_OPEN)
        return;
    conn->state = CONN_DRAINING;
    conn->pending = 0;
    engine_timeout(conn->engine, &conn->deadline, DRAIN_MS_MAX);
    engine_at_turn_end(conn->engine, &conn->turn_end);
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_NEW || conn->state == CONN_CLOSING || conn->state == CONN_OVER)
        return;
    conn->state = CONN_CLOSING;
    conn->pending = 0;
    engine_timeout_cancel(conn->engine, &conn->deadline);
    stop_receive(conn);
    engine_cancel(conn->engine, &conn->send);
    engine_at_turn_end(conn->engine, &conn->turn_end);
}

bool conn_is_open(const struct conn *conn)
{
    return (conn->state == CONN_OPEN || conn->state == CONN_CONNECTING) && conn->error == 0;
}

static void try_to_end(struct conn *conn)
{
    if (conn->receive.in_flight || conn->send.in_flight)
        return; /* the last completion comes here again */
    conn->state = CONN_OVER;
    if (conn->fd >= 0)
        engine_close(conn->engine, conn->fd);
    conn->fd = -1;
    buf_free(&conn->input);
    buf_free(&conn->filling);
    buf_free(&conn->sending);
    count_memory(conn);
    conn->wake(conn, CONN_CLOSED); /* and conn may be gone */
}

static void deliver_pending(struct conn *conn)
{
    uint8_t pending = conn->pending;

    if (pending & PENDING_ERROR) {
        fail(conn, conn->error);
        return;
    }
    if (conn->paused)
        return;
    conn->pending = 0;
    if (pending & PENDING_DATA)
        conn->wake(conn, CONN_DATA);
    if ((pending & PENDING_EOF) && conn->state == CONN_OPEN)
        announce(conn, PENDING_EOF, CONN_EOF); /* that wake may have paused again */
}

static void turn_ended(struct turn_end *turn_end)
{
    struct conn *conn = container_of(turn_end, struct conn, turn_end);

    if (conn->state == CONN_CLOSING) {
        try_to_end(conn);
        return;
    }
    if (conn->pending != 0)
        deliver_pending(conn);
    start_send(conn);
    if (conn->state != CONN_DRAINING)
        return;
    buf_free(&conn->input); /* not in conn_finish(): the owner may still have looked at it */
    count_memory(conn);
    start_receive(conn);
    if (conn_output_len(conn) == 0)
        output_drained(conn);
}
