/* link: real engine */
/* test_conn_move_real.c - a connection goes to and fro between two threads' engines. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/conn.h"
#include "support/unit.h"

enum { HOPS = 200, THREADS = 2 };

/* Belongs to the thread whose engine has the connection; between, to the letter. */
struct hopper {
    struct conn conn;
    struct conn_parcel parcel;
    struct letter letter;
    unsigned home, hops;
};

static struct engine *engines[THREADS];
static pthread_barrier_t ready;
static struct hopper hopper;

static void arrive(struct letter *letter, struct engine *engine);

static void hopper_wake(struct conn *conn, enum conn_wake reason)
{
    struct hopper *h = container_of(conn, struct hopper, conn);

    if (reason == CONN_DATA) { /* answers, and leaves with the answer unsent */
        struct bytes input = conn_input(conn);

        assert_true(conn_write(conn, input));
        conn_consume(conn, input.len);
        conn_detach(conn);
    } else if (reason == CONN_EOF) {
        conn_finish(conn);
    } else if (reason == CONN_DETACHED) {
        conn_take(conn, &h->parcel);
        h->home ^= 1;
        h->hops++;
        h->letter.open = arrive;
        engine_post(engines[h->home], &h->letter);
    } else if (reason == CONN_CLOSED) {
        engine_stop(engines[0]);
        engine_stop(engines[1]);
    }
}

static void arrive(struct letter *letter, struct engine *engine)
{
    struct hopper *h = container_of(letter, struct hopper, letter);

    conn_attach(&h->conn, engine, &h->parcel, hopper_wake, NULL);
}

static void *run(void *context)
{
    unsigned index = (unsigned)(uintptr_t)context;
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 8, .index = index};

    engines[index] = engine_create(&settings);
    assert_non_null(engines[index]);
    pthread_barrier_wait(&ready);
    engine_run(engines[index]);
    pthread_barrier_wait(&ready); /* nobody posts any more */
    engine_destroy(&engines[index]);
    return NULL;
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fds[0] >= 0);
    close(listening);
}

TEST(connection_hops_between_threads_with_its_answers)
{
    pthread_t threads[THREADS];
    int fds[2];
    char got;

    tcp_pair(fds);
    pthread_barrier_init(&ready, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    pthread_barrier_wait(&ready);
    hopper.parcel = (struct conn_parcel){.fd = fds[0]}; /* as if it came from a third */
    hopper.letter.open = arrive;
    engine_post(engines[0], &hopper.letter);
    for (unsigned i = 0; i < HOPS; i++) {
        char sent = (char)('a' + i % 26);

        assert_int_equal(write(fds[1], &sent, 1), 1);
        assert_int_equal(read(fds[1], &got, 1), 1);
        assert_int_equal(got, sent);
    }
    shutdown(fds[1], SHUT_WR);
    assert_int_equal(read(fds[1], &got, 1), 0);
    pthread_barrier_wait(&ready);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(hopper.hops, HOPS);
    close(fds[1]);
    pthread_barrier_destroy(&ready);
}
