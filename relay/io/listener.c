/* listener.c - accepting, and handing connections to engines. */
#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"

enum {
    BACKLOG = 4096,
    RETRY_MS = 1000,
    REFUSED_MAX = 64, /* waiting clients answered at once without a descriptor of their own */
};

struct listener {
    struct engine *engine;
    struct listener_settings settings;
    int fd;
    int spare_fd;
    unsigned next; /* of settings.loads, where the search begins */
    bool is_short; /* of descriptors, and it was said */
    bool is_stopping;
    struct op accept;
    struct timeout retry;
    struct turn_end end;
    void (*closed)(void *context);
    void *closed_context;
};

/* A connection on its way to another engine. */
struct handover {
    struct letter letter;
    struct listener_load *load;
    void *listener_context;
    int fd;
};

static int set_option(int fd, int level, int option)
{
    int on = 1;

    return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ? 0 : -errno;
}

int listener_bind(const struct address *address, int backlog)
{
    /* Non-blocking for the sake of refuse_waiting(); the ring does not mind. */
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    int error = set_option(fd, SOL_SOCKET, SO_REUSEADDR);

    if (error == 0 && address->any.sa_family == AF_INET6)
        error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (error == 0 && bind(fd, &address->any, address_len(address)) != 0)
        error = -errno;
    if (error == 0 && listen(fd, backlog > 0 ? backlog : BACKLOG) != 0)
        error = -errno;
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

/* --- handing over --------------------------------------------------------------------------- */

static struct listener_load *least_loaded(struct listener *listener)
{
    const struct listener_settings *settings = &listener->settings;
    unsigned best = listener->next;
    int best_sessions = INT32_MAX;

    check(settings->load_count > 0);
    for (unsigned i = 0; i < settings->load_count; i++) {
        unsigned candidate = (listener->next + i) % settings->load_count;
        int sessions =
            atomic_load_explicit(&settings->loads[candidate].sessions, memory_order_relaxed);

        if (sessions < best_sessions) {
            best = candidate;
            best_sessions = sessions;
        }
    }
    listener->next = (best + 1) % settings->load_count;
    return &settings->loads[best];
}

static void open_handover(struct letter *letter, struct engine *engine)
{
    struct handover *handover = container_of(letter, struct handover, letter);
    struct listener_load *load = handover->load;

    check(load->engine == engine);
    /* It has arrived, and accepted() counts its session. In this order: for a moment one too few is
     * better than one too many, for which another engine with as many might be chosen. */
    atomic_fetch_sub_explicit(&load->sessions, 1, memory_order_relaxed);
    load->accepted(load->context, handover->fd, handover->listener_context);
    free(handover);
}

static void hand_over(struct listener *listener, int fd)
{
    struct listener_load *load = least_loaded(listener);

    if (load->engine == listener->engine) {
        load->accepted(load->context, fd, listener->settings.context);
        return;
    }
    struct handover *handover = malloc(sizeof(*handover));

    check(handover != NULL);
    *handover = (struct handover){
        .letter = {.open = open_handover},
        .load = load,
        .listener_context = listener->settings.context,
        .fd = fd,
    };
    /* Counted already, or a burst of connections would all choose the same engine. */
    atomic_fetch_add_explicit(&load->sessions, 1, memory_order_relaxed);
    engine_post(load->engine, &handover->letter);
}

/* --- accepting ------------------------------------------------------------------------------ */

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Without a descriptor nobody can be accepted, not even to be refused: lend the spare one. */
static unsigned refuse_waiting(struct listener *listener)
{
    struct bytes refusal = listener->settings.refusal;
    unsigned refused = 0;

    if (listener->spare_fd >= 0)
        close(listener->spare_fd);
    while (refused < REFUSED_MAX) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            break;
        (void)send(fd, refusal.ptr, refusal.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(fd);
        refused++;
    }
    listener->spare_fd = open_spare(); /* for the next time */
    metric_add(METRIC_SESSIONS_REFUSED, refused);
    return refused;
}

static void accept_failed(struct listener *listener, int error)
{
    bool is_shortage =
        error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
    unsigned refused = is_shortage ? refuse_waiting(listener) : 0;

    if (!listener->is_short)
        log_warn("listener=%s accept_error=\"%s\" refused=%u retry_ms=%d", listener->settings.name,
                 strerror(-error), refused, RETRY_MS);
    listener->is_short = true;
    engine_timeout(listener->engine, &listener->retry, RETRY_MS);
}

static void accept_done(struct op *op, int result, uint32_t flags)
{
    struct listener *listener = container_of(op, struct listener, accept);
    bool is_peer_gone = result == -ECONNABORTED || result == -EPROTO || result == -ECANCELED;

    if (result >= 0) { /* also of one that stops: the client was let in */
        listener->is_short = false;
        hand_over(listener, result);
    }
    if (flags & ENGINE_MORE)
        return;
    if (listener->is_stopping)
        engine_at_turn_end(listener->engine, &listener->end);
    else if (result >= 0 || is_peer_gone)
        engine_accept(listener->engine, &listener->accept, listener->fd);
    else
        accept_failed(listener, result);
}

static void retry_fired(struct timeout *timeout)
{
    struct listener *listener = container_of(timeout, struct listener, retry);

    engine_accept(listener->engine, &listener->accept, listener->fd);
}

static void try_to_end(struct turn_end *end)
{
    struct listener *listener = container_of(end, struct listener, end);

    if (listener->accept.in_flight)
        return; /* its last completion comes here again */
    void (*closed)(void *context) = listener->closed;
    void *context = listener->closed_context;

    engine_close(listener->engine, listener->fd);
    if (listener->spare_fd >= 0)
        close(listener->spare_fd);
    free(listener);
    if (closed != NULL)
        closed(context);
}

struct listener *listener_start(struct engine *engine, int fd,
                                const struct listener_settings *settings)
{
    check(settings->load_count > 0);
    check(settings->name != NULL);
    check(settings->refusal.len > 0);
    struct listener *listener = malloc(sizeof(*listener));

    check(listener != NULL);
    *listener = (struct listener){
        .engine = engine,
        .settings = *settings,
        .fd = fd,
        .spare_fd = open_spare(),
    };
    op_init(&listener->accept, accept_done);
    timeout_init(&listener->retry, retry_fired);
    turn_end_init(&listener->end, try_to_end);
    engine_accept(engine, &listener->accept, fd);
    return listener;
}

void listener_stop(struct listener *listener, void (*closed)(void *context), void *context)
{
    check(!listener->is_stopping);
    listener->is_stopping = true;
    listener->closed = closed;
    listener->closed_context = context;
    engine_timeout_cancel(listener->engine, &listener->retry);
    engine_cancel(listener->engine, &listener->accept);
    engine_at_turn_end(listener->engine, &listener->end);
}
