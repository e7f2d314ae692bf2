/* test_http_names.c - a name that nobody answers for, by a resolver of ours in libcurl's way. */
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"
#include "webhook/http_client.h"
#include "webhook/http_pool.h"

enum { LOOKUP_MS = 3000, HELD_UP_MS = 500, STEP_MS = 50, CLIENTS = 3 };

static _Atomic unsigned begun, over;

/* In place of the C library's; on a thread of libcurl's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out)
{
    (void)name, (void)service, (void)hints;
    *out = NULL;
    begun++;
    usleep(LOOKUP_MS * 1000);
    over++;
    return EAI_AGAIN;
}

static void on_called(void *context)
{
    (void)context;
}

static void on_answered(void *context, const struct http_answer *answer)
{
    enum http_end *end = context;

    *end = answer->end;
}

static const struct http_client_calls calls = {.called = on_called, .answered = on_answered};

static struct http_client *ask(struct http_pool *pool, enum http_end *end)
{
    const struct http_rules rules = {.timeout_s = 1};
    const struct http_request request = {
        .url = "https://silent.example/hook",
        .content_type = "application/json",
        .body = BYTES("[]"),
    };
    struct http_client *client = http_client_open(pool, &rules, &calls, end);

    *end = HTTP_ANSWERED;
    assert_true(http_client_may_post(client));
    http_client_post(client, &request);
    return client;
}

static void wait_until_over(void)
{
    while (over < begun)
        usleep(STEP_MS * 1000);
}

TEST(a_name_without_an_answer_fails_in_time_and_holds_up_nobody)
{
    enum http_end end;
    int64_t longest_ms = 0;

    struct http_pool *pool = http_pool_open();
    struct http_client *client = ask(pool, &end);
    int64_t began_ms = clock_monotonic_ms(), before_ms = began_ms;
    while (end == HTTP_ANSWERED && before_ms - began_ms < 2 * LOOKUP_MS) {
        http_pool_work(pool, STEP_MS);
        int64_t now_ms = clock_monotonic_ms();
        longest_ms = MAX(longest_ms, now_ms - before_ms);
        before_ms = now_ms;
    }
    assert_true(begun > 0);
    assert_int_equal(end, HTTP_FAILED);
    assert_in_range(longest_ms, 0, STEP_MS + HELD_UP_MS);
    http_client_close(&client);
    http_pool_close(&pool);
    wait_until_over();
}

TEST(who_waits_for_a_name_goes_at_once)
{
    struct http_pool *pool = http_pool_open();
    struct http_client *clients[CLIENTS];
    enum http_end ends[CLIENTS];
    unsigned before = begun;

    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = ask(pool, &ends[i]);
    while (begun < before + CLIENTS)
        http_pool_work(pool, STEP_MS);
    int64_t began_ms = clock_monotonic_ms();
    for (size_t i = 0; i < CLIENTS; i++)
        http_client_close(&clients[i]);
    http_pool_close(&pool);
    assert_in_range(clock_monotonic_ms() - began_ms, 0, HELD_UP_MS);
    wait_until_over();
}
