#include "relay/publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "base/metric.h"
#include "event/event_tail.h"
#include "tests/unit/event/event_sample.h"
#include "tests/unit/queue/spool_build.h"

enum { SHARDS = 2, WAIT_MS = 20000, STOP_MS = 5000 };

/* In the place of libc's: a disk that is slow, then fails. Only the publisher's thread calls them
 * while they are set. */
static _Atomic long slow_write_ms;    /* the next write of some size takes so long */
static _Atomic unsigned failing_sync; /* the nth from now (1: the next) fails; 0: none */
static _Atomic bool fails_behind;     /* the sync behind the slow write does */
static _Atomic unsigned syncs, writes;

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    long ms = len > 65536 ? atomic_exchange(&slow_write_ms, 0) : 0;

    atomic_fetch_add(&writes, 1);
    if (ms > 0 && atomic_exchange(&fails_behind, false))
        atomic_store(&failing_sync, 1);
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

static _Atomic bool is_disk_full; /* nothing more is set aside */

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (!atomic_load(&is_disk_full))
        return (int)syscall(SYS_fallocate, fd, mode, offset, len);
    errno = ENOSPC;
    return -1;
}

int fdatasync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    if (atomic_load(&failing_sync) > 0 && atomic_fetch_sub(&failing_sync, 1) == 1) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

struct fixture {
    char events[64];
    struct build builds[SHARDS]; /* each in a spool of its own, see fixture_make() */
    struct publisher *publisher;
    size_t hand_over_max;
    struct space space;
    _Atomic uint64_t passed[SHARDS];
    uint32_t seq[SHARDS];             /* of the next outcome */
    _Atomic uint64_t expected;        /* events */
    _Atomic bool is_to_hold, is_held; /* the publisher, behind its next commit */
};

static void on_passed(void *context, unsigned shard, uint64_t position)
{
    struct fixture *f = context;

    assert_true(position > atomic_load(&f->passed[shard]));
    atomic_store(&f->passed[shard], position);
    if (!atomic_exchange(&f->is_to_hold, false))
        return;
    atomic_store(&f->is_held, true);
    while (atomic_load(&f->is_held))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static struct publisher *start(struct fixture *f, char *why)
{
    const struct publisher_settings settings = {
        .spool_directory = f->builds[0].spool,
        .shard_count = SHARDS,
        .hand_over_max = f->hand_over_max,
        .space = &f->space,
        .file = {.directory = f->events},
    };

    return publisher_start(&settings, why, 256);
}

static uint64_t durable(const struct fixture *f, unsigned shard)
{
    return position_of(f->builds[shard].sequence, f->builds[shard].flush);
}

static void fixture_start(struct fixture *f)
{
    char why[256] = "";

    f->publisher = start(f, why);
    if (f->publisher == NULL)
        fail_msg("%s", why);
    for (unsigned i = 0; i < SHARDS; i++) {
        atomic_store(&f->passed[i], 0);
        publisher_attach(f->publisher, i, on_passed, f, durable(f, i));
    }
}

static void fixture_make(struct fixture *f)
{
    char directory[256];

    *f = (struct fixture){.events = "/tmp/ringpost-events-XXXXXX"};
    assert_non_null(mkdtemp(f->events));
    build_spool(&f->builds[0], 0);
    f->builds[1] = f->builds[0];
    f->builds[1].shard = 1;
    snprintf(directory, sizeof(directory), "%s/01", f->builds[1].spool);
    assert_int_equal(mkdir(directory, 0700), 0);
    for (unsigned i = 0; i < SHARDS; i++) {
        build_begin(&f->builds[i], 1);
        build_write(&f->builds[i], false);
    }
    fixture_start(f);
}

static void stop(struct fixture *f)
{
    publisher_stop(&f->publisher, clock_monotonic_ms() + STOP_MS);
}

static void fixture_remove(struct fixture *f)
{
    char command[128];

    if (f->publisher != NULL)
        stop(f);
    free(f->builds[1].bytes);
    build_remove(&f->builds[0]);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->events);
    assert_int_equal(system(command), 0);
}

