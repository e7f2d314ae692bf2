/* sinks.c - the list of sinks, and the thread that watches what they hold back. */
#include "sink/sinks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "event/event_reader.h"
#include "sink/sink_find.h"
#include "sink/sink_host.h"

enum {
    LOOK_EVERY_MS = 1000,
    REMOVED_END_MS = 2000,   /* for a sink that a reload takes away */
    PACK_PATIENCE_MS = 5000, /* as much time has the publisher to compress what it closed */
    AGAIN_PART = 8,          /* mail is taken again when a part of the budget is free */
    KINDS_MAX = 4,           /* whose sinks share a host */
};

struct sinks_entry {
    struct map_node by_name;
    char name[SINK_NAME_MAX + 1];
    const struct sink_kind *kind;
    uint64_t owner;
    struct sink *sink;
    struct sink_host *host; /* of its own; NULL: it is one of many on that of its kind */
    bool is_wanted;         /* while it is configured */
};

struct sinks {
    char *directory;
    struct event_bounds *bounds;
    _Atomic bool *is_full;
    pthread_t thread;
    /* The thread's own. */
    struct event_reader *files; /* for what they take */
    int64_t over_ms;            /* since when it is over the budget, monotonic; 0: it is not */
    bool is_patient;
    pthread_mutex_t change; /* of the list, and orders, which take long: before `lock` */
    _Atomic bool is_hurried;

    pthread_mutex_t lock; /* of the rest, never held for long */
    pthread_cond_t wake;
    bool is_stopping;
    uint64_t budget;
    enum sinks_full full;
    size_t count, capacity;
    size_t alone_count; /* with a host of their own */
    struct sinks_entry **entries;
    struct map names; /* of the entries */
    size_t host_count;
    struct {
        const struct sink_kind *kind;
        struct sink_host *host;
    } hosts[KINDS_MAX]; /* of kinds with a ground */
    uint64_t held;
};

/* --- what is held back ------------------------------------------------------------------------ */

/* The oldest file that some sink needs. Under the lock. */
static uint64_t oldest_needed(struct sinks *sinks)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < sinks->count; i++)
        oldest = MIN(oldest, sink_needs(sinks->entries[i]->sink));
    return oldest;
}

/* What is closed and not compressed yet will take a small part of its bytes in a moment: nothing is
 * refused or left out for it. Where the moment lasts, because compression does not get on, it
 * counts as it is. */
static uint64_t counted(const struct sinks *sinks, const struct event_held *held)
{
    return sinks->is_patient ? held->packed : held->bytes;
}

static void look_at_patience(struct sinks *sinks, const struct event_held *held, uint64_t budget)
{
    int64_t now_ms = clock_monotonic_ms();

    if (held->bytes <= budget)
        sinks->over_ms = 0;
    else if (sinks->over_ms == 0)
        sinks->over_ms = now_ms;
    sinks->is_patient = sinks->over_ms != 0 && now_ms - sinks->over_ms < PACK_PATIENCE_MS;
}

/* The oldest file from which on all together keep the budget. */
static uint64_t first_that_fits(struct sinks *sinks, uint64_t from, uint64_t budget)
{
    struct event_place committed = event_bounds_committed(sinks->bounds);
    struct event_held held;

    while (from < committed.number && event_reader_held(sinks->files, from, &held) == 0 &&
           counted(sinks, &held) > budget)
        if (event_reader_oldest(sinks->files, from + 1, committed, &from) < 0)
            break;
    return from;
}

/* Under the lock. */
static void give_up(struct sinks *sinks, uint64_t number)
{
    for (size_t i = 0; i < sinks->count; i++)
        if (sink_needs(sinks->entries[i]->sink) < number)
            sink_give_up(sinks->entries[i]->sink, number);
}

static void set_full(struct sinks *sinks, bool is_full)
{
    if (is_full == atomic_load(sinks->is_full))
        return;
    atomic_store(sinks->is_full, is_full);
    if (is_full)
        log_warn("held_bytes=%llu budget=%llu what=\"event files that sinks still need take more "
                 "than events.sink_budget: new mail is answered 452, delivery goes on\"",
                 (unsigned long long)sinks->held, (unsigned long long)sinks->budget);
    else
        log_info("held_bytes=%llu budget=%llu what=\"sinks need less again: new mail is taken\"",
                 (unsigned long long)sinks->held, (unsigned long long)sinks->budget);
}

