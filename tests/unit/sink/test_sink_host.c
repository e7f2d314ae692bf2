/* test_sink_host.c - many sinks of a toy kind on one thread: each is told its events, in order. */
#include "sink/sink_host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "event/event_file.h"
#include "sink/sink_cursor.h"
#include "sink/sinks.h"
#include "support/unit.h"

enum { TOYS = 24, TENANTS = 4, EVENTS_MAX = 6000, WAITING_MAX = 8, PATIENCE_MS = 60000 };

/* What each toy is to do, and what it answered: numbers of events, the first time each. */
static struct crowd {
    pthread_mutex_t lock;
    struct crowd_toy {
        bool is_silent; /* answers nothing */
        bool fails;     /* begins anew with the next event */
        size_t told_count, again;
        unsigned told[EVENTS_MAX];
        bool was_told[EVENTS_MAX];
    } toys[TOYS];
    unsigned tenant_of[EVENTS_MAX];
    char tenants[TENANTS][8];
    bool is_held;             /* the thread does nothing */
    size_t began, began_most; /* toys that were told their first event, in this round and in any */
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER, .tenants = {"shop", "club", "bank", "farm"}};

/* --- the kind --------------------------------------------------------------------------------- */

struct toy {
    struct sink *sink;
    unsigned number;
    size_t waiting_count;
    struct {
        uint64_t ticket;
        unsigned number;
    } waiting[WAITING_MAX];
};

struct ground {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_woken;
};

static void *ground_open(void)
{
    struct ground *ground = calloc(1, sizeof(*ground));

    assert_non_null(ground);
    pthread_mutex_init(&ground->lock, NULL);
    pthread_cond_init(&ground->cond, NULL);
    return ground;
}

static void ground_close(void **object)
{
    struct ground *ground = *object;

    pthread_mutex_destroy(&ground->lock);
    pthread_cond_destroy(&ground->cond);
    free(ground);
    *object = NULL;
}

static bool is_held(void)
{
    pthread_mutex_lock(&crowd.lock);
    bool is = crowd.is_held;
    pthread_mutex_unlock(&crowd.lock);
    return is;
}

static void end_round(void)
{
    crowd.began_most = MAX(crowd.began_most, crowd.began);
    crowd.began = 0;
    while (is_held())
        usleep(1000);
}

static void ground_wait(void *object, int64_t wait_ms)
{
    struct ground *ground = object;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += MIN(wait_ms, (int64_t)5) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&ground->lock);
    if (!ground->is_woken && wait_ms > 0)
        (void)pthread_cond_timedwait(&ground->cond, &ground->lock, &until);
    ground->is_woken = false;
    pthread_mutex_unlock(&ground->lock);
    end_round();
}

static void ground_wake(void *object)
{
    struct ground *ground = object;

    pthread_mutex_lock(&ground->lock);
    ground->is_woken = true;
    pthread_cond_signal(&ground->cond);
    pthread_mutex_unlock(&ground->lock);
}

static const struct sink_ground toy_ground = {.open = ground_open,
                                              .close = ground_close,
                                              .wait = ground_wait,
                                              .wake = ground_wake};

static void *toy_make(const void *settings, struct sink *sink)
{
    struct toy *toy = calloc(1, sizeof(*toy));

    assert_non_null(toy);
    toy->sink = sink;
    toy->number = *(const unsigned *)settings;
    return toy;
}

static bool toy_is_same(const void *object, const void *settings)
{
    const struct toy *toy = object;

    return toy->number == *(const unsigned *)settings;
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
    return true;
}

static void toy_end(void *object, int64_t until_ms)
{
    struct toy *toy = object;

    (void)until_ms;
    toy->waiting_count = 0;
}

/* The last third is told of all tenants. */
static const char *tenant_of(unsigned number)
{
    return number < TOYS * 2 / 3 ? crowd.tenants[number % TENANTS] : NULL;
}

static const char *toy_tenant(const void *object)
{
    const struct toy *toy = object;

    return tenant_of(toy->number);
}

static unsigned number_of(const struct sink_event *event)
{
    return (unsigned)strtoul((const char *)event->parts->event_id.ptr + 1, NULL, 10);
}

/* Every fifth one wants every other event alone. */
static bool is_chosen(unsigned toy, unsigned event)
{
    const char *tenant = tenant_of(toy);

    return (tenant == NULL || strcmp(tenant, crowd.tenants[crowd.tenant_of[event]]) == 0) &&
           (toy % 5 != 0 || event % 2 == 0);
}

