/* sts_file.c - SQLite: one table, no secrets. */
#include "delivery/mta_sts/sts_file.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

enum { PATH_LEN_MAX = 4096, VERSION = 1, BUSY_MS = 2000 };

struct sts_file {
    sqlite3 *db;
    bool is_readonly;
};

static bool fail(const struct sts_file *file, const char *what)
{
    log_limited(LOG_LEVEL_WARN, "file=mta_sts.db what=%s why=%s", LOG_STRING(what),
                LOG_STRING(sqlite3_errmsg(file->db)));
    return false;
}

static bool run(struct sts_file *file, const char *sql, const char *what)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(file, what);
}

static int version_of(struct sts_file *file)
{
    sqlite3_stmt *statement = NULL;
    int version = -1;

    if (sqlite3_prepare_v2(file->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return version;
}

static bool set_up(struct sts_file *file)
{
    sqlite3_busy_timeout(file->db, BUSY_MS);
    int version = version_of(file);

    if (version < 0)
        return fail(file, "cannot be read: policies are kept in memory alone");
    if (version > VERSION) {
        log_warn("file=mta_sts.db version=%d what=\"is of a later version: policies are kept in "
                 "memory alone\"",
                 version);
        return false;
    }
    if (file->is_readonly)
        return version == VERSION;
    return run(
        file,
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE IF NOT EXISTS policy(domain TEXT PRIMARY KEY, id TEXT NOT NULL,"
        " text BLOB NOT NULL, fetched_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL)"
        " WITHOUT ROWID; PRAGMA user_version = 1;"
        "DELETE FROM policy WHERE expires_ms <= CAST(strftime('%s', 'now') AS INTEGER) * 1000",
        "cannot be written: policies are kept in memory alone");
}

struct sts_file *sts_file_open(const char *state_dir, bool is_readonly)
{
    struct sts_file *file = calloc(1, sizeof(*file));
    char path[PATH_LEN_MAX];

    check(file != NULL);
    file->is_readonly = is_readonly;
    int len = snprintf(path, sizeof(path), "%s/mta_sts.db", state_dir);
    int flags = is_readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    bool is_open = len > 0 && (size_t)len < sizeof(path) &&
                   sqlite3_open_v2(path, &file->db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;

    if (!is_open && !is_readonly)
        (void)fail(file, "cannot be opened: policies are kept in memory alone");
    if (!is_open || !set_up(file))
        sts_file_close(&file);
    return file;
}

void sts_file_close(struct sts_file **file)
{
    struct sts_file *f = *file;

    *file = NULL;
    if (f == NULL)
        return;
    sqlite3_close(f->db);
    free(f);
}

static struct bytes column(sqlite3_stmt *statement, int number)
{
    const void *bytes = sqlite3_column_blob(statement, number);

    return bytes_range(bytes, (size_t)sqlite3_column_bytes(statement, number));
}

static bool id_is_valid(struct bytes id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!byte_is_alnum(id.ptr[i]))
            return false;
    return id.len > 0 && id.len <= MTA_STS_ID_MAX;
}

void sts_file_load(struct sts_file *file,
                   void (*row)(void *context, struct bytes domain, struct sts_policy *policy),
                   void *context)
{
    sqlite3_stmt *statement = NULL;
    struct clocks clocks = clocks_read();
    int code;

    if (sqlite3_prepare_v2(file->db,
                           "SELECT domain, id, text, fetched_ms, expires_ms FROM policy"
                           " WHERE expires_ms > ? ORDER BY fetched_ms",
                           -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(statement, 1, clocks.wall_ms) != SQLITE_OK) {
        (void)fail(file, "cannot be read");
        sqlite3_finalize(statement);
        return;
    }
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct bytes domain = column(statement, 0), id = column(statement, 1);
        /* One from the future was written before the clock was set back: it is as good as new. */
        int64_t fetched_ms = MIN(sqlite3_column_int64(statement, 3), clocks.wall_ms);
        struct sts_policy *policy = domain.len == 0 || !id_is_valid(id)
                                        ? NULL
                                        : sts_policy_make(id, column(statement, 2),
                                                          clocks_to_monotonic(clocks, fetched_ms));

        if (policy == NULL)
            log_limited(LOG_LEVEL_WARN,
                        "file=mta_sts.db domain=%s what=\"a policy does not read "
                        "back and is left out\"",
                        LOG_TEXT(domain));
        else
            row(context, domain, policy);
    }
    if (code != SQLITE_DONE)
        (void)fail(file, "cannot be read to its end");
    sqlite3_finalize(statement);
}

static bool step(struct sts_file *file, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_finalize(statement);
    return code == SQLITE_DONE || fail(file, "cannot be written");
}

bool sts_file_put(struct sts_file *file, struct bytes domain, const struct sts_policy *policy)
{
    sqlite3_stmt *s = NULL;
    struct clocks clocks = clocks_read();
    struct bytes text = policy->policy.text;

    if (sqlite3_prepare_v2(file->db,
                           "INSERT OR REPLACE INTO policy(domain, id, text, fetched_ms, expires_ms)"
                           " VALUES(?, ?, ?, ?, ?)",
                           -1, &s, NULL) != SQLITE_OK ||
        sqlite3_bind_text(s, 1, (const char *)domain.ptr, (int)domain.len, SQLITE_STATIC) ||
        sqlite3_bind_text(s, 2, (const char *)policy->id.ptr, (int)policy->id.len, SQLITE_STATIC) ||
        sqlite3_bind_blob(s, 3, text.ptr, (int)text.len, SQLITE_STATIC) ||
        sqlite3_bind_int64(s, 4, clocks_to_wall(clocks, policy->fetched_ms)) ||
        sqlite3_bind_int64(s, 5, clocks_to_wall(clocks, policy->expires_ms))) {
        sqlite3_finalize(s);
        return fail(file, "cannot be written");
    }
    return step(file, s);
}

bool sts_file_forget(struct sts_file *file, struct bytes domain)
{
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(file->db, "DELETE FROM policy WHERE domain = ?", -1, &s, NULL) !=
            SQLITE_OK ||
        sqlite3_bind_text(s, 1, (const char *)domain.ptr, (int)domain.len, SQLITE_STATIC)) {
        sqlite3_finalize(s);
        return fail(file, "cannot be written");
    }
    return step(file, s);
}
