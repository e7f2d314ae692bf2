/* store.c - the database's file, edits and their audit. */
#include "directory/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/owner.h"
#include "directory/store_private.h"

enum {
    /* A daemon that was away for longer reads everything again. */
    CHANGES_KEPT = 100000,
    AUDIT_DETAIL_MAX = 1024,
    AUDIT_TOLD_AT_ONCE = 100,
    SET_UP_PAUSE_MS = 5,
    PASSWD_MAX = 4096, /* of a user's entry; of a longer one the name is not told */
};

/* Secrets' hashes are nobody's to read; and root's commands must not take the file from the user
 * that serves. One that is there is not opened here: closing it would let go of the locks that
 * another connection of this process holds on it (fcntl(2)), and SQLite would not know. */
static enum store_result make_file(struct store *store, const char *state_dir)
{
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct stat status;
    int error = 0;

    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST || lstat(store->path, &status) < 0)
        error = errno;
    else if (!S_ISREG(status.st_mode))
        error = ELOOP;
    if (error == 0)
        error = -owner_give_at(AT_FDCWD, store->path, state_dir);
    if (error != 0)
        return store_say(store, STORE_BROKEN, "%s: %s", store->path, strerror(error));
    return STORE_OK;
}

static enum store_result set_up(struct store *store, unsigned patience_ms)
{
    enum store_result result;

    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, (int)patience_ms);
    /* Not trusted_schema: a database that was handed to us may hold SQL of others. */
    if ((result = store_run(store, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                                   "PRAGMA recursive_triggers = ON; PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL")) != STORE_OK)
        return result;
    /* Before foreign keys are watched: migrations may make tables anew. */
    if ((result = schema_migrate(store)) != STORE_OK)
        return result;
    return store_run(store, "PRAGMA foreign_keys = ON");
}

static enum store_result open_database(struct store *store, unsigned patience_ms)
{
    int code =
        sqlite3_open_v2(store->path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                        NULL);

    if (code != SQLITE_OK)
        return store_fail(store, code);
    /* Turning a new file to WAL does not wait for another that does the same, as all else does. */
    int64_t until_ms = clock_monotonic_ms() + patience_ms;
    enum store_result result;
    while ((result = set_up(store, patience_ms)) == STORE_BUSY && clock_monotonic_ms() < until_ms)
        sqlite3_sleep(SET_UP_PAUSE_MS);
    return result;
}

/* Of several threads of the daemon, too. */
static void find_who(char out[static STORE_WHO_MAX])
{
    char room[PASSWD_MAX];
    struct passwd entry, *user = NULL;

    (void)getpwuid_r(getuid(), &entry, room, sizeof(room), &user);
    const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;

    snprintf(out, STORE_WHO_MAX, "%u/%.40s%s%.40s", (unsigned)getuid(),
             user != NULL ? user->pw_name : "", sudo != NULL ? " for " : "",
             sudo != NULL ? sudo : "");
}

static struct store *open_at(struct store *store, enum store_result result, unsigned patience_ms,
                             enum store_result *result_out, char why_out[static STORE_WHY_MAX])
{
    if (result == STORE_OK)
        result = open_database(store, patience_ms);
    *result_out = result;
    if (result == STORE_OK) {
        find_who(store->who);
        return store;
    }
    memcpy(why_out, store->why, STORE_WHY_MAX);
    store_close(&store);
    return NULL;
}

static struct store *store_new(void)
{
    struct store *store = calloc(1, sizeof(*store));

    check(store != NULL);
    return store;
}

struct store *store_open(const char *state_dir, enum store_absent absent, unsigned patience_ms,
                         enum store_result *result_out, char why_out[static STORE_WHY_MAX])
{
    struct store *store = store_new();
    int len = snprintf(store->path, sizeof(store->path), "%s/directory.db", state_dir);
    enum store_result result = STORE_OK;

    if (len >= (int)sizeof(store->path))
        result = store_say(store, STORE_INVALID, "state_dir: %s", strerror(ENAMETOOLONG));
    else if (absent == STORE_MAKE)
        result = make_file(store, state_dir);
    return open_at(store, result, patience_ms, result_out, why_out);
}

struct store *store_open_file(const char *path, enum store_result *result_out,
                              char why_out[static STORE_WHY_MAX])
{
    struct store *store = store_new();
    int len = snprintf(store->path, sizeof(store->path), "%s", path);
    enum store_result result =
        len < (int)sizeof(store->path)
            ? STORE_OK
            : store_say(store, STORE_INVALID, "%.64s...: %s", path, strerror(ENAMETOOLONG));

    return open_at(store, result, STORE_PATIENCE_MS, result_out, why_out);
}