/* Files are looked at without the lock: a disk that hangs must not hold up who asks. */
static void look(struct sinks *sinks)
{
    struct event_held held;
    uint64_t fits = 0;

    pthread_mutex_lock(&sinks->lock);
    uint64_t oldest = oldest_needed(sinks), budget = sinks->budget;
    pthread_mutex_unlock(&sinks->lock);
    event_bounds_keep(sinks->bounds, oldest);
    if (event_reader_held(sinks->files, oldest, &held) < 0)
        return;
    look_at_patience(sinks, &held, budget);
    if (counted(sinks, &held) > budget)
        fits = first_that_fits(sinks, oldest, budget);
    pthread_mutex_lock(&sinks->lock);
    sinks->held = held.bytes;
    uint64_t mark = sinks->budget;
    if (atomic_load(sinks->is_full))
        mark -= mark / AGAIN_PART;
    set_full(sinks, sinks->full == SINKS_FULL_REFUSE && counted(sinks, &held) > mark);
    if (sinks->full == SINKS_FULL_GAP)
        give_up(sinks, fits);
    pthread_mutex_unlock(&sinks->lock);
}

static void *run_thread(void *context)
{
    struct sinks *sinks = context;

    pthread_mutex_lock(&sinks->lock);
    while (!sinks->is_stopping) {
        pthread_mutex_unlock(&sinks->lock);
        look(sinks);
        pthread_mutex_lock(&sinks->lock);
        if (sinks->is_stopping)
            break;
        const struct timespec until = clock_monotonic_after(LOOK_EVERY_MS);
        pthread_cond_timedwait(&sinks->wake, &sinks->lock, &until);
    }
    pthread_mutex_unlock(&sinks->lock);
    return NULL;
}

/* On the publisher's thread. */
static void on_committed(void *context)
{
    struct sinks *sinks = context;

    pthread_mutex_lock(&sinks->lock);
    for (size_t i = 0; i < sinks->host_count; i++)
        sink_host_wake(sinks->hosts[i].host);
    for (size_t i = 0; i < sinks->count && sinks->alone_count > 0; i++)
        if (sinks->entries[i]->host != NULL)
            sink_host_wake(sinks->entries[i]->host);
    pthread_mutex_unlock(&sinks->lock);
}

/* --- the list --------------------------------------------------------------------------------- */

/* Only who holds `change` alters the list and the names: it may look at them without the lock. */
static struct sinks_entry *find(struct sinks *sinks, const char *name)
{
    struct map_node *node = map_find(&sinks->names, bytes_of(name));

    return node == NULL ? NULL
                        : (struct sinks_entry *)(void *)((char *)node -
                                                         offsetof(struct sinks_entry, by_name));
}

/* The one that goes on with these settings. */
static struct sinks_entry *find_same(struct sinks *sinks, const struct sink_settings *settings)
{
    struct sinks_entry *entry = find(sinks, settings->name);

    return entry != NULL && entry->owner == settings->owner && entry->kind == settings->kind ? entry
                                                                                             : NULL;
}

static void end_entry(struct sinks *sinks, struct sinks_entry *entry)
{
    sink_join(&entry->sink);
    if (entry->host != NULL)
        sink_host_stop(&entry->host);
    map_remove(&sinks->names, &entry->by_name);
    free(entry);
}

static void drop_unwanted(struct sinks *sinks, const struct sinks_settings *settings)
{
    int64_t until_ms = clock_monotonic_ms() + REMOVED_END_MS;
    size_t dropped_count = 0, kept = 0;

    for (size_t i = 0; i < sinks->count; i++)
        sinks->entries[i]->is_wanted = false;
    for (size_t i = 0; i < settings->count; i++) {
        struct sinks_entry *entry = find_same(sinks, &settings->sinks[i]);

        if (entry != NULL)
            entry->is_wanted = true;
    }
    struct sinks_entry **dropped = calloc(sinks->count + 1, sizeof(struct sinks_entry *));
    check(dropped != NULL);
    pthread_mutex_lock(&sinks->lock);
    for (size_t i = 0; i < sinks->count; i++) {
        struct sinks_entry *entry = sinks->entries[i];

        if (entry->is_wanted)
            sinks->entries[kept++] = entry;
        else
            dropped[dropped_count++] = entry;
        sinks->alone_count -= !entry->is_wanted && entry->host != NULL;
    }
    sinks->count = kept;
    pthread_mutex_unlock(&sinks->lock);
    for (size_t i = 0; i < dropped_count; i++)
        sink_ask_stop(dropped[i]->sink, until_ms);
    for (size_t i = 0; i < dropped_count; i++) {
        const struct sinks_entry was = *dropped[i];

        end_entry(sinks, dropped[i]);
        if (was.owner != 0) /* its name may be another one's some day */
            sinks_forget(sinks->directory, was.name, was.owner);
    }
    free(dropped);
}

