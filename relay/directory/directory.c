/* directory.c - the thread that looks, builds and publishes. */
#include "directory/directory.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "directory/domains.h"
#include "directory/load.h"
#include "directory/store_private.h"
#include "directory/use_book.h"

enum {
    LOOK_MS = 250,
    SETTLED_S = 2, /* a file's time has steps of some milliseconds */
    ASK_MS = 2000, /* SQLite itself, at least so often */
    RETRY_MS = 1000,
    USES_MS = 60 * 1000,
    RETIRED_MS = 3600 * 1000,
    RETIRED_MAX = 20,   /* domains a look */
    PATIENCE_MS = 1000, /* to write what was used; nothing else waits */
};

struct directory {
    char state_dir[STORE_PATH_MAX], path[STORE_PATH_MAX];
    struct snapshot_feed *feed;
    pthread_t thread;
    pthread_mutex_t lock; /* of the rest of this block */
    pthread_cond_t wake, looked;
    bool is_stopping, has_looked;
    void (*changed)(void *context, const struct audit_row *row);
    void *changed_context;
    bool is_telling;
    struct directory_status status;
    _Atomic uint64_t writes;
    /* The thread's. */
    struct store *store;
    struct load_mark mark;
    int64_t told_id;      /* of the audit: told, and to be marked; 0: none */
    bool has_untold;      /* perhaps */
    int64_t data_version; /* SQLite's: changes when another connection wrote; -1: not known */
    dev_t device;
    ino_t inode;
    struct stat journal; /* SQLite's, before data_version was read */
    bool is_settled;     /* whoever wrote to it from then on changed its time */
    int64_t ask_ms;      /* monotonic: its time is believed until then */
    int64_t retry_ms;    /* monotonic: not opened before */
    int64_t uses_ms;     /* monotonic: written then */
    int64_t retired_ms;  /* monotonic: keys that were retired long ago are looked for then */
    struct use_book book;
};

/* --- the status ------------------------------------------------------------------------------- */

static void set_good(struct directory *directory)
{
    pthread_mutex_lock(&directory->lock);
    bool was_bad = !directory->status.is_good && directory->has_looked;
    directory->status.is_good = directory->status.is_known = true;
    directory->status.why[0] = '\0';
    pthread_mutex_unlock(&directory->lock);
    if (was_bad)
        log_info("directory=%s what=\"readable again\"", LOG_STRING(directory->path));
}

static void set_bad(struct directory *directory, const char *why)
{
    pthread_mutex_lock(&directory->lock);
    bool is_news = directory->status.is_good || !directory->has_looked ||
                   strcmp(directory->status.why, why) != 0;
    bool is_known = directory->status.is_known;
    directory->status.is_good = false;
    snprintf(directory->status.why, sizeof(directory->status.why), "%s", why);
    pthread_mutex_unlock(&directory->lock);
    metric_inc(METRIC_DIRECTORY_FAILURES);
    if (is_news)
        log_error("directory=%s why=%s what=\"%s\"", LOG_STRING(directory->path), LOG_STRING(why),
                  is_known ? "cannot be read; what it said last stays in force"
                           : "cannot be read; no tenant and no credential is known");
}

/* --- looking ---------------------------------------------------------------------------------- */

static void close_store(struct directory *directory)
{
    if (directory->store != NULL)
        store_close(&directory->store);
    directory->data_version = -1;
    directory->retry_ms = clock_monotonic_ms() + RETRY_MS;
}

/* Opening makes an empty database where there is none. After a good look that would forget
 * everything because somebody moved a file. */
