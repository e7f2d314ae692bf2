/* test_sinks.c - sinks of a toy kind on real event files. */
#include "sink/sinks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event_file.h"
#include "sink/sink_cursor.h"
#include "support/unit.h"

enum { TOLD_MAX = 4096, PATIENCE_MS = 20000 };

/* What the toy is told to do, and what it was told. Shared by all its incarnations. */
static struct toy_world {
    pthread_mutex_t lock;
    size_t told_count;
    char told[TOLD_MAX][256];
    size_t answer_max; /* so many, then none until it grows */
    size_t fail_at;    /* restart when so many were told; 0: never */
    bool answers_backwards;
    bool is_choosy;
    bool is_away;  /* fails without an answer */
    bool gives_up; /* then, all that has none */
    unsigned begun;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct toy {
    struct sink *sink;
    size_t waiting_count;
    uint64_t waiting[64];
    size_t answered;
};

static void *toy_make(const void *settings, struct sink *sink)
{
    struct toy *toy = calloc(1, sizeof(*toy));

    (void)settings;
    toy->sink = sink;
    return toy;
}

static bool toy_is_same(const void *object, const void *settings)
{
    (void)object, (void)settings;
    return true;
}

static void toy_free(void **object)
{
    free(*object);
    *object = NULL;
}

static bool toy_begin(void *object)
{
    struct toy *toy = object;

    toy->waiting_count = 0;
    pthread_mutex_lock(&world.lock);
    world.begun++;
    pthread_mutex_unlock(&world.lock);
    return true;
}

static void toy_end(void *object, int64_t until_ms)
{
    (void)object, (void)until_ms;
}

static bool toy_take(void *object, const struct sink_event *event)
{
    struct toy *toy = object;

    if (toy->waiting_count == ARRAY_LEN(toy->waiting))
        return false;
    pthread_mutex_lock(&world.lock);
    assert_true(world.told_count < TOLD_MAX);
    snprintf(world.told[world.told_count++], sizeof(world.told[0]), "%.*s", BYTES_ARG(event->line));
    bool fails = world.fail_at != 0 && world.told_count >= world.fail_at;
    if (fails)
        world.fail_at = 0;
    pthread_mutex_unlock(&world.lock);
    if (fails) {
        sink_restart(toy->sink, SINK_OTHER, "the toy fails", true);
        return false;
    }
    toy->waiting[toy->waiting_count++] = event->ticket;
    return true;
}

static void toy_work(void *object, int64_t wait_ms)
{
    struct toy *toy = object;

    pthread_mutex_lock(&world.lock);
    size_t max = world.is_away ? 0 : world.answer_max;
    bool is_away = world.is_away;
    bool gives_up = world.gives_up;
    bool backwards = world.answers_backwards;
    pthread_mutex_unlock(&world.lock);
    if (is_away && toy->waiting_count > 0) {
        sink_trouble(toy->sink, SINK_UNREACHABLE, "the toy's other side is away");
        (void)sink_failed(toy->sink, 0);
    }
    if (is_away && gives_up && toy->waiting_count > 0) {
        toy->waiting_count = 0;
        sink_leave_out_older(toy->sink, INT64_MAX, "webhooks.retry_for");
    }
    size_t before = toy->waiting_count;
    while (toy->waiting_count > 0 && toy->answered < max) {
        size_t at = backwards ? toy->waiting_count - 1 : 0;

        sink_answered(toy->sink, toy->waiting[at]);
        toy->waiting_count--;
        toy->answered++;
        memmove(&toy->waiting[at], &toy->waiting[at + 1],
                (toy->waiting_count - at) * sizeof(toy->waiting[0]));
    }
    if (toy->waiting_count < ARRAY_LEN(toy->waiting))
        sink_has_room(toy->sink);
    if (toy->waiting_count == before && wait_ms > 0)
        usleep(1000);
}

/* Not those whose id ends in 7 or 8, once the world says so. */
static bool toy_wants(const void *object, const struct sink_event *event)
{
    uint8_t last = event->parts->event_id.ptr[event->parts->event_id.len - 1];

    (void)object;
    return !world.is_choosy || (last != '7' && last != '8');
}

static void toy_wake(void *object)
{
    (void)object;
}

static const struct sink_kind toy_kind = {
    .name = "toy",
    .window = 32768,
    .slow_ms = 10000,
    .make = toy_make,
    .is_same = toy_is_same,
    .free = toy_free,
    .begin = toy_begin,
    .end = toy_end,
    .wants = toy_wants,
    .take = toy_take,
    .work = toy_work,
    .wake = toy_wake,
};

/* --- the files -------------------------------------------------------------------------------- */

struct fixture {
    char directory[64];
    struct event_bounds bounds;
    struct event_file_settings settings;
    struct event_file *file;
    struct event_cursors cursors;
    struct sink_settings toy;
    struct sinks_settings sinks_settings;
    struct sinks *sinks;
    _Atomic bool is_full;
    unsigned appended;
};

static void start(struct fixture *f)
{
    char why[256] = "";

    f->sinks =
        sinks_start(&f->sinks_settings, f->directory, &f->bounds, &f->is_full, why, sizeof(why));
    if (f->sinks == NULL)
        fail_msg("%s", why);
}

static void stop(struct fixture *f)
{
    sinks_stop(&f->sinks, clock_monotonic_ms() + 1000);
}

static void fixture_make(struct fixture *f)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world.told_count = 0;
    world.answer_max = SIZE_MAX;
    world.fail_at = 0;
    world.answers_backwards = false;
    world.is_choosy = false;
    world.is_away = false;
    world.gives_up = false;
    world.begun = 0;
    *f = (struct fixture){.directory = "/tmp/ringpost-sinks-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
    event_bounds_init(&f->bounds);
    f->settings = (struct event_file_settings){.directory = f->directory,
                                               .rotate_size = 1,
                                               .retention_bytes = 1,
                                               .bounds = &f->bounds};
    assert_int_equal(event_file_open(&f->settings, &f->file, &f->cursors), 0);
    f->toy = (struct sink_settings){.name = "toy", .kind = &toy_kind};
    f->sinks_settings = (struct sinks_settings){.budget = 1 << 30, .count = 1, .sinks = &f->toy};
}

static void fixture_remove(struct fixture *f)
{
    char command[128];

    if (f->sinks != NULL)
        stop(f);
    event_file_close(&f->file);
    event_bounds_free(&f->bounds);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
}

static int shell(const struct fixture *f, const char *what)
{
    char command[512];

    snprintf(command, sizeof(command), "cd '%s' && %s", f->directory, what);
    return system(command);
}

/* Events a minute apart; their number stands in the id. */
static void add(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char line[256];
        int len = snprintf(line, sizeof(line),
                           "{\"schema\":1,\"event_id\":\"e%u\",\"seq\":0,\"kind\":\"accepted\","
                           "\"id\":\"m\",\"recipient\":null,\"tenant\":null,"
                           "\"time\":\"2026-11-24T03:%02u:00.000Z\"}\n",
                           f->appended, f->appended % 60);

        assert_int_equal(event_file_append(f->file, bytes_range(line, (size_t)len)), 0);
        event_file_mark(f->file, 0, ++f->appended);
    }
    assert_int_equal(event_file_commit(f->file, &f->cursors), 0);
}