static struct sink_host *new_host(struct sinks *sinks, const struct sink_kind *kind, char *why,
                                  size_t why_len)
{
    struct sink_host *host = sink_host_start(kind, sinks->directory, sinks->bounds, why, why_len);

    if (host == NULL || kind->ground == NULL)
        return host;
    pthread_mutex_lock(&sinks->lock);
    check(sinks->host_count < KINDS_MAX);
    sinks->hosts[sinks->host_count].kind = kind;
    sinks->hosts[sinks->host_count++].host = host;
    pthread_mutex_unlock(&sinks->lock);
    return host;
}

static struct sink_host *host_for(struct sinks *sinks, const struct sink_kind *kind, char *why,
                                  size_t why_len)
{
    for (size_t i = 0; i < sinks->host_count; i++)
        if (sinks->hosts[i].kind == kind)
            return sinks->hosts[i].host;
    return new_host(sinks, kind, why, why_len);
}

static void put_entry(struct sinks *sinks, struct sinks_entry *entry)
{
    map_insert(&sinks->names, &entry->by_name, bytes_of(entry->name));
    pthread_mutex_lock(&sinks->lock);
    if (sinks->count == sinks->capacity) {
        sinks->capacity = MAX(2 * sinks->capacity, (size_t)16);
        sinks->entries =
            reallocarray(sinks->entries, sinks->capacity, sizeof(struct sinks_entry *));
        check(sinks->entries != NULL);
    }
    sinks->entries[sinks->count++] = entry;
    sinks->alone_count += entry->host != NULL;
    pthread_mutex_unlock(&sinks->lock);
}

static int add_one(struct sinks *sinks, const struct sink_settings *settings, char *why,
                   size_t why_len)
{
    struct sink_host *host = host_for(sinks, settings->kind, why, why_len);

    if (host == NULL)
        return -EIO;
    struct sink *sink = sink_start(host, settings, why, why_len);
    if (sink == NULL) {
        if (settings->kind->ground == NULL)
            sink_host_stop(&host);
        return -EIO;
    }
    struct sinks_entry *entry = calloc(1, sizeof(*entry));
    check(entry != NULL);
    snprintf(entry->name, sizeof(entry->name), "%s", settings->name);
    entry->kind = settings->kind;
    entry->owner = settings->owner;
    entry->sink = sink;
    entry->host = settings->kind->ground == NULL ? host : NULL;
    put_entry(sinks, entry);
    return 0;
}

static int add_new(struct sinks *sinks, const struct sinks_settings *settings, char *why,
                   size_t why_len)
{
    for (size_t i = 0; i < settings->count; i++) {
        struct sinks_entry *entry = find(sinks, settings->sinks[i].name);

        if (entry != NULL)
            sink_configure(entry->sink, &settings->sinks[i]);
        else if (add_one(sinks, &settings->sinks[i], why, why_len) < 0)
            return -EIO;
    }
    return 0;
}

static void set_budget(struct sinks *sinks, const struct sinks_settings *settings)
{
    pthread_mutex_lock(&sinks->lock);
    sinks->budget = settings->budget;
    sinks->full = settings->full;
    pthread_cond_signal(&sinks->wake);
    pthread_mutex_unlock(&sinks->lock);
}

void sinks_configure(struct sinks *sinks, const struct sinks_settings *settings)
{
    char why[512];

    pthread_mutex_lock(&sinks->change);
    drop_unwanted(sinks, settings);
    if (add_new(sinks, settings, why, sizeof(why)) < 0)
        log_error("what=%s", LOG_STRING(why));
    set_budget(sinks, settings);
    pthread_mutex_unlock(&sinks->change);
}

/* --- start and stop --------------------------------------------------------------------------- */

static void sinks_free(struct sinks **sinks)
{
    struct sinks *s = *sinks;

    if (s->files != NULL)
        event_reader_close(&s->files);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->change);
    pthread_cond_destroy(&s->wake);
    map_free(&s->names);
    free(s->entries);
    free(s->directory);
    free(s);
    *sinks = NULL;
}