static bool open_store(struct directory *directory)
{
    enum store_result result;
    char why[STORE_WHY_MAX];
    struct stat status;

    if (directory->store != NULL)
        return true;
    if (clock_monotonic_ms() < directory->retry_ms)
        return false;
    if (directory->mark.generation[0] != '\0' && stat(directory->path, &status) < 0) {
        snprintf(why, sizeof(why), "%.400s: %s", directory->path, strerror(errno));
        set_bad(directory, why);
        close_store(directory);
        return false;
    }
    directory->store = store_open(directory->state_dir,
                                  directory->mark.generation[0] != '\0' ? STORE_REFUSE : STORE_MAKE,
                                  PATIENCE_MS, &result, why);
    if (directory->store == NULL) {
        set_bad(directory, why);
        close_store(directory);
        return false;
    }
    if (stat(directory->path, &status) == 0) {
        directory->device = status.st_dev;
        directory->inode = status.st_ino;
    }
    return true;
}

/* Another file in its place, or none: what is open is not the directory any more. */
static bool is_replaced(const struct directory *directory)
{
    struct stat status;

    return stat(directory->path, &status) < 0 || status.st_dev != directory->device ||
           status.st_ino != directory->inode;
}

static enum store_result read_data_version(struct store *store, int64_t *out)
{
    struct query query;

    query_begin(&query, store, "PRAGMA data_version");
    if (query_row(&query))
        *out = query_column(&query);
    return query_end(&query);
}

/* Every commit writes to the journal, so that of a quiet directory a look at that file is mostly
 * enough: SQLite's own answer takes ten times as long. Not always: between its last write and what
 * others see as committed lies a sync, which a busy disk may hold up for as long as it likes. */
static bool is_quiet(struct directory *directory)
{
    char path[STORE_PATH_MAX + sizeof("-wal")];
    struct stat now, *before = &directory->journal;

    snprintf(path, sizeof(path), "%s-wal", directory->path);
    bool is_there = stat(path, &now) == 0;
    if (clock_monotonic_ms() < directory->ask_ms && directory->data_version >= 0 && is_there &&
        directory->is_settled && now.st_ino == before->st_ino && now.st_size == before->st_size &&
        now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == before->st_mtim.tv_nsec)
        return true;
    directory->ask_ms = clock_monotonic_ms() + ASK_MS;
    directory->is_settled = is_there && now.st_mtim.tv_sec < clock_wall_ms() / 1000 - SETTLED_S;
    if (is_there)
        *before = now;
    return false;
}

static void publish(struct directory *directory, const struct snapshot *snapshot, bool is_whole,
                    int64_t took_us)
{
    pthread_mutex_lock(&directory->lock);
    struct directory_status *status = &directory->status;
    status->version = snapshot_version(snapshot);
    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
        status->counts[i] = snapshot_count(snapshot, (enum snapshot_table)i);
    status->memory = snapshot_memory(snapshot);
    status->built_whole += is_whole;
    status->built_changes += !is_whole;
    if (is_whole)
        status->build_us = took_us;
    pthread_mutex_unlock(&directory->lock);
    metric_inc(METRIC_DIRECTORY_SNAPSHOTS);
    snapshot_publish(directory->feed, snapshot);
    log_debug("directory=%llu whole=%d us=%lld", (unsigned long long)snapshot_version(snapshot),
              is_whole, (long long)took_us);
}

static enum store_result read_changes(struct directory *directory)
{
    int64_t began_us = clock_monotonic_us(), data_version = 0;
    const struct snapshot *snapshot = NULL;
    bool is_whole;
    /* Asked before reading: what is written in between is read at the next look. */
    enum store_result result = read_data_version(directory->store, &data_version);

    if (result != STORE_OK || data_version == directory->data_version)
        return result;
    bool has_any = directory->mark.generation[0] != '\0';
    result = load_changes(directory->store, has_any ? snapshot_newest(directory->feed) : NULL,
                          &directory->mark, &snapshot, &is_whole);
    if (result != STORE_OK)
        return result;
    directory->data_version = data_version;
    directory->has_untold = true;
    atomic_fetch_add(&directory->writes, 1);
    if (snapshot != NULL)
        publish(directory, snapshot, is_whole, clock_monotonic_us() - began_us);
    return STORE_OK;
}

