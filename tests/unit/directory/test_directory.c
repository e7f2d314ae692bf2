#include "directory/directory.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "directory/backup.h"
#include "directory/credentials.h"
#include "directory/domains.h"
#include "directory/store_private.h"
#include "directory/tenants.h"
#include "unit/directory/store_room.h"

enum { PATIENCE_MS = 20000, LOOK_US = 250 * 1000 };

/* Sooner or later the newest snapshot has that tenant, or has it not. */
static void wait_tenant(struct snapshot_reader *reader, struct bytes name, bool is_there)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    bool found;

    do {
        found = snapshot_tenant(snapshot_begin(reader), name) != NULL;
        snapshot_end(reader);
        if (found != is_there)
            usleep(10000);
    } while (found != is_there && clock_monotonic_ms() < until_ms);
    assert_int_equal(found, is_there);
}

static void wait_good(struct directory *directory, bool is_good)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    struct directory_status status;

    do {
        directory_status(directory, &status);
        if (status.is_good != is_good)
            usleep(10000);
    } while (status.is_good != is_good && clock_monotonic_ms() < until_ms);
    assert_int_equal(status.is_good, is_good);
    assert_true(status.is_known);
}

TEST(directory_follows_what_others_write)
{
    struct store_room room;

    store_room_make(&room);
    struct directory *directory = directory_start(room.path);
    struct snapshot_reader *reader = snapshot_reader_create(directory_feed(directory));
    directory_wait(directory);
    wait_good(directory, true);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    wait_tenant(reader, BYTES("shop"), true);
    assert_int_equal(tenant_remove(store, BYTES("shop"), false), STORE_OK);
    wait_tenant(reader, BYTES("shop"), false);
    store_close(&store);
    snapshot_reader_free(&reader);
    directory_stop(&directory);
    store_room_drop(&room);
}

/* Nobody wrote for long: from then on the journal's file alone is looked at. */
TEST(directory_follows_what_is_written_after_a_silence)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char journal[STORE_ROOM_FILE_MAX];
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    struct directory *directory = directory_start(room.path);
    struct snapshot_reader *reader = snapshot_reader_create(directory_feed(directory));
    wait_tenant(reader, BYTES("shop"), true);
    store_room_file(&room, "directory.db-wal", journal);
    /* The next one writes over what is there: the file does not grow. */
    assert_int_equal(store_run(store, "PRAGMA wal_checkpoint(RESTART)"), STORE_OK);
    assert_int_equal(utimensat(AT_FDCWD, journal, long_ago, 0), 0);
    usleep(3 * LOOK_US);
    assert_int_equal(tenant_add(store, BYTES("later")), STORE_OK);
    wait_tenant(reader, BYTES("later"), true);
    /* At once again, within a step of the file's time. */
    assert_int_equal(tenant_remove(store, BYTES("later"), false), STORE_OK);
    wait_tenant(reader, BYTES("later"), false);
    store_close(&store);
    snapshot_reader_free(&reader);
    directory_stop(&directory);
    store_room_drop(&room);
}

/* SQLite syncs its journal between the last write to it and the commit that others see. */
static atomic_bool is_disk_slow;

int fdatasync(int fd)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 2000}, {.tv_sec = 2000}};

    if (atomic_exchange(&is_disk_slow, false)) {
        (void)futimens(fd, long_ago); /* so long it takes */
        usleep(3 * LOOK_US);
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fdatasync(fd);
}

TEST(directory_follows_what_a_slow_disk_held_up)
{
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    struct directory *directory = directory_start(room.path);
    struct snapshot_reader *reader = snapshot_reader_create(directory_feed(directory));
    wait_tenant(reader, BYTES("shop"), true);
    atomic_store(&is_disk_slow, true);
    assert_int_equal(tenant_add(store, BYTES("later")), STORE_OK);
    assert_false(atomic_load(&is_disk_slow));
    wait_tenant(reader, BYTES("later"), true);
    store_close(&store);
    snapshot_reader_free(&reader);
    directory_stop(&directory);
    store_room_drop(&room);
}

