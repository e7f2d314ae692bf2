/* client.c - the connection of a client: opened, used, lost, opened again. */
#include "bench/load/client.h"

#include <errno.h>
#include <stdlib.h>

#include "bench/load/load.h"

enum {
    BACKOFF_MS_MAX = 1000,
    INPUT_MAX = 65536,
    ENVELOPE_MAX = 2 * (CLIENT_NAME_MAX + 32),
};

static void send_done(struct op *op, int result, uint32_t flags);
static void take_input(struct client *client);

/* --- connection ----------------------------------------------------------------------------- */

static void wait_again(struct client *client)
{
    client->state = CLIENT_WAITING;
    engine_timeout(client->load->engine, &client->wait, client->backoff_ms);
}

/* In CLOSING, from the loop only: nobody is in the middle of using the connection. */
static void close_if_quiet(struct client *client)
{
    struct load *load = client->load;

    if (client->receive.in_flight || client->send.in_flight)
        return;
    engine_timeout_cancel(load->engine, &client->wait);
    engine_close(load->engine, client->fd);
    client->fd = -1;
    buf_clear(&client->out);
    buf_clear(&client->input);
    client->big[0] = BYTES_NONE;
    client->big[1] = BYTES_NONE;
    client->is_content_sent = false;
    bool is_done = !client->has_message && load_is_over(load);

    if (is_done || load->has_given_up) {
        load->counts.unanswered += client->has_message;
        client->state = CLIENT_OVER;
        load_client_over(load);
    } else if (client->has_ended) {
        client_start(client);
    } else {
        wait_again(client);
        client->backoff_ms = MIN(client->backoff_ms * 2, (int64_t)BACKOFF_MS_MAX);
    }
}

void client_close(struct client *client)
{
    if (client->state == CLIENT_CLOSING)
        return;
    list_remove(&client->node);
    client->state = CLIENT_CLOSING;
    engine_cancel(client->load->engine, &client->receive);
    engine_cancel(client->load->engine, &client->send);
    if (!client->receive.in_flight && !client->send.in_flight)
        engine_timeout(client->load->engine, &client->wait, 0);
}

void client_lost(struct client *client)
{
    struct load *load = client->load;

    if (client->state == CLIENT_CLOSING)
        return;
    load->counts.lost++;
    if (client->has_message && client->is_content_sent) {
        load->counts.unknown++;
        client_tell_unknown(client);
    }
    client_close(client);
}

static void connect_done(struct op *op, int result, uint32_t flags)
{
    struct client *client = container_of(op, struct client, send);

    (void)flags;
    if (client->state == CLIENT_CLOSING) {
        close_if_quiet(client);
        return;
    }
    if (result < 0) {
        client_lost(client);
        return;
    }
    client->state = CLIENT_GREETING;
    client->load->counts.connects++;
    client->send.done = send_done;
    engine_receive(client->load->engine, &client->receive, client->fd);
}

void client_start(struct client *client)
{
    struct load *load = client->load;
    const struct address *to = &load->settings.to;

    client->on_connection = 0;
    client->has_ended = false;
    client->alive_ms = engine_now_ms(load->engine);
    client->fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0) {
        load->counts.lost++;
        wait_again(client);
        return;
    }
    tool_no_delay(client->fd);
    client->state = CLIENT_CONNECTING;
    client->send.done = connect_done;
    engine_connect(load->engine, &client->send, client->fd, &to->any, address_len(to));
}

static void wait_fire(struct timeout *timeout)
{
    struct client *client = container_of(timeout, struct client, wait);

    if (client->state == CLIENT_CLOSING)
        close_if_quiet(client);
    else
        client_start(client);
}

void client_tick(struct client *client, int64_t now_ms)
{
    struct load *load = client->load;
    bool is_leaving = load->has_given_up || (load_is_over(load) && !client->has_message);

    if (client->state == CLIENT_WAITING && is_leaving) {
        engine_timeout_cancel(load->engine, &client->wait);
        load->counts.unanswered += client->has_message;
        client->state = CLIENT_OVER;
        load_client_over(load);
        return;
    }
    if (client->state == CLIENT_WAITING || client->state == CLIENT_IDLE ||
        client->state >= CLIENT_CLOSING)
        return;
    if (load->has_given_up || now_ms - client->alive_ms > load->settings.timeout_ms)
        client_lost(client);
}

