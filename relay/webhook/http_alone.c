/* http_alone.c - one request that its thread waits for. */
#include <stdatomic.h>

#include "webhook/http_client.h"
#include "webhook/http_pool.h"

enum { LOOK_EVERY_MS = 200 };

struct waiting {
    struct http_answer *answer;
    bool is_answered;
};

static void on_called(void *context)
{
    (void)context;
}

static void on_answered(void *context, const struct http_answer *answer)
{
    struct waiting *waiting = context;

    *waiting->answer = *answer;
    waiting->answer->body = BYTES_NONE;
    waiting->is_answered = true;
}

bool http_post_alone(const struct http_rules *rules, const struct http_request *request,
                     const _Atomic bool *stop, struct http_answer *answer_out)
{
    static const struct http_client_calls calls = {.called = on_called, .answered = on_answered};
    struct waiting waiting = {.answer = answer_out};
    struct http_pool *pool = http_pool_open();
    struct http_client *client = http_client_open(pool, rules, &calls, &waiting);

    bool has_place = http_client_may_post(client);
    check(has_place);
    http_client_post(client, request);
    while (!waiting.is_answered && !atomic_load(stop))
        http_pool_work(pool, LOOK_EVERY_MS);
    http_client_close(&client);
    http_pool_close(&pool);
    return waiting.is_answered;
}
