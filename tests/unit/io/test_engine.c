/* test_engine.c - ops, turns and the inbox; run on the fake and on the real engine. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/engine.h"
#include "support/unit.h"

#ifndef REAL_ENGINE
#include "support/engine_fake.h"
#define SEEDS 40
#else
#define SEEDS 2
#endif

struct probe_op {
    struct op op;
    int result;
    unsigned completions;
    bool is_over;
    char *into; /* received bytes, if not NULL */
    size_t received_len;
};

static struct engine *engine;

static void setup(uint64_t seed)
{
    struct engine_settings settings = {.ring_entries = 8,
                                       .buffer_count = 4,
                                       .buffer_size = 64,
                                       .index = 7};

#ifndef REAL_ENGINE
    fake_seed(seed);
#else
    (void)seed;
#endif
    engine = engine_create(&settings);
    assert_non_null(engine);
}

static void teardown(void)
{
    engine_destroy(&engine);
    assert_null(engine);
}

static void probe_done(struct op *op, int result, uint32_t flags)
{
    struct probe_op *probe = container_of(op, struct probe_op, op);

    assert_false(probe->is_over);
    assert_int_equal(op->in_flight, (flags & ENGINE_MORE) != 0);
    probe->completions++;
    probe->result = result;
    probe->is_over = !(flags & ENGINE_MORE);
    if (flags & ENGINE_BUFFER) {
        struct bytes b = engine_buffer(engine, op, result);

        if (probe->into != NULL)
            memcpy(probe->into + probe->received_len, b.ptr, b.len);
        probe->received_len += b.len;
        engine_buffer_return(engine, op);
    }
}

static void probe_init(struct probe_op *probe)
{
    *probe = (struct probe_op){0};
    op_init(&probe->op, probe_done);
}

/* Starts are checked never to complete before they return. */
static int finish(struct probe_op *probe)
{
    assert_int_equal(probe->completions, 0);
    for (unsigned i = 0; i < 5000 && !probe->is_over; i++)
        engine_turn(engine, 1);
    assert_true(probe->is_over);
    return probe->result;
}

TEST(file_ops_write_sync_and_read_back)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char path[] = "/tmp/ringpost-engine-XXXXXX", back[10] = {0};
        struct probe_op probe;
        int fd = mkostemp(path, O_CLOEXEC);

        assert_true(fd >= 0);
        unlink(path);
        setup(seed);
        probe_init(&probe);
        engine_write(engine, &probe.op, fd, BYTES("hello"), 0);
        assert_int_equal(finish(&probe), 5);
        probe_init(&probe);
        engine_write_durable(engine, &probe.op, fd, BYTES("world"), 5);
        assert_int_equal(finish(&probe), 5);
        probe_init(&probe);
        engine_sync(engine, &probe.op, fd);
        assert_int_equal(finish(&probe), 0);
        probe_init(&probe);
        engine_read(engine, &probe.op, fd, back, sizeof(back), 0);
        assert_int_equal(finish(&probe), 10);
        assert_memory_equal(back, "helloworld", 10);
        probe_init(&probe);
        engine_read(engine, &probe.op, fd, back, sizeof(back), 10);
        assert_int_equal(finish(&probe), 0);
        engine_close(engine, fd);
        engine_turn(engine, 0);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        teardown();
    }
}

TEST(impossible_requests_complete_with_an_error)
{
    struct probe_op probe;
    char byte;

    setup(1);
    probe_init(&probe);
    engine_write(engine, &probe.op, 9999, BYTES("x"), 0);
    assert_int_equal(finish(&probe), -EBADF);
    probe_init(&probe);
    engine_read(engine, &probe.op, 9999, &byte, 1, 0);
    assert_int_equal(finish(&probe), -EBADF);
    probe_init(&probe);
    engine_sync(engine, &probe.op, 9999);
    assert_int_equal(finish(&probe), -EBADF);
    teardown();
}

TEST(poll_reports_readiness_once)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct probe_op probe;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        setup(seed);
        probe_init(&probe);
        engine_poll(engine, &probe.op, fds[0], POLLIN);
        for (unsigned i = 0; i < 10; i++)
            engine_turn(engine, 0);
        assert_int_equal(probe.completions, 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(finish(&probe) & POLLIN, POLLIN);
        assert_int_equal(probe.completions, 1);
        close(fds[0]);
        close(fds[1]);
        teardown();
    }
}

