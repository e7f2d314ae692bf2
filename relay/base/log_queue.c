/*
 * log_queue.c - rings of lines and their writer.
 *
 * A ring has one producer (its thread) and one consumer (the writer), which meet only in head and
 * tail. Producers never make a system call except to wake a writer that found nothing to do; a busy
 * writer looks by itself every few milliseconds, so that one write carries many lines.
 */
#include "base/log_queue.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/metric.h"

enum {
    PAUSE_MS = 5,
    RESERVED_BYTES = LOG_QUEUE_BYTES / 8, /* for warnings and errors */
};

struct record {
    int64_t wall_ms;
    uint32_t len;
    uint32_t level;
};

struct ring {
    struct ring *next;
    _Atomic bool is_taken;              /* by a living thread */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever put; only the producer writes it */
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever taken; only the writer writes it */
    uint64_t dropped_told;
    uint8_t bytes[LOG_QUEUE_BYTES];
};

static struct {
    _Atomic(struct ring *) rings; /* never shrinks: as many as threads ever logged at one time */
    const struct log_sink *sink;
    pthread_t thread;
    sem_t wake;
    _Atomic bool is_running, is_asleep, must_end, has_ended;
    _Atomic uint64_t flushes_asked, flushes_done;
} queue;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* only for its destructor */
static _Thread_local struct ring *own;
static _Thread_local bool is_writer;

/* --- producers -------------------------------------------------------------------------------- */

static void ring_release(void *value)
{
    struct ring *ring = value;

    own = NULL;
    atomic_store(&ring->is_taken, false); /* the next thread goes on behind these lines */
}

static void key_make(void)
{
    int error = pthread_key_create(&key, ring_release);

    check(error == 0);
}

static struct ring *ring_take(void)
{
    struct ring *ring;

    for (ring = atomic_load(&queue.rings); ring != NULL; ring = ring->next) {
        bool was_taken = false;

        if (atomic_compare_exchange_strong(&ring->is_taken, &was_taken, true))
            break;
    }
    if (ring == NULL) {
        ring = aligned_alloc(_Alignof(struct ring), sizeof(*ring));
        if (ring == NULL)
            return NULL;
        memset(ring, 0, offsetof(struct ring, bytes));
        atomic_store(&ring->is_taken, true);
        ring->next = atomic_load(&queue.rings);
        while (!atomic_compare_exchange_weak(&queue.rings, &ring->next, ring))
            ;
    }
    int error = pthread_once(&key_once, key_make);
    check(error == 0);
    error = pthread_setspecific(key, ring);
    check(error == 0);
    own = ring;
    return ring;
}

unsigned log_queue_rings(void)
{
    unsigned count = 0;

    for (struct ring *ring = atomic_load(&queue.rings); ring != NULL; ring = ring->next)
        count++;
    return count;
}

/* The ring's end may lie in the middle. */
static void ring_write(struct ring *ring, uint64_t at, const void *from, size_t len)
{
    size_t offset = at % LOG_QUEUE_BYTES;
    size_t first = MIN(len, LOG_QUEUE_BYTES - offset);

    memcpy(ring->bytes + offset, from, first);
    memcpy(ring->bytes, (const uint8_t *)from + first, len - first);
}

static void ring_read(const struct ring *ring, uint64_t at, void *to, size_t len)
{
    size_t offset = at % LOG_QUEUE_BYTES;
    size_t first = MIN(len, LOG_QUEUE_BYTES - offset);

    memcpy(to, ring->bytes + offset, first);
    memcpy((uint8_t *)to + first, ring->bytes, len - first);
}

static void wake_writer(void)
{
    if (atomic_load(&queue.is_asleep) && atomic_exchange(&queue.is_asleep, false))
        sem_post(&queue.wake);
}

bool log_queue_push(const struct log_entry *entry)
{
    struct ring *ring = own != NULL ? own : ring_take();
    struct record record = {entry->wall_ms, entry->len, entry->level};

    check(entry->len <= LOG_LINE_MAX);
    if (ring == NULL) {
        metric_inc(METRIC_LOG_DROPPED);
        return false;
    }
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t used = head - atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t room = LOG_QUEUE_BYTES - used;

    if (room < sizeof(record) + entry->len + (entry->level > LOG_LEVEL_WARN ? RESERVED_BYTES : 0)) {
        metric_inc(METRIC_LOG_DROPPED);
        atomic_fetch_add(&ring->dropped, 1);
        return false;
    }
    ring_write(ring, head, &record, sizeof(record));
    ring_write(ring, head + sizeof(record), entry->text, entry->len);
    /* Before is_asleep is read; the writer sets that before it reads heads: one sees the other. */
    atomic_store(&ring->head, head + sizeof(record) + entry->len);
    wake_writer();
    return true;
}

