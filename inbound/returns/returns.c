/* returns.c - the thread that reads reports, and what was told. */
#include "inbound/returns/returns.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "inbound/returns/returned.h"

enum {
    WAITING_MAX = 256,
    TOLD_MAX = 1 << 17, /* places; one that is taken again forgets what stood there */
};

struct returns {
    struct returns_settings settings;
    char *events;
    struct blocking_pool *pool;
    pthread_mutex_t mutex; /* of the rest */
    uint64_t seed;
    uint64_t told[TOLD_MAX]; /* hashes; 0: none */
};

const char *returned_kind_name(enum returned_kind kind)
{
    static const char *const names[RETURNED_KIND_COUNT] = {"bounce", "complaint", "dmarc",  "tls",
                                                           "other",  "untied",    "unknown"};

    check((unsigned)kind < RETURNED_KIND_COUNT);
    return names[kind];
}

static void work(struct chore *chore)
{
    struct returned *returned = container_of(chore, struct returned, chore);

    returned_read(returned, &returned->returns->settings);
}

struct returns *returns_start(const struct returns_settings *settings)
{
    const struct blocking_settings pool = {.name = "returns",
                                           .threads = 1,
                                           .waiting_max = WAITING_MAX};
    struct returns *returns = calloc(1, sizeof(*returns));

    check(returns != NULL);
    returns->settings = *settings;
    returns->settings.events = returns->events = strdup(settings->events);
    check(returns->events != NULL);
    returns->seed = random_u64();
    pthread_mutex_init(&returns->mutex, NULL);
    returns->pool = blocking_pool_start(&pool);
    if (returns->pool == NULL) {
        int error = errno;

        returns_stop(&returns);
        errno = error;
    }
    return returns;
}

struct blocking_pool *returns_pool(const struct returns *returns)
{
    return returns->pool;
}

void returns_stop(struct returns **returns)
{
    struct returns *r = *returns;

    *returns = NULL;
    if (r == NULL)
        return;
    if (r->pool != NULL)
        blocking_pool_stop(&r->pool);
    pthread_mutex_destroy(&r->mutex);
    free(r->events);
    free(r);
}

bool returns_ask(struct returns *returns, struct returned *returned)
{
    returned->returns = returns;
    returned->chore.work = work;
    arena_init(&returned->arena, RETURNED_ARENA_MAX);
    if (blocking_run(returns->pool, &returned->chore))
        return true;
    arena_free(&returned->arena);
    return false;
}

void returned_free(struct returned *returned)
{
    arena_free(&returned->arena);
}

/* --- once ------------------------------------------------------------------------------------- */

/* By its number; by its address where the number is not known. Of a report by all that it says. */
static uint64_t name_of(const struct returns *returns, const struct event *event)
{
    struct {
        uint64_t seed, message, kind, recipient;
    } key = {returns->seed, event->id.value, event->kind, event->part};

    if (event->kind == EVENT_REPORTED) {
        key.message = bytes_hash(event->checks);
        key.recipient ^= bytes_hash(event->mx_host) ^ bytes_hash(event->tenant);
    } else if (event->part == RETURN_PATH_ANY)
        key.recipient ^= bytes_hash(event->recipient);
    uint64_t name = bytes_hash(bytes_range(&key, sizeof(key)));

    return name != 0 ? name : 1;
}

bool returns_was_told(struct returns *returns, const struct event *event)
{
    uint64_t name = name_of(returns, event);

    pthread_mutex_lock(&returns->mutex);
    bool was_told = returns->told[name % TOLD_MAX] == name;
    pthread_mutex_unlock(&returns->mutex);
    return was_told;
}

void returns_told(struct returns *returns, const struct event *event)
{
    uint64_t name = name_of(returns, event);

    pthread_mutex_lock(&returns->mutex);
    returns->told[name % TOLD_MAX] = name;
    pthread_mutex_unlock(&returns->mutex);
}