static bool toy_wants(const void *object, const struct sink_event *event)
{
    const struct toy *toy = object;

    return is_chosen(toy->number, number_of(event));
}

static bool toy_take(void *object, const struct sink_event *event)
{
    struct toy *toy = object;
    struct crowd_toy *told = &crowd.toys[toy->number];
    unsigned number = number_of(event);

    if (toy->waiting_count == WAITING_MAX)
        return false;
    pthread_mutex_lock(&crowd.lock);
    bool fails = told->fails;
    told->fails = false;
    pthread_mutex_unlock(&crowd.lock);
    if (fails) {
        sink_restart(toy->sink, SINK_OTHER, "the toy fails", true);
        return false;
    }
    assert_true(is_chosen(toy->number, number));
    crowd.began += toy->waiting_count == 0;
    toy->waiting[toy->waiting_count].ticket = event->ticket;
    toy->waiting[toy->waiting_count++].number = number;
    return true;
}

static void note(struct crowd_toy *told, unsigned number)
{
    told->again += told->was_told[number];
    if (!told->was_told[number])
        told->told[told->told_count++] = number;
    told->was_told[number] = true;
}

static void toy_work(void *object, int64_t wait_ms)
{
    struct toy *toy = object;

    assert_int_equal(wait_ms, 0);
    pthread_mutex_lock(&crowd.lock);
    bool is_silent = crowd.toys[toy->number].is_silent;
    for (size_t i = 0; i < toy->waiting_count && !is_silent; i++)
        note(&crowd.toys[toy->number], toy->waiting[i].number);
    pthread_mutex_unlock(&crowd.lock);
    if (is_silent)
        return;
    for (size_t i = 0; i < toy->waiting_count; i++)
        sink_answered(toy->sink, toy->waiting[i].ticket);
    toy->waiting_count = 0;
    sink_has_room(toy->sink);
}

static int64_t toy_due_ms(const void *object)
{
    (void)object;
    return clock_monotonic_ms() + 10;
}

static const struct sink_kind toy_kind = {
    .name = "crowd",
    .ground = &toy_ground,
    .window = 64,
    .make = toy_make,
    .is_same = toy_is_same,
    .free = toy_free,
    .begin = toy_begin,
    .end = toy_end,
    .wants = toy_wants,
    .tenant = toy_tenant,
    .take = toy_take,
    .work = toy_work,
    .due_ms = toy_due_ms,
};

/* --- the files -------------------------------------------------------------------------------- */

struct fixture {
    char directory[64];
    struct event_bounds bounds;
    struct event_file_settings settings;
    struct event_file *file;
    struct event_cursors cursors;
    unsigned numbers[TOYS];
    char names[TOYS][8];
    struct sink_settings toys[TOYS];
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
    sinks_stop(&f->sinks, clock_monotonic_ms() + 100);
}

static void fixture_make(struct fixture *f)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    memset(crowd.toys, 0, sizeof(crowd.toys));
    *f = (struct fixture){.directory = "/tmp/ringpost-crowd-XXXXXX"};
    assert_non_null(mkdtemp(f->directory));
    event_bounds_init(&f->bounds);
    f->settings = (struct event_file_settings){.directory = f->directory,
                                               .rotate_size = 1,
                                               .retention_bytes = 1 << 30,
                                               .bounds = &f->bounds};
    assert_int_equal(event_file_open(&f->settings, &f->file, &f->cursors), 0);
    for (unsigned i = 0; i < TOYS; i++) {
        f->numbers[i] = i;
        snprintf(f->names[i], sizeof(f->names[i]), "toy%u", i);
        f->toys[i] = (struct sink_settings){.name = f->names[i],
                                            .kind = &toy_kind,
                                            .settings = &f->numbers[i]};
    }
    f->sinks_settings = (struct sinks_settings){.budget = 1 << 30, .count = TOYS, .sinks = f->toys};
    start(f);
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

