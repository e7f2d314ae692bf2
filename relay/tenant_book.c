/* tenant_book.c - follows the journal's events, and keeps what tenants' limits need of them. */
#include "relay/tenant_book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "intake/claims.h"
#include "relay/publisher.h"
#include "relay/tenant_book_frame.h"
#include "submission/account_rate.h"

enum { PATH_SIZE = 4096, GROWN_BYTES = 4 * 1024 * 1024 };

/* Behind the last event that is in the book. */
struct place {
    uint64_t position;
    uint32_t part;
};

struct tenant_book {
    char path[PATH_SIZE], fresh_path[PATH_SIZE], directory[PATH_SIZE];
    int fd; /* -1: to be written anew */
    size_t size, size_when_fresh;
    struct buf frame;
    size_t keys_told; /* to the metric */
    bool is_changed;
    unsigned shard_count, waits_for; /* shards that were not told to their goal yet */
    struct place places[MESSAGE_ID_SHARDS_MAX];
    _Atomic uint64_t goals[MESSAGE_ID_SHARDS_MAX]; /* what is before it is from before the start */
    bool is_told[MESSAGE_ID_SHARDS_MAX];           /* up to there */
};

/* --- reading ---------------------------------------------------------------------------------- */

static void read_position(void *context, unsigned shard, uint64_t position, uint32_t part)
{
    struct tenant_book *book = context;

    book->places[shard] = (struct place){position, part};
}

static void read_counts(void *context, struct bytes name,
                        const uint64_t counts[static ALLOWANCE_COUNTS])
{
    (void)context;
    allowance_remember(name, counts);
}

static void read_claim(void *context, const struct claim *claim, uint64_t id, int64_t since_s)
{
    (void)context;
    claims_restore(claim, id, since_s);
}

static void read_rate(void *context, const struct account_rate_noted *noted, int64_t began_s)
{
    struct account_rate_noted known = *noted;
    int64_t now_ms = clock_monotonic_ms();

    (void)context;
    known.began_ms = now_ms - 1000 * (allowance_clock_s(now_ms) - began_s);
    account_rate_remember(&known, now_ms);
}

/* 0 with nothing where there is none. */
static int map_file(const char *path, struct bytes *out)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *out = BYTES_NONE;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (error == 0 && status.st_size > 0) {
        void *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

        if (at == MAP_FAILED)
            error = -errno;
        else
            *out = bytes_range(at, (size_t)status.st_size);
    }
    close(fd);
    return error;
}

static void unmap_file(struct bytes file)
{
    if (file.len > 0)
        munmap((void *)(uintptr_t)file.ptr, file.len);
}

/* What is torn or damaged is left behind with the file that is written anew. */
static int read_file(struct tenant_book *book)
{
    const struct book_visitor visitor = {book, read_position, read_counts, read_claim, read_rate};
    struct bytes file;
    size_t good;
    int error = map_file(book->path, &file);

    if (error < 0 || file.len == 0)
        return error;
    enum book_state state = book_visit(file, &visitor, &good);
    if (state == BOOK_TORN)
        log_warn("book=%s bytes=%zu what=\"its end is not whole and left out: what tenants sent "
                 "then is counted from the spool\"",
                 LOG_STRING(book->path), file.len - good);
    else if (state == BOOK_FOREIGN)
        log_error("book=%s what=\"this is no book of tenants, and is begun anew: what they sent "
                  "and their idempotency keys are forgotten\"",
                  LOG_STRING(book->path));
    unmap_file(file);
    return state == BOOK_NEWER ? -ENOTSUP : 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(int fd, struct bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        bytes = bytes_slice(bytes, (size_t)written, bytes.len);
    }
    return 0;
}

static void frame_begin(struct tenant_book *book)
{
    static const uint8_t header[FRAME_HEADER_LEN];

    buf_clear(&book->frame);
    check(buf_append(&book->frame, bytes_range(header, sizeof(header))));
}

/* A file that is written anew, frame by frame. */
struct fresh {
    struct tenant_book *book;
    int fd, error;
    size_t size;
};

static void fresh_put(struct fresh *fresh)
{
    struct buf *frame = &fresh->book->frame;
    size_t len = buf_len(frame) - FRAME_HEADER_LEN;

    if (fresh->error == 0 && len > 0) {
        frame_seal(frame->ptr + frame->start, len);
        fresh->error = write_all(fresh->fd, buf_bytes(frame));
        fresh->size += buf_len(frame);
    }
    frame_begin(fresh->book);
}

