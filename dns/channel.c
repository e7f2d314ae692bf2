/* channel.c - c-ares on the engine. */
#include "dns/channel.h"

#include <ares.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/log.h"
#include "dns/packet.h"

enum {
    CLASS_IN = 1,
    HEADER_AD = 0x20, /* in the fourth octet of a packet: RFC 4035 section 3.2.3 */
    /* Fits every path without fragments (DNS flag day 2020); larger answers come over TCP. */
    EDNS_SIZE = 1232,
    TIMEOUT_MS = 2000,
    TRIES = 3,
};

/* A socket of c-ares. It wants to be polled for `wanted`; a poll in flight was started for
 * `armed`. */
struct watch {
    struct op op;
    struct list_node node;   /* among its channel's, or `ended` once c-ares has closed the socket */
    struct channel *channel; /* NULL then */
    int fd;
    unsigned wanted;
    unsigned armed;
    bool is_running; /* inside c-ares with it: not armed, not freed */
};

struct channel {
    ares_channel ares;
    struct engine *engine;
    channel_answered *answered;
    struct list watches; /* a handful: one UDP and one TCP socket a server */
    struct timeout timeout;
    int64_t timeout_at_ms; /* monotonic; INT64_MAX: not armed */
    int64_t try_ms;
    size_t in_flight;
    size_t server_count;
    int64_t opened_ms;
    bool is_closing;
    int more_flags;   /* of c-ares */
    bool has_no_edns; /* a server does not know it */
};

struct exchange {
    struct channel *channel;
    void *context;
};

/* --- sockets -------------------------------------------------------------------------------- */

static void watch_arm(struct watch *watch)
{
    watch->armed = watch->wanted;
    engine_poll(watch->channel->engine, &watch->op, watch->fd, watch->armed);
}

static void channel_rearm_timeout(struct channel *channel);

/* Of this thread: whose poll the kernel has still to give back. An engine that ends does not wait
 * for them. */
static _Thread_local struct list ended;

static void watch_polled(struct op *op, int result, uint32_t flags)
{
    struct watch *watch = container_of(op, struct watch, op);
    struct channel *channel = watch->channel;
    unsigned ready = result < 0 ? 0 : (unsigned)result;

    (void)flags;
    if (channel == NULL) {
        list_remove(&watch->node);
        free(watch);
        return;
    }
    if (result < 0 && result != -ECANCELED) {
        /* The kernel is out of memory, perhaps. Armed again with the next timeout. */
        log_limited(LOG_LEVEL_WARN, "what=\"cannot poll a DNS socket\" error=%d", -result);
        return;
    }
    /* An error is told by reading, or by writing where c-ares waits for a connect. */
    bool has_failed = (ready & (POLLERR | POLLHUP)) != 0;
    bool is_readable = (ready & POLLIN) != 0 || (has_failed && (watch->wanted & POLLIN));
    bool is_writable = (ready & POLLOUT) != 0 || (has_failed && (watch->wanted & POLLOUT));
    int fd = watch->fd;

    watch->is_running = true;
    if (is_readable || is_writable)
        ares_process_fd(channel->ares, is_readable ? fd : ARES_SOCKET_BAD,
                        is_writable ? fd : ARES_SOCKET_BAD);
    watch->is_running = false;
    if (watch->channel != NULL)
        watch_arm(watch);
    else
        free(watch); /* c-ares closed the socket in there */
    channel_rearm_timeout(channel);
}