TEST(cancel_ends_an_op_that_waits)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct probe_op probe, receive;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        setup(seed);
        probe_init(&probe);
        engine_cancel(engine, &probe.op); /* not in flight: nothing */
        engine_poll(engine, &probe.op, fds[0], POLLIN);
        probe_init(&receive);
        engine_receive(engine, &receive.op, fds[1]);
        for (unsigned i = 0; i < seed % 3; i++) /* also before it was submitted */
            engine_turn(engine, 0);
        engine_cancel(engine, &probe.op);
        engine_cancel(engine, &probe.op);
        engine_cancel(engine, &receive.op);
        assert_int_equal(finish(&probe), -ECANCELED);
        assert_true(receive.is_over || finish(&receive) == -ECANCELED);
        assert_true(receive.result == -ECANCELED || receive.result == -ENOBUFS);
        close(fds[0]);
        close(fds[1]);
        teardown();
    }
}

#ifdef REAL_ENGINE
/* Memory of an op that was given to another op while the kernel still had something to say of the
 * first: the rules forbid it, and should it happen nobody else's state may change for it. (The fake
 * knows flights by themselves, not by an address.) */
TEST(completions_of_an_earlier_start_are_dropped)
{
    struct probe_op probe;
    int earlier[2], later[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, earlier), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, later), 0);
    setup(1);
    probe_init(&probe);
    engine_poll(engine, &probe.op, earlier[0], POLLIN);
    engine_turn(engine, 0);
    probe.op.in_flight = false;
    engine_poll(engine, &probe.op, later[0], POLLIN);
    engine_turn(engine, 0);
    assert_int_equal(write(earlier[1], "x", 1), 1);
    for (unsigned i = 0; i < 10; i++)
        engine_turn(engine, 1);
    assert_int_equal(probe.completions, 0);
    assert_int_equal(write(later[1], "x", 1), 1);
    assert_int_equal(finish(&probe) & POLLIN, POLLIN);
    assert_int_equal(probe.completions, 1);
    for (unsigned i = 0; i < 2; i++) {
        close(earlier[i]);
        close(later[i]);
    }
    teardown();
}
#endif

TEST(cancel_races_with_data_and_both_ends_are_clean)
{
    unsigned won[2] = {0};

    for (uint64_t seed = 1; seed <= SEEDS * 5; seed++) {
        struct probe_op *receive = malloc(sizeof(*receive));
        int fds[2];

        assert_non_null(receive);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        setup(seed);
        probe_init(receive);
        engine_receive(engine, &receive->op, fds[0]);
        engine_turn(engine, 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        if (seed % 2 == 0)
            engine_turn(engine, 0);
        engine_cancel(engine, &receive->op);
        for (unsigned i = 0; i < 1000 && !receive->is_over; i++)
            engine_turn(engine, 1);
        assert_true(receive->is_over);
        won[receive->received_len > 0]++;
        free(receive); /* a completion later than the last one would be seen */
        for (unsigned i = 0; i < 5; i++)
            engine_turn(engine, 0);
        close(fds[0]);
        close(fds[1]);
        teardown();
    }
#ifndef REAL_ENGINE
    assert_true(won[0] > 0 && won[1] > 0);
#endif
}

TEST(receive_without_buffers_ends_with_enobufs_and_loses_nothing)
{
    struct probe_op receive;
    char sent[20 * 64], got[sizeof(sent)];
    unsigned enobufs = 0;
    int fds[2];

    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7 + i / 64);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    setup(1); /* 4 buffers of 64 bytes */
    assert_int_equal(write(fds[1], sent, sizeof(sent)), sizeof(sent));
    probe_init(&receive);
    receive.into = got;
    for (unsigned i = 0; i < 10000 && receive.received_len < sizeof(sent); i++) {
        if (!receive.op.in_flight) {
            enobufs += receive.result == -ENOBUFS;
            receive.is_over = false;
            engine_receive(engine, &receive.op, fds[0]);
        }
        engine_turn(engine, 1);
    }
    assert_int_equal(receive.received_len, sizeof(sent));
    assert_memory_equal(got, sent, sizeof(sent));
    assert_true(enobufs > 0);
    engine_cancel(engine, &receive.op);
    for (unsigned i = 0; i < 1000 && receive.op.in_flight; i++)
        engine_turn(engine, 1);
    assert_false(receive.op.in_flight);
    close(fds[0]);
    close(fds[1]);
    teardown();
}

