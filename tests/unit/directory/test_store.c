#include "directory/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "directory/backup.h"
#include "directory/store_private.h"
#include "directory/tenants.h"
#include "unit/directory/store_room.h"

static int64_t number(struct store *store, const char *sql)
{
    struct query query;
    int64_t value = -1;

    query_begin(&query, store, sql);
    if (query_row(&query))
        value = query_column(&query);
    assert_int_equal(query_end(&query), STORE_OK);
    return value;
}

TEST(store_that_is_not_there_is_not_made_by_who_wants_one_that_is)
{
    char path[STORE_ROOM_FILE_MAX], why[STORE_WHY_MAX] = "";
    enum store_result result = STORE_OK;
    struct store_room room;

    store_room_make(&room);
    store_room_file(&room, "directory.db", path);
    assert_null(store_open(room.path, STORE_REFUSE, 0, &result, why));
    assert_int_equal(result, STORE_BROKEN);
    assert_true(why[0] != '\0');
    assert_int_equal(access(path, F_OK), -1);
    struct store *store = store_room_open(&room);
    store_close(&store);
    store = store_open(room.path, STORE_REFUSE, 0, &result, why);
    assert_non_null(store);
    store_close(&store);
    store_room_drop(&room);
}

TEST(store_made_new_is_its_owners_alone_and_whole)
{
    struct store_room room;
    struct stat status;
    char path[STORE_ROOM_FILE_MAX];
    unsigned newest = 0;

    while (schema_sql(newest + 1) != NULL)
        newest++;
    store_room_make(&room);
    struct store *store = store_room_open(&room);
    store_room_file(&room, "directory.db", path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(number(store, "PRAGMA foreign_keys"), 1);
    assert_int_equal(number(store, "PRAGMA user_version"), newest);
    assert_int_equal(number(store, "SELECT count(*) FROM generation"), 1);
    store_close(&store);
    store_room_drop(&room);
}

/* Every version's database, empty of rows, becomes the newest; rows of its time stay. */
TEST(store_of_each_older_version_is_migrated)
{
    for (unsigned version = 0; version == 0 || schema_sql(version) != NULL; version++) {
        struct store_room room;
        char path[STORE_ROOM_FILE_MAX], pragma[64];
        sqlite3 *db;

        store_room_make(&room);
        store_room_file(&room, "directory.db", path);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        for (unsigned i = 1; i <= version; i++)
            assert_int_equal(sqlite3_exec(db, schema_sql(i), NULL, NULL, NULL), SQLITE_OK);
        snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u", version);
        assert_int_equal(sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK);
        if (version > 0)
            assert_int_equal(sqlite3_exec(db,
                                          "INSERT INTO tenants(name, created) VALUES ('old', 1)",
                                          NULL, NULL, NULL),
                             SQLITE_OK);
        sqlite3_close(db);
        struct store *store = store_room_open(&room);
        assert_int_equal(number(store, "SELECT count(*) FROM tenants"), version > 0);
        assert_int_equal(tenant_add(store, BYTES("new")), STORE_OK);
        store_close(&store);
        store_room_drop(&room);
    }
}

TEST(store_of_a_newer_version_is_refused_and_left_alone)
{
    struct store_room room;
    enum store_result result;
    char why[STORE_WHY_MAX], path[STORE_ROOM_FILE_MAX];
    sqlite3 *db;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(store_run(store, "PRAGMA user_version = 99"), STORE_OK);
    store_close(&store);
    assert_null(store_open(room.path, STORE_MAKE, 100, &result, why));
    assert_int_equal(result, STORE_NEWER);
    assert_non_null(strstr(why, "newer ringpost"));
    store_room_file(&room, "directory.db", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT 1 FROM tenants", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_room_drop(&room);
}

static void scribble(const char *path, off_t at, size_t len)
{
    uint8_t noise[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    memset(noise, 0xa5, sizeof(noise));
    assert_int_equal(pwrite(fd, noise, len, at), (ssize_t)len);
    close(fd);
}

TEST(store_damaged_says_so)
{
    struct store_room room;
    enum store_result result;
    char why[STORE_WHY_MAX], path[STORE_ROOM_FILE_MAX];

    store_room_make(&room);
    store_room_file(&room, "directory.db", path);
    scribble(path, 0, 4096);
    assert_null(store_open(room.path, STORE_MAKE, 100, &result, why));
    assert_int_equal(result, STORE_BROKEN);
    assert_non_null(strstr(why, "restore"));
    store_room_drop(&room);
}

TEST(store_locked_by_another_is_busy_and_then_free)
{
    struct store_room room;
    enum store_result result;
    char why[STORE_WHY_MAX];

    store_room_make(&room);
    struct store *first = store_room_open(&room);
    struct store *second = store_open(room.path, STORE_MAKE, 50, &result, why);
    assert_non_null(second);
    assert_int_equal(edit_begin(first), STORE_OK);
    assert_int_equal(tenant_add(second, BYTES("late")), STORE_BUSY);
    assert_non_null(strstr(store_why(second), "another process"));
    /* and reads all the while */
    assert_int_equal(number(second, "SELECT count(*) FROM tenants"), 0);
    assert_int_equal(edit_end(first, STORE_OK), STORE_OK);
    assert_int_equal(tenant_add(second, BYTES("late")), STORE_OK);
    store_close(&first);
    store_close(&second);
    store_room_drop(&room);
}

TEST(store_edit_that_fails_leaves_nothing)
{
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_SAME);
    assert_int_equal(tenant_add(store, BYTES("Shop")), STORE_INVALID);
    assert_int_equal(tenant_disable(store, BYTES("shpo"), true), STORE_NONE);
    assert_non_null(strstr(store_why(store), "did you mean shop?"));
    assert_int_equal(number(store, "SELECT count(*) FROM audit"), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM changes"), 1);
    store_close(&store);
    store_room_drop(&room);
}

enum { WRITERS = 4, NAMES_EACH = 25 };

/* Several processes write at once, as commands do: each waits for its turn and none is lost. */
TEST(store_written_by_several_processes_loses_nothing)
{
    struct store_room room;
    pid_t writers[WRITERS];
    int status;

    store_room_make(&room);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] != 0)
            continue;
        enum store_result result;
        char why[STORE_WHY_MAX], name[16];
        struct store *store = store_open(room.path, STORE_MAKE, 20000, &result, why);
        bool is_good = store != NULL;
        for (int k = 0; is_good && k < NAMES_EACH; k++) {
            int len = snprintf(name, sizeof(name), "t%d-%d", i, k);
            is_good = tenant_add(store, bytes_range(name, (size_t)len)) == STORE_OK;
        }
        _exit(is_good ? 0 : 1);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
        assert_int_equal(status, 0);
    }
    struct store *store = store_room_open(&room);
    assert_int_equal(number(store, "SELECT count(*) FROM tenants"), WRITERS * NAMES_EACH);
    assert_int_equal(number(store, "SELECT count(*) FROM audit"), WRITERS * NAMES_EACH);
    assert_int_equal(number(store, "SELECT max(seq) FROM changes"), WRITERS * NAMES_EACH);
    store_close(&store);
    store_room_drop(&room);
}

