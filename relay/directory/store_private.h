/*
 * store_private.h - statements and edits, for the files of the folder that have tables.
 *
 *   struct query query;
 *   query_begin(&query, store, "SELECT id FROM tenants WHERE name = ?");
 *   query_text(&query, name);
 *   if (query_row(&query)) id = query_column(&query);
 *   result = query_end(&query);
 *
 * The first thing that goes wrong is kept, what follows does nothing: who reads rows asks only at
 * the end.
 *
 * An edit is one transaction: begun, its changes and its line in the audit made, ended with how it
 * went. Anything but STORE_OK takes it all back.
 */
#pragma once

#include <sqlite3.h>

#include "directory/store.h"

struct store {
    sqlite3 *db;
    char path[STORE_PATH_MAX];
    char who[STORE_WHO_MAX];
    char why[STORE_WHY_MAX];
};

struct query {
    struct store *store;
    sqlite3_stmt *statement; /* NULL: it failed */
    int next;                /* parameter to bind, then column to read */
    enum store_result result;
};

void query_begin(struct query *query, struct store *store, const char *sql);
/* Parameters, in order. */
void query_text(struct query *query, struct bytes text); /* ptr NULL: NULL */
void query_int(struct query *query, int64_t value);
void query_blob(struct query *query, struct bytes blob);
/* The next row; false: none, or something went wrong. */
must_use bool query_row(struct query *query);
/* Columns, in order. Texts live until the next row. */
int64_t query_column(struct query *query);
struct bytes query_column_text(struct query *query);
struct bytes query_column_blob(struct query *query);
/* STORE_OK, also where there was no row. */
enum store_result query_end(struct query *query);
/* The same with new parameters. */
void query_again(struct query *query);
/* A query that has no rows: begins, runs and ends. */
enum store_result query_run(struct query *query);

/* Keeps the words, returns `result`. */
enum store_result store_say(struct store *store, enum store_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What SQLite says of its last call. */
enum store_result store_fail(struct store *store, int code);
/* Without schema and set-up, for who changes nothing and leaves nothing behind; it is the caller's
 * to close by sqlite3_close(), also when this fails. */
enum store_result store_open_to_look(struct store *store, const char *state_dir);
enum store_result store_run(struct store *store, const char *sql);

enum store_result edit_begin(struct store *store);
/* Of what it is that changes: "tenant set", "shop", "recipients=3". */
enum store_result edit_audit(struct store *store, const char *what, struct bytes subject,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));
enum store_result edit_end(struct store *store, enum store_result result);
/* Rows that the last statement changed. */
int64_t edit_changed(const struct store *store);
int64_t edit_new_id(const struct store *store);

/* schema.c: the tables, brought to the newest version within a transaction of its own. */
enum store_result schema_migrate(struct store *store);
/* STORE_NEWER: it is none that we know. */
enum store_result schema_version(struct store *store, int64_t *version_out);
/* schema.c: what the SQL of version `version` is, for tests; NULL: there is no such version. */
const char *schema_sql(unsigned version);

/* The row of a name, or STORE_NONE with a sentence that names one like it. */
enum store_result store_find_tenant(struct store *store, struct bytes name, int64_t *id_out);
enum store_result store_find_domain(struct store *store, struct bytes name, int64_t *id_out,
                                    int64_t *tenant_out);