static void fresh_counts(void *context, struct bytes name,
                         const uint64_t counts[static ALLOWANCE_COUNTS])
{
    struct fresh *fresh = context;

    if (frame_put_counts(&fresh->book->frame, name, counts))
        return;
    fresh_put(fresh);
    check(frame_put_counts(&fresh->book->frame, name, counts));
}

static void fresh_claim(void *context, const struct claim *claim, uint64_t id, int64_t since_s)
{
    struct fresh *fresh = context;

    if (frame_put_claim(&fresh->book->frame, claim, id, since_s))
        return;
    fresh_put(fresh);
    check(frame_put_claim(&fresh->book->frame, claim, id, since_s));
}

static int64_t clock_s_of(int64_t at_ms)
{
    int64_t now_ms = clock_monotonic_ms();

    return allowance_clock_s(now_ms) - (now_ms - at_ms) / 1000;
}

static void fresh_rate(void *context, const struct account_rate_noted *noted)
{
    struct fresh *fresh = context;
    int64_t began_s = clock_s_of(noted->began_ms);

    if (frame_put_rate(&fresh->book->frame, noted, began_s))
        return;
    fresh_put(fresh);
    check(frame_put_rate(&fresh->book->frame, noted, began_s));
}

static bool put_places(struct tenant_book *book)
{
    bool fits = true;

    for (unsigned i = 0; i < MESSAGE_ID_SHARDS_MAX; i++)
        if (book->places[i].position != 0)
            fits &=
                frame_put_position(&book->frame, i, book->places[i].position, book->places[i].part);
    return fits;
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return error;
}

/* Everything that is known. A claim that is in memory before its event was told is written before
 * it, which does no harm. */
static int write_fresh(struct tenant_book *book)
{
    struct fresh fresh = {.book = book};

    fresh.fd = open(book->fresh_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fresh.fd < 0)
        return -errno;
    fresh.error = write_all(fresh.fd, book_magic());
    fresh.size = book_magic().len;
    frame_begin(book);
    check(put_places(book));
    allowances_visit(false, fresh_counts, &fresh);
    claims_visit(fresh_claim, &fresh);
    account_rates_visit(false, clock_monotonic_ms(), fresh_rate, &fresh);
    fresh_put(&fresh);
    if (fresh.error == 0 && fdatasync(fresh.fd) < 0)
        fresh.error = -errno;
    if (fresh.error == 0 && rename(book->fresh_path, book->path) < 0)
        fresh.error = -errno;
    if (fresh.error == 0)
        fresh.error = sync_directory(book->directory);
    if (fresh.error < 0) {
        close(fresh.fd);
        return fresh.error;
    }
    if (book->fd >= 0)
        close(book->fd);
    book->fd = fresh.fd;
    book->size = book->size_when_fresh = fresh.size;
    return 0;
}

/* Else all of it goes into a file written anew. */
static void add_counts(void *context, struct bytes name,
                       const uint64_t counts[static ALLOWANCE_COUNTS])
{
    struct tenant_book *book = context;

    if (!frame_put_counts(&book->frame, name, counts) && book->fd >= 0) {
        close(book->fd);
        book->fd = -1;
    }
}

static void add_rate(void *context, const struct account_rate_noted *noted)
{
    struct tenant_book *book = context;

    if (!frame_put_rate(&book->frame, noted, clock_s_of(noted->began_ms)) && book->fd >= 0) {
        close(book->fd);
        book->fd = -1;
    }
}

static int append(struct tenant_book *book)
{
    allowances_visit(true, add_counts, book);
    account_rates_visit(true, clock_monotonic_ms(), add_rate, book);
    if (book->fd < 0 || !put_places(book))
        return write_fresh(book);
    size_t len = buf_len(&book->frame);

    frame_seal(book->frame.ptr + book->frame.start, len - FRAME_HEADER_LEN);
    int error = write_all(book->fd, buf_bytes(&book->frame));
    if (error == 0 && fdatasync(book->fd) < 0)
        error = -errno;
    book->size += len;
    return error;
}