static void look(struct directory *directory)
{
    if (directory->store != NULL && is_replaced(directory)) {
        close_store(directory);
        directory->retry_ms = 0;
    }
    if (!open_store(directory) || is_quiet(directory))
        return;
    enum store_result result = read_changes(directory);
    if (result == STORE_OK) {
        set_good(directory);
        return;
    }
    set_bad(directory, store_why(directory->store));
    close_store(directory);
}

/* --- uses ------------------------------------------------------------------------------------- */

static void write_uses(struct directory *directory)
{
    struct credential_use uses[USE_BOOK_MAX];

    directory->uses_ms = clock_monotonic_ms() + USES_MS;
    if (directory->book.count == 0 || directory->store == NULL)
        return;
    unsigned count = use_book_take(&directory->book, uses);
    enum store_result result = credential_write_uses(directory->store, uses, count);
    if (result == STORE_OK)
        return;
    log_limited(LOG_LEVEL_WARN, "directory=%s why=%s what=\"last uses are written later\"",
                LOG_STRING(directory->path), LOG_STRING(store_why(directory->store)));
    for (unsigned i = 0; i < count; i++)
        check(use_book_note(&directory->book, uses[i].credential, uses[i].wall_s));
}

static void note_uses(struct directory *directory)
{
    uint32_t credential;
    int64_t wall_s;

    /* More than the book holds: the next login of each will be noted. */
    while (snapshot_take_use(directory->feed, &credential, &wall_s))
        (void)!use_book_note(&directory->book, credential, wall_s);
    if (clock_monotonic_ms() >= directory->uses_ms)
        write_uses(directory);
}

/* --- retired keys ----------------------------------------------------------------------------- */

/* What a rotation left behind is not to wait for the next one. More than RETIRED_MAX: the rest at
 * the next look. */
