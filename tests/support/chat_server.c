/*
 * chat_server.c - runs a script of tests/chat/server: chat-server-fake or chat-server-real
 * [--tls] SCRIPT [SEEDS]. On the fake engine once a seed. With --tls every connection is under TLS
 * from its first byte on. Exit code 77: skipped.
 *
 *   CONFIG service submission   or inbound, or stub; the first CONFIG line; submission without it
 *   CONFIG client 127.0.0.2     the address that connections come from
 *   CONFIG early EHLO x         a line that is there before the service knows of the connection
 *   CONFIG socket_buffers 4096  small ones, for peers that do not read
 *   CONFIG tls starttls         or implicit; or broken: STARTTLS is offered and cannot be had
 *   FAIL receive 1 104          the nth receive (send, write, write_durable, read, sync) from now
 *                               fails with errno 104; 0: every one (fake only)
 *   HEAL                        no more of these
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "support/chat_service.h"
#include "support/chat_tls.h"
#ifdef CHAT_FAKE
#include "support/engine_fake.h"
#endif

enum {
    FACTS_MAX = 64 << 20,
    SEEDS = 20,
    CONNECTIONS = 10,
    IDLE_MS_MAX = 20000,
    EXIT_SKIPPED = 77,
};

struct chat_server {
    struct engine *engine;
    const struct chat_service *kind;
    void *service;
    struct buf facts;
    struct sockaddr_in client;
    int socket_buffers;
    char early[64]; /* empty: nothing */
    int listen_fd;
    struct tls_context *tls_context; /* NULL: none */
    enum smtp_tls tls;
};

static const struct chat_service *const kinds[] = {
    &chat_service_stub,
#ifdef CHAT_SUBMISSION
    &chat_service_inbound,
    &chat_service_submission,
#endif
};

static void create(struct chat_server *server, const struct chat_service *kind)
{
    check(server->kind == NULL);
    server->kind = kind;
    server->service = kind->create(server->engine, &server->facts);
}

static bool config_tls(struct chat_server *server, struct bytes value)
{
    bool is_implicit = bytes_equal(value, BYTES("implicit"));
    bool is_broken = bytes_equal(value, BYTES("broken"));

    server->tls = is_implicit ? SMTP_TLS_IMPLICIT : SMTP_TLS_STARTTLS;
    server->tls_context = is_broken ? NULL : chat_tls_context();
    return is_implicit || is_broken || bytes_equal(value, BYTES("starttls"));
}

static bool config(void *context, struct bytes key, struct bytes value)
{
    struct chat_server *server = context;
    char text[64];
    uint64_t number;

    if (bytes_equal(key, BYTES("service"))) {
        for (size_t i = 0; i < ARRAY_LEN(kinds) && server->kind == NULL; i++)
            if (bytes_equal(value, bytes_of(kinds[i]->name)))
                create(server, kinds[i]);
        return server->kind != NULL;
    }
    if (bytes_equal(key, BYTES("client"))) {
        snprintf(text, sizeof(text), "%.*s", BYTES_ARG(value));
        return inet_pton(AF_INET, text, &server->client.sin_addr) == 1;
    }
    if (bytes_equal(key, BYTES("early"))) {
        snprintf(server->early, sizeof(server->early), "%.*s\r\n", BYTES_ARG(value));
        return true;
    }
    if (bytes_equal(key, BYTES("tls")))
        return config_tls(server, value);
    if (bytes_equal(key, BYTES("socket_buffers"))) {
        server->socket_buffers = bytes_to_u64(value, &number) ? (int)number : 0;
        return server->socket_buffers > 0;
    }
    if (server->kind == NULL)
        create(server, kinds[ARRAY_LEN(kinds) - 1]);
    return server->kind->config(server->service, key, value);
}

static bool start(void *context)
{
    struct chat_server *server = context;

    if (server->kind == NULL)
        create(server, kinds[ARRAY_LEN(kinds) - 1]);
    server->kind->set_tls(server->service, server->tls_context, server->tls);
    return server->kind->start(server->service);
}

