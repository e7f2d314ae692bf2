/* listeners.c - opening, adding and leaving ports. */
#include "relay/listeners.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/ports.h"
#include "relay/worker.h"

static bool is_at(const struct listening *listening, const struct address *address)
{
    return listening->is_used && address_equal(&listening->address, address) &&
           address_port(&listening->address) == address_port(address);
}

/* --- opening -------------------------------------------------------------------------------- */

static struct listening *add_slot(struct listeners *listeners, const struct address *address,
                                  int fd)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        struct listening *listening = &listeners->slots[i];

        if (listening->is_used)
            continue;
        *listening = (struct listening){.is_used = true, .address = *address, .fd = fd};
        address_format_port(address, listening->text);
        return listening;
    }
    return NULL;
}

int listeners_open(struct listeners *listeners, struct ports *ports, const struct config *config)
{
    int len = snprintf(listeners->refusal, sizeof(listeners->refusal),
                       "421 4.3.2 %s too many connections, try again later\r\n", config->hostname);

    check(len > 0 && (size_t)len < sizeof(listeners->refusal)); /* a domain has 255 at most */
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *wanted = &config->listeners[i];
        int fd = ports_take(ports, "listener", wanted->address_text, &wanted->address);

        if (fd < 0)
            return fd;
        check(add_slot(listeners, &wanted->address, fd) != NULL); /* config.c bounds their number */
    }
    return 0;
}

static void close_open(struct listening *listening)
{
    close(listening->fd);
    *listening = (struct listening){0};
}

/* Why a port of a new configuration cannot be had. */
static void tell_refused(const struct config *next, const char *text, const char *why,
                         void (*error)(void *context, const char *text), void *context)
{
    char line[512];

    snprintf(line, sizeof(line), "%s: listeners: %s: cannot listen: %s; nothing was changed",
             next->path, text, why);
    error(context, line);
}

static const char *why_refused(const struct listeners *listeners, const struct address *address,
                               int fd)
{
    if (fd == -EACCES)
        return "ports below 1024 need CAP_NET_BIND_SERVICE, or a restart as root";
    for (size_t i = 0; fd == -EADDRINUSE && i < LISTENERS_MAX; i++)
        if (listeners->slots[i].is_used &&
            address_port(&listeners->slots[i].address) == address_port(address))
            return "a listener of ours has this port at another address; take that one away with a "
                   "reload first";
    return fd == -EADDRINUSE ? "another program has this port (ss -ltnp shows which)"
                             : strerror(-fd);
}

bool listeners_add(struct listeners *listeners, const struct config *next,
                   void (*error)(void *context, const char *text), void *context)
{
    struct listening *added[LISTENERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < next->listener_count; i++) {
        const struct config_listener *wanted = &next->listeners[i];

        if (listeners_slot(listeners, &wanted->address) < LISTENERS_MAX)
            continue;
        int fd = listener_bind(&wanted->address, 0);
        struct listening *listening = fd < 0 ? NULL : add_slot(listeners, &wanted->address, fd);

        if (listening != NULL) {
            added[count++] = listening;
            continue;
        }
        tell_refused(next, wanted->address_text,
                     fd < 0 ? why_refused(listeners, &wanted->address, fd)
                            : "too many listeners before the old ones are gone",
                     error, context);
        if (fd >= 0)
            close(fd);
        while (count > 0)
            close_open(added[--count]);
        return false;
    }
    return true;
}

unsigned listeners_slot(const struct listeners *listeners, const struct address *address)
{
    unsigned slot = 0;

    while (slot < LISTENERS_MAX && !is_at(&listeners->slots[slot], address))
        slot++;
    return slot;
}

unsigned listeners_count(const struct listeners *listeners)
{
    unsigned count = 0;

    for (size_t i = 0; i < LISTENERS_MAX; i++)
        count += listeners->slots[i].is_used;
    return count;
}

/* --- listening ------------------------------------------------------------------------------ */

static void start_on(struct worker *worker, void *context)
{
    struct listeners *listeners = context;

    for (unsigned i = 0; i < LISTENERS_MAX; i++) {
        struct listening *listening = &listeners->slots[i];
        struct listener_settings settings = {
            .loads = worker->shared->loads,
            .load_count = worker->shared->worker_count,
            .context = (void *)(uintptr_t)i,
            .name = listening->text,
            .refusal = bytes_of(listeners->refusal),
        };

        if (!listening->is_used || listening->listener != NULL)
            continue;
        listening->listener = listener_start(worker->engine, listening->fd, &settings);
        listening->fd = -1;
        log_info("listener=%s service=%s trusted_networks=%zu what=listening", listening->text,
                 config_service_name(worker->services[i]), worker->listeners[i].trust_count);
    }
}

void listeners_start(struct listeners *listeners, struct worker *acceptor)
{
    worker_call(acceptor, start_on, listeners);
}

/* Those that go, while the acceptor closes them. */
struct leaving {
    struct listeners *listeners;
    const struct config *config;
    bool is_leaving[LISTENERS_MAX];
    unsigned count;
    sem_t closed;
};

static bool is_in(const struct config *config, const struct listening *listening)
{
    for (size_t i = 0; config != NULL && i < config->listener_count; i++)
        if (is_at(listening, &config->listeners[i].address))
            return true;
    return false;
}

static void on_closed(void *context)
{
    struct leaving *leaving = context;

    sem_post(&leaving->closed);
}

static void leave_on(struct worker *worker, void *context)
{
    struct leaving *leaving = context;

    (void)worker;
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        struct listening *listening = &leaving->listeners->slots[i];

        if (listening->listener == NULL || is_in(leaving->config, listening))
            continue;
        leaving->is_leaving[i] = true;
        leaving->count++;
        listener_stop(listening->listener, on_closed, leaving);
    }
}

static void do_nothing(struct worker *worker, void *context)
{
    (void)worker;
    (void)context;
}

void listeners_leave(struct listeners *listeners, struct worker *acceptor,
                     const struct config *config)
{
    struct leaving leaving = {.listeners = listeners, .config = config};
    struct shared *shared = acceptor->shared;

    sem_init(&leaving.closed, 0, 0);
    worker_call(acceptor, leave_on, &leaving);
    for (unsigned i = 0; i < leaving.count; i++)
        while (sem_wait(&leaving.closed) < 0)
            check(errno == EINTR);
    sem_destroy(&leaving.closed);
    /* A call is a letter like a connection on its way, and letters keep their order. */
    for (unsigned i = 0; leaving.count > 0 && i < shared->worker_count; i++)
        worker_call(&acceptor[i], do_nothing, NULL);
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (!leaving.is_leaving[i])
            continue;
        if (config != NULL)
            log_info("listener=%s what=\"not in the configuration any more: closed\"",
                     listeners->slots[i].text);
        listeners->slots[i] = (struct listening){0};
    }
}

void listeners_free(struct listeners *listeners)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        if (listeners->slots[i].is_used && listeners->slots[i].listener == NULL)
            close_open(&listeners->slots[i]);
}