static void stop_all(struct sinks *sinks, int64_t until_ms)
{
    for (size_t i = 0; i < sinks->count; i++)
        sink_ask_stop(sinks->entries[i]->sink, until_ms);
    for (size_t i = 0; i < sinks->count; i++)
        end_entry(sinks, sinks->entries[i]);
    sinks->count = 0;
    for (size_t i = 0; i < sinks->host_count; i++)
        sink_host_stop(&sinks->hosts[i].host);
    sinks->host_count = 0;
}

struct sinks *sinks_start(const struct sinks_settings *settings, const char *directory,
                          struct event_bounds *bounds, _Atomic bool *is_full, char *why,
                          size_t why_len)
{
    struct sinks *sinks = calloc(1, sizeof(*sinks));
    pthread_condattr_t attributes;

    check(sinks != NULL);
    sinks->directory = strdup(directory);
    check(sinks->directory != NULL);
    sinks->bounds = bounds;
    sinks->is_full = is_full;
    map_init(&sinks->names);
    pthread_mutex_init(&sinks->lock, NULL);
    pthread_mutex_init(&sinks->change, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sinks->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    set_budget(sinks, settings);
    int error = event_reader_open(directory, (struct event_place){.number = 1}, &sinks->files);
    if (error < 0)
        snprintf(why, why_len, "the event files in %s do not open: %s", directory,
                 strerror(-error));
    else
        error = add_new(sinks, settings, why, why_len);
    if (error == 0) {
        error = -pthread_create(&sinks->thread, NULL, run_thread, sinks);
        if (error < 0)
            snprintf(why, why_len, "no thread for sinks: %s", strerror(-error));
    }
    if (error < 0) {
        stop_all(sinks, clock_monotonic_ms());
        sinks_free(&sinks);
        return NULL;
    }
    (void)pthread_setname_np(sinks->thread, "sinks");
    event_bounds_listen(bounds, on_committed, sinks);
    return sinks;
}

void sinks_hurry(struct sinks *sinks)
{
    atomic_store(&sinks->is_hurried, true);
    pthread_mutex_lock(&sinks->lock);
    for (size_t i = 0; i < sinks->host_count; i++)
        sink_host_hurry(sinks->hosts[i].host);
    for (size_t i = 0; i < sinks->count; i++)
        if (sinks->entries[i]->host != NULL)
            sink_host_hurry(sinks->entries[i]->host);
    pthread_mutex_unlock(&sinks->lock);
}

void sinks_stop(struct sinks **sinks, int64_t until_ms)
{
    struct sinks *s = *sinks;

    event_bounds_listen(s->bounds, NULL, NULL);
    sinks_hurry(s);
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    stop_all(s, until_ms);
    sinks_free(sinks);
}

/* --- for operators ---------------------------------------------------------------------------- */

struct sink_status *sinks_status(struct sinks *sinks, size_t *count_out)
{
    pthread_mutex_lock(&sinks->lock);
    struct sink_status *all = calloc(sinks->count + 1, sizeof(*all));
    check(all != NULL);
    for (size_t i = 0; i < sinks->count; i++)
        sink_status(sinks->entries[i]->sink, &all[i]);
    *count_out = sinks->count;
    pthread_mutex_unlock(&sinks->lock);
    return all;
}

void sinks_held(struct sinks *sinks, struct sinks_held *out)
{
    pthread_mutex_lock(&sinks->lock);
    *out = (struct sinks_held){.bytes = sinks->held,
                               .budget = sinks->budget,
                               .is_full = atomic_load(sinks->is_full)};
    pthread_mutex_unlock(&sinks->lock);
}

int sinks_pause(struct sinks *sinks, const char *name, bool is_paused)
{
    pthread_mutex_lock(&sinks->change);
    struct sinks_entry *entry = find(sinks, name);
    int error = entry == NULL ? -ENOENT : sink_pause(entry->sink, is_paused);
    pthread_mutex_unlock(&sinks->change);
    return error;
}

int sinks_replay(struct sinks *sinks, const char *name, int64_t since_ms, uint64_t *count_out)
{
    struct event_place place;

    pthread_mutex_lock(&sinks->change);
    struct sinks_entry *entry = find(sinks, name);
    int error = entry == NULL ? -ENOENT : 0;
    if (error == 0)
        error =
            sink_find_time(sinks->directory, sinks->bounds, since_ms, &sinks->is_hurried, &place);
    if (error == 0)
        error = sink_replay(entry->sink, place, since_ms, count_out);
    pthread_mutex_unlock(&sinks->change);
    return error;
}