static void rotate(struct fixture *f)
{
    for (size_t i = 0; i < 10; i++)
        event_file_rotate_if_due(f->file, clocks_read());
}

#define SET(member, value) \
    do { \
        pthread_mutex_lock(&world.lock); \
        world.member = (value); \
        pthread_mutex_unlock(&world.lock); \
    } while (0)

static size_t told(void)
{
    pthread_mutex_lock(&world.lock);
    size_t count = world.told_count;
    pthread_mutex_unlock(&world.lock);
    return count;
}

#define WAIT_FOR(condition) \
    do { \
        int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS; \
        while (!(condition) && clock_monotonic_ms() < until_ms) \
            usleep(1000); \
        assert_true(condition); \
    } while (0)

static void expect_event(size_t at, unsigned number)
{
    char text[64];

    snprintf(text, sizeof(text), "\"event_id\":\"e%u\"", number);
    if (strstr(world.told[at], text) == NULL)
        fail_msg("told[%zu] is %s, not %s", at, world.told[at], text);
}

static void expect_gap(size_t at, unsigned long long from, unsigned long long events)
{
    char text[64];

    snprintf(text, sizeof(text), "gap-%016llx-%llu\"", from, events);
    if (strstr(world.told[at], text) == NULL)
        fail_msg("told[%zu] is %s, not %s", at, world.told[at], text);
}

