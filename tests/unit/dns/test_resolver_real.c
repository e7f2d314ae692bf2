/* test_resolver_real.c - the resolver on io_uring, and two of them on two threads. */
/* link: real engine */
#include <pthread.h>

#include "unit/dns/resolver_scenarios.h"

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
    fixture_close(own);
    return NULL;
}

/* c-ares's library and the metrics are what they share. */
TEST(two_resolvers_on_two_threads)
{
    static struct fixture fixtures[2];
    pthread_t threads[2];

    for (size_t i = 0; i < 2; i++) {
        fixture_open_server(&fixtures[i]);
        server_add(&fixtures[i].server, "a.example 300 A 192.0.2.1");
        server_add(&fixtures[i].server, "b.example 300 MX 10 a.example");
        assert_int_equal(pthread_create(&threads[i], NULL, run_resolver, &fixtures[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}
