/* As at a start, where the directory's thread and the main one open it at once. */
#include <pthread.h>

#include "unit/directory/store_room.h"

enum { THREADS = 4 };

struct opening {
    struct store_room room;
    pthread_barrier_t *begin;
    struct store *store;
};

static void *open_one(void *context)
{
    struct opening *opening = context;
    enum store_result result;
    char why[STORE_WHY_MAX] = "";

    pthread_barrier_wait(opening->begin);
    opening->store = store_open(opening->room.path, STORE_MAKE, STORE_PATIENCE_MS, &result, why);
    return NULL;
}

TEST(stores_are_opened_by_threads_at_once)
{
    struct opening openings[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t begin;

    pthread_barrier_init(&begin, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        openings[i] = (struct opening){.begin = &begin};
        store_room_make(&openings[i].room);
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, &openings[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_non_null(openings[i].store);
        store_close(&openings[i].store);
        store_room_drop(&openings[i].room);
    }
    pthread_barrier_destroy(&begin);
}