static struct watch *watch_find(struct channel *channel, int fd)
{
    list_for_each(node, &channel->watches) {
        struct watch *watch = container_of(node, struct watch, node);

        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static struct watch *watch_open(struct channel *channel, int fd)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    check(watch != NULL);
    op_init(&watch->op, watch_polled);
    list_node_init(&watch->node);
    watch->channel = channel;
    watch->fd = fd;
    list_push_back(&channel->watches, &watch->node);
    return watch;
}

/* c-ares closes the descriptor right after this. The poll holds the file, not the number. */
static void watch_close(struct watch *watch)
{
    struct engine *engine = watch->channel->engine;

    list_remove(&watch->node);
    watch->channel = NULL;
    if (watch->op.in_flight) {
        if (ended.head.next == NULL)
            list_init(&ended);
        list_push_back(&ended, &watch->node);
        engine_cancel(engine, &watch->op);
    } else if (!watch->is_running) {
        free(watch);
    }
}

/* c-ares says what it wants of a socket; nothing: it is about to close it. */
static void socket_wanted(void *context, ares_socket_t fd, int readable, int writable)
{
    struct channel *channel = context;
    struct watch *watch = watch_find(channel, fd);
    unsigned wanted = (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u);

    if (wanted == 0) {
        if (watch != NULL)
            watch_close(watch);
        return;
    }
    if (watch == NULL)
        watch = watch_open(channel, fd);
    watch->wanted = wanted;
    if (watch->is_running)
        return; /* armed afterwards */
    if (!watch->op.in_flight)
        watch_arm(watch);
    else if ((wanted & ~watch->armed) != 0)
        engine_cancel(channel->engine, &watch->op); /* armed anew when it completes */
}

/* --- timeouts ------------------------------------------------------------------------------- */

/* Asks c-ares for its next deadline. It walks all queries for that, so this is done when the last
 * known deadline has passed, not after each packet: a query answered early only makes the timeout
 * fire in vain. */
static void channel_next_timeout(struct channel *channel)
{
    struct timeval wait;

    if (ares_timeout(channel->ares, NULL, &wait) == NULL)
        return;
    int64_t after_ms = (int64_t)wait.tv_sec * 1000 + wait.tv_usec / 1000 + 1;

    channel->timeout_at_ms = engine_now_ms(channel->engine) + after_ms;
    engine_timeout(channel->engine, &channel->timeout, after_ms);
}

static void timeout_fired(struct timeout *timeout)
{
    struct channel *channel = container_of(timeout, struct channel, timeout);

    channel->timeout_at_ms = INT64_MAX;
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    list_for_each(node, &channel->watches) {
        struct watch *watch = container_of(node, struct watch, node);

        if (!watch->op.in_flight) /* its poll had failed */
            watch_arm(watch);
    }
    channel_next_timeout(channel);
}

/* After queries were sent or sent again: their deadline is at least one try away. */
static void channel_rearm_timeout(struct channel *channel)
{
    int64_t at_ms = engine_now_ms(channel->engine) + channel->try_ms;

    if (channel->in_flight == 0) {
        engine_timeout_cancel(channel->engine, &channel->timeout);
        channel->timeout_at_ms = INT64_MAX;
    } else if (at_ms < channel->timeout_at_ms) {
        channel->timeout_at_ms = at_ms;
        engine_timeout(channel->engine, &channel->timeout, channel->try_ms + 1);
    }
}

/* --- the channel ---------------------------------------------------------------------------- */

static int library_status;

static void library_open(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int ares_open(struct channel *channel, const struct dns_settings *settings)
{
    /* EDNS: larger answers by UDP. NOSEARCH and NOALIASES: the name as it is. */
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS | channel->more_flags,
        .timeout = (int)channel->try_ms,
        .tries = settings->tries != 0 ? (int)settings->tries : TRIES,
        .ednspsz = EDNS_SIZE,
        .sock_state_cb = socket_wanted,
        .sock_state_cb_data = channel,
    };
    struct ares_addr_port_node *servers;
    int status = ares_init_options(&channel->ares, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);

    if (status != ARES_SUCCESS)
        return status;
    if (settings->servers != NULL)
        status = ares_set_servers_ports_csv(channel->ares, settings->servers);
    if (status == ARES_SUCCESS)
        status = ares_get_servers_ports(channel->ares, &servers);
    if (status != ARES_SUCCESS) {
        ares_destroy(channel->ares);
        return status;
    }
    channel->server_count = 0;
    for (const struct ares_addr_port_node *node = servers; node != NULL; node = node->next)
        channel->server_count++;
    ares_free_data(servers);
    if (channel->server_count > 0)
        return ARES_SUCCESS;
    ares_destroy(channel->ares);
    return ARES_EBADSTR;
}

/* A SERVFAIL or REFUSED makes c-ares ask the next server, and forget what it was told. With one
 * server that would be the same server at once, again and again: then the packet is passed on. */
static int ares_open_by_count(struct channel *channel, const struct dns_settings *settings)
{
    int status = ares_open(channel, settings);

    if (status != ARES_SUCCESS || channel->server_count > 1)
        return status;
    ares_destroy(channel->ares);
    channel->more_flags |= ARES_FLAG_NOCHECKRESP;
    return ares_open(channel, settings);
}

struct channel *channel_open(struct engine *engine, const struct dns_settings *settings,
                             bool is_tcp, channel_answered *answered, const char **why_out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct channel *channel = calloc(1, sizeof(*channel));
    int status;

    check(channel != NULL);
    channel->engine = engine;
    channel->answered = answered;
    channel->more_flags = is_tcp ? ARES_FLAG_USEVC : 0;
    channel->try_ms = settings->timeout_ms != 0 ? (int64_t)settings->timeout_ms : TIMEOUT_MS;
    channel->timeout_at_ms = INT64_MAX;
    channel->opened_ms = engine_now_ms(engine);
    list_init(&channel->watches);
    timeout_init(&channel->timeout, timeout_fired);
    pthread_once(&once, library_open);
    status = library_status;
    if (status == ARES_SUCCESS)
        status = ares_open_by_count(channel, settings);
    if (status == ARES_SUCCESS)
        return channel;
    *why_out = ares_strerror(status);
    free(channel);
    return NULL;
}

void channel_close(struct channel **channel)
{
    struct channel *c = *channel;

    *channel = NULL;
    if (c == NULL)
        return;
    c->is_closing = true;
    ares_destroy(c->ares);
    check(c->in_flight == 0);
    check(list_is_empty(&c->watches));
    engine_timeout_cancel(c->engine, &c->timeout);
    free(c);
}

/* c-ares asks once more without EDNS where a server does not know it, which its flags tell from
 * then on. A query with EDNS would fail. */
static bool has_given_up_edns(const struct channel *channel)
{
    struct ares_options options = {0};
    int mask = 0;

    if (ares_save_options(channel->ares, &options, &mask) != ARES_SUCCESS)
        return false;
    bool has_edns = (options.flags & ARES_FLAG_EDNS) != 0;

    ares_destroy_options(&options);
    return !has_edns;
}

static void exchange_done(void *arg, int status, int timeouts, unsigned char *packet, int len)
{
    struct exchange *exchange = arg;
    struct channel *channel = exchange->channel;
    void *context = exchange->context;

    free(exchange);
    struct bytes bytes = bytes_range(packet, packet == NULL || len < 0 ? 0 : (size_t)len);

    check(channel->in_flight > 0);
    channel->in_flight--;
    if (bytes.len > 0 && !channel->has_no_edns && !dns_packet_has_opt(bytes))
        channel->has_no_edns = has_given_up_edns(channel);
    channel->answered(context, status, timeouts, bytes);
}

/* As ares_query() makes it, and with the AD bit, which c-ares does not know of. */
static int make_query(const struct channel *channel, const char *name, enum dns_type type,
                      unsigned char **query_out, int *len_out)
{
    uint16_t id;

    arc4random_buf(&id, sizeof(id));
    int status = ares_create_query(name, CLASS_IN, (int)type, id, 1, query_out, len_out,
                                   channel->has_no_edns ? 0 : EDNS_SIZE);

    if (status == ARES_SUCCESS)
        (*query_out)[3] |= HEADER_AD;
    return status;
}

void channel_ask(struct channel *channel, const struct dns_name *name, enum dns_type type,
                 void *context)
{
    char escaped[DNS_NAME_ESCAPED_MAX + 1];
    struct exchange *exchange = malloc(sizeof(*exchange));
    unsigned char *query = NULL;
    int query_len = 0;

    check(exchange != NULL);
    check(!channel->is_closing);
    *exchange = (struct exchange){channel, context};
    channel->in_flight++;
    dns_name_escape(name, escaped);
    int status = make_query(channel, escaped, type, &query, &query_len);
    if (status == ARES_SUCCESS)
        ares_send(channel->ares, query, query_len, exchange_done, exchange);
    else
        exchange_done(exchange, status, 0, NULL, 0);
    if (query != NULL)
        ares_free_string(query);
    channel_rearm_timeout(channel);
}

size_t channel_in_flight(const struct channel *channel)
{
    return channel->in_flight;
}

int64_t channel_age_ms(const struct channel *channel)
{
    return engine_now_ms(channel->engine) - channel->opened_ms;
}

size_t channel_server_count(const struct channel *channel)
{
    return channel->server_count;
}
