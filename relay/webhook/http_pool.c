/* http_pool.c - places for requests, and libcurl's multi handle. */
#include "webhook/http_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/bytes.h"

enum {
    PLACES_MAX = 512,
    FILES_PART = 8, /* of the limit of open files */
    PLACES_MIN = 8,
    RESOLVING_MAX = 64,
    SLOW_RESOLVING_MAX = RESOLVING_MAX / 2,
    LEAST_PART = 8, /* of the places: has who is slow, however many others wait */
    WAIT_MS_MAX = 60000,
};

struct http_pool {
    CURLM *multi;
    unsigned places, slow_places;
    unsigned taken, slow_taken;         /* called or under way */
    unsigned resolving, slow_resolving; /* of them */
    struct list waiting[2];             /* by is_slow */
};

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_pool *http_pool_open(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct http_pool *pool = calloc(1, sizeof(*pool));
    struct rlimit limit = {.rlim_cur = PLACES_MAX * FILES_PART};

    pthread_once(&once, init_curl);
    check(pool != NULL);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    pool->places =
        (unsigned)MAX(MIN(limit.rlim_cur / FILES_PART, (rlim_t)PLACES_MAX), (rlim_t)PLACES_MIN);
    pool->slow_places = pool->places / 2;
    list_init(&pool->waiting[false]);
    list_init(&pool->waiting[true]);
    pool->multi = curl_multi_init();
    check(pool->multi != NULL);
    (void)curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)pool->places);
    return pool;
}

void http_pool_close(struct http_pool **pool)
{
    check((*pool)->taken == 0);
    curl_multi_cleanup((*pool)->multi);
    free(*pool);
    *pool = NULL;
}

/* --- places ----------------------------------------------------------------------------------- */

void http_transfer_init(struct http_transfer *transfer)
{
    *transfer = (struct http_transfer){.place = HTTP_NO_PLACE};
    list_node_init(&transfer->node);
}

static bool is_free(const struct http_pool *pool, bool is_slow)
{
    return pool->taken < pool->places && pool->resolving < RESOLVING_MAX &&
           (!is_slow ||
            (pool->slow_taken < pool->slow_places && pool->slow_resolving < SLOW_RESOLVING_MAX));
}

static void take_place(struct http_pool *pool, struct http_transfer *transfer)
{
    list_remove(&transfer->node);
    transfer->counts_slow = transfer->is_slow;
    transfer->is_resolving = true;
    pool->taken++;
    pool->resolving++;
    pool->slow_taken += transfer->counts_slow;
    pool->slow_resolving += transfer->counts_slow;
}

/* Who answers soon comes first, once the slow have a few places. NULL: nobody can be called. */
static struct list_node *next_waiting(const struct http_pool *pool)
{
    struct list_node *well = list_first(&pool->waiting[false]);
    struct list_node *slow = list_first(&pool->waiting[true]);

    if (slow != NULL && is_free(pool, true) &&
        (well == NULL || pool->slow_taken < pool->places / LEAST_PART))
        return slow;
    return is_free(pool, false) ? well : NULL;
}

/* True: somebody was called. */
static bool call_waiting(struct http_pool *pool)
{
    bool any = false;
    struct list_node *node;

    while ((node = next_waiting(pool)) != NULL) {
        struct http_transfer *transfer = (struct http_transfer *)(void *)node;

        take_place(pool, transfer);
        transfer->place = HTTP_CALLED;
        transfer->called(transfer);
        any = true;
    }
    return any;
}

_Static_assert(offsetof(struct http_transfer, node) == 0, "a node is its transfer");

void http_pool_resolved(struct http_pool *pool, struct http_transfer *transfer)
{
    if (!transfer->is_resolving)
        return;
    pool->resolving--;
    pool->slow_resolving -= transfer->counts_slow;
    transfer->is_resolving = false;
}

static void give_place_back(struct http_pool *pool, struct http_transfer *transfer)
{
    http_pool_resolved(pool, transfer);
    pool->taken--;
    pool->slow_taken -= transfer->counts_slow;
    transfer->place = HTTP_NO_PLACE;
}

bool http_pool_has_place(struct http_pool *pool, struct http_transfer *transfer)
{
    if (transfer->place == HTTP_CALLED)
        return true;
    if (transfer->place == HTTP_NO_PLACE && list_is_empty(&pool->waiting[transfer->is_slow]) &&
        is_free(pool, transfer->is_slow)) {
        take_place(pool, transfer);
        transfer->place = HTTP_CALLED;
        return true;
    }
    if (transfer->place == HTTP_NO_PLACE) {
        transfer->place = HTTP_WAITS;
        list_push_back(&pool->waiting[transfer->is_slow], &transfer->node);
    }
    return false;
}

/* --- requests --------------------------------------------------------------------------------- */

void http_pool_begin(struct http_pool *pool, struct http_transfer *transfer, CURL *easy)
{
    check(transfer->place == HTTP_CALLED);
    transfer->place = HTTP_UNDER_WAY;
    transfer->easy = easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    CURLMcode code = curl_multi_add_handle(pool->multi, easy);
    check(code == CURLM_OK);
}

void http_pool_leave(struct http_pool *pool, struct http_transfer *transfer)
{
    if (transfer->place == HTTP_UNDER_WAY)
        (void)curl_multi_remove_handle(pool->multi, transfer->easy);
    transfer->easy = NULL;
    if (transfer->place == HTTP_CALLED || transfer->place == HTTP_UNDER_WAY)
        give_place_back(pool, transfer);
    list_remove(&transfer->node);
    transfer->place = HTTP_NO_PLACE;
}

/* True: there is something to do for somebody. */
static bool take_ends(struct http_pool *pool)
{
    CURLMsg *message;
    bool any = false;
    int left;

    while ((message = curl_multi_info_read(pool->multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        (void)curl_multi_remove_handle(pool->multi, message->easy_handle);
        give_place_back(pool, transfer);
        transfer->ended(transfer, code);
        any = true;
    }
    return call_waiting(pool) || any;
}

void http_pool_work(struct http_pool *pool, int64_t wait_ms)
{
    int running = 0;

    (void)curl_multi_perform(pool->multi, &running);
    if (take_ends(pool))
        return;
    if (wait_ms > 0) {
        (void)curl_multi_poll(pool->multi, NULL, 0, (int)MIN(wait_ms, (int64_t)WAIT_MS_MAX), NULL);
        (void)curl_multi_perform(pool->multi, &running);
        (void)take_ends(pool);
    }
}

void http_pool_wake(struct http_pool *pool)
{
    (void)curl_multi_wakeup(pool->multi);
}
