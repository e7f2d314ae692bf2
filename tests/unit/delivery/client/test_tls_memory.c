/* test_tls_memory.c - what is remembered of others' TLS, by whom, for how long, and how much. */
#include "delivery/client/tls_memory.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static struct tls_session *some_session(void)
{
    return (struct tls_session *)SSL_SESSION_new();
}

static const struct tls_policy lax = {.level = TLS_LEVEL_OPPORTUNISTIC};
static const struct tls_policy strict = {.level = TLS_LEVEL_VERIFY};

TEST(session_is_of_a_host_and_of_what_was_demanded)
{
    struct tls_memory *memory = tls_memory_create();
    struct bytes host = BYTES("mx.example"), name = BYTES("other.example");
    uint8_t one[] = {1}, two[] = {2};
    struct tls_record record = {3, 1, 1, {one, 1}}, rolled = {3, 1, 1, {two, 1}};
    struct tls_policy named = strict, dane = strict, next = strict;
    struct tls_session *session = some_session();

    named.names = &name;
    named.name_count = 1;
    dane.records = &record;
    next.records = &rolled;
    dane.record_count = next.record_count = 1;
    tls_memory_keep(memory, host, 25, &dane, session, 0);
    assert_ptr_equal(tls_memory_session(memory, host, 25, &dane, 1), session);
    assert_null(tls_memory_session(memory, host, 26, &dane, 1));
    assert_null(tls_memory_session(memory, name, 25, &dane, 1));
    assert_null(tls_memory_session(memory, host, 25, &next, 1));
    assert_null(tls_memory_session(memory, host, 25, &lax, 1));
    assert_null(tls_memory_session(memory, host, 25, &strict, 1));
    assert_null(tls_memory_session(memory, host, 25, &named, 1));
    /* A newer one takes its place, and has its own time. */
    session = some_session();
    tls_memory_keep(memory, host, 25, &dane, session, 1000);
    assert_ptr_equal(tls_memory_session(memory, host, 25, &dane, TLS_SESSION_MS + 999), session);
    assert_null(tls_memory_session(memory, host, 25, &dane, TLS_SESSION_MS + 1000));
    tls_memory_keep(memory, host, 25, &dane, some_session(), 2000);
    tls_memory_forget_sessions(memory);
    assert_null(tls_memory_session(memory, host, 25, &dane, 2000));
    tls_memory_free(&memory);
}

TEST(sessions_are_bounded_and_the_oldest_goes)
{
    struct tls_memory *memory = tls_memory_create();
    char host[32];

    for (int i = 0; i <= TLS_SESSIONS_MAX; i++) {
        snprintf(host, sizeof(host), "mx%d.example", i);
        tls_memory_keep(memory, bytes_of(host), 25, &lax, some_session(), i);
    }
    assert_null(tls_memory_session(memory, BYTES("mx0.example"), 25, &lax, TLS_SESSIONS_MAX));
    assert_non_null(tls_memory_session(memory, BYTES("mx1.example"), 25, &lax, TLS_SESSIONS_MAX));
    tls_memory_free(&memory);
}

TEST(broken_is_of_an_address_and_port_for_a_time)
{
    struct tls_memory *memory = tls_memory_create();
    struct address peer, other, port;
    enum tls_result result;
    const char *why;

    assert_true(address_parse(BYTES("192.0.2.1"), 25, &peer));
    assert_true(address_parse(BYTES("192.0.2.2"), 25, &other));
    assert_true(address_parse(BYTES("192.0.2.1"), 26, &port));
    assert_false(tls_memory_is_broken(memory, &peer, 5, &result, &why));
    tls_memory_broke(memory, &peer, TLS_RESULT_VALIDATION_FAILURE, "no cipher", 5);
    assert_true(tls_memory_is_broken(memory, &peer, TLS_BROKEN_MS + 4, &result, &why));
    assert_int_equal(result, TLS_RESULT_VALIDATION_FAILURE);
    assert_string_equal(why, "no cipher");
    assert_false(tls_memory_is_broken(memory, &other, 6, &result, &why));
    assert_false(tls_memory_is_broken(memory, &port, 6, &result, &why));
    assert_false(tls_memory_is_broken(memory, &peer, TLS_BROKEN_MS + 5, &result, &why));
    for (int i = 0; i <= TLS_BROKEN_MAX; i++) {
        char text[32];

        snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
        assert_true(address_parse(bytes_of(text), 25, &peer));
        tls_memory_broke(memory, &peer, TLS_RESULT_VALIDATION_FAILURE, "x", 5);
    }
    assert_true(address_parse(BYTES("10.0.0.0"), 25, &peer));
    assert_false(tls_memory_is_broken(memory, &peer, 6, &result, &why));
    assert_true(address_parse(BYTES("10.0.0.1"), 25, &peer));
    assert_true(tls_memory_is_broken(memory, &peer, 6, &result, &why));
    tls_memory_free(&memory);
}
