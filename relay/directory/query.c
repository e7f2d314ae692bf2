/* query.c - statements of SQLite whose errors wait until the end. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "directory/store_private.h"

enum store_result store_say(struct store *store, enum store_result result, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(store->why, sizeof(store->why), format, args);
    va_end(args);
    return result;
}

enum store_result store_fail(struct store *store, int code)
{
    const char *path = store->path;

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return store_say(store, STORE_BUSY, "%s: another process writes to it and does not end",
                         path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return store_say(store, STORE_BROKEN,
                         "%s: damaged (%s); `ringpost directory restore FILE` brings a backup back",
                         path, sqlite3_errmsg(store->db));
    default:
        return store_say(store, STORE_BROKEN, "%s: %s", path, sqlite3_errmsg(store->db));
    }
}

static void keep_error(struct query *query, int code)
{
    if (code == SQLITE_OK || query->result != STORE_OK)
        return;
    query->result = store_fail(query->store, code);
}

void query_begin(struct query *query, struct store *store, const char *sql)
{
    *query = (struct query){.store = store, .next = 1};
    keep_error(query, sqlite3_prepare_v2(store->db, sql, -1, &query->statement, NULL));
}

void query_text(struct query *query, struct bytes text)
{
    if (query->result != STORE_OK)
        return;
    check(text.len <= INT32_MAX);
    keep_error(query, text.ptr == NULL ? sqlite3_bind_null(query->statement, query->next++)
                                       : sqlite3_bind_text(query->statement, query->next++,
                                                           (const char *)text.ptr, (int)text.len,
                                                           SQLITE_TRANSIENT));
}

void query_int(struct query *query, int64_t value)
{
    if (query->result == STORE_OK)
        keep_error(query, sqlite3_bind_int64(query->statement, query->next++, value));
}

void query_blob(struct query *query, struct bytes blob)
{
    check(blob.len <= INT32_MAX);
    if (query->result == STORE_OK)
        keep_error(query, sqlite3_bind_blob(query->statement, query->next++, blob.ptr,
                                            (int)blob.len, SQLITE_TRANSIENT));
}

bool query_row(struct query *query)
{
    if (query->result != STORE_OK)
        return false;
    int code = sqlite3_step(query->statement);

    query->next = 0;
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        keep_error(query, code);
    return false;
}

int64_t query_column(struct query *query)
{
    return sqlite3_column_int64(query->statement, query->next++);
}

struct bytes query_column_text(struct query *query)
{
    int column = query->next++;
    const void *text = sqlite3_column_text(query->statement, column);

    if (text == NULL)
        return BYTES_NONE;
    return bytes_range(text, (size_t)sqlite3_column_bytes(query->statement, column));
}

struct bytes query_column_blob(struct query *query)
{
    int column = query->next++;
    const void *blob = sqlite3_column_blob(query->statement, column);

    if (blob == NULL)
        return BYTES_NONE;
    return bytes_range(blob, (size_t)sqlite3_column_bytes(query->statement, column));
}

enum store_result query_end(struct query *query)
{
    sqlite3_finalize(query->statement); /* its error was the step's */
    query->statement = NULL;
    return query->result;
}

void query_again(struct query *query)
{
    if (query->statement != NULL)
        sqlite3_reset(query->statement);
    query->next = 1;
}

enum store_result query_run(struct query *query)
{
    while (query_row(query))
        ;
    return query_end(query);
}

enum store_result store_run(struct store *store, const char *sql)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? STORE_OK : store_fail(store, code);
}