static struct sink_status status(struct fixture *f)
{
    size_t count;
    struct sink_status *all = sinks_status(f->sinks, &count);
    struct sink_status first = all[0];

    assert_int_equal(count, 1);
    free(all);
    return first;
}

static size_t count_sinks(struct fixture *f)
{
    size_t count;

    free(sinks_status(f->sinks, &count));
    return count;
}

/* So many were told, gaps included, and all of them answered as far as the status knows. */
static bool is_current(struct fixture *f, size_t count)
{
    if (told() != count)
        return false;
    struct sink_status s = status(f);
    return s.behind_events == 0 && s.in_flight == 0 && s.answered > 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(sink_is_told_each_event_in_order_from_its_first_start_on)
{
    struct fixture f;

    fixture_make(&f);
    add(&f, 3);
    start(&f);
    add(&f, 2);
    rotate(&f);
    add(&f, 200);
    WAIT_FOR(is_current(&f, 202));
    for (unsigned i = 0; i < 202; i++)
        expect_event(i, i + 3);
    stop(&f);
    add(&f, 1);
    rotate(&f);
    add(&f, 1);
    start(&f);
    WAIT_FOR(is_current(&f, 204));
    expect_event(202, 205);
    fixture_remove(&f);
}

TEST(sink_goes_on_at_the_first_event_without_an_answer)
{
    struct fixture f;

    fixture_make(&f);
    world.answers_backwards = true;
    world.answer_max = 4; /* the last four of ten */
    start(&f);
    add(&f, 10);
    WAIT_FOR(status(&f).answered == 4);
    assert_int_equal(status(&f).behind_events, 10);
    stop(&f);
    world.answer_max = SIZE_MAX;
    size_t before = told();
    start(&f);
    WAIT_FOR(is_current(&f, before + 10));
    assert_int_equal(told() - before, 10);
    expect_event(before, 0);
    fixture_remove(&f);
}

TEST(sink_that_restarts_tells_everything_without_an_answer_again)
{
    struct fixture f;

    fixture_make(&f);
    world.answer_max = 0;
    world.fail_at = 8;
    start(&f);
    add(&f, 10);
    WAIT_FOR(told() == 18);
    assert_int_equal(status(&f).problem, SINK_OTHER);
    SET(answer_max, SIZE_MAX);
    WAIT_FOR(is_current(&f, 18));
    for (unsigned i = 0; i < 10; i++)
        expect_event(8 + i, i);
    assert_int_equal(status(&f).problem, SINK_WELL);
    assert_int_equal(status(&f).restarts, 1);
    assert_int_equal(world.begun, 2);
    fixture_remove(&f);
}

TEST(sink_that_pauses_keeps_its_place_over_restarts)
{
    struct fixture f;

    fixture_make(&f);
    start(&f);
    add(&f, 1);
    WAIT_FOR(is_current(&f, 1));
    assert_int_equal(sinks_pause(f.sinks, "other", true), -ENOENT);
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    assert_int_equal(shell(&f, "grep -q '^paused$' sinks/toy"), 0);
    add(&f, 5);
    stop(&f);
    start(&f);
    WAIT_FOR(status(&f).is_paused && status(&f).behind_events == 5);
    assert_int_equal(told(), 1);
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    WAIT_FOR(told() == 6);
    fixture_remove(&f);
}

TEST(problem_that_began_before_a_restart_is_told_since_then)
{
    struct fixture f;

    fixture_make(&f);
    start(&f);
    SET(is_away, true);
    add(&f, 1);
    WAIT_FOR(status(&f).problem == SINK_UNREACHABLE);
    int64_t first_ms = status(&f).since_ms;
    stop(&f);
    usleep(20 * 1000);
    int64_t restart_ms = clock_wall_ms();
    start(&f);
    WAIT_FOR(status(&f).problem == SINK_UNREACHABLE);
    struct sink_status again = status(&f);
    assert_in_range(again.since_ms, first_ms, restart_ms - 20);
    SET(is_away, false);
    WAIT_FOR(status(&f).problem == SINK_WELL);
    assert_int_equal(status(&f).since_ms, 0);

    /* An answer ended it: the next is another one. */
    SET(is_away, true);
    add(&f, 1);
    WAIT_FOR(status(&f).problem == SINK_UNREACHABLE);
    assert_true(status(&f).since_ms >= restart_ms);
    fixture_remove(&f);
}

/* What is logged from here on goes into a file without a name; the former standard error. */
static int catch_log(int *caught_fd)
{
    int kept = dup(STDERR_FILENO);

    *caught_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(kept >= 0 && *caught_fd >= 0);
    assert_true(dup2(*caught_fd, STDERR_FILENO) >= 0);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_INFO);
    return kept;
}