static void set_buffers(int fd, int size)
{
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int open_connection(void *context, unsigned number __attribute__((unused)))
{
    struct chat_server *server = context;
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    int ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    check(ours >= 0);
    check(getsockname(server->listen_fd, (struct sockaddr *)&address, &len) == 0);
    check(bind(ours, (struct sockaddr *)&server->client, sizeof(server->client)) == 0);
    if (server->socket_buffers != 0)
        set_buffers(ours, server->socket_buffers);
    check(connect(ours, (struct sockaddr *)&address, sizeof(address)) == 0);
    check(fcntl(ours, F_SETFL, O_NONBLOCK) == 0);
    int theirs = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    check(theirs >= 0);
    if (server->socket_buffers != 0)
        set_buffers(theirs, server->socket_buffers);
    size_t len_early = strlen(server->early);
    check(send(ours, server->early, len_early, 0) == (ssize_t)len_early);
    server->kind->accept(server->service, theirs);
    return ours;
}

static void turn(void *context, int wait_ms)
{
    struct chat_server *server = context;

    engine_turn(server->engine, wait_ms);
}

#ifdef CHAT_FAKE
static void advance(void *context, int64_t ms)
{
    struct chat_server *server = context;

    fake_advance_ms(server->engine, ms);
}

/* "send 1 104"; 0 instead of 1: every one. */
static bool fail_call(struct chat_server *server, struct bytes argument)
{
    static const struct {
        struct bytes name;
        enum fake_call call;
    } calls[] = {
        {BYTES("send"), FAKE_SEND},   {BYTES("receive"), FAKE_RECEIVE},
        {BYTES("write"), FAKE_WRITE}, {BYTES("write_durable"), FAKE_WRITE_DURABLE},
        {BYTES("read"), FAKE_READ},   {BYTES("sync"), FAKE_SYNC},
    };
    struct bytes name;
    uint64_t nth;
    uint64_t error;

    if (!bytes_take_until(&argument, ' ', &name) || !bytes_take_u64(&argument, &nth) ||
        !bytes_take_nocase(&argument, BYTES(" ")) || !bytes_to_u64(argument, &error))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (bytes_equal(name, calls[i].name)) {
            fake_fail(server->engine, calls[i].call, (unsigned)nth, (int)error);
            return true;
        }
    }
    return false;
}
#endif

static bool command(void *context, struct bytes word, struct bytes argument)
{
    struct chat_server *server = context;

#ifdef CHAT_FAKE
    if (bytes_equal(word, BYTES("FAIL")))
        return fail_call(server, argument);
    if (bytes_equal(word, BYTES("HEAL"))) {
        fake_clear_faults(server->engine);
        return true;
    }
#endif
    return server->kind->command(server->service, word, argument);
}

/* Ends what the script left open; whatever is in flight must come home. */
static bool end(struct chat_server *server)
{
    int64_t end_ms = clock_monotonic_ms() + IDLE_MS_MAX;

    if (server->kind == NULL)
        return true;
    server->kind->abort(server->service);
    while (!server->kind->is_idle(server->service)) {
        if (clock_monotonic_ms() > end_ms) {
            fprintf(stderr, "the service does not end\n");
            return false;
        }
        engine_turn(server->engine, 1);
    }
    server->kind->free(server->service);
    return true;
}

static int run_once(const char *path, bool is_under_tls)
{
    struct chat_server server = {
        .client = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}},
    };
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct engine_settings settings = {0};
    struct chat_fixture fixture = {
        .context = &server,
        .role = CHAT_PLAYS_CLIENT,
        .config = config,
        .start = start,
        .open = open_connection,
        .turn = turn,
        .command = command,
        .facts = &server.facts,
        .tls = &chat_tls,
        .is_under_tls = is_under_tls,
    };

#ifdef CHAT_FAKE
    fixture.advance = advance;
#endif
    if (is_under_tls)
        check(config_tls(&server, BYTES("implicit")));
    buf_init(&server.facts, FACTS_MAX);
    server.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(server.listen_fd >= 0);
    check(bind(server.listen_fd, (struct sockaddr *)&any, sizeof(any)) == 0);
    check(listen(server.listen_fd, CONNECTIONS) == 0);
    server.engine = engine_create(&settings);
    if (server.engine == NULL) {
        perror("engine_create");
        return 1;
    }
    enum chat_result result = chat_run(path, &fixture);
    if (!end(&server))
        return 1; /* what is in flight would be freed under the engine: leave it */
    engine_destroy(&server.engine);
    tls_context_release(&server.tls_context);
    close(server.listen_fd);
    buf_free(&server.facts);
    if (result == CHAT_SKIPPED)
        return EXIT_SKIPPED;
    return result == CHAT_PASSED ? 0 : 1;
}

int main(int argc, char **argv)
{
    unsigned long seeds = 1;
    int code = 0;

    bool is_under_tls = argc > 1 && strcmp(argv[1], "--tls") == 0;

    argv += is_under_tls;
    argc -= is_under_tls;
    if (argc < 2) {
        fprintf(stderr, "usage: chat-server [--tls] SCRIPT [SEEDS]\n");
        return 2;
    }
    log_setup(LOG_TO_STDERR, getenv("CHAT_DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN);
#ifdef CHAT_FAKE
    unsigned long first = 1;
    const char *only = getenv("FAKE_SEED");

    seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : SEEDS;
    if (only != NULL) {
        first = strtoul(only, NULL, 10);
        seeds = 1;
    }
    for (unsigned long seed = first; seed < first + seeds && code == 0; seed++) {
        fake_seed(seed);
        code = run_once(argv[1], is_under_tls);
        if (code != 0 && code != EXIT_SKIPPED)
            fprintf(stderr, "FAKE_SEED=%lu repeats it\n", seed);
    }
#else
    for (unsigned long i = 0; i < seeds && code == 0; i++)
        code = run_once(argv[1], is_under_tls);
#endif
    chat_tls_forget();
    return code;
}
