/* test_listener.c - accepting for several engines; run on the fake and on the real engine. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metric.h"
#include "io/listener.h"
#include "support/unit.h"

#ifndef REAL_ENGINE
#include "support/engine_fake.h"
#endif

enum { ENGINES = 2, CLIENTS = 40 };

struct worker {
    pthread_t thread;
    _Atomic(struct engine *) engine;
    struct listener_load *load;
    _Atomic unsigned accepted;
    int fds[CLIENTS];
};

static int listener_context;

static void accepted(void *context, int fd, void *with)
{
    struct worker *worker = context;
    unsigned count = atomic_load(&worker->accepted);

    check(with == &listener_context);
    check(fcntl(fd, F_GETFL) & O_NONBLOCK);
    check(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    atomic_fetch_add(&worker->load->sessions, 1);
    worker->fds[count] = fd;
    atomic_store(&worker->accepted, count + 1);
}

static struct address any_port(void)
{
    struct address address;

    assert_true(address_parse(BYTES("127.0.0.1:0"), 0, &address));
    return address;
}

static int bind_somewhere(struct address *address)
{
    socklen_t len = sizeof(*address);

    *address = any_port();
    int fd = listener_bind(address, 0);

    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &address->any, &len), 0);
    return fd;
}

static int connect_to(const struct address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address->any, address_len(address)), 0);
    return fd;
}

static void set_flag(void *context)
{
    *(bool *)context = true;
}

static void stop_and_wait(struct engine *engine, struct listener *listener)
{
    bool closed = false;

    listener_stop(listener, set_flag, &closed);
    assert_false(closed);
    for (unsigned i = 0; i < 1000 && !closed; i++)
        engine_turn(engine, 1);
    assert_true(closed);
}

TEST(bind_reports_a_taken_port)
{
    struct address address;
    int fd = bind_somewhere(&address);

    assert_int_equal(listener_bind(&address, 0), -EADDRINUSE);
    close(fd);
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});

    check(engine != NULL);
    atomic_store(&worker->engine, engine);
    engine_run(engine);
    engine_destroy(&engine);
    return NULL;
}

static void close_all(struct worker *worker)
{
    for (unsigned i = 0; i < atomic_load(&worker->accepted); i++)
        close(worker->fds[i]);
}

/* Engine 0 is this thread and accepts; engine 1 gets letters. */
TEST(connections_are_balanced_over_two_engines)
{
    static struct worker workers[ENGINES];
    struct listener_load loads[ENGINES] = {0};
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct address address;
    int clients[CLIENTS], fd = bind_somewhere(&address);

    memset(workers, 0, sizeof(workers));
    atomic_store(&workers[0].engine, engine);
    assert_int_equal(pthread_create(&workers[1].thread, NULL, run_worker, &workers[1]), 0);
    while (atomic_load(&workers[1].engine) == NULL)
        usleep(100);
    for (unsigned i = 0; i < ENGINES; i++) {
        workers[i].load = &loads[i];
        loads[i].engine = atomic_load(&workers[i].engine);
        loads[i].accepted = accepted;
        loads[i].context = &workers[i];
    }
    atomic_store(&loads[0].sessions, 10); /* busy already: the other one gets the first ten */
    struct listener_settings settings = {.loads = loads,
                                         .load_count = ENGINES,
                                         .context = &listener_context,
                                         .name = "127.0.0.1:25",
                                         .refusal = BYTES("421\r\n")};
    struct listener *listener = listener_start(engine, fd, &settings);

    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(&address);
        engine_turn(engine, 0);
    }
    for (unsigned i = 0; i < 5000; i++) {
        if (atomic_load(&workers[0].accepted) + atomic_load(&workers[1].accepted) == CLIENTS)
            break;
        engine_turn(engine, 1);
    }
    stop_and_wait(engine, listener);
    engine_stop(loads[1].engine);
    pthread_join(workers[1].thread, NULL);
    /* While a letter is opened its connection does not count for a moment: one either way. */
    assert_in_range(atomic_load(&workers[0].accepted), 14, 16);
    assert_in_range(atomic_load(&workers[1].accepted), 24, 26);
    assert_int_equal(atomic_load(&loads[0].sessions) + atomic_load(&loads[1].sessions),
                     10 + CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_all(&workers[0]);
    close_all(&workers[1]);
    engine_destroy(&engine);
}

static void accepted_uncounted(void *context, int fd, void *with)
{
    (void)with;
    ++*(unsigned *)context;
    close(fd);
}