/* What was logged meanwhile. */
static void release_log(int kept, int caught_fd, char *text, size_t text_len)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    ssize_t len = pread(caught_fd, text, text_len - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    close(kept);
    close(caught_fd);
}

/* The number in front of ` what="goes on"`. */
static long seconds_logged(int kept, int caught_fd)
{
    char text[8192];

    release_log(kept, caught_fd, text, sizeof(text));
    const char *at = strstr(text, "seconds=");
    assert_non_null(at);
    assert_non_null(strstr(at, "goes on"));
    return strtol(at + strlen("seconds="), NULL, 10);
}

TEST(log_says_for_how_long_a_problem_lasted_over_a_restart)
{
    struct fixture f;
    int caught_fd;

    fixture_make(&f);
    start(&f);
    SET(is_away, true);
    add(&f, 1);
    WAIT_FOR(status(&f).problem == SINK_UNREACHABLE);
    stop(&f);
    usleep(1100 * 1000);
    start(&f);
    WAIT_FOR(status(&f).problem == SINK_UNREACHABLE);
    int kept = catch_log(&caught_fd);
    SET(is_away, false);
    WAIT_FOR(status(&f).problem == SINK_WELL);
    assert_in_range(seconds_logged(kept, caught_fd), 1, 600);

    /* Where the first try after it goes well, too. */
    SET(is_away, true);
    add(&f, 1);
    WAIT_FOR(status(&f).problem == SINK_UNREACHABLE);
    stop(&f);
    usleep(1100 * 1000);
    SET(is_away, false);
    kept = catch_log(&caught_fd);
    start(&f);
    WAIT_FOR(status(&f).behind_events == 0);
    assert_in_range(seconds_logged(kept, caught_fd), 1, 600);
    fixture_remove(&f);
}