static void add(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count && f->appended < EVENTS_MAX; i++) {
        char line[256];
        unsigned tenant = (unsigned)(random_u64() % TENANTS);
        int len = snprintf(line, sizeof(line),
                           "{\"schema\":1,\"event_id\":\"e%u\",\"seq\":0,\"kind\":\"accepted\","
                           "\"id\":\"m\",\"recipient\":null,\"tenant\":\"%s\","
                           "\"time\":\"2026-11-24T03:%02u:00.000Z\"}\n",
                           f->appended, crowd.tenants[tenant], f->appended / 100);

        crowd.tenant_of[f->appended] = tenant;
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

static void set_silent(unsigned toy, bool is_silent)
{
    pthread_mutex_lock(&crowd.lock);
    crowd.toys[toy].is_silent = is_silent;
    pthread_mutex_unlock(&crowd.lock);
}

static void fail_once(unsigned toy)
{
    pthread_mutex_lock(&crowd.lock);
    crowd.toys[toy].fails = true;
    pthread_mutex_unlock(&crowd.lock);
}

static size_t told(unsigned toy)
{
    pthread_mutex_lock(&crowd.lock);
    size_t count = crowd.toys[toy].told_count;
    pthread_mutex_unlock(&crowd.lock);
    return count;
}

static size_t expected(const struct fixture *f, unsigned toy)
{
    size_t count = 0;

    for (unsigned event = 0; event < f->appended; event++)
        count += is_chosen(toy, event);
    return count;
}

static bool is_current(struct fixture *f, unsigned toy)
{
    size_t count;
    struct sink_status *all = sinks_status(f->sinks, &count);
    bool is = all[toy].behind_events == 0 && all[toy].in_flight == 0 && all[toy].gaps == 0;

    assert_int_equal(count, TOYS);
    free(all);
    return is;
}

static uint64_t in_flight(struct fixture *f, unsigned toy)
{
    size_t count;
    struct sink_status *all = sinks_status(f->sinks, &count);
    uint64_t in_flight = all[toy].in_flight;

    free(all);
    return in_flight;
}

#define WAIT_FOR(condition) \
    do { \
        int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS; \
        while (!(condition) && clock_monotonic_ms() < until_ms) \
            usleep(1000); \
        assert_true(condition); \
    } while (0)

/* Each of its events once, as far as it counts, and in order. */
static void expect_all(struct fixture *f, unsigned toy)
{
    size_t at = 0;

    WAIT_FOR(told(toy) == expected(f, toy));
    WAIT_FOR(is_current(f, toy));
    for (unsigned event = 0; event < f->appended; event++)
        if (is_chosen(toy, event) && crowd.toys[toy].told[at++] != event)
            fail_msg("toy %u was told %u and not %u", toy, crowd.toys[toy].told[at - 1], event);
}

static size_t count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t count = 0;

    assert_non_null(tasks);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(many_sinks_take_one_thread_and_each_is_told_its_events_once)
{
    size_t before = count_threads();
    struct fixture f;

    fixture_make(&f);
    assert_true(count_threads() < before + TOYS / 2); /* theirs, and what watches files */
    add(&f, 500);
    rotate(&f);
    add(&f, 500);
    for (unsigned toy = 0; toy < TOYS; toy++) {
        expect_all(&f, toy);
        assert_int_equal(crowd.toys[toy].again, 0);
    }
    fixture_remove(&f);
}

TEST(who_answers_nothing_keeps_nobody_waiting_and_catches_up)
{
    struct fixture f;

    fixture_make(&f);
    set_silent(0, true);
    set_silent(TOYS - 1, true);
    for (unsigned i = 0; i < 5; i++) {
        add(&f, 200);
        rotate(&f);
    }
    for (unsigned toy = 1; toy < TOYS - 1; toy++)
        expect_all(&f, toy);
    assert_int_equal(told(0) + told(TOYS - 1), 0);
    set_silent(0, false);
    set_silent(TOYS - 1, false);
    expect_all(&f, 0);
    expect_all(&f, TOYS - 1);
    fixture_remove(&f);
}

TEST(who_goes_and_who_comes_changes_nothing_for_others)
{
    struct fixture f;

    fixture_make(&f);
    add(&f, 100);
    f.sinks_settings.count = TOYS / 2;
    sinks_configure(f.sinks, &f.sinks_settings);
    add(&f, 100);
    f.sinks_settings.count = TOYS;
    sinks_configure(f.sinks, &f.sinks_settings); /* they go on where they were */
    add(&f, 100);
    for (unsigned toy = 0; toy < TOYS; toy++)
        expect_all(&f, toy);
    fixture_remove(&f);
}

/* The number of the file where the cursor on disk stands. */
static uint64_t saved_number(const struct fixture *f, unsigned toy)
{
    char path[128];
    struct sink_cursor cursor;

    snprintf(path, sizeof(path), "%s/sinks", f->directory);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sink_cursor_read(fd, f->names[toy], &cursor), 0);
    close(fd);
    return cursor.at.number;
}