static void read_generation(struct store *store, char out[static 64])
{
    struct query query;

    query_begin(&query, store, "SELECT id FROM generation");
    assert_true(query_row(&query));
    struct bytes id = query_column_text(&query);
    snprintf(out, 64, "%.*s", BYTES_ARG(id));
    assert_int_equal(query_end(&query), STORE_OK);
}

TEST(store_backup_brings_back_what_was)
{
    char file[STORE_ROOM_FILE_MAX], aside[STORE_PATH_MAX], why[STORE_WHY_MAX];
    struct store_room room;

    store_room_make(&room);
    store_room_file(&room, "backup", file);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("kept")), STORE_OK);
    assert_int_equal(directory_backup(store, file), STORE_OK);
    assert_int_equal(directory_backup(store, file), STORE_CLASH);
    assert_int_equal(tenant_add(store, BYTES("later")), STORE_OK);
    char before[64], after[64];
    read_generation(store, before);
    /* with somebody else at it, as a daemon is */
    assert_int_equal(directory_restore(room.path, file, aside, why), STORE_OK);
    assert_string_equal(aside, "");
    read_generation(store, after);
    assert_string_not_equal(before, after); /* whoever kept its numbers begins anew */
    assert_int_equal(number(store, "SELECT count(*) FROM tenants WHERE name = 'kept'"), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM tenants"), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM audit WHERE what = 'directory restore'"),
                     1);
    store_close(&store);
    store_room_drop(&room);
}

TEST(store_damaged_is_moved_aside_by_a_restore)
{
    char file[STORE_ROOM_FILE_MAX], path[STORE_ROOM_FILE_MAX], aside[STORE_PATH_MAX],
        why[STORE_WHY_MAX];
    struct store_room room;
    struct stat status;

    store_room_make(&room);
    store_room_file(&room, "backup", file);
    store_room_file(&room, "directory.db", path);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("kept")), STORE_OK);
    assert_int_equal(directory_backup(store, file), STORE_OK);
    store_close(&store);
    scribble(path, 0, 4096);
    assert_int_equal(directory_restore(room.path, file, aside, why), STORE_OK);
    assert_int_equal(stat(aside, &status), 0);
    store = store_room_open(&room);
    assert_int_equal(number(store, "SELECT count(*) FROM tenants"), 1);
    store_close(&store);
    store_room_drop(&room);
}

TEST(store_restore_of_what_is_no_backup_changes_nothing)
{
    char file[STORE_ROOM_FILE_MAX], aside[STORE_PATH_MAX], why[STORE_WHY_MAX];
    struct store_room room;
    sqlite3 *db;

    store_room_make(&room);
    store_room_file(&room, "other", file);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("kept")), STORE_OK);
    assert_int_not_equal(directory_restore(room.path, file, aside, why), STORE_OK); /* no file */
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE tenants(id)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(directory_restore(room.path, file, aside, why), STORE_BROKEN);
    assert_non_null(strstr(why, "no backup"));
    scribble(file, 0, 4096);
    assert_int_equal(directory_restore(room.path, file, aside, why), STORE_BROKEN);
    assert_int_equal(number(store, "SELECT count(*) FROM tenants"), 1);
    store_close(&store);
    store_room_drop(&room);
}