/* A flush of content and `count` outcomes, durable on disk; what the shard would hand over. */
static struct bytes flush(struct fixture *f, unsigned shard, unsigned count, uint64_t *position_out)
{
    struct build *b = &f->builds[shard];
    uint32_t from = b->at;
    uint8_t content[2000] = {1};

    *position_out = build_position(b);
    build_record(b, RECORD_CONTENT, 0, content, sizeof(content));
    for (unsigned i = 0; i < count; i++)
        build_outcome(b, (struct message_id){(uint64_t)shard << 56 | 77}, 0, f->seq[shard]++,
                      EVENT_DEFERRED);
    build_flush(b);
    build_write(b, false);
    f->expected += count;
    return (struct bytes){b->bytes + from, b->at - from};
}

static void push(struct fixture *f, unsigned shard, unsigned count)
{
    uint64_t position;
    struct bytes records = flush(f, shard, count, &position);

    publisher_push(f->publisher, shard, position, records);
}

/* A new segment, as the shard does when the old one is full. */
static void next_segment(struct fixture *f, unsigned shard)
{
    struct build *b = &f->builds[shard];

    build_end(b, true);
    build_begin(b, b->sequence + 1);
    build_write(b, false);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void expect_all_passed(struct fixture *f)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    for (unsigned i = 0; i < SHARDS; i++)
        while (atomic_load(&f->passed[i]) != durable(f, i)) {
            if (clock_monotonic_ms() > until_ms)
                fail_msg("shard %u passed %llx, not %llx", i,
                         (unsigned long long)atomic_load(&f->passed[i]),
                         (unsigned long long)durable(f, i));
            sleep_ms(5);
        }
}

/* Every shard's events stand in the files in order, each once. */
static void expect_files(const struct fixture *f)
{
    const struct event_filter filter = {0};
    struct event_tail *tail;
    struct bytes line;
    uint32_t next[SHARDS] = {0};
    uint64_t count = 0;

    assert_int_equal(event_tail_open(f->events, &filter, false, &tail), 0);
    while (event_tail_next(tail, &line) == 1) {
        char seq[64];
        bool is_found = false;

        for (unsigned i = 0; i < SHARDS && !is_found; i++) {
            snprintf(seq, sizeof(seq), "\"event_id\":\"0000-%02x-", i);
            if (bytes_find_bytes(line, bytes_of(seq), 0) == line.len)
                continue;
            snprintf(seq, sizeof(seq), "\"seq\":%u,", next[i]++);
            is_found = bytes_find_bytes(line, bytes_of(seq), 0) < line.len;
        }
        if (!is_found)
            fail_msg("out of order after %llu: %.*s", (unsigned long long)count, BYTES_ARG(line));
        count++;
    }
    event_tail_close(&tail);
    assert_int_equal(count, f->expected);
}

TEST(publisher_writes_what_is_pushed)
{
    struct fixture f;
    int64_t written = metric_sum(METRIC_EVENTS_DEFERRED);

    fixture_make(&f);
    for (unsigned i = 0; i < 20; i++)
        push(&f, i % SHARDS, 3);
    expect_all_passed(&f);
    expect_files(&f);
    stop(&f);
    assert_null(f.publisher);
    assert_int_equal(metric_sum(METRIC_EVENTS_DEFERRED) - written, 60);
    assert_int_equal(metric_sum(METRIC_EVENTS_LAG_BYTES), 0);
    fixture_remove(&f);
}

TEST(publisher_stop_writes_what_is_left)
{
    struct fixture f;

    fixture_make(&f);
    for (unsigned i = 0; i < 50; i++)
        push(&f, 1, 4);
    stop(&f);
    expect_files(&f);
    fixture_remove(&f);
}