void tenant_book_commit(struct tenant_book *book)
{
    claims_sweep(allowance_clock_s(clock_monotonic_ms()));
    size_t keys = claims_count();

    metric_add(METRIC_IDEMPOTENCY_KEYS, (int64_t)keys - (int64_t)book->keys_told);
    book->keys_told = keys;
    if (!book->is_changed)
        return;
    bool is_grown = book->size > 2 * book->size_when_fresh + GROWN_BYTES;
    int error = book->fd < 0 || is_grown ? write_fresh(book) : append(book);

    if (error == 0) {
        book->is_changed = false;
    } else {
        /* What reached the file is not known. */
        if (book->fd >= 0)
            close(book->fd);
        book->fd = -1;
        metric_inc(METRIC_TENANTS_BOOK_ERRORS);
        log_limited(LOG_LEVEL_WARN,
                    "book=%s error=\"%s\" what=\"what tenants send is not written down; trying "
                    "again\"",
                    LOG_STRING(book->path), strerror(-error));
    }
    frame_begin(book);
}

/* --- events ----------------------------------------------------------------------------------- */

static bool is_new(const struct place *place, const struct event *event)
{
    return event->position > place->position ||
           (event->position == place->position && event->part >= place->part);
}

/* What was counted when it was accepted (submission/allowed.h): neither what comes for a tenant nor
 * what is made here for it. */
static bool is_submitted(const struct event *event)
{
    return !event->is_copy && bytes_equal(event->service, BYTES("submission"));
}

/* A first attempt of what was submitted; what comes again was counted then. */
static bool is_first_attempt(const struct event *event)
{
    bool is_attempt = event->kind == EVENT_DELIVERED || event->kind == EVENT_FILED ||
                      event->kind == EVENT_DEFERRED || event->kind == EVENT_BOUNCED;

    return is_attempt && event->attempt == 1 && !event->is_received;
}

static void note_claim(struct tenant_book *book, const struct event *event, bool is_late)
{
    int64_t since_s = is_late ? event->accepted_ms / 1000 : allowance_clock_s(clock_monotonic_ms());
    struct claim claim;

    if (event->part != 0 || !claim_decode(event->claim, &claim))
        return;
    claims_restore(&claim, event->id.value, since_s);
    book->is_changed = true;
    if (!frame_put_claim(&book->frame, &claim, event->id.value, since_s) && book->fd >= 0) {
        close(book->fd);
        book->fd = -1; /* written anew, with it */
    }
}

static void note(struct tenant_book *book, const struct event *event, enum allowance_count what,
                 bool is_late)
{
    if (event->tenant.len == 0)
        return;
    allowance_note(event->tenant, what, clock_monotonic_ms(), is_late, event->time_ms);
    book->is_changed = true;
}

/* By the clock of the start, as claims have it; one to come is of now. */
static void note_rate(struct tenant_book *book, const struct event *event, bool is_late)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t age_s = allowance_clock_s(now_ms) - event->accepted_ms / 1000;

    if (event->account == 0)
        return;
    account_rate_note(event->account, event->part == 0, 1, is_late,
                      is_late ? now_ms - 1000 * MAX(age_s, (int64_t)0) : now_ms, now_ms);
    book->is_changed = true;
}

void tenant_book_event(struct tenant_book *book, const struct event *event)
{
    struct place *place = &book->places[event->shard % MESSAGE_ID_SHARDS_MAX];
    bool is_late =
        event->position < atomic_load(&book->goals[event->shard % MESSAGE_ID_SHARDS_MAX]);

    if (!is_new(place, event))
        return;
    *place = (struct place){event->position, event->part + 1};
    if (event->kind == EVENT_ACCEPTED) {
        note_claim(book, event, is_late);
        if (is_submitted(event)) {
            note(book, event, ALLOWANCE_ACCEPTED_DAY, is_late);
            note_rate(book, event, is_late);
        }
    } else if (is_first_attempt(event)) {
        note(book, event, ALLOWANCE_SENT_HOUR, is_late);
    }
}

void tenant_book_attach(struct tenant_book *book, unsigned shard, uint64_t position)
{
    check(shard < MESSAGE_ID_SHARDS_MAX);
    atomic_store(&book->goals[shard], position);
}

void tenant_book_told(struct tenant_book *book, unsigned shard, uint64_t position)
{
    uint64_t goal = atomic_load(&book->goals[shard]);

    if (book->is_told[shard] || position < goal)
        return;
    book->is_told[shard] = true;
    /* It is ahead of a spool that is another one. */
    if (book->places[shard].position > position)
        book->places[shard] = (struct place){position, 0};
    check(book->waits_for > 0);
    if (--book->waits_for == 0)
        allowances_are_known(true);
}