enum store_result store_open_to_look(struct store *store, const char *state_dir)
{
    char log[sizeof(store->path) + 8];

    *store = (struct store){0};
    if (snprintf(store->path, sizeof(store->path), "%s/directory.db", state_dir) >=
        (int)sizeof(store->path))
        return store_say(store, STORE_INVALID, "state_dir: %s", strerror(ENAMETOOLONG));
    snprintf(log, sizeof(log), "%s-wal", store->path);
    /* Who may only read cannot remove the log of changes that it makes where there is none. */
    int flags = access(log, F_OK) == 0 ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int code = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL);

    return code == SQLITE_OK ? STORE_OK : store_fail(store, code);
}

enum store_result store_try(const char *state_dir, char why_out[static STORE_WHY_MAX])
{
    struct store store;
    enum store_result result = store_open_to_look(&store, state_dir);
    int64_t version;

    if (result == STORE_OK)
        result = schema_version(&store, &version);
    else if (access(store.path, F_OK) < 0)
        result = STORE_OK;
    sqlite3_close(store.db);
    memcpy(why_out, store.why, STORE_WHY_MAX);
    return result;
}

void store_close(struct store **store)
{
    struct store *closed = *store;

    *store = NULL;
    if (closed->db != NULL)
        check(sqlite3_close(closed->db) == SQLITE_OK); /* else a statement was not ended */
    free(closed);
}

const char *store_why(const struct store *store)
{
    return store->why;
}

void store_set_who(struct store *store, const char *who)
{
    snprintf(store->who, sizeof(store->who), "%s", who);
}

/* --- edits ------------------------------------------------------------------------------------ */

enum store_result edit_begin(struct store *store)
{
    return store_run(store, "BEGIN IMMEDIATE");
}

enum store_result edit_audit(struct store *store, const char *what, struct bytes subject,
                             const char *format, ...)
{
    char detail[AUDIT_DETAIL_MAX];
    struct query query;
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    query_begin(&query, store,
                "INSERT INTO audit(time, who, what, subject, detail) VALUES (?, ?, ?, ?, ?)");
    query_int(&query, clock_wall_ms() / 1000);
    query_text(&query, bytes_of(store->who));
    query_text(&query, bytes_of(what));
    query_text(&query, subject);
    query_text(&query, bytes_of(detail));
    return query_run(&query);
}

static enum store_result forget_changes(struct store *store)
{
    struct query query;

    query_begin(&query, store,
                "DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?");
    query_int(&query, CHANGES_KEPT);
    return query_run(&query);
}

enum store_result edit_end(struct store *store, enum store_result result)
{
    if (result == STORE_OK)
        result = forget_changes(store);
    if (result == STORE_OK)
        result = store_run(store, "COMMIT");
    /* A COMMIT that failed may have left the transaction open. */
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return result;
}

int64_t edit_changed(const struct store *store)
{
    return sqlite3_changes(store->db);
}

int64_t edit_new_id(const struct store *store)
{
    return sqlite3_last_insert_rowid(store->db);
}

static void take_audit(struct query *query, struct audit_row *row)
{
    row->id = query_column(query);
    row->wall_s = query_column(query);
    row->who = query_column_text(query);
    row->what = query_column_text(query);
    row->subject = query_column_text(query);
    row->detail = query_column_text(query);
}

enum store_result audit_untold(struct store *store,
                               void (*visit)(void *context, const struct audit_row *row),
                               void *context)
{
    struct query query;

    query_begin(&query, store,
                "SELECT id, time, who, what, subject, detail FROM audit"
                " WHERE id > (SELECT id FROM audit_told) ORDER BY id LIMIT ?");
    query_int(&query, AUDIT_TOLD_AT_ONCE);
    while (query_row(&query)) {
        struct audit_row row;

        take_audit(&query, &row);
        visit(context, &row);
    }
    return query_end(&query);
}

enum store_result audit_mark_told(struct store *store, int64_t id)
{
    struct query query;

    query_begin(&query, store, "UPDATE audit_told SET id = ?");
    query_int(&query, id);
    return query_run(&query);
}

enum store_result audit_list(struct store *store, int64_t after, unsigned count_max,
                             void (*visit)(void *context, const struct audit_row *row),
                             void *context)
{
    struct query query;

    query_begin(&query, store,
                "SELECT id, time, who, what, subject, detail FROM audit WHERE id > ?"
                " ORDER BY id DESC LIMIT ?");
    query_int(&query, after);
    query_int(&query, count_max);
    while (query_row(&query)) {
        struct audit_row row;

        take_audit(&query, &row);
        visit(context, &row);
    }
    return query_end(&query);
}