TEST(sink_replays_from_a_time_on)
{
    int64_t since_ms;
    uint64_t count = 0;
    struct fixture f;

    fixture_make(&f);
    start(&f);
    event_bounds_keep(&f.bounds, 0);
    add(&f, 10);
    WAIT_FOR(is_current(&f, 10));
    assert_true(clock_parse_rfc3339(BYTES("2026-11-24T03:04:30Z"), &since_ms));
    assert_int_equal(sinks_replay(f.sinks, "toy", since_ms, &count), 0);
    assert_int_equal(count, 5);
    WAIT_FOR(told() == 15);
    for (unsigned i = 0; i < 5; i++)
        expect_event(10 + i, i + 5);
    WAIT_FOR(status(&f).behind_events == 0);
    assert_int_equal(sinks_replay(f.sinks, "toy", since_ms + 86400000, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(sinks_replay(f.sinks, "other", since_ms, &count), -ENOENT);
    fixture_remove(&f);
}

TEST(replay_steps_over_nothing_that_was_not_told)
{
    int64_t since_ms;
    uint64_t count = 0;
    struct fixture f;

    fixture_make(&f);
    start(&f);
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    add(&f, 10);
    assert_true(clock_parse_rfc3339(BYTES("2026-11-24T03:04:30Z"), &since_ms));
    assert_int_equal(sinks_replay(f.sinks, "toy", since_ms, &count), 0);
    assert_int_equal(count, 10);
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    WAIT_FOR(is_current(&f, 10));
    for (unsigned i = 0; i < 10; i++)
        expect_event(i, i);
    fixture_remove(&f);
}

/* The cursor of a sink to which the events before its place were given up. */
static void owe_all_before(struct fixture *f)
{
    char path[128];
    struct sink_cursor cursor;

    snprintf(path, sizeof(path), "%s/sinks", f->directory);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sink_cursor_read(fd, "toy", &cursor), 0);
    cursor.owed = (struct event_gap){.events = cursor.at.events,
                                     .wanted = cursor.at.events,
                                     .time_ms = 1,
                                     .reason = "webhooks.retry_for"};
    assert_int_equal(sink_cursor_write(fd, "toy", &cursor), 0);
    close(fd);
}

TEST(replay_from_within_a_gap_leaves_the_rest_of_it)
{
    static const struct {
        const char *since;
        unsigned first; /* event that is told again */
    } rows[] = {
        {"2026-11-24T03:02:30Z", 3},
        {"2026-11-24T02:00:00Z", 0},
        {"2026-11-24T04:00:00Z", 10},
    };

    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        int64_t since_ms;
        uint64_t count = 0;
        struct fixture f;

        fixture_make(&f);
        start(&f);
        event_bounds_keep(&f.bounds, 0);
        add(&f, 10);
        WAIT_FOR(is_current(&f, 10));
        stop(&f);
        owe_all_before(&f);
        world.told_count = 0;
        world.answer_max = 0;
        start(&f);
        WAIT_FOR(told() == 1);
        expect_gap(0, 0, 10);
        assert_true(clock_parse_rfc3339(bytes_of(rows[row].since), &since_ms));
        assert_int_equal(sinks_replay(f.sinks, "toy", since_ms, &count), 0);
        assert_int_equal(count, 10 - rows[row].first);
        size_t gaps = rows[row].first > 0;
        WAIT_FOR(told() == 1 + gaps + count);
        if (gaps > 0)
            expect_gap(1, 0, rows[row].first);
        for (unsigned i = 0; i < count; i++)
            expect_event(1 + gaps + i, rows[row].first + i);
        fixture_remove(&f);
    }
}

TEST(sink_holds_files_until_they_are_answered)
{
    struct fixture f;

    fixture_make(&f);
    world.answer_max = 0;
    start(&f);
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 1);
        rotate(&f);
    }
    assert_int_equal(shell(&f, "ls events-*-1.jsonl.zst >/dev/null"), 0);
    SET(answer_max, SIZE_MAX);
    WAIT_FOR(is_current(&f, 3));
    WAIT_FOR(event_bounds_kept(&f.bounds) >= 3);
    add(&f, 1);
    rotate(&f);
    assert_int_not_equal(shell(&f, "ls events-*-1.jsonl.zst >/dev/null 2>&1"), 0);
    fixture_remove(&f);
}