/* --- open and close --------------------------------------------------------------------------- */

static bool set_paths(struct tenant_book *book, const char *state_dir)
{
    return snprintf(book->directory, PATH_SIZE, "%s", state_dir) < PATH_SIZE &&
           snprintf(book->path, PATH_SIZE, "%s/tenants.book", state_dir) < PATH_SIZE &&
           snprintf(book->fresh_path, PATH_SIZE, "%s/tenants.book.new", state_dir) < PATH_SIZE;
}

struct tenant_book *tenant_book_open(const char *state_dir, unsigned shard_count, char *why,
                                     size_t why_len)
{
    struct tenant_book *book = calloc(1, sizeof(*book));

    check(book != NULL);
    check(shard_count > 0 && shard_count <= MESSAGE_ID_SHARDS_MAX);
    book->fd = -1;
    book->shard_count = book->waits_for = shard_count;
    buf_init(&book->frame, FRAME_MAX);
    frame_begin(book);
    for (unsigned i = 0; i < MESSAGE_ID_SHARDS_MAX; i++)
        atomic_init(&book->goals[i], UINT64_MAX);
    allowances_are_known(false);
    int error = set_paths(book, state_dir) ? read_file(book) : -ENAMETOOLONG;
    if (error == 0)
        error = write_fresh(book);
    if (error == -ENOSPC || error == -EDQUOT) { /* as with all that a full disk stops: later */
        book->is_changed = true;
        error = 0;
    }
    if (error == 0)
        return book;
    (void)snprintf(why, why_len, "%s: %s%s", book->path, strerror(-error),
                   error == -ENOTSUP ? "; a newer version has written it" : "");
    buf_free(&book->frame);
    free(book);
    return NULL;
}

void tenant_book_close(struct tenant_book **book)
{
    struct tenant_book *closed = *book;

    *book = NULL;
    tenant_book_commit(closed);
    if (closed->fd >= 0)
        close(closed->fd);
    buf_free(&closed->frame);
    free(closed);
}

static void on_attached(void *context, unsigned shard, uint64_t position)
{
    tenant_book_attach(context, shard, position);
}

static void on_event(void *context, const struct event *event)
{
    tenant_book_event(context, event);
}

static void on_told(void *context, unsigned shard, uint64_t position)
{
    tenant_book_told(context, shard, position);
}

static void on_commit(void *context)
{
    tenant_book_commit(context);
}

void tenant_book_follow(struct tenant_book *book, struct publisher_follower *out)
{
    *out = (struct publisher_follower){book, on_attached, on_event, on_told, on_commit};
}

/* --- one tenant ------------------------------------------------------------------------------- */

struct search {
    struct bytes tenant;
    uint64_t *counts;
    bool is_found;
};

static void search_counts(void *context, struct bytes name,
                          const uint64_t counts[static ALLOWANCE_COUNTS])
{
    struct search *search = context;

    if (!bytes_equal(name, search->tenant))
        return;
    memcpy(search->counts, counts, ALLOWANCE_COUNTS * sizeof(*counts));
    search->is_found = true;
}

static void pass_position(void *context, unsigned shard, uint64_t position, uint32_t part)
{
    (void)context;
    (void)shard;
    (void)position;
    (void)part;
}

static void pass_claim(void *context, const struct claim *claim, uint64_t id, int64_t since_s)
{
    (void)context;
    (void)claim;
    (void)id;
    (void)since_s;
}

static void pass_rate(void *context, const struct account_rate_noted *noted, int64_t began_s)
{
    (void)context;
    (void)noted;
    (void)began_s;
}

bool tenant_book_read(const char *state_dir, struct bytes tenant,
                      uint64_t counts_out[static ALLOWANCE_COUNTS])
{
    struct search search = {.tenant = tenant, .counts = counts_out};
    const struct book_visitor visitor = {&search, pass_position, search_counts, pass_claim,
                                         pass_rate};
    char path[PATH_SIZE];
    struct bytes file;
    size_t good;

    if (snprintf(path, sizeof(path), "%s/tenants.book", state_dir) >= PATH_SIZE ||
        map_file(path, &file) < 0)
        return false;
    (void)book_visit(file, &visitor, &good);
    unmap_file(file);
    return search.is_found;
}
