/* conn.c - one TCP connection: how it begins and ends. */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/budget.h"
#include "io/conn_layer.h"
#include "io/conn_private.h"

enum {
    INPUT_MAX = 64 * 1024,
    OUTPUT_MAX = 256 * 1024,
    DRAIN_MS_MAX = 5000,
};

/* A hundred thousand of them are meant to idle. */
_Static_assert(sizeof(struct conn) <= 384, "conn has a budget of 384 bytes");

static void connect_done(struct op *op, int result, uint32_t flags);
static void deadline_fired(struct timeout *timeout);
static void turn_ended(struct turn_end *turn_end);

void conn_init(struct conn *conn, struct engine *engine, conn_wake_fn *wake,
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
    op_init(&conn->receive, conn_receive_done);
    op_init(&conn->send, conn_send_done);
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
    size_t wire = conn->layer != NULL ? conn->layer->wire.capacity : 0;

    return conn->input.capacity + conn->filling.capacity + conn->sending.capacity + wire;
}

void conn_count_memory(struct conn *conn)
{
    size_t memory = conn_memory(conn);

    if (memory == conn->counted)
        return;
    budget_add((int64_t)memory - (int64_t)conn->counted);
    conn->counted = (uint32_t)memory;
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
    conn_start_receive(conn);
}

void conn_trust(struct conn *conn, const struct conn_settings *settings)
{
    uint32_t input_max = settings->input_max != 0 ? (uint32_t)settings->input_max : INPUT_MAX;
    uint32_t output_max = settings->output_max != 0 ? (uint32_t)settings->output_max : OUTPUT_MAX;

    check(conn->state == CONN_OPEN);
    check(!settings->is_careful);
    if (conn->is_careful) /* a receive under way is bounded as before; the next one is not */
        conn->input.len_max += engine_buffers_size(conn->engine);
    conn->is_careful = false;
    if (input_max > conn->input_max) {
        conn->input.len_max += input_max - conn->input_max;
        conn->input_max = input_max;
    }
    conn->output_max = MAX(output_max, conn->output_max);
    check(conn->layer == NULL || conn->output_max <= CONN_LAYER_OUTPUT_MAX);
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
        conn_fail(conn, result);
        return;
    }
    conn->send.done = conn_send_done;
    conn->state = CONN_OPEN;
    read_address(conn->fd, getsockname, &conn->local);
    conn_start_receive(conn);
    conn_start_send(conn);
    conn->wake(conn, CONN_CONNECTED);
}

/* --- the end -------------------------------------------------------------------------------- */

void conn_announce(struct conn *conn, uint8_t pending, enum conn_wake reason)
{
    if (conn->paused)
        conn->pending |= pending;
    else
        conn->wake(conn, reason);
}

/* What is left is sent, within a time. */
static void drain(struct conn *conn)
{
    conn->state = CONN_DRAINING;
    conn->pending = 0;
    engine_timeout(conn->engine, &conn->deadline, DRAIN_MS_MAX);
    engine_at_turn_end(conn->engine, &conn->turn_end);
}

void conn_fail(struct conn *conn, int error)
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

void conn_fail_layer(struct conn *conn, int error)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->error = error;
    conn->wake(conn, CONN_ERROR);
    if (conn->state == CONN_OPEN)
        drain(conn);
}

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
    if (conn->state == CONN_OPEN || conn->state == CONN_DETACHING)
        drain(conn);
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_NEW || conn->state == CONN_CLOSING || conn->state == CONN_OVER)
        return;
    conn->state = CONN_CLOSING;
    conn->pending = 0;
    engine_timeout_cancel(conn->engine, &conn->deadline);
    conn_stop_receive(conn);
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
    if (conn->layer != NULL)
        conn->layer->ops->free(&conn->layer);
    conn_count_memory(conn);
    conn->wake(conn, CONN_CLOSED); /* and conn may be gone */
}

void conn_detach(struct conn *conn)
{
    if (conn->state != CONN_OPEN || conn->error != 0)
        return;
    conn->state = CONN_DETACHING;
    engine_timeout_cancel(conn->engine, &conn->deadline);
    conn_stop_receive(conn);
    engine_cancel(conn->engine, &conn->send);
    engine_at_turn_end(conn->engine, &conn->turn_end);
}

static void try_to_detach(struct conn *conn)
{
    if (conn->receive.in_flight || conn->send.in_flight)
        return; /* the last completion comes here again */
    conn->state = CONN_OVER;
    conn->wake(conn, CONN_DETACHED); /* and conn may be gone */
}

static void deliver_pending(struct conn *conn)
{
    uint8_t pending = conn->pending;

    if (pending & PENDING_ERROR) {
        conn_fail(conn, conn->error);
        return;
    }
    if (conn->paused)
        return;
    conn->pending = 0;
    if (pending & PENDING_SECURED)
        conn->wake(conn, CONN_SECURED);
    /* Each wake may have paused again, or ended it. */
    if ((pending & PENDING_DATA) && conn->state == CONN_OPEN)
        conn_announce(conn, PENDING_DATA, CONN_DATA);
    if ((pending & PENDING_EOF) && conn->state == CONN_OPEN)
        conn_announce(conn, PENDING_EOF, CONN_EOF);
}

static void turn_ended(struct turn_end *turn_end)
{
    struct conn *conn = container_of(turn_end, struct conn, turn_end);

    if (conn->state == CONN_CLOSING) {
        try_to_end(conn);
        return;
    }
    if (conn->state == CONN_DETACHING) {
        try_to_detach(conn);
        return;
    }
    conn_go_on_layered(conn);
    if (conn->pending != 0)
        deliver_pending(conn);
    conn_start_send(conn);
    if (conn->state != CONN_DRAINING)
        return;
    buf_free(&conn->input); /* not in conn_finish(): the owner may still have looked at it */
    conn_count_memory(conn);
    conn_start_receive(conn);
    if (conn_output_len(conn) == 0)
        conn_output_drained(conn);
}