TEST(publisher_catches_up_at_a_start)
{
    struct fixture f;
    uint64_t position;

    fixture_make(&f);
    push(&f, 0, 3);
    stop(&f);
    /* Durable, and never handed over: the program was killed. */
    (void)flush(&f, 0, 5, &position);
    next_segment(&f, 0);
    (void)flush(&f, 0, 2, &position);
    (void)flush(&f, 1, 1, &position);
    fixture_start(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    expect_files(&f);
    fixture_remove(&f);
}

TEST(publisher_follows_into_new_segments)
{
    struct fixture f;

    fixture_make(&f);
    for (unsigned i = 0; i < 12; i++) {
        push(&f, 0, 2);
        if (i % 3 == 2)
            next_segment(&f, 0);
    }
    push(&f, 0, 1);
    expect_all_passed(&f);
    expect_files(&f);
    fixture_remove(&f);
}

/* Runs that were not handed over at all are noticed by the next that is. */
TEST(publisher_reads_gaps_from_the_journal)
{
    struct fixture f;
    uint64_t position;

    fixture_make(&f);
    push(&f, 0, 1);
    (void)flush(&f, 0, 2, &position);
    push(&f, 0, 1);
    (void)flush(&f, 0, 2, &position);
    next_segment(&f, 0);
    (void)flush(&f, 0, 2, &position);
    push(&f, 0, 1);
    expect_all_passed(&f);
    expect_files(&f);
    fixture_remove(&f);
}

TEST(publisher_drops_hand_overs_without_room_and_reads_them_back)
{
    struct fixture f;
    int64_t dropped = metric_sum(METRIC_EVENTS_DROPPED_RUNS);

    fixture_make(&f);
    stop(&f);
    f.hand_over_max = 3000;
    fixture_start(&f);
    /* Some runs find no room only when the publisher is behind; every tenth is larger than all of
     * it. */
    for (unsigned i = 0; i < 100; i++)
        push(&f, 0, i % 10 == 5 ? 30 : 3);
    expect_all_passed(&f);
    expect_files(&f);
    assert_true(metric_sum(METRIC_EVENTS_DROPPED_RUNS) >= dropped + 10);
    fixture_remove(&f);
}

/* --- trouble with the files ------------------------------------------------------------------- */

/* The descriptor behind current.jsonl of this process. */
static int find_current(void)
{
    char path[64];
    char target[256];

    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof(target));
        if (len > 0 && bytes_ends_nocase(bytes_range(target, (size_t)len), BYTES("current.jsonl")))
            return fd;
    }
    return -1;
}

/* Puts `device` in the place of current.jsonl's descriptor; what stood there. */
static int break_current(const char *device)
{
    int fd = find_current();
    int broken = open(device, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(broken >= 0);
    int saved = dup(fd);
    assert_int_equal(dup2(broken, fd), fd);
    close(broken);
    return saved;
}

static bool becomes_full(struct fixture *f, bool is_full)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (atomic_load(&f->space.events_are_full) != is_full && clock_monotonic_ms() < until_ms)
        sleep_ms(5);
    return atomic_load(&f->space.events_are_full) == is_full;
}

TEST(publisher_waits_for_a_full_disk_and_loses_nothing)
{
    struct fixture f;
    int64_t errors = metric_sum(METRIC_EVENTS_ERRORS);

    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    int fd = find_current();
    int saved = break_current("/dev/full");
    uint64_t before = atomic_load(&f.passed[0]);
    for (unsigned i = 0; i < 10; i++)
        push(&f, 0, 2);
    assert_true(becomes_full(&f, true)); /* no attempts meanwhile */
    assert_true(metric_sum(METRIC_EVENTS_ERRORS) > errors);
    assert_int_equal(atomic_load(&f.passed[0]), before);
    assert_int_equal(dup2(saved, fd), fd);
    close(saved);
    expect_all_passed(&f);
    assert_true(becomes_full(&f, false));
    expect_files(&f);
    fixture_remove(&f);
}

/* No attempt begins without room, so no event comes that would find out that there is some. */
TEST(publisher_finds_room_again_though_nothing_is_left_to_write)
{
    struct fixture f;

    atomic_store(&is_disk_full, true);
    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    assert_true(becomes_full(&f, true));
    atomic_store(&is_disk_full, false);
    assert_true(becomes_full(&f, false));
    fixture_remove(&f);
}

/* /dev/null takes writes and refuses to sync: what a failed sync leaves is not trusted. */
TEST(publisher_writes_again_what_a_failed_sync_may_have_lost)
{
    struct fixture f;
    int64_t errors = metric_sum(METRIC_EVENTS_ERRORS);

    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    close(break_current("/dev/null"));
    for (unsigned i = 0; i < 10; i++)
        push(&f, i % SHARDS, 2);
    expect_all_passed(&f);
    assert_true(metric_sum(METRIC_EVENTS_ERRORS) > errors);
    expect_files(&f);
    fixture_remove(&f);
}

