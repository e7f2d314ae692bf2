/* test_ports.c - sockets that were handed over: which are taken, which are refused. */
#include "relay/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/listener.h"
#include "support/unit.h"

enum { FIRST = 3, SOCKETS_MAX = 4 };

static char told[2 * PORTS_WHY_MAX];

static void tell(void *context, const char *text)
{
    (void)context;
    size_t len = strlen(told);

    snprintf(told + len, sizeof(told) - len, "%s;", text);
}

/* A socket that listens on a port of the kernel's choice; its address. */
static int open_port(const char *host, struct address *address_out)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);

    assert_true(address_parse(bytes_of(host), 0, address_out));
    int fd = listener_bind(address_out, 16);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &len), 0);
    assert_true(address_from((const struct sockaddr *)&storage, address_out));
    return fd;
}

/* As systemd: what the descriptors from 3 on are. Those that stood there come back afterwards. */
struct handing {
    int saved[SOCKETS_MAX];
    int count;
};

static void hand_over(struct handing *handing, const int fds[], int count)
{
    char text[32];
    int high[SOCKETS_MAX];

    handing->count = count;
    for (int i = 0; i < count; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < count; i++) {
        handing->saved[i] = fcntl(FIRST + i, F_DUPFD_CLOEXEC, 200);
        assert_int_equal(dup2(high[i], FIRST + i), FIRST + i);
        close(high[i]);
    }
    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof(text), "%d", count);
    setenv("LISTEN_FDS", text, 1);
    told[0] = '\0';
}

static void hand_back(const struct handing *handing)
{
    for (int i = 0; i < handing->count; i++) {
        if (handing->saved[i] < 0)
            continue;
        dup2(handing->saved[i], FIRST + i);
        close(handing->saved[i]);
    }
}

static struct address at(const struct address *address, uint16_t port)
{
    struct address other;

    address_from_v4(address->v4.sin_addr, port, &other);
    return other;
}

TEST(ports_are_taken_by_address_and_port_once)
{
    struct handing handing;
    struct address first, second;
    int fds[] = {open_port("127.0.0.1:0", &first), open_port("127.0.0.1:0", &second)};
    struct ports ports;

    hand_over(&handing, fds, 2);
    assert_int_equal(ports_inherit(&ports, tell, NULL), 0);
    assert_string_equal(told, "");
    assert_int_equal(ports.count, 2);
    assert_null(getenv("LISTEN_FDS"));
    struct address unknown = at(&first, (uint16_t)(address_port(&first) ^ 1));
    if (address_port(&unknown) != address_port(&second))
        assert_int_equal(ports_take_handed(&ports, &unknown), -1);
    assert_int_equal(ports_take_handed(&ports, &second), FIRST + 1);
    assert_int_equal(ports_take_handed(&ports, &second), -1);
    ports_close(&ports); /* the other one */
    assert_int_equal(fcntl(FIRST, F_GETFD), -1);
    assert_true(fcntl(FIRST + 1, F_GETFD) >= 0);
    assert_int_equal(ports_take_handed(&ports, &first), -1);
    close(FIRST + 1);
    close(fds[0]);
    close(fds[1]);
    hand_back(&handing);
}

/* A socket belongs to who handed it over as well: it blocks until it is to be served with. */
TEST(ports_look_at_a_socket_without_changing_it)
{
    struct handing handing;
    struct address address;
    int fd = open_port("127.0.0.1:0", &address);
    struct ports ports;

    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    hand_over(&handing, &fd, 1);
    assert_int_equal(ports_inherit(&ports, tell, NULL), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(ports_take(&ports, "listener", "here", &address), FIRST);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close(FIRST);
    close(fd);
    hand_back(&handing);
}

TEST(ports_refuse_what_cannot_be_served_with)
{
    struct handing handing;
    struct address good;
    int both = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int off = 0;
    struct ports ports;

    assert_int_equal(setsockopt(both, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
    assert_int_equal(listen(both, 1), 0);
    int fds[] = {both, datagrams, open_port("127.0.0.1:0", &good)};
    hand_over(&handing, fds, 3);
    assert_int_equal(ports_inherit(&ports, tell, NULL), -EINVAL);
    assert_non_null(strstr(told, "descriptor 3: it takes IPv4 too"));
    assert_non_null(strstr(told, "descriptor 4: it is no stream socket"));
    assert_int_equal(ports.count, 1);
    assert_int_equal(ports_take_handed(&ports, &good), FIRST + 2);
    for (int i = 0; i < 3; i++) {
        close(FIRST + i);
        close(fds[i]);
    }
    hand_back(&handing);
}

TEST(ports_refuse_a_number_that_is_none)
{
    char text[32];
    struct ports ports;

    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", "x", 1);
    told[0] = '\0';
    assert_int_equal(ports_inherit(&ports, tell, NULL), -EINVAL);
    assert_non_null(strstr(told, "LISTEN_FDS"));
    assert_int_equal(ports.count, 0);
}