static unsigned count_keys(struct snapshot_reader *reader, struct bytes name)
{
    const struct directory_domain *domain = snapshot_domain(snapshot_begin(reader), name);
    unsigned count = domain != NULL ? (unsigned)domain->key_count : 0;

    snapshot_end(reader);
    return count;
}

/* A rotation of long ago; nobody writes, so that the thread has to look by itself. */
TEST(directory_drops_keys_that_were_retired_long_ago)
{
    const struct domain_wish wish = {.tenant = BYTES("shop"),
                                     .name = BYTES("shop.example"),
                                     .is_active = true};
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(domain_add(store, room.path, &wish), STORE_OK);
    assert_int_equal(domain_publish_keys(store, room.path, wish.name), STORE_OK);
    assert_int_equal(domain_switch_keys(store, room.path, wish.name), STORE_OK);
    assert_int_equal(store_run(store, "UPDATE dkim_keys SET changed = changed - 8 * 86400"),
                     STORE_OK);
    store_close(&store);
    struct directory *directory = directory_start(room.path);
    struct snapshot_reader *reader = snapshot_reader_create(directory_feed(directory));
    directory_wait(directory);
    while (count_keys(reader, wish.name) != 2 && clock_monotonic_ms() < until_ms)
        usleep(10000);
    assert_int_equal(count_keys(reader, wish.name), 2);
    snapshot_reader_free(&reader);
    directory_stop(&directory);
    store_room_drop(&room);
}

/* Gone, and then restored: another file, with another history. */
TEST(directory_keeps_what_was_while_the_database_is_gone)
{
    char path[STORE_ROOM_FILE_MAX], file[STORE_ROOM_FILE_MAX], aside[STORE_PATH_MAX],
        why[STORE_WHY_MAX];
    struct store_room room;
    struct stat status;

    store_room_make(&room);
    store_room_file(&room, "directory.db", path);
    store_room_file(&room, "backup", file);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(directory_backup(store, file), STORE_OK);
    assert_int_equal(tenant_add(store, BYTES("later")), STORE_OK);
    store_close(&store);
    struct directory *directory = directory_start(room.path);
    struct snapshot_reader *reader = snapshot_reader_create(directory_feed(directory));
    directory_wait(directory);
    wait_tenant(reader, BYTES("later"), true);
    assert_int_equal(unlink(path), 0);
    wait_good(directory, false);
    wait_tenant(reader, BYTES("later"), true);
    assert_int_equal(stat(path, &status), -1); /* and no empty one is made in its place */
    store_room_file(&room, "directory.db-wal", path);
    (void)unlink(path);
    store_room_file(&room, "directory.db-shm", path);
    (void)unlink(path);
    assert_int_equal(directory_restore(room.path, file, aside, why), STORE_OK);
    wait_good(directory, true);
    wait_tenant(reader, BYTES("later"), false);
    wait_tenant(reader, BYTES("shop"), true);
    snapshot_reader_free(&reader);
    directory_stop(&directory);
    store_room_drop(&room);
}

TEST(directory_damaged_at_the_start_knows_nothing_and_says_so)
{
    struct directory_status status;
    struct store_room room;
    char path[STORE_ROOM_FILE_MAX];

    store_room_make(&room);
    store_room_file(&room, "directory.db", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, "nothing of a database", 21, 0), 21);
    assert_int_equal(ftruncate(fd, 8192), 0);
    close(fd);
    struct directory *directory = directory_start(room.path);
    directory_wait(directory);
    directory_status(directory, &status);
    assert_false(status.is_good);
    assert_false(status.is_known);
    assert_int_equal(snapshot_version(snapshot_newest(directory_feed(directory))), 0);
    assert_non_null(strstr(status.why, "damaged"));
    directory_stop(&directory);
    store_room_drop(&room);
}

static void count_change(void *context, const struct audit_row *row)
{
    (void)row;
    atomic_fetch_add((atomic_uint *)context, 1);
}

