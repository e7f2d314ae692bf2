/* test_log_queue.c - rings of lines and their writer, under a sink that the test holds up. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_queue.h"
#include "base/metric.h"
#include "support/unit.h"

enum { TEXT_MAX = 4 << 20, PATIENCE_MS = 60000 };

/* The writer's alone until the queue has been stopped. */
static struct {
    char *text;
    size_t len;
    bool holds_first; /* until `go` */
    sem_t is_held, go;
} sink;

static void put(const struct log_entry *entry)
{
    if (sink.holds_first) {
        sink.holds_first = false;
        sem_post(&sink.is_held);
        while (sem_wait(&sink.go) != 0)
            ;
    }
    assert_true(sink.len + entry->len + 1 < TEXT_MAX);
    memcpy(sink.text + sink.len, entry->text, entry->len);
    sink.len += entry->len;
    sink.text[sink.len++] = '\n';
}

static void flush(void)
{
}

static const struct log_sink test_sink = {put, flush};

static void begin(bool holds_first)
{
    sink.text = malloc(TEXT_MAX);
    assert_non_null(sink.text);
    sink.len = 0;
    sink.holds_first = holds_first;
    sem_init(&sink.is_held, 0, 0);
    sem_init(&sink.go, 0, 0);
    assert_true(log_queue_start(&test_sink));
}

/* What was written. */
static const char *end(void)
{
    assert_true(log_queue_stop(PATIENCE_MS));
    sink.text[sink.len] = '\0';
    sem_destroy(&sink.is_held);
    sem_destroy(&sink.go);
    return sink.text;
}

static bool push(const char *text)
{
    struct log_entry entry = {0, LOG_LEVEL_INFO, (uint32_t)strlen(text), text};

    return log_queue_push(&entry);
}

TEST(lines_missing_are_told_behind_those_that_came_before_them)
{
    char line[1001];
    unsigned pushed = 0;

    memset(line, 'x', 1000);
    line[1000] = '\0';
    begin(true);
    assert_true(push("first"));
    while (sem_wait(&sink.is_held) != 0) /* the writer looked at the ring and is at this line */
        ;
    while (push(line))
        pushed++;
    assert_false(push(line));
    sem_post(&sink.go);
    const char *text = end();
    const char *told = strstr(text, "dropped=2 ");

    assert_memory_equal(text, "first\n", 6);
    assert_non_null(told);
    assert_int_equal(told - text, 6 + pushed * 1001);
    assert_null(strstr(told + 1, "dropped="));
    free(sink.text);
}

/* A thread that floods the log with facts must not take the room of what an operator has to see;
 * and what is missing is counted once, however often the writer looks. */
TEST(warnings_have_room_where_facts_are_dropped)
{
    char line[1001];
    struct log_entry warning = {0, LOG_LEVEL_WARN, 7, "warning"};

    memset(line, 'x', 1000);
    line[1000] = '\0';
    begin(true);
    assert_true(push("first"));
    while (sem_wait(&sink.is_held) != 0)
        ;
    while (push(line))
        ;
    assert_true(log_queue_push(&warning));
    sem_post(&sink.go);
    assert_true(log_queue_flush(PATIENCE_MS)); /* the writer has told of it */
    assert_true(push("next"));
    assert_true(log_queue_flush(PATIENCE_MS)); /* and looked again */
    const char *text = end();
    const char *told = strstr(text, "dropped=1 ");

    assert_non_null(strstr(text, "\nwarning\n"));
    assert_non_null(told);
    assert_null(strstr(told + 1, "dropped="));
    assert_non_null(strstr(told, "\nnext\n"));
    free(sink.text);
}

static void *push_one(void *argument)
{
    assert_true(push(argument));
    return NULL;
}

static void *push_at_once(void *argument)
{
    assert_true(push("together"));
    pthread_barrier_wait(argument);
    return NULL;
}

/* Else a program that makes threads all the time would take a ring for each. */
TEST(ring_goes_on_to_the_next_thread)
{
    enum { THREADS = 50, TOGETHER = 4 };
    pthread_t threads[TOGETHER];
    pthread_barrier_t barrier;
    char line[32];
    unsigned before;

    begin(false);
    assert_true(push("the test's own thread"));
    before = log_queue_rings();
    for (unsigned i = 0; i < THREADS; i++) {
        snprintf(line, sizeof(line), "n=%u", i);
        assert_int_equal(pthread_create(&threads[0], NULL, push_one, line), 0);
        pthread_join(threads[0], NULL);
    }
    assert_true(log_queue_rings() <= before + 1);
    pthread_barrier_init(&barrier, NULL, TOGETHER);
    for (unsigned i = 0; i < TOGETHER; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, push_at_once, &barrier), 0);
    for (unsigned i = 0; i < TOGETHER; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    assert_true(log_queue_rings() <= before + TOGETHER);
    const char *text = end();

    for (unsigned i = 0; i < THREADS; i++) { /* nothing of one thread was overwritten by the next */
        snprintf(line, sizeof(line), "n=%u\n", i);
        text = strstr(text, line);
        assert_non_null(text);
    }
    free(sink.text);
}