static void drop_retired(struct directory *directory)
{
    enum store_result result = STORE_OK;
    unsigned count = 0;

    if (directory->store == NULL || clock_monotonic_ms() < directory->retired_ms)
        return;
    while (count < RETIRED_MAX && result == STORE_OK) {
        result =
            domain_drop_retired(directory->store, directory->state_dir, clock_wall_ms() / 1000);
        count += result == STORE_OK;
    }
    if (count > 0)
        directory->data_version = -1; /* what one writes oneself does not show in it */
    if (result == STORE_OK)
        return;
    directory->retired_ms = clock_monotonic_ms() + RETIRED_MS;
    if (result != STORE_SAME)
        log_limited(LOG_LEVEL_WARN, "directory=%s why=%s what=\"retired keys are dropped later\"",
                    LOG_STRING(directory->path), LOG_STRING(store_why(directory->store)));
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Who is told at one look, to its end, whoever is to be told by then: directory_tell_changes()
 * waits for that. */
struct telling {
    struct directory *directory;
    void (*changed)(void *context, const struct audit_row *row);
    void *context;
};

static void tell_change(void *context, const struct audit_row *row)
{
    const struct telling *telling = context;

    telling->changed(telling->context, row);
    telling->directory->told_id = row->id;
}

/* At the look after the one that told them: by then the event is durable, but for a disk that does
 * not answer. */
static void mark_told(struct directory *directory)
{
    if (directory->store != NULL && directory->told_id != 0 &&
        audit_mark_told(directory->store, directory->told_id) == STORE_OK) {
        directory->told_id = 0;
        directory->has_untold = true; /* there may be more than were told at once */
    }
}

static void tell_changes(struct directory *directory)
{
    mark_told(directory);
    if (directory->store == NULL)
        return;
    if (directory->told_id != 0 || !directory->has_untold)
        return;
    pthread_mutex_lock(&directory->lock);
    struct telling telling = {directory, directory->changed, directory->changed_context};

    directory->is_telling = telling.changed != NULL;
    pthread_mutex_unlock(&directory->lock);
    if (telling.changed == NULL)
        return;
    enum store_result result = audit_untold(directory->store, tell_change, &telling);
    pthread_mutex_lock(&directory->lock);
    directory->is_telling = false;
    pthread_cond_broadcast(&directory->looked);
    pthread_mutex_unlock(&directory->lock);
    directory->has_untold = result != STORE_OK;
}

void directory_tell_changes(struct directory *directory,
                            void (*changed)(void *context, const struct audit_row *row),
                            void *context)
{
    pthread_mutex_lock(&directory->lock);
    directory->changed = changed;
    directory->changed_context = context;
    while (directory->is_telling)
        pthread_cond_wait(&directory->looked, &directory->lock);
    pthread_mutex_unlock(&directory->lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void wait_for(struct directory *directory, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!directory->is_stopping &&
           pthread_cond_timedwait(&directory->wake, &directory->lock, &until) == 0)
        ;
}

static void *run(void *context)
{
    struct directory *directory = context;

    pthread_mutex_lock(&directory->lock);
    while (!directory->is_stopping) {
        pthread_mutex_unlock(&directory->lock);
        look(directory);
        tell_changes(directory);
        note_uses(directory);
        drop_retired(directory);
        snapshot_reclaim(directory->feed);
        pthread_mutex_lock(&directory->lock);
        directory->has_looked = true;
        pthread_cond_broadcast(&directory->looked);
        wait_for(directory, LOOK_MS);
    }
    pthread_mutex_unlock(&directory->lock);
    directory->uses_ms = 0;
    note_uses(directory);
    mark_told(directory); /* the workers have ended, and what they were told is durable */
    if (directory->store != NULL)
        store_close(&directory->store);
    return NULL;
}

static void destroy(struct directory *directory)
{
    snapshot_feed_free(&directory->feed);
    pthread_mutex_destroy(&directory->lock);
    pthread_cond_destroy(&directory->wake);
    pthread_cond_destroy(&directory->looked);
    free(directory);
}

struct directory *directory_start(const char *state_dir)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    pthread_condattr_t attributes;

    check(directory != NULL);
    directory->feed = snapshot_feed_create();
    directory->data_version = -1;
    directory->uses_ms = clock_monotonic_ms() + USES_MS;
    snprintf(directory->state_dir, sizeof(directory->state_dir), "%s", state_dir);
    /* Where it is too long, opening says so. */
    if (snprintf(directory->path, sizeof(directory->path), "%s/directory.db", state_dir) >=
        (int)sizeof(directory->path))
        directory->path[0] = '\0';
    pthread_mutex_init(&directory->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&directory->wake, &attributes);
    pthread_cond_init(&directory->looked, &attributes);
    pthread_condattr_destroy(&attributes);
    int error = pthread_create(&directory->thread, NULL, run, directory);
    if (error != 0) {
        destroy(directory);
        errno = error;
        return NULL;
    }
    (void)pthread_setname_np(directory->thread, "directory");
    return directory;
}

void directory_wait(struct directory *directory)
{
    pthread_mutex_lock(&directory->lock);
    while (!directory->has_looked)
        pthread_cond_wait(&directory->looked, &directory->lock);
    pthread_mutex_unlock(&directory->lock);
}

struct snapshot_feed *directory_feed(struct directory *directory)
{
    return directory->feed;
}

uint64_t directory_writes(const struct directory *directory)
{
    return atomic_load(&directory->writes);
}

void directory_status(struct directory *directory, struct directory_status *out)
{
    pthread_mutex_lock(&directory->lock);
    *out = directory->status;
    pthread_mutex_unlock(&directory->lock);
}

void directory_stop(struct directory **directory)
{
    struct directory *stopped = *directory;

    *directory = NULL;
    pthread_mutex_lock(&stopped->lock);
    stopped->is_stopping = true;
    pthread_cond_signal(&stopped->wake);
    pthread_mutex_unlock(&stopped->lock);
    pthread_join(stopped->thread, NULL);
    destroy(stopped);
}