TEST(more_ops_than_ring_entries_in_one_turn_all_complete)
{
    enum { COUNT = 100 };

    struct probe_op *probes = calloc(COUNT, sizeof(*probes));
    int fds[2];

    assert_non_null(probes);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    setup(1); /* 8 entries */
    for (unsigned i = 0; i < COUNT; i++) {
        probe_init(&probes[i]);
        engine_poll(engine, &probes[i].op, fds[i % 2], i % 2 == 0 ? POLLIN : POLLOUT);
        assert_int_equal(probes[i].completions, 0);
    }
    assert_int_equal(write(fds[1], "x", 1), 1);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(probes[i].is_over || finish(&probes[i]) > 0);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(probes[i].completions, 1);
    free(probes);
    close(fds[0]);
    close(fds[1]);
    teardown();
}

/* --- timeouts, hooks, turn ends ------------------------------------------------------------- */

static unsigned fired;

static void count_fired(struct timeout *timeout)
{
    (void)timeout;
    fired++;
}

TEST(timeouts_fire_after_real_or_moved_time)
{
    struct timeout timeout, never;

    setup(1);
    fired = 0;
    timeout_init(&timeout, count_fired);
    timeout_init(&never, count_fired);
    engine_timeout(engine, &timeout, 20);
    engine_timeout(engine, &never, 10);
    engine_timeout_cancel(engine, &never);
#ifdef REAL_ENGINE
    int64_t begin_us = clock_monotonic_us();

    while (fired == 0)
        engine_turn(engine, -1);
    assert_true(clock_monotonic_us() - begin_us >= 19000); /* the turn's clock is that old */
#else
    fake_advance_ms(engine, 19);
    engine_turn(engine, 0);
    assert_int_equal(fired, 0);
    fake_clock_runs(engine, true);
    engine_turn(engine, -1);
    engine_turn(engine, 0);
#endif
    assert_int_equal(fired, 1);
    assert_int_equal(engine_index(engine), 7);
    assert_true(engine_wall_ms(engine) > 1700000000000);
    teardown();
}

struct counted_hook {
    struct turn_hook hook;
    struct counted_hook *to_remove;
    unsigned runs;
};

static void run_counted(struct turn_hook *hook)
{
    struct counted_hook *counted = container_of(hook, struct counted_hook, hook);

    counted->runs++;
    if (counted->to_remove != NULL)
        engine_remove_turn_hook(engine, &counted->to_remove->hook);
}

TEST(hooks_run_every_turn_and_may_remove_each_other)
{
    struct counted_hook hooks[3] = {0};

    setup(1);
    for (unsigned i = 0; i < 3; i++) {
        hooks[i].hook.run = run_counted;
        engine_add_turn_hook(engine, &hooks[i].hook);
    }
    engine_turn(engine, 0);
    hooks[0].to_remove = &hooks[1]; /* the next one */
    engine_turn(engine, 0);
    hooks[0].to_remove = NULL;
    hooks[2].to_remove = &hooks[2]; /* itself */
    engine_turn(engine, 0);
    engine_turn(engine, 0);
    assert_int_equal(hooks[0].runs, 4);
    assert_int_equal(hooks[1].runs, 1);
    assert_int_equal(hooks[2].runs, 3);
    teardown();
}

struct counted_end {
    struct turn_end end;
    unsigned runs;
    bool again;
};

static void run_end(struct turn_end *end)
{
    struct counted_end *counted = container_of(end, struct counted_end, end);

    counted->runs++;
    if (counted->again)
        engine_at_turn_end(engine, end);
}

TEST(turn_end_runs_once_and_rearmed_in_the_next_turn)
{
    struct counted_end end = {0}, cancelled = {0};

    setup(1);
    turn_end_init(&end.end, run_end);
    turn_end_init(&cancelled.end, run_end);
    engine_at_turn_end(engine, &end.end);
    engine_at_turn_end(engine, &end.end);
    engine_at_turn_end(engine, &cancelled.end);
    engine_turn_end_cancel(engine, &cancelled.end);
    end.again = true;
    engine_turn(engine, -1); /* does not wait */
    assert_int_equal(end.runs, 1);
    end.again = false;
    engine_turn(engine, -1);
    assert_int_equal(end.runs, 2);
    engine_turn(engine, 0);
    assert_int_equal(end.runs, 2);
    engine_turn_again(engine);
    engine_turn(engine, -1);
    assert_int_equal(cancelled.runs, 0);
    teardown();
}