TEST(sink_that_is_too_far_behind_is_told_of_a_gap)
{
    struct fixture f;

    fixture_make(&f);
    start(&f);
    add(&f, 1);
    WAIT_FOR(is_current(&f, 1));
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    for (unsigned i = 0; i < 6; i++) {
        add(&f, 2);
        rotate(&f);
    }
    /* Room for about two files of the six. */
    struct sinks_held held;
    WAIT_FOR((sinks_held(f.sinks, &held), held.bytes > 0));
    f.sinks_settings.budget = held.bytes / 3;
    sinks_configure(f.sinks, &f.sinks_settings);
    WAIT_FOR((sinks_held(f.sinks, &held), held.bytes <= f.sinks_settings.budget));
    add(&f, 1);
    rotate(&f);
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    WAIT_FOR(status(&f).behind_events == 0);
    unsigned long long lost = status(&f).gap_events;
    assert_true(lost >= 7 && lost <= 11);
    assert_int_equal(status(&f).gaps, 1);
    expect_gap(1, 1, lost);
    for (unsigned i = 2; i < told(); i++)
        expect_event(i, (unsigned)lost + i - 1);
    assert_int_equal(told(), 2 + 14 - 1 - lost);
    assert_false(f.is_full);
    fixture_remove(&f);
}

TEST(sinks_refuse_mail_where_that_is_chosen)
{
    struct fixture f;

    fixture_make(&f);
    world.answer_max = 0;
    f.sinks_settings.full = SINKS_FULL_REFUSE;
    f.sinks_settings.budget = 10;
    start(&f);
    add(&f, 2);
    rotate(&f);
    WAIT_FOR(f.is_full);
    SET(answer_max, SIZE_MAX);
    WAIT_FOR(!f.is_full);
    assert_int_equal(told(), 2);
    assert_int_equal(status(&f).gaps, 0);
    fixture_remove(&f);
}

/* Else mail would be taken and refused by turns. */
TEST(sinks_take_mail_again_when_a_part_of_the_budget_is_free)
{
    struct sinks_held held;
    struct fixture f;

    fixture_make(&f);
    world.answer_max = 0;
    f.sinks_settings.full = SINKS_FULL_REFUSE;
    f.sinks_settings.budget = 10;
    start(&f);
    add(&f, 2);
    rotate(&f);
    WAIT_FOR(f.is_full);
    sinks_held(f.sinks, &held);
    f.sinks_settings.budget = held.bytes + 1;
    sinks_configure(f.sinks, &f.sinks_settings);
    usleep(100000);
    assert_true(f.is_full);
    f.sinks_settings.budget = held.bytes * 2;
    sinks_configure(f.sinks, &f.sinks_settings);
    WAIT_FOR(!f.is_full);
    fixture_remove(&f);
}

TEST(sink_whose_files_were_removed_is_told_how_many_events_went)
{
    struct fixture f;

    fixture_make(&f);
    start(&f);
    add(&f, 1);
    WAIT_FOR(is_current(&f, 1));
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 2);
        rotate(&f);
    }
    stop(&f);
    assert_int_equal(shell(&f, "rm events-*-1.jsonl.zst events-*-2.jsonl.zst"), 0);
    start(&f);
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    WAIT_FOR(told() == 4);
    expect_gap(1, 1, 4);
    expect_event(2, 5);
    expect_event(3, 6);
    WAIT_FOR(status(&f).behind_events == 0);
    fixture_remove(&f);
}

TEST(sink_with_a_damaged_cursor_is_told_what_happens_from_now_on)
{
    struct fixture f;

    fixture_make(&f);
    start(&f);
    add(&f, 2);
    WAIT_FOR(is_current(&f, 2));
    stop(&f);
    assert_int_equal(shell(&f, "echo x >>sinks/toy"), 0);
    add(&f, 2);
    start(&f);
    add(&f, 1);
    WAIT_FOR(is_current(&f, 3));
    assert_int_equal(told(), 3);
    expect_event(2, 4);
    fixture_remove(&f);
}

