/* modules: client line */
/* runs: 500 */
/*
 * fuzz_smtp_client.c - a server that says anything to the relay's client, on the fake engine.
 *
 * Two bytes choose the messages that wait; the rest is what the server sends. 0xff and a byte in
 * it are the world's doing: turns, time, a closed or reset connection; afterwards the next
 * connection gets what follows. In the end every recipient must be finished, scheduled or in line,
 * and delivery must stop with nothing in flight.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One source a fuzz target: the world in which delivery lives is included. */
#include "support/chat.c"
#include "support/engine_fake.h"
#include "unit/delivery/world.c"

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum {
    TWO_DOMAINS = 1,
    ON_DISK = 2,
    LARGE = 4,
    UTF8 = 8,
    EIGHT_BIT = 16,
    TWO_HOSTS = 32,
    ONE_RECIPIENT = 64,
    MANY = 128
};
enum { OP = 0xff, OUTPUT_CHUNK = 65536, INPUT_MAX = 16384 };

struct run {
    struct engine *engine;
    struct world world;
    int listen_fd;
    int fd; /* the connection that the server speaks on; -1: none */
};

/* One for all runs: the port stays the same. */
static int listener(uint16_t *port_out)
{
    static int fd = -1;
    static uint16_t port;

    if (fd < 0) {
        struct sockaddr_in any = {.sin_family = AF_INET};
        socklen_t len = sizeof(any);

        log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
        any.sin_addr.s_addr = htonl(INADDR_ANY);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        check(fd >= 0);
        check(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
        check(getsockname(fd, (struct sockaddr *)&any, &len) == 0);
        check(listen(fd, 100) == 0);
        port = ntohs(any.sin_port);
    }
    *port_out = port;
    return fd;
}

static void submit(struct run *run, uint8_t choice)
{
    static const char large[20000] = {[0 ... 19999] = 'x'};
    struct world_message message = {
        .from = choice & UTF8 ? "" : "a@send.example",
        .to = choice & ONE_RECIPIENT ? "b@one.example"
              : choice & TWO_DOMAINS ? "b@one.example,c@two.example,d@one.example"
                                     : "b@one.example,c@one.example",
        .notify = choice & MANY ? SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE : 0,
        .is_8bit = (choice & EIGHT_BIT) != 0,
        .is_utf8 = (choice & UTF8) != 0,
        .is_on_disk = (choice & ON_DISK) != 0,
        .is_large = (choice & LARGE) != 0,
    };

    if (choice & LARGE) {
        message.content = large;
        message.content_len = sizeof(large);
    }
    world_submit(&run->world, &message);
}

static void take_connection(struct run *run)
{
    if (run->fd < 0)
        run->fd = accept4(run->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* What the client sends is thrown away. */
static void drain(struct run *run)
{
    static uint8_t bytes[OUTPUT_CHUNK];

    while (run->fd >= 0) {
        ssize_t got = recv(run->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (got > 0)
            continue;
        if (got == 0 || errno != EAGAIN) {
            close(run->fd);
            run->fd = -1;
        }
        return;
    }
}

static void turns(struct run *run, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        engine_turn(run->engine, 0);
        take_connection(run);
        drain(run);
    }
}

static void hang_up(struct run *run, bool with_reset)
{
    struct linger linger = {.l_onoff = 1};

    if (run->fd < 0)
        return;
    if (with_reset)
        setsockopt(run->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(run->fd);
    run->fd = -1;
}

static void world_does(struct run *run, uint8_t op)
{
    switch (op % 8) {
    case 0:
        hang_up(run, false);
        break;
    case 1:
        hang_up(run, true);
        break;
    case 2:
        fake_advance_ms(run->engine, 6000);
        break;
    case 3:
        fake_advance_ms(run->engine, 601000);
        break;
    case 4:
        submit(run, op);
        break;
    case 5:
        world_retry_all(&run->world);
        break;
    case 6:
        run->world.load_error = EIO;
        break;
    default:
        break;
    }
    turns(run, 8);
}

static void say(struct run *run, struct bytes b)
{
    for (unsigned i = 0; i < 50 && run->fd < 0; i++)
        turns(run, 1);
    if (run->fd >= 0 && b.len > 0)
        (void)!send(run->fd, b.ptr, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    turns(run, 6);
}

static void play(struct run *run, struct bytes input)
{
    while (input.len > 0) {
        size_t end = bytes_find(input, OP, 0);

        say(run, bytes_slice(input, 0, end));
        input = bytes_slice(input, end + 1, input.len);
        if (end < SIZE_MAX && input.len > 0) {
            world_does(run, input.ptr[0]);
            input = bytes_slice(input, 1, input.len);
        }
    }
}

static void check_held(struct run *run)
{
    struct delivery_status status;
    size_t busy = 0;

    list_for_each(node, &run->world.shard->records) {
        struct record *record = container_of(node, struct record, node);

        for (uint32_t i = 0; i < record->stub.recipient_count; i++)
            busy += record->stub.pendings[i].state == PENDING_READY;
    }
    world_status(&run->world, &status);
    check(status.unheld == 0);
    check(status.waiting + status.in_attempt == busy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct engine_settings settings = {.buffer_count = 8, .buffer_size = 256};
    struct run run = {.fd = -1};
    uint16_t port;

    if (len < 2 || len > INPUT_MAX)
        return 0;
    fake_seed(input[0] + 1U);
    run.engine = engine_create(&settings);
    check(run.engine != NULL);
    run.listen_fd = listener(&port);
    world_init(&run.world, run.engine, NULL);
    run.world.port = port;
    run.world.delivers_dsns = (input[0] & 1) != 0;
    run.world.egress.connections = 1 + (input[0] & 2);
    if (input[1] & TWO_DOMAINS) {
        check(world_mx(&run.world, BYTES("one.example mx/127.0.0.1")));
        check(world_mx(&run.world, BYTES("two.example mx/127.0.0.1")));
    } else if (input[1] & TWO_HOSTS) {
        check(world_mx(&run.world, BYTES("one.example mx1/127.0.0.1 mx2/127.0.0.2")));
    }
    world_start(&run.world);
    submit(&run, input[1]);
    if (input[1] & MANY)
        for (unsigned i = 0; i < 3; i++)
            submit(&run, ONE_RECIPIENT);
    turns(&run, 8);
    play(&run, bytes_range(input + 2, len - 2));
    check_held(&run);
    check(world_free(&run.world));
    hang_up(&run, true);
    while ((run.fd = accept4(run.listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        hang_up(&run, true);
    engine_destroy(&run.engine);
    return 0;
}