TEST(equal_engines_take_turns)
{
    unsigned counts[ENGINES] = {0};
    struct listener_load loads[ENGINES] = {0};
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct address address;
    int fd = bind_somewhere(&address);

    for (unsigned i = 0; i < ENGINES; i++) {
        loads[i].engine = engine;
        loads[i].accepted = accepted_uncounted; /* its sessions are over at once */
        loads[i].context = &counts[i];
    }
    struct listener_settings settings = {.loads = loads,
                                         .load_count = ENGINES,
                                         .name = "127.0.0.1:25",
                                         .refusal = BYTES("421\r\n")};
    struct listener *listener = listener_start(engine, fd, &settings);

    for (unsigned i = 0; i < 10; i++) {
        int client = connect_to(&address);

        for (unsigned k = 0; k < 1000 && counts[0] + counts[1] <= i; k++)
            engine_turn(engine, 1);
        close(client);
    }
    assert_int_equal(counts[0], 5);
    assert_int_equal(counts[1], 5);
    stop_and_wait(engine, listener);
    engine_destroy(&engine);
}

static void expect_refusal(int client)
{
    struct timeval patience = {.tv_sec = 5};
    char answer[32];

    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(recv(client, answer, sizeof(answer), 0), 17);
    assert_memory_equal(answer, "421 4.3.2 later\r\n", 17);
}

static void turn_until(struct engine *engine, bool (*is_reached)(void *context), void *context)
{
    for (unsigned i = 0; i < 3000 && !is_reached(context); i++)
        engine_turn(engine, 1);
}

static bool has_accepted(void *context)
{
    return atomic_load(&((struct worker *)context)->accepted) > 0;
}

static bool has_answer(void *context)
{
    char byte;

    return recv(*(int *)context, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

TEST(out_of_descriptors_refuses_waits_and_recovers)
{
    struct worker worker = {0};
    struct listener_load load = {.accepted = accepted, .context = &worker};
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct address address;
    struct rlimit before, tight;
    int64_t refused_before = metric_sum(METRIC_SESSIONS_REFUSED);
    int fd = bind_somewhere(&address), clients[4];

    for (size_t i = 0; i < 4; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    worker.load = &load;
    load.engine = engine;
    struct listener_settings settings = {.loads = &load,
                                         .load_count = 1,
                                         .context = &listener_context,
                                         .name = "127.0.0.1:25",
                                         .refusal = BYTES("421 4.3.2 later\r\n")};
    struct listener *listener = listener_start(engine, fd, &settings);

    /* Every number up to the spare one's is taken; the limit allows no more. */
    int highest = dup(clients[0]);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)highest + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
#ifndef REAL_ENGINE
    fake_clock_runs(engine, true);
#endif
    /* Twice, and each time two: the spare one is there again. */
    for (size_t i = 0; i < 4; i += 2) {
        assert_int_equal(connect(clients[i], &address.any, address_len(&address)), 0);
        assert_int_equal(connect(clients[i + 1], &address.any, address_len(&address)), 0);
        turn_until(engine, has_answer, &clients[i + 1]);
        expect_refusal(clients[i]);
        expect_refusal(clients[i + 1]);
        assert_int_equal(atomic_load(&worker.accepted), 0);
    }
    assert_int_equal(metric_sum(METRIC_SESSIONS_REFUSED) - refused_before, 4);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int served = connect_to(&address);

    turn_until(engine, has_accepted, &worker);
    assert_int_equal(atomic_load(&worker.accepted), 1);
    stop_and_wait(engine, listener);
    close_all(&worker);
    close(served);
    close(highest);
    for (size_t i = 0; i < 4; i++)
        close(clients[i]);
    engine_destroy(&engine);
}

TEST(stop_closes_the_port)
{
    for (unsigned turns = 0; turns < 4; turns++) {
        struct worker worker = {0};
        struct listener_load load = {.accepted = accepted, .context = &worker};
        struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
        struct address address;
        int fd = bind_somewhere(&address);

        worker.load = &load;
        load.engine = engine;
        struct listener_settings settings = {.loads = &load,
                                             .load_count = 1,
                                             .context = &listener_context,
                                             .name = "127.0.0.1:25",
                                             .refusal = BYTES("421\r\n")};
        struct listener *listener = listener_start(engine, fd, &settings);

        for (unsigned i = 0; i < turns; i++)
            engine_turn(engine, 0);
        stop_and_wait(engine, listener);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(client, &address.any, address_len(&address)), -1);
        assert_int_equal(errno, ECONNREFUSED);
        close(client);
        engine_destroy(&engine);
    }
}