/* --- sending -------------------------------------------------------------------------------- */

static struct bytes next_output(const struct client *client)
{
    if (buf_len(&client->out) > 0)
        return buf_bytes(&client->out);
    return client->big[client->big[0].len > 0 ? 0 : 1];
}

void client_send(struct client *client)
{
    struct bytes b = next_output(client);

    if (b.len > 0)
        engine_send(client->load->engine, &client->send, client->fd, b);
}

static void send_done(struct op *op, int result, uint32_t flags)
{
    struct client *client = container_of(op, struct client, send);

    (void)flags;
    if (client->state == CLIENT_CLOSING) {
        close_if_quiet(client);
        return;
    }
    if (result < 0) {
        client_lost(client);
        return;
    }
    if (buf_len(&client->out) > 0) {
        buf_consume(&client->out, (size_t)result);
    } else {
        struct bytes *big = &client->big[client->big[0].len > 0 ? 0 : 1];

        *big = bytes_slice(*big, (size_t)result, big->len);
    }
    if (next_output(client).len > 0)
        client_send(client);
    else if (buf_len(&client->input) > 0)
        take_input(client);
}

/* Runs the lines of `input` until one of them made us send: the rest has to wait for that, since
 * `out` is then the kernel's. Returns what is left. */
static struct bytes take_lines(struct client *client, struct bytes input)
{
    struct bytes line;

    while (!client->send.in_flight && client->state != CLIENT_CLOSING &&
           bytes_take_until(&input, '\n', &line)) {
        if (client_take_line(client, line))
            continue;
        client->load->counts.broken++;
        client_lost(client);
    }
    return input;
}

static void take_input(struct client *client)
{
    struct bytes before = buf_bytes(&client->input);
    struct bytes left = take_lines(client, before);

    buf_consume(&client->input, before.len - left.len);
}

static void take_received(struct client *client, struct bytes received)
{
    bool is_direct = buf_len(&client->input) == 0;

    if (is_direct)
        received = take_lines(client, received);
    if (client->state == CLIENT_CLOSING || received.len == 0)
        return;
    if (!buf_append(&client->input, received)) {
        client->load->counts.broken++;
        client_lost(client);
        return;
    }
    if (!is_direct)
        take_input(client);
}

static void receive_done(struct op *op, int result, uint32_t flags)
{
    struct client *client = container_of(op, struct client, receive);
    struct engine *engine = client->load->engine;

    if (flags & ENGINE_BUFFER) {
        if (client->state != CLIENT_CLOSING)
            take_received(client, engine_buffer(engine, op, result));
        engine_buffer_return(engine, op);
    } else if (result != -ENOBUFS && client->state != CLIENT_CLOSING) {
        if (client->state == CLIENT_QUIT)
            client_close(client); /* gone without waiting for our QUIT */
        else
            client_lost(client);
    }
    if (flags & ENGINE_MORE)
        return;
    if (client->state == CLIENT_CLOSING) {
        close_if_quiet(client);
        return;
    }
    engine_receive(engine, &client->receive, client->fd);
}

/* --- creation ------------------------------------------------------------------------------- */

void client_init(struct client *client, struct load *load)
{
    uint64_t recipients = load->settings.recipients;

    *client = (struct client){.load = load, .fd = -1, .backoff_ms = CLIENT_BACKOFF_MS_MIN};
    list_node_init(&client->node);
    op_init(&client->receive, receive_done);
    op_init(&client->send, connect_done);
    timeout_init(&client->wait, wait_fire);
    buf_init(&client->out, ENVELOPE_MAX * (recipients + 2) + CLIENT_COPY_MAX + 4096);
    buf_init(&client->input, INPUT_MAX);
    client->recipient_codes = calloc(recipients, sizeof(*client->recipient_codes));
    check(client->recipient_codes != NULL);
}

void client_free(struct client *client)
{
    buf_free(&client->out);
    buf_free(&client->input);
    free(client->recipient_codes);
    client->recipient_codes = NULL;
}