/* --- the writer ------------------------------------------------------------------------------- */

static bool write_lines(struct ring *ring)
{
    char text[LOG_LINE_MAX];
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load(&ring->head);
    bool any = tail != head;

    while (tail != head) {
        struct record record;

        ring_read(ring, tail, &record, sizeof(record));
        check(record.len <= sizeof(text));
        ring_read(ring, tail + sizeof(record), text, record.len);
        tail += sizeof(record) + record.len;
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
        struct log_entry entry = {record.wall_ms, (enum log_level)record.level, record.len, text};
        queue.sink->put(&entry);
    }
    return any;
}

/* Behind the lines that had room: the lines missing came after these. */
static void tell_dropped(struct ring *ring, uint64_t dropped)
{
    char text[160];

    if (dropped == ring->dropped_told)
        return;
    int len = snprintf(text, sizeof(text),
                       "dropped=%llu what=\"lines of one thread are missing here: the log was read "
                       "too slowly\"",
                       (unsigned long long)(dropped - ring->dropped_told));
    struct log_entry entry = {clock_wall_ms(), LOG_LEVEL_WARN, (uint32_t)len, text};

    ring->dropped_told = dropped;
    queue.sink->put(&entry);
}

static bool write_all(void)
{
    bool any = false;

    for (struct ring *ring = atomic_load(&queue.rings); ring != NULL; ring = ring->next) {
        uint64_t dropped = atomic_load(&ring->dropped);

        any |= write_lines(ring);
        tell_dropped(ring, dropped);
    }
    queue.sink->flush();
    return any;
}

static bool has_work(void)
{
    if (atomic_load(&queue.must_end) ||
        atomic_load(&queue.flushes_asked) != atomic_load(&queue.flushes_done))
        return true;
    for (struct ring *ring = atomic_load(&queue.rings); ring != NULL; ring = ring->next)
        if (atomic_load(&ring->head) != atomic_load(&ring->tail))
            return true;
    return false;
}

static void sleep_until_woken(void)
{
    atomic_store(&queue.is_asleep, true);
    /* Who takes is_asleep away posts; if that was not us, the post must be taken, too. */
    if (has_work() && atomic_exchange(&queue.is_asleep, false))
        return;
    while (sem_wait(&queue.wake) < 0 && errno == EINTR)
        ;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void *writer_main(void *argument)
{
    (void)argument;
    is_writer = true;
    /* It runs before the program gives up its privileges, and this one is a thread's own. */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    pthread_setname_np(pthread_self(), "log");
    for (;;) {
        bool must_end = atomic_load(&queue.must_end);
        uint64_t asked = atomic_load(&queue.flushes_asked);
        bool any = write_all();

        atomic_store(&queue.flushes_done, asked);
        if (must_end)
            break;
        if (any)
            pause_ms(PAUSE_MS);
        else
            sleep_until_woken();
    }
    atomic_store(&queue.has_ended, true);
    return NULL;
}

/* Signals are other threads' business. */
static int start_thread(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&queue.thread, NULL, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

bool log_queue_start(const struct log_sink *sink)
{
    check(!atomic_load(&queue.is_running));
    queue.sink = sink;
    atomic_store(&queue.must_end, false);
    atomic_store(&queue.is_asleep, false);
    atomic_store(&queue.has_ended, false);
    if (sem_init(&queue.wake, 0, 0) != 0 || start_thread() != 0)
        return false;
    atomic_store(&queue.is_running, true);
    return true;
}

bool log_queue_is_running(void)
{
    return atomic_load_explicit(&queue.is_running, memory_order_relaxed);
}

/* Nothing here may take a lock or allocate: a thread may have been interrupted anywhere. */
bool log_queue_flush(unsigned timeout_ms)
{
    if (!log_queue_is_running())
        return true;
    if (is_writer)
        return false; /* it is the writer that failed */
    uint64_t asked = atomic_fetch_add(&queue.flushes_asked, 1) + 1;

    for (unsigned waited_ms = 0;; waited_ms++) {
        wake_writer();
        if (atomic_load(&queue.flushes_done) >= asked)
            return true;
        if (waited_ms >= timeout_ms)
            return false;
        pause_ms(1);
    }
}

bool log_queue_stop(unsigned timeout_ms)
{
    if (!log_queue_is_running())
        return true;
    atomic_store(&queue.must_end, true);
    for (unsigned waited_ms = 0; !atomic_load(&queue.has_ended); waited_ms++) {
        if (waited_ms >= timeout_ms)
            return false;
        wake_writer();
        pause_ms(1);
    }
    pthread_join(queue.thread, NULL);
    sem_destroy(&queue.wake);
    atomic_store(&queue.is_running, false);
    return true;
}
