/* ports.c - sockets that were handed over, and binding those that were not. */
#include "relay/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "io/listener.h"

enum { BIND_TRIES = 60, BIND_PAUSE_US = 50000 }; /* 3 s in all */

/* --- handed over ---------------------------------------------------------------------------- */

/* NULL, or why a socket cannot be one of ours. */
static const char *refuse_handed(int fd, struct address *address_out)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    int only = 0;
    socklen_t only_len = sizeof(only);

    if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
        return "it is no stream socket that listens";
    if (getsockname(fd, (struct sockaddr *)&storage, &len) < 0 ||
        !address_from((const struct sockaddr *)&storage, address_out))
        return "it is neither IPv4 nor IPv6";
    if (storage.ss_family != AF_INET6)
        return NULL;
    /* A client of IPv4 would come in by an address that no listener has. */
    if (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &only_len) < 0 || only == 0)
        return "it takes IPv4 too; expected BindIPv6Only=ipv6-only in its unit";
    return NULL;
}

int ports_inherit(struct ports *ports, ports_tell *error, void *context)
{
    char text[PORTS_WHY_MAX];
    int count = sd_listen_fds(1);
    int result = 0;

    *ports = (struct ports){0};
    if (count < 0 || count > PORTS_HANDED_MAX) {
        if (count < 0)
            snprintf(text, sizeof(text), "cannot take the sockets of LISTEN_FDS: %s",
                     strerror(-count));
        else
            snprintf(text, sizeof(text), "LISTEN_FDS: %d sockets handed over; expected at most %d",
                     count, PORTS_HANDED_MAX);
        error(context, text);
        return count < 0 ? count : -E2BIG;
    }
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; fd++) {
        struct handed *handed = &ports->handed[ports->count];
        const char *why = refuse_handed(fd, &handed->address);

        if (why != NULL) {
            snprintf(text, sizeof(text), "cannot use the socket handed over as descriptor %d: %s",
                     fd, why);
            error(context, text);
            result = -EINVAL;
            continue;
        }
        handed->fd = fd;
        address_format_port(&handed->address, handed->text);
        ports->count++;
    }
    return result;
}

int ports_take_handed(struct ports *ports, const struct address *address)
{
    for (unsigned i = 0; i < ports->count; i++) {
        struct handed *handed = &ports->handed[i];
        int fd = handed->fd;

        if (fd < 0 || !address_equal(&handed->address, address) ||
            address_port(&handed->address) != address_port(address))
            continue;
        handed->fd = -1;
        return fd;
    }
    return -1;
}

static void close_unused(struct ports *ports, bool warns)
{
    for (unsigned i = 0; i < ports->count; i++) {
        struct handed *handed = &ports->handed[i];

        if (handed->fd < 0)
            continue;
        if (warns)
            log_warn("socket=%s what=\"handed over, but no listener has this address: whoever "
                     "connects there waits in vain\"",
                     handed->text);
        close(handed->fd);
        handed->fd = -1;
    }
}

void ports_drop_unused(struct ports *ports)
{
    close_unused(ports, true);
}

void ports_close(struct ports *ports)
{
    close_unused(ports, false);
}

/* --- bound ---------------------------------------------------------------------------------- */

const char *ports_hint(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return "; another program has this port (ss -ltnp shows which)";
    case -EACCES:
        return "; ports below 1024 need CAP_NET_BIND_SERVICE";
    default:
        return "";
    }
}

/* After a crash the kernel takes the old ring apart in the background, and its listening sockets
 * with it: a port may be taken for a moment by a process that is gone. */
static int bind_patiently(const struct address *address)
{
    int fd = listener_bind(address, 0);

    for (int tries = 0; fd == -EADDRINUSE && tries < BIND_TRIES; tries++) {
        usleep(BIND_PAUSE_US);
        fd = listener_bind(address, 0);
    }
    return fd;
}

/* Non-blocking as those that are bound here. */
static int ready_handed(int fd, const char *key, const char *text)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        int error = -errno;

        log_error("%s=%s what=\"cannot use the socket handed over: %s\"", key, text,
                  strerror(-error));
        close(fd);
        return error;
    }
    log_info("%s=%s what=\"inherited: the socket was handed over\"", key, text);
    return fd;
}

int ports_take(struct ports *ports, const char *key, const char *text,
               const struct address *address)
{
    int fd = ports_take_handed(ports, address);

    if (fd >= 0)
        return ready_handed(fd, key, text);
    fd = bind_patiently(address);
    if (fd < 0)
        log_error("%s=%s what=\"cannot listen: %s%s\"", key, text, strerror(-fd), ports_hint(fd));
    return fd;
}