static void again_done(struct op *op, int result, uint32_t flags)
{
    (void)op;
    (void)result;
    (void)flags;
    engine_turn_again(engine);
}

TEST(turn_again_from_a_completion_does_not_wait)
{
    struct op op;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    setup(1);
    op_init(&op, again_done);
    engine_poll(engine, &op, fds[1], POLLOUT);
    while (op.in_flight)
        engine_turn(engine, 10);
    engine_turn(engine, -1); /* would hang */
    close(fds[0]);
    close(fds[1]);
    teardown();
}

/* --- inbox ---------------------------------------------------------------------------------- */

enum { POSTERS = 4, LETTERS = 5000 };

struct numbered {
    struct letter letter;
    unsigned poster, number;
};

static unsigned opened[POSTERS];

static void open_numbered(struct letter *letter, struct engine *at)
{
    struct numbered *numbered = container_of(letter, struct numbered, letter);

    assert_ptr_equal(at, engine);
    assert_int_equal(numbered->number, opened[numbered->poster]); /* a poster's order is kept */
    opened[numbered->poster]++;
    free(numbered);
}

static void *post_many(void *argument)
{
    unsigned poster = *(unsigned *)argument;

    for (unsigned i = 0; i < LETTERS; i++) {
        struct numbered *numbered = malloc(sizeof(*numbered));

        *numbered = (struct numbered){{.open = open_numbered}, poster, i};
        engine_post(engine, &numbered->letter);
        if (i % 512 == 0)
            usleep(200); /* lets the engine fall asleep now and then */
    }
    return NULL;
}

static unsigned opened_total(void)
{
    unsigned total = 0;

    for (unsigned i = 0; i < POSTERS; i++)
        total += opened[i];
    return total;
}

TEST(letters_from_four_threads_arrive_in_order_without_loss)
{
    pthread_t threads[POSTERS];
    unsigned numbers[POSTERS];

    setup(1);
    memset(opened, 0, sizeof(opened));
    for (unsigned i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &numbers[i]), 0);
    }
    /* Unbounded waits: a doorbell that was not rung would hang here. */
    while (opened_total() < POSTERS * LETTERS)
        engine_turn(engine, -1);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    teardown();
}

static void *stop_later(void *argument)
{
    (void)argument;
    usleep(20000);
    engine_stop(engine);
    return NULL;
}

TEST(stop_from_another_thread_ends_the_run)
{
    pthread_t thread;

    setup(1);
    assert_int_equal(pthread_create(&thread, NULL, stop_later, NULL), 0);
    engine_run(engine);
    pthread_join(thread, NULL);
    engine_stop(engine);
    engine_run(engine); /* ends after one turn */
    teardown();
}

TEST(probe_finds_a_usable_kernel)
{
    const char *why = NULL;

    assert_int_equal(engine_probe(&why), 0);
    assert_null(why);
}

#ifndef REAL_ENGINE
TEST(faults_hit_the_call_they_name)
{
    struct probe_op probe;
    char path[] = "/tmp/ringpost-engine-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    unlink(path);
    setup(1);
    fake_fail(engine, FAKE_WRITE, 2, ENOSPC);
    fake_shorten(engine, FAKE_WRITE, 3, 2);
    fake_fail(engine, FAKE_SYNC, FAKE_EVERY, EIO);
    static const int results[] = {5, -ENOSPC, 2, 5};

    for (size_t i = 0; i < ARRAY_LEN(results); i++) {
        probe_init(&probe);
        engine_write(engine, &probe.op, fd, BYTES("hello"), 0);
        assert_int_equal(finish(&probe), results[i]);
        probe_init(&probe);
        engine_sync(engine, &probe.op, fd);
        assert_int_equal(finish(&probe), -EIO);
    }
    assert_int_equal(fake_count(engine, FAKE_WRITE), 4);
    assert_int_equal(fake_in_flight(engine), 0);
    engine_close(engine, fd);
    teardown();
}
#endif