/* Whoever is killed goes on at its cursor's file, told or not of what is behind it. */
TEST(files_are_held_from_where_the_cursors_on_disk_stand)
{
    struct fixture f;

    fixture_make(&f);
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 1); /* one tenant's: the others pass it */
        rotate(&f);
        uint64_t number = event_bounds_committed(&f.bounds).number;
        uint64_t kept = 0;
        while (kept < number) {
            kept = event_bounds_kept(&f.bounds);
            for (unsigned toy = 0; toy < TOYS; toy++)
                assert_true(saved_number(&f, toy) >= kept);
            usleep(1000);
        }
    }
    fixture_remove(&f);
}

/* As on a full disk: what cannot be written does not count, and is written when it can be. */
TEST(files_are_held_while_a_cursor_cannot_be_written)
{
    enum { LOOKS = 3000 }; /* at what is kept, and a ms each */
    struct fixture f;
    char path[128];

    fixture_make(&f);
    add(&f, 40);
    expect_all(&f, 1);
    snprintf(path, sizeof(path), "%s/sinks/.%s.tmp", f.directory, f.names[1]);
    assert_int_equal(mkdir(path, 0700), 0);
    rotate(&f);
    add(&f, 40);
    expect_all(&f, 1);
    for (size_t i = 0; i < LOOKS; i++) {
        assert_true(event_bounds_kept(&f.bounds) <= saved_number(&f, 1));
        usleep(1000);
    }
    assert_int_equal(sinks_pause(f.sinks, f.names[1], true), -EISDIR);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(sinks_pause(f.sinks, f.names[1], false), 0);
    WAIT_FOR(event_bounds_kept(&f.bounds) == event_bounds_committed(&f.bounds).number);
    add(&f, 40);
    expect_all(&f, 1);
    fixture_remove(&f);
}

static void set_held(bool is)
{
    pthread_mutex_lock(&crowd.lock);
    crowd.is_held = is;
    pthread_mutex_unlock(&crowd.lock);
}

/* To find a place in a compressed file takes long, and those at the head wait meanwhile. */
TEST(a_round_goes_to_the_place_of_one_that_is_behind)
{
    enum { APART = 200 };
    struct fixture f;
    uint64_t count;

    fixture_make(&f);
    add(&f, (TOYS + 1) * APART);
    rotate(&f);
    for (unsigned toy = 0; toy < TOYS; toy++) {
        expect_all(&f, toy);
        set_silent(toy, true);
        assert_int_equal(sinks_pause(f.sinks, f.names[toy], true), 0);
        assert_int_equal(sinks_replay(f.sinks, f.names[toy],
                                      1795489200000 + (int64_t)toy * APART / 100 * 60000, &count),
                         0);
    }
    stop(&f);
    for (unsigned toy = 0; toy < TOYS; toy++)
        assert_int_equal(sinks_pause_stopped(f.directory, f.names[toy], 0, false), 0);
    set_held(true);
    crowd.began = crowd.began_most = 0;
    start(&f);
    set_held(false);
    for (unsigned toy = 0; toy < TOYS; toy++)
        WAIT_FOR(in_flight(&f, toy) == WAITING_MAX);
    stop(&f);
    assert_in_range(crowd.began_most, 1, 2);
    fixture_remove(&f);
}

static void do_something(struct fixture *f)
{
    unsigned toy = (unsigned)(random_u64() % TOYS);
    uint64_t count = 0;

    switch (random_u64() % 12) {
    case 0:
    case 1:
    case 2:
        add(f, (unsigned)(random_u64() % 60));
        break;
    case 3:
        rotate(f);
        break;
    case 4:
        set_silent(toy, true);
        break;
    case 5:
    case 6:
        set_silent(toy, false);
        break;
    case 7:
        fail_once(toy);
        break;
    case 8:
        assert_int_equal(sinks_pause(f->sinks, f->names[toy], true), 0);
        break;
    case 9:
        assert_int_equal(sinks_pause(f->sinks, f->names[toy], false), 0);
        break;
    case 10:
        assert_int_equal(sinks_replay(f->sinks, f->names[toy], 0, &count), 0);
        break;
    default:
        if (random_u64() % 8 != 0)
            break;
        stop(f);
        start(f);
    }
}

TEST(whatever_happens_each_is_told_its_events_in_order)
{
    struct fixture f;

    fixture_make(&f);
    for (size_t i = 0; i < 1500; i++)
        do_something(&f);
    for (unsigned toy = 0; toy < TOYS; toy++) {
        set_silent(toy, false);
        assert_int_equal(sinks_pause(f.sinks, f.names[toy], false), 0);
    }
    for (unsigned toy = 0; toy < TOYS; toy++)
        expect_all(&f, toy);
    fixture_remove(&f);
}
