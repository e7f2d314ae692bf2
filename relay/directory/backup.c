/* backup.c - SQLite's own copying, which others may write during. */
#include "directory/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "directory/store_private.h"

enum { PAUSE_MS = 5 };

static enum store_result copy(struct store *from, struct store *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to->db, "main", from->db, "main");
    int64_t until_ms = clock_monotonic_ms() + STORE_PATIENCE_MS;
    int code;

    if (backup == NULL)
        return store_fail(to, sqlite3_errcode(to->db));
    /* All pages at once: readers of WAL hold up nobody, and other writers do not make it begin
     * again. */
    do {
        code = sqlite3_backup_step(backup, -1);
        if (code != SQLITE_BUSY && code != SQLITE_LOCKED)
            break;
        sqlite3_sleep(PAUSE_MS);
    } while (clock_monotonic_ms() < until_ms);
    int finished = sqlite3_backup_finish(backup);
    if (code == SQLITE_DONE && finished == SQLITE_OK)
        return STORE_OK;
    return store_fail(to, finished != SQLITE_OK ? finished : code);
}

static int make_empty(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* Without the schema's and WAL's set-up of store_open(): a bare file to copy into. */
static enum store_result open_bare(const char *path, int flags, struct store *out)
{
    *out = (struct store){0};
    snprintf(out->path, sizeof(out->path), "%s", path);
    int code = sqlite3_open_v2(path, &out->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    return code == SQLITE_OK ? STORE_OK : store_fail(out, code);
}

enum store_result directory_backup(struct store *store, const char *path)
{
    struct store to;
    int error = make_empty(path);

    if (error < 0)
        return store_say(store, error == -EEXIST ? STORE_CLASH : STORE_BROKEN, "%s: %s", path,
                         strerror(-error));
    enum store_result result = open_bare(path, SQLITE_OPEN_READWRITE, &to);
    if (result == STORE_OK)
        result = copy(store, &to);
    /* One file without a journal beside it, wherever it is carried. */
    if (result == STORE_OK)
        result = store_run(&to, "PRAGMA journal_mode = DELETE");
    if (result != STORE_OK)
        (void)store_say(store, result, "%s", to.why);
    sqlite3_close(to.db);
    if (result == STORE_OK && (error = sync_path(path)) < 0)
        result = store_say(store, STORE_BROKEN, "%s: %s", path, strerror(-error));
    if (result != STORE_OK)
        (void)unlink(path);
    return result;
}

/* --- restore ---------------------------------------------------------------------------------- */

static enum store_result check_whole(struct store *store)
{
    bool is_whole = false;
    struct query query;

    query_begin(&query, store, "PRAGMA integrity_check(1)");
    if (query_row(&query))
        is_whole = bytes_equal(query_column_text(&query), BYTES("ok"));
    enum store_result result = query_end(&query);
    if (result != STORE_OK || !is_whole)
        return result != STORE_OK ? result
                                  : store_say(store, STORE_BROKEN, "%s: damaged", store->path);
    query_begin(&query, store, "PRAGMA foreign_key_check");
    bool is_torn = query_row(&query);
    result = query_end(&query);
    return result == STORE_OK && is_torn
               ? store_say(store, STORE_BROKEN, "%s: rows that belong to nothing", store->path)
               : result;
}

static bool is_directory(struct store *store)
{
    struct query query;

    query_begin(&query, store, "SELECT 1 FROM sqlite_schema WHERE name = 'generation'");
    bool is_there = query_row(&query);
    return query_end(&query) == STORE_OK && is_there;
}

/* A copy of the file beside the directory, as it is to be. Another generation: whoever knows the
 * old one's numbers reads everything again. */
static enum store_result prepare(const char *path, const char *copy_path,
                                 char why_out[static STORE_WHY_MAX])
{
    struct store from, to;
    enum store_result result = open_bare(path, SQLITE_OPEN_READONLY, &from);

    if (result == STORE_OK && !is_directory(&from))
        result = store_say(&from, STORE_BROKEN, "%s: no backup of a directory", path);
    snprintf(why_out, STORE_WHY_MAX, "%s", from.why);
    if (result == STORE_OK) {
        result = open_bare(copy_path, SQLITE_OPEN_READWRITE, &to);
        if (result == STORE_OK)
            result = copy(&from, &to);
        snprintf(why_out, STORE_WHY_MAX, "%s", to.why);
        sqlite3_close(to.db);
    }
    sqlite3_close(from.db);
    if (result != STORE_OK)
        return result;
    struct store *made = store_open_file(copy_path, &result, why_out);
    if (made == NULL)
        return result;
    result = check_whole(made);
    if (result == STORE_OK && (result = edit_begin(made)) == STORE_OK) {
        result = store_run(made, "UPDATE generation SET id = lower(hex(randomblob(16)))");
        if (result == STORE_OK)
            result = edit_audit(made, "directory restore", bytes_of(path), "%s", "");
        result = edit_end(made, result);
    }
    if (result == STORE_OK)
        result = store_run(made, "PRAGMA journal_mode = DELETE");
    snprintf(why_out, STORE_WHY_MAX, "%s", made->why);
    store_close(&made);
    return result;
}

/* The damaged one with what SQLite has beside it, which would be taken for the new one's. */
static enum store_result put_aside(const char *live, const char *copy_path, const char *state_dir,
                                   char aside_out[static STORE_PATH_MAX],
                                   char why_out[static STORE_WHY_MAX])
{
    static const char *const ends[] = {"-wal", "-shm", ""};
    char aside[STORE_PATH_MAX], from[STORE_PATH_MAX + 8], to[STORE_PATH_MAX + 8];

    snprintf(aside, sizeof(aside), "%.4000s.damaged-%lld", live,
             (long long)(clock_wall_ms() / 1000));
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(from, sizeof(from), "%s%s", live, ends[i]);
        snprintf(to, sizeof(to), "%s%s", aside, ends[i]);
        if (rename(from, to) < 0 && errno != ENOENT) {
            snprintf(why_out, STORE_WHY_MAX, "%.400s: %s", from, strerror(errno));
            return STORE_BROKEN;
        }
    }
    if (rename(copy_path, live) < 0 || sync_path(state_dir) < 0) {
        snprintf(why_out, STORE_WHY_MAX, "%.400s: %s", live, strerror(errno));
        return STORE_BROKEN;
    }
    memcpy(aside_out, aside, sizeof(aside));
    return STORE_OK;
}

static enum store_result replace(const char *state_dir, const char *copy_path,
                                 char aside_out[static STORE_PATH_MAX],
                                 char why_out[static STORE_WHY_MAX])
{
    enum store_result result;
    struct store from;
    struct store *live = store_open(state_dir, STORE_MAKE, STORE_PATIENCE_MS, &result, why_out);
    char live_path[STORE_PATH_MAX];

    if (live != NULL) {
        result = check_whole(live);
        if (result == STORE_OK &&
            (result = open_bare(copy_path, SQLITE_OPEN_READONLY, &from)) == STORE_OK) {
            result = copy(&from, live);
            sqlite3_close(from.db);
            snprintf(why_out, STORE_WHY_MAX, "%s", live->why);
            store_close(&live);
            return result;
        }
        store_close(&live);
    }
    if (result != STORE_BROKEN && result != STORE_NEWER)
        return result;
    snprintf(live_path, sizeof(live_path), "%.4000s/directory.db", state_dir);
    return put_aside(live_path, copy_path, state_dir, aside_out, why_out);
}

/* Root's commands leave the file to who serves. */
static void give(const char *path, const char *state_dir)
{
    struct stat status;

    if (geteuid() == 0 && stat(state_dir, &status) == 0)
        (void)!chown(path, status.st_uid, status.st_gid);
}

enum store_result directory_restore(const char *state_dir, const char *path,
                                    char aside_out[static STORE_PATH_MAX],
                                    char why_out[static STORE_WHY_MAX])
{
    char copy_path[STORE_PATH_MAX];

    aside_out[0] = '\0';
    snprintf(copy_path, sizeof(copy_path), "%.4000s/directory.db.restore", state_dir);
    (void)unlink(copy_path); /* of one that was killed */
    int error = make_empty(copy_path);
    if (error < 0) {
        snprintf(why_out, STORE_WHY_MAX, "%.400s: %s", copy_path, strerror(-error));
        return STORE_BROKEN;
    }
    give(copy_path, state_dir);
    enum store_result result = prepare(path, copy_path, why_out);
    if (result == STORE_OK)
        result = replace(state_dir, copy_path, aside_out, why_out);
    if (result != STORE_OK || aside_out[0] == '\0')
        (void)unlink(copy_path);
    return result;
}