/* A stop may come between the change's being told and the look that would mark it so. */
TEST(directory_tells_a_change_once_over_a_stop)
{
    struct store_room room;
    atomic_uint told = 0;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    for (unsigned round = 1; round <= 3; round++) {
        assert_int_equal(round % 2 == 1 ? tenant_add(store, BYTES("shop"))
                                        : tenant_remove(store, BYTES("shop"), false),
                         STORE_OK);
        struct directory *directory = directory_start(room.path);
        directory_wait(directory);
        directory_tell_changes(directory, count_change, &told);
        for (unsigned i = 0; atomic_load(&told) < round && i < PATIENCE_MS; i++)
            usleep(1000);
        directory_tell_changes(directory, NULL, NULL);
        directory_stop(&directory);
        assert_int_equal(atomic_load(&told), round);
    }
    struct directory *directory = directory_start(room.path);
    directory_tell_changes(directory, count_change, &told);
    directory_wait(directory);
    assert_int_equal(tenant_add(store, BYTES("other")), STORE_OK);
    for (unsigned i = 0; atomic_load(&told) < 4 && i < PATIENCE_MS; i++)
        usleep(1000);
    directory_stop(&directory);
    assert_int_equal(atomic_load(&told), 4);
    store_close(&store);
    store_room_drop(&room);
}

struct slow_listener {
    sem_t began;
    atomic_uint told;
};

static void hear_slowly(void *context, const struct audit_row *row)
{
    struct slow_listener *listener = context;

    (void)row;
    sem_post(&listener->began);
    usleep(LOOK_US);
    atomic_fetch_add(&listener->told, 1);
}

/* As at a stop that comes just behind changes. */
TEST(directory_tells_nothing_more_to_who_left_while_it_told)
{
    struct slow_listener listener = {0};
    struct store_room room;

    store_room_make(&room);
    sem_init(&listener.began, 0, 0);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(tenant_add(store, BYTES("other")), STORE_OK);
    struct directory *directory = directory_start(room.path);
    directory_wait(directory);
    directory_tell_changes(directory, hear_slowly, &listener);
    assert_int_equal(sem_wait(&listener.began), 0);
    directory_tell_changes(directory, NULL, NULL);
    assert_int_equal(atomic_load(&listener.told), 2); /* what it had begun to tell */
    assert_int_equal(tenant_add(store, BYTES("third")), STORE_OK);
    usleep(2 * LOOK_US);
    directory_stop(&directory);
    assert_int_equal(atomic_load(&listener.told), 2);
    sem_destroy(&listener.began);
    store_close(&store);
    store_room_drop(&room);
}

static void keep_used(void *context, const struct credential_row *row)
{
    *(int64_t *)context = row->used_s;
}

TEST(directory_writes_down_uses_at_its_end)
{
    const struct credential_wish wish = {.tenant = BYTES("shop")};
    char id[CREDENTIAL_ID_LEN], secret[SECRET_LEN];
    struct store_room room;
    int64_t used_s = -1;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(credential_add(store, &wish, id, secret), STORE_OK);
    struct directory *directory = directory_start(room.path);
    struct snapshot_reader *reader = snapshot_reader_create(directory_feed(directory));
    directory_wait(directory);
    const struct directory_credential *row =
        snapshot_credential(snapshot_begin(reader), bytes_range(id, sizeof(id)));
    assert_true(secret_is_of(bytes_range(secret, sizeof(secret)), row));
    snapshot_note_use(reader, row, 1234);
    snapshot_note_use(reader, row, 1300);
    snapshot_end(reader);
    assert_int_equal(credential_list(store, BYTES_NONE, keep_used, &used_s), STORE_OK);
    assert_int_equal(used_s, 0);
    snapshot_reader_free(&reader);
    directory_stop(&directory);
    assert_int_equal(credential_list(store, BYTES_NONE, keep_used, &used_s), STORE_OK);
    assert_int_equal(used_s, 1300);
    store_close(&store);
    store_room_drop(&room);
}