TEST(sinks_start_and_stop_with_the_configuration)
{
    struct fixture f;

    fixture_make(&f);
    const struct sink_settings two[] = {f.toy, {.name = "second", .kind = &toy_kind}};
    f.sinks_settings.count = 0;
    start(&f);
    assert_int_equal(count_sinks(&f), 0);
    f.sinks_settings.count = 2;
    f.sinks_settings.sinks = two;
    sinks_configure(f.sinks, &f.sinks_settings);
    assert_int_equal(count_sinks(&f), 2);
    add(&f, 3);
    WAIT_FOR(told() == 6);
    f.sinks_settings.count = 1;
    sinks_configure(f.sinks, &f.sinks_settings);
    assert_string_equal(status(&f).name, "toy");
    /* What was taken away and comes back goes on where it was. */
    add(&f, 1);
    f.sinks_settings.count = 2;
    sinks_configure(f.sinks, &f.sinks_settings);
    WAIT_FOR(told() == 8);
    fixture_remove(&f);
}

TEST(sink_is_not_told_what_it_does_not_want)
{
    struct fixture f;

    fixture_make(&f);
    world.is_choosy = true;
    start(&f);
    add(&f, 30);
    WAIT_FOR(is_current(&f, 24));
    assert_int_equal(status(&f).answered, 24);
    for (unsigned i = 0; i < 24; i++)
        expect_event(i, i / 8 * 10 + (i % 8 == 7 ? 9 : i % 8));
    stop(&f);
    start(&f);
    add(&f, 1);
    WAIT_FOR(told() == 25);
    expect_event(24, 30);
    fixture_remove(&f);
}

TEST(gap_counts_what_the_sink_would_have_been_told)
{
    struct fixture f;

    fixture_make(&f);
    world.is_choosy = true;
    start(&f);
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    add(&f, 10);
    rotate(&f);
    f.sinks_settings.budget = 1;
    sinks_configure(f.sinks, &f.sinks_settings);
    WAIT_FOR(status(&f).gaps == 1);
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    WAIT_FOR(told() == 1);
    expect_gap(0, 0, 10);
    assert_non_null(strstr(world.told[0], ",\"events\":8,"));
    fixture_remove(&f);
}

static void give_up_all(struct fixture *f)
{
    f->sinks_settings.budget = 1;
    sinks_configure(f->sinks, &f->sinks_settings);
}

TEST(metric_and_log_count_of_a_gap_what_the_sink_would_have_been_told)
{
    char text[8192];
    struct fixture f;
    int caught_fd;

    fixture_make(&f);
    world.is_choosy = true;
    start(&f);
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    add(&f, 10);
    rotate(&f);
    int kept = catch_log(&caught_fd);
    give_up_all(&f);
    WAIT_FOR(status(&f).gaps == 1);
    assert_int_equal(status(&f).gap_events, 8);
    add(&f, 8); /* e10 to e17, which grows the same gap */
    rotate(&f);
    WAIT_FOR(status(&f).gap_events == 15);
    assert_int_equal(status(&f).gaps, 1);
    release_log(kept, caught_fd, text, sizeof(text));
    assert_non_null(strstr(text, " events=8 rule=\"events.sink_budget\""));
    assert_non_null(strstr(text, " events=7 rule=\"events.sink_budget\""));
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    WAIT_FOR(told() == 1);
    assert_non_null(strstr(world.told[0], ",\"events\":15,"));
    fixture_remove(&f);
}

TEST(gap_of_nothing_that_the_sink_wants_is_not_told)
{
    struct fixture f;

    fixture_make(&f);
    world.is_choosy = true;
    start(&f);
    add(&f, 7);
    WAIT_FOR(is_current(&f, 7));
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    add(&f, 2); /* e7 and e8 */
    rotate(&f);
    event_bounds_keep(&f.bounds, 1);
    give_up_all(&f);
    WAIT_FOR(status(&f).needs == 2);
    assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
    add(&f, 1);
    WAIT_FOR(is_current(&f, 8));
    expect_event(7, 9);
    assert_int_equal(status(&f).gaps, 0);
    assert_int_equal(status(&f).gap_events, 0);
    fixture_remove(&f);
}

