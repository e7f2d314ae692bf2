/* test_resolver_real.c - the resolver on io_uring, and two of them on two threads. */
/* link: real engine */
#include <pthread.h>

#include "unit/dns/resolver_scenarios.h"

/* Both engines live until both are done: ThreadSanitizer does not see liburing unmap a ring, and
 * would take the next ring at its address for a race. */
static pthread_barrier_t both_done;

static void *run_resolver(void *context)
{
    static const char *const names[] = {"a.example", "b.example", "gone.example"};
    struct fixture *own = context;

    fixture_start(own);
    for (size_t i = 0; i < 50; i++) {
        const struct dns_answer *answer =
            fixture_answer(own, names[i % ARRAY_LEN(names)], i & 1 ? DNS_TYPE_A : DNS_TYPE_MX);

        dns_answer_release(&answer);
    }
    pthread_barrier_wait(&both_done);
    fixture_close(own);
    return NULL;
}

/* c-ares's library and the metrics are what they share. */
TEST(two_resolvers_on_two_threads)
{
    static struct fixture fixtures[2];
    pthread_t threads[2];

    assert_int_equal(pthread_barrier_init(&both_done, NULL, 2), 0);
    for (size_t i = 0; i < 2; i++) {
        fixture_open_server(&fixtures[i]);
        server_add(&fixtures[i].server, "a.example 300 A 192.0.2.1");
        server_add(&fixtures[i].server, "b.example 300 MX 10 a.example");
        assert_int_equal(pthread_create(&threads[i], NULL, run_resolver, &fixtures[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&both_done);
}
