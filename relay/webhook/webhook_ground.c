/* webhook_ground.c - one pool of requests and one sum of memory for all webhooks. */
#include <stdlib.h>

#include "event/event.h"
#include "webhook/webhook_private.h"

enum {
    OBJECT_MAX = 2 * EVENT_JSON_MAX,
    HELD_MAX = 256 * 1024 * 1024,
};

static void *open_ground(void)
{
    struct webhook_ground *ground = calloc(1, sizeof(*ground));

    check(ground != NULL);
    ground->pool = http_pool_open();
    buf_init(&ground->object, OBJECT_MAX);
    list_init(&ground->starved);
    return ground;
}

static void close_ground(void **object)
{
    struct webhook_ground *ground = *object;

    check(ground->held == 0 && list_is_empty(&ground->starved));
    http_pool_close(&ground->pool);
    buf_free(&ground->object);
    free(ground);
    *object = NULL;
}

static void wait_for_any(void *object, int64_t wait_ms)
{
    struct webhook_ground *ground = object;

    http_pool_work(ground->pool, wait_ms);
}

static void wake(void *object)
{
    struct webhook_ground *ground = object;

    http_pool_wake(ground->pool);
}

const struct sink_ground webhook_ground = {
    .open = open_ground,
    .close = close_ground,
    .wait = wait_for_any,
    .wake = wake,
};

/* Whatever is held is answered, or fails, after a while, and is given back then. */
bool webhook_has_memory(struct webhook *webhook)
{
    struct webhook_ground *ground = webhook->ground;

    if (ground->held < HELD_MAX)
        return true;
    if (!list_is_linked(&webhook->starved))
        list_push_back(&ground->starved, &webhook->starved);
    return false;
}

void webhook_batch_clear(struct webhook *webhook, struct webhook_batch *batch)
{
    struct webhook_ground *ground = webhook->ground;
    struct list_node *node;

    ground->held -= buf_len(&batch->body);
    buf_free(&batch->body);
    batch->count = 0;
    batch->is_full = false;
    while (ground->held < HELD_MAX / 4 * 3 && (node = list_pop_front(&ground->starved)) != NULL) {
        struct webhook *starved =
            (struct webhook *)(void *)((char *)node - offsetof(struct webhook, starved));

        sink_has_room(starved->sink);
    }
}
