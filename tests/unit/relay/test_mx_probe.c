/* test_mx_probe.c - mail hosts that keep who comes for as long as they can. */
#include "relay/cli/mx_probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"

enum { PATIENCE_MS = 1000, DRIP_US = 20 * 1000, ENOUGH_MS = 15 * 1000 };

/* It says `says`, one a command, and behind the last `drip` time and again. */
struct host {
    int fd;
    const char *says[5];
    struct bytes drip;
    atomic_bool is_over;
    pthread_t thread;
    struct address address;
};

static void *be_host(void *context)
{
    struct host *host = context;
    int64_t until_ms = clock_monotonic_ms() + ENOUGH_MS;
    int fd = accept(host->fd, NULL, NULL);
    char room[1024];

    for (size_t i = 0; host->says[i] != NULL; i++)
        if (send(fd, host->says[i], strlen(host->says[i]), MSG_NOSIGNAL) < 0 ||
            (host->says[i + 1] != NULL && recv(fd, room, sizeof(room), 0) < 0))
            break;
    while (!atomic_load(&host->is_over) && clock_monotonic_ms() < until_ms) {
        if (host->drip.len > 0 && send(fd, host->drip.ptr, host->drip.len, MSG_NOSIGNAL) < 0)
            break;
        usleep(DRIP_US);
    }
    close(fd);
    return NULL;
}

static void start(struct host *host)
{
    socklen_t len = sizeof(host->address);

    assert_true(address_parse(BYTES("127.0.0.1"), 0, &host->address));
    host->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(host->fd, &host->address.any, address_len(&host->address)), 0);
    assert_int_equal(listen(host->fd, 1), 0);
    assert_int_equal(getsockname(host->fd, &host->address.any, &len), 0);
    assert_int_equal(pthread_create(&host->thread, NULL, be_host, host), 0);
}

static void stop(struct host *host)
{
    atomic_store(&host->is_over, true);
    pthread_join(host->thread, NULL);
    close(host->fd);
}

TEST(probe_ends_whatever_comes_and_however_slowly)
{
    static const char offer[] = "250-here\r\n250 STARTTLS\r\n", here[] = "220 here\r\n";
    static const struct {
        const char *says[5], *why;
        struct bytes drip;
    } rows[] = {
        {{NULL}, "behind the connection: no answer", BYTES_NONE},
        {{NULL}, "behind the connection: no answer", BYTES("2")},
        {{here}, "behind EHLO: no answer", BYTES("250-x\r\n")},
        {{here, offer, here}, "the TLS handshake fails: no answer", BYTES_NONE},
        /* A long record of TLS, byte by byte. */
        {{here, offer, here, "\x16\x03\x03\x3f\x7f"},
         "the TLS handshake fails: no answer",
         BYTES("\x02")},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host host = {.drip = rows[i].drip};

        memcpy(host.says, rows[i].says, sizeof(host.says));
        start(&host);
        struct mx_probe probe = {
            .address = host.address,
            .host = "mta1.ringpost.example",
            .hello = "probe.ringpost.example",
            .patience_ms = PATIENCE_MS,
        };
        int64_t began_ms = clock_monotonic_ms();
        mx_probe_run(&probe);
        expect_row(i, probe.result == MX_PROBE_WRONG);
        expect_row(i, strcmp(probe.why, rows[i].why) == 0);
        expect_row(i, clock_monotonic_ms() - began_ms < ENOUGH_MS);
        stop(&host);
    }
}
