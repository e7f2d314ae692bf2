/* test_admission.c - sessions a client address, over threads. */
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "serve/admission.h"

static struct admission_key key_of(const char *text)
{
    struct address address;

    assert_true(address_parse(bytes_of(text), 0, &address));
    return admission_key_of(&address);
}

TEST(enter_refuses_beyond_the_maximum)
{
    struct admission_key key = key_of("192.0.2.1");
    struct admission_key other = key_of("192.0.2.2");

    assert_true(admission_enter(&key, 2));
    assert_true(admission_enter(&key, 2));
    assert_false(admission_enter(&key, 2));
    assert_true(admission_enter(&other, 2));
    assert_true(admission_enter(&key, 0)); /* no limit */
    assert_int_equal(admission_count(&key), 3);
    admission_leave(&key);
    admission_leave(&key);
    assert_true(admission_enter(&key, 2));
    admission_leave(&key);
    admission_leave(&key);
    admission_leave(&other);
    assert_int_equal(admission_count(&key), 0);
    assert_int_equal(admission_count(&other), 0);
}

TEST(key_takes_ipv6_by_64)
{
    struct admission_key one = key_of("2001:db8:0:1::1");
    struct admission_key neighbour = key_of("2001:db8:0:1:ffff::2");
    struct admission_key stranger = key_of("2001:db8:0:2::1");

    assert_true(admission_enter(&one, 1));
    assert_false(admission_enter(&neighbour, 1));
    assert_true(admission_enter(&stranger, 1));
    admission_leave(&one);
    admission_leave(&stranger);
}

TEST(key_of_mapped_ipv4_is_that_of_ipv4)
{
    struct admission_key plain = key_of("192.0.2.1");
    struct admission_key mapped = key_of("::ffff:192.0.2.1");

    assert_memory_equal(&plain, &mapped, sizeof(plain));
}

enum { THREADS = 4, ROUNDS = 5000, MAX_AT_ONCE = 3 };
static _Atomic unsigned now, most, entered;

static void *come_and_go(void *argument)
{
    const struct admission_key *key = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!admission_enter(key, MAX_AT_ONCE))
            continue;
        unsigned count = ++now;
        unsigned seen = most;
        while (count > seen && !atomic_compare_exchange_weak(&most, &seen, count))
            ;
        entered++;
        now--;
        admission_leave(key);
    }
    return NULL;
}

TEST(limit_is_exact_over_threads)
{
    struct admission_key key = key_of("192.0.2.9");
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &key), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(entered > 0);
    assert_true(most <= MAX_AT_ONCE);
    assert_int_equal(admission_count(&key), 0);
}