/* A run of which the first part was committed, by time, when the sync of its second part fails. */
TEST(publisher_tells_no_event_twice_after_a_sync_fails_inside_a_run)
{
    struct fixture f;
    int64_t errors = metric_sum(METRIC_EVENTS_ERRORS);

    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    sleep_ms(1100); /* the next commit is due at once, after some records; the one after it when */
    atomic_store(&slow_write_ms, 1100); /* the second part has been written for that long */
    atomic_store(&syncs, 0);
    atomic_store(&failing_sync, 2);
    push(&f, 0, 3000);
    expect_all_passed(&f);
    assert_true(atomic_load(&syncs) >= 3);
    assert_int_equal(atomic_load(&failing_sync), 0);
    assert_true(metric_sum(METRIC_EVENTS_ERRORS) > errors);
    expect_files(&f);
    fixture_remove(&f);
}

/* Of two runs that are told in one go the first is lost with the sync that fails inside the second:
 * it is no longer among what was handed over, so it is read back. */
TEST(publisher_tells_runs_again_that_a_failed_sync_inside_a_later_one_lost)
{
    struct fixture f;
    uint64_t first_position, second_position;
    int64_t errors = metric_sum(METRIC_EVENTS_ERRORS);

    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    atomic_store(&f.is_to_hold, true);
    push(&f, 0, 2);
    while (!atomic_load(&f.is_held))
        sleep_ms(1);
    struct bytes first = flush(&f, 0, 2, &first_position);
    struct bytes second = flush(&f, 0, 3000, &second_position);
    atomic_store(&fails_behind, true);
    atomic_store(&slow_write_ms, 1100); /* so that the next commit comes within the second */
    publisher_push(f.publisher, 0, first_position, first);
    publisher_push(f.publisher, 0, second_position, second);
    atomic_store(&f.is_held, false);
    expect_all_passed(&f);
    assert_false(atomic_load(&fails_behind));
    assert_int_equal(atomic_load(&failing_sync), 0);
    assert_true(metric_sum(METRIC_EVENTS_ERRORS) > errors);
    expect_files(&f);
    fixture_remove(&f);
}

/* The last sync of all fails: what it threw away is told again before the end. */
TEST(publisher_stop_writes_again_what_its_last_sync_may_have_lost)
{
    struct fixture f;

    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    push(&f, 0, 2);
    push(&f, 1, 2);
    atomic_store(&failing_sync, 1);
    stop(&f);
    assert_int_equal(atomic_load(&failing_sync), 0);
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(atomic_load(&f.passed[i]), durable(&f, i));
    expect_files(&f);
    fixture_remove(&f);
}

TEST(publisher_stop_gives_up_on_a_full_disk_and_the_next_start_goes_on)
{
    struct fixture f;

    fixture_make(&f);
    push(&f, 0, 2);
    expect_all_passed(&f);
    int saved = break_current("/dev/full");
    for (unsigned i = 0; i < 10; i++)
        push(&f, 0, 2);
    int64_t start_ms = clock_monotonic_ms();
    stop(&f);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 15000);
    close(saved);
    fixture_start(&f);
    expect_all_passed(&f);
    expect_files(&f);
    fixture_remove(&f);
}

/* Much may be left to write to a disk that is well. */
TEST(publisher_stop_ends_in_time_with_much_left)
{
    struct fixture f;

    fixture_make(&f);
    for (unsigned i = 0; i < 60; i++) {
        push(&f, 0, 1000);
        if (i % 4 == 3)
            next_segment(&f, 0);
    }
    publisher_stop(&f.publisher, clock_monotonic_ms()); /* now */
    assert_true(atomic_load(&f.passed[0]) < durable(&f, 0));
    fixture_start(&f);
    expect_all_passed(&f);
    expect_files(&f);
    fixture_remove(&f);
}

TEST(publisher_start_says_why_it_cannot)
{
    struct fixture f;
    char why[256] = "";

    fixture_make(&f);
    stop(&f);
    struct fixture other = f;
    snprintf(other.events, sizeof(other.events), "/nonexistent/events");
    assert_null(start(&other, why));
    assert_non_null(strstr(why, "/nonexistent/events"));
    fixture_remove(&f);
}