/* One that cannot be told is made again by each restart, wider where what was in flight is gone. */
TEST(gap_is_counted_once_over_restarts_of_its_sink)
{
    struct fixture f;

    fixture_make(&f);
    world.answer_max = 0;
    start(&f);
    add(&f, 3);
    WAIT_FOR(told() == 3);
    assert_int_equal(sinks_pause(f.sinks, "toy", true), 0);
    add(&f, 2);
    rotate(&f);
    give_up_all(&f);
    WAIT_FOR(status(&f).gap_events == 2);
    assert_int_equal(shell(&f, "rm events-*-1.jsonl*"), 0);
    for (unsigned i = 0; i < 3; i++) {
        size_t at = told();

        SET(fail_at, at + 1);
        if (i == 0)
            assert_int_equal(sinks_pause(f.sinks, "toy", false), 0);
        else
            add(&f, 1);
        WAIT_FOR(status(&f).restarts == i + 1 && told() == at + 2 + i);
        expect_gap(at + 1, 0, 5);
        assert_int_equal(status(&f).gaps, 1);
        assert_int_equal(status(&f).gap_events, 5);
    }
    fixture_remove(&f);
}

TEST(gap_that_is_owed_is_counted_by_the_run_that_made_it)
{
    struct fixture f;

    fixture_make(&f);
    start(&f);
    add(&f, 4);
    WAIT_FOR(is_current(&f, 4));
    stop(&f);
    owe_all_before(&f);
    world.told_count = 0;
    start(&f);
    WAIT_FOR(told() == 1);
    expect_gap(0, 0, 4);
    assert_int_equal(status(&f).gaps, 0);
    assert_int_equal(status(&f).gap_events, 0);
    stop(&f);

    /* What it grows by is this run's. */
    owe_all_before(&f);
    world.gives_up = true;
    world.is_away = true;
    start(&f);
    add(&f, 2);
    WAIT_FOR(status(&f).gap_events > 0);
    usleep(100000);
    assert_int_equal(status(&f).gap_events, 2);
    fixture_remove(&f);
}

/* A closed file that is not compressed yet, of which that will leave a small part: the budget is in
 * between. Its bytes. */
static uint64_t close_without_packing(struct fixture *f)
{
    struct sinks_held held;

    world.answer_max = 0;
    start(f);
    add(f, 200);
    assert_true(event_file_rotate_if_due(f->file, clocks_read()));
    assert_int_equal(shell(f, "test -e events-*-1.jsonl"), 0);
    sinks_configure(f->sinks, &f->sinks_settings); /* it looks at once */
    WAIT_FOR((sinks_held(f->sinks, &held), held.bytes > f->sinks_settings.budget));
    return held.bytes;
}

TEST(what_is_about_to_be_compressed_is_no_reason_to_refuse_or_leave_out)
{
    for (size_t i = 0; i < 2; i++) {
        struct sinks_held held;
        struct fixture f;

        fixture_make(&f);
        f.sinks_settings.full = i == 0 ? SINKS_FULL_REFUSE : SINKS_FULL_GAP;
        f.sinks_settings.budget = 10000;
        uint64_t plain = close_without_packing(&f);
        usleep(1500000); /* it looked a second time */
        assert_false(f.is_full);
        assert_int_equal(status(&f).gap_events, 0);
        rotate(&f);
        WAIT_FOR((sinks_held(f.sinks, &held), held.bytes < plain / 4));
        usleep(1500000);
        assert_false(f.is_full);
        assert_int_equal(status(&f).gap_events, 0);
        fixture_remove(&f);
    }
}

TEST(what_stays_uncompressed_counts_as_it_is)
{
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;

        fixture_make(&f);
        f.sinks_settings.full = i == 0 ? SINKS_FULL_REFUSE : SINKS_FULL_GAP;
        f.sinks_settings.budget = 10000;
        (void)close_without_packing(&f);
        if (i == 0)
            WAIT_FOR(f.is_full);
        else
            WAIT_FOR(status(&f).gap_events > 0);
        fixture_remove(&f);
    }
}