/* --- many threads ----------------------------------------------------------------------------- */

struct pusher {
    struct fixture *fixture;
    unsigned shard;
};

static void *push_many(void *context)
{
    struct pusher *pusher = context;

    for (unsigned i = 0; i < 150; i++) {
        push(pusher->fixture, pusher->shard, 5);
        if (i % 50 == 49)
            next_segment(pusher->fixture, pusher->shard);
    }
    return NULL;
}

TEST(publisher_takes_pushes_of_several_engines)
{
    struct fixture f;
    pthread_t threads[SHARDS];
    struct pusher pushers[SHARDS];

    fixture_make(&f);
    stop(&f);
    f.hand_over_max = 20000; /* now and then too little */
    fixture_start(&f);
    for (unsigned i = 0; i < SHARDS; i++) {
        pushers[i] = (struct pusher){&f, i};
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, &pushers[i]), 0);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    f.expected = (uint64_t)SHARDS * 150 * 5;
    for (unsigned i = 0; i < SHARDS; i++)
        push(&f, i, 1);
    expect_all_passed(&f);
    expect_files(&f);
    fixture_remove(&f);
}

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* CPU of what cannot be left out: the event decoded and told as JSON. */
static int64_t cost_of_json(struct bytes encoded, unsigned count)
{
    struct buf line;
    int64_t began_ns = cpu_ns();

    buf_init(&line, 65536);
    for (unsigned i = 0; i < count; i++) {
        struct event event;

        buf_clear(&line);
        assert_true(event_decode(encoded, &event));
        assert_true(event_json(&event, &line));
    }
    buf_free(&line);
    return (cpu_ns() - began_ns) / count;
}

/* From the hand-over to the durable file, compression included, an event costs a small multiple of
 * its own JSON, and hundreds of events share a write. */
TEST(publisher_is_cheap)
{
    enum { PER_RUN = 1000, RUNS = 200, TIMES_JSON = 6, EVENTS_PER_WRITE = 100 };
    struct fixture f;
    struct build *b = &f.builds[0];
    struct event event = event_sample();
    struct outcome_record outcome = {.id = event.id, .kind = EVENT_DELIVERED, .seq = 2};
    uint8_t fixed[OUTCOME_FIXED_LEN];
    struct buf payload;

    fixture_make(&f);
    buf_init(&payload, OUTCOME_FIXED_LEN + EVENT_ENCODED_MAX);
    outcome_encode(&outcome, fixed);
    assert_true(buf_append(&payload, bytes_range(fixed, sizeof(fixed))));
    assert_true(event_encode(&event, &payload));
    for (unsigned i = 0; i < PER_RUN; i++)
        build_record(b, RECORD_OUTCOME, 0, buf_bytes(&payload).ptr, buf_len(&payload));
    build_flush(b);
    struct bytes run = {b->bytes + SPOOL_BLOCK, b->at - SPOOL_BLOCK};
    struct bytes encoded = bytes_slice(buf_bytes(&payload), OUTCOME_FIXED_LEN, SIZE_MAX);
    int64_t json_ns = cost_of_json(encoded, PER_RUN * RUNS / 10);
    unsigned writes_before = atomic_load(&writes);
    int64_t began_ns = cpu_ns();

    for (unsigned i = 0; i < RUNS; i++) {
        b->sequence = 2 + i; /* there are no such segments; nobody has to read them */
        publisher_push(f.publisher, 0, position_of(b->sequence, SPOOL_BLOCK), run);
        sleep_ms(1);
    }
    stop(&f);
    int64_t event_ns = (cpu_ns() - began_ns) / (PER_RUN * RUNS);

    printf("event_ns=%lld json_ns=%lld writes=%u events=%d\n", (long long)event_ns,
           (long long)json_ns, atomic_load(&writes) - writes_before, PER_RUN * RUNS);
    assert_true(event_ns < TIMES_JSON * json_ns);
    assert_true(atomic_load(&writes) - writes_before < PER_RUN * RUNS / EVENTS_PER_WRITE);
    buf_free(&payload);
    fixture_remove(&f);
}
