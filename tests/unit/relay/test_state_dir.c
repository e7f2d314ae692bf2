/* test_state_dir.c - what is refused about a state directory, and what is made in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "event/event.h"
#include "relay/state_dir.h"
#include "relay/suspension_file.h"
#include "support/unit.h"

/* Times of suspensions count from here. */
static const struct clocks boot = {.now_ms = 0, .wall_ms = 1795489800000};

static char directory[64];
static char why[STATE_DIR_WHY_MAX];

/* In the place of libc's: which directories were synced, and with what in them. */
static unsigned directory_syncs;
static char expected_name[64]; /* a directory counts that has it */
static ino_t synced_file;      /* the last one that was synced itself */

int fsync(int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        synced_file = status.st_ino;
    else if (S_ISDIR(status.st_mode) && faccessat(fd, expected_name, F_OK, 0) == 0)
        directory_syncs++;
    return (int)syscall(SYS_fsync, fd);
}

static void expect_sync_with(const char *name)
{
    snprintf(expected_name, sizeof(expected_name), "%s", name);
    directory_syncs = 0;
    synced_file = 0;
}

static void assert_file_is_synced(const char *name)
{
    char path[128];
    struct stat status;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(synced_file, status.st_ino);
}

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/ringpost-state-XXXXXX");
    assert_non_null(mkdtemp(directory));
}

static void remove_directory(void)
{
    static const char *const names[] = {"lock", "node", "suspensions.json", "spool", "events"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)remove(path);
    }
    assert_int_equal(rmdir(directory), 0);
}

static void write_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

TEST(state_dir_node_is_made_once_and_kept)
{
    struct state_dir first, second;

    make_directory();
    assert_int_equal(state_dir_open(directory, &first, why), 0);
    assert_int_equal(event_node(), first.node);
    state_dir_close(&first);
    assert_int_equal(state_dir_open(directory, &second, why), 0);
    assert_int_equal(second.node, first.node);
    state_dir_close(&second);
    remove_directory();
}

TEST(state_dir_served_by_another_is_refused_with_its_pid)
{
    struct state_dir first, second;
    char pid[32];

    make_directory();
    assert_int_equal(state_dir_open(directory, &first, why), 0);
    assert_int_equal(state_dir_open(directory, &second, why), -EBUSY);
    snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
    assert_non_null(strstr(why, pid));
    state_dir_close(&first);
    remove_directory();
}

TEST(state_dir_files_are_synced_and_their_names_with_their_directory)
{
    struct state_dir state_dir;
    char inner[96];

    make_directory();
    snprintf(inner, sizeof(inner), "%s/inner", directory);
    expect_sync_with("inner"); /* a new directory in its parent */
    assert_int_equal(state_dir_open(inner, &state_dir, why), 0);
    assert_true(directory_syncs > 0);
    state_dir_close(&state_dir);
    memcpy(directory, inner, sizeof(directory));
    remove_directory();
    *strrchr(directory, '/') = '\0';

    expect_sync_with("node");
    assert_int_equal(state_dir_open(directory, &state_dir, why), 0);
    assert_true(directory_syncs > 0);
    assert_file_is_synced("node");
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    expect_sync_with("suspensions.json");
    assert_int_equal(suspension_file_save(suspensions, boot), 0);
    assert_true(directory_syncs > 0);
    assert_file_is_synced("suspensions.json");
    suspension_file_free(&suspensions);
    state_dir_close(&state_dir);
    remove_directory();
}

TEST(state_dir_others_can_read_is_refused)
{
    struct state_dir state_dir;

    make_directory();
    assert_int_equal(chmod(directory, 0750), 0);
    assert_int_equal(state_dir_open(directory, &state_dir, why), -EPERM);
    assert_non_null(strstr(why, "chmod 700"));
    remove_directory();
}

TEST(state_dir_damaged_node_is_refused_not_replaced)
{
    struct state_dir state_dir;

    make_directory();
    write_file("node", "xyz\n");
    assert_int_equal(state_dir_open(directory, &state_dir, why), -EINVAL);
    assert_non_null(strstr(why, "backup"));
    remove_directory();
}

static int add(struct suspension_file *suspensions, const char *request, int64_t now_ms)
{
    const char *reason = "";
    json_t *json = json_loads(request, 0, NULL);
    int number = suspension_file_add(suspensions, json, now_ms, &reason);

    json_decref(json);
    return number;
}

TEST(suspensions_survive_a_restart_and_expire)
{
    size_t count;

    make_directory();
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_int_equal(add(suspensions, "{\"domain\":\"Held.example\"}", 1000), 1);
    assert_int_equal(add(suspensions, "{\"domain\":\"held.example\"}", 1000), 1); /* the same */
    assert_int_equal(add(suspensions, "{\"sender\":\"@a.example\",\"for_s\":60}", 1000), 2);
    assert_int_equal(add(suspensions, "{}", 1000), -EINVAL); /* names nothing */
    assert_int_equal(suspension_file_save(suspensions, boot), 0);
    suspension_file_free(&suspensions);

    suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    const struct suspension *rules = suspension_file_rules(suspensions, &count);
    assert_int_equal(count, 2);
    assert_string_equal(rules[0].domain, "held.example");
    assert_int_equal(rules[1].until_ms, 61000);
    assert_false(suspension_file_expire(suspensions, 60999));
    assert_true(suspension_file_expire(suspensions, 61000));
    json_t *all = json_pack("{s:b}", "all", 1);
    assert_int_equal(suspension_file_remove(suspensions, all), 1);
    json_decref(all);
    suspension_file_free(&suspensions);
    remove_directory();
}

TEST(suspensions_last_as_long_as_was_said_whatever_is_done_to_the_clock)
{
    struct clocks set_forward = {.now_ms = 2000, .wall_ms = boot.wall_ms + 4 * 86400000LL};
    struct clocks restarted = {.now_ms = 50, .wall_ms = set_forward.wall_ms + 3000};
    size_t count;

    make_directory();
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_int_equal(add(suspensions, "{\"domain\":\"a.example\",\"for_s\":60}", 1000), 1);
    assert_int_equal(suspension_file_save(suspensions, set_forward), 0);
    json_t *told = suspension_to_json(suspension_file_rules(suspensions, &count), set_forward);
    assert_string_equal(json_string_value(json_object_get(told, "until")),
                        "2026-11-28T03:10:59.000Z");
    json_decref(told);
    assert_false(suspension_file_expire(suspensions, 60999));
    suspension_file_free(&suspensions);

    /* Another boot: 3 s later, 56 s are left. */
    suspensions = suspension_file_load(directory, restarted, why, sizeof(why));
    assert_int_equal(suspension_file_rules(suspensions, &count)->until_ms, 56050);
    suspension_file_free(&suspensions);

    /* What was over before the machine started is over, not without an end. */
    restarted.wall_ms += 86400000;
    suspensions = suspension_file_load(directory, restarted, why, sizeof(why));
    assert_true(suspension_file_expire(suspensions, restarted.now_ms));
    suspension_file_free(&suspensions);
    remove_directory();
}

TEST(suspensions_that_went_can_be_told_until_the_next_change)
{
    size_t count, removed_count;

    make_directory();
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_int_equal(add(suspensions, "{\"domain\":\"a.example\",\"for_s\":60}", 1000), 1);
    assert_int_equal(add(suspensions, "{\"domain\":\"b.example\"}", 1000), 2);
    assert_int_equal(add(suspensions, "{\"sender\":\"c@c.example\",\"for_s\":30}", 1000), 3);
    assert_int_equal(add(suspensions, "{\"domain\":\"d.example\"}", 1000), 4);
    assert_false(suspension_file_expire(suspensions, 2000));
    (void)suspension_file_removed(suspensions, &removed_count);
    assert_int_equal(removed_count, 0);

    assert_true(suspension_file_expire(suspensions, 61000));
    const struct suspension *removed = suspension_file_removed(suspensions, &removed_count);
    const struct suspension *rules = suspension_file_rules(suspensions, &count);
    assert_int_equal(removed_count, 2);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        expect_row(i, rules[i].number == 2 || rules[i].number == 4);
        expect_row(i, removed[i].number == 1 ? strcmp(removed[i].domain, "a.example") == 0
                                             : strcmp(removed[i].sender, "c@c.example") == 0);
    }
    assert_int_not_equal(rules[0].number, rules[1].number);
    assert_int_not_equal(removed[0].number, removed[1].number);

    json_t *two = json_pack("{s:i}", "number", 2);
    assert_int_equal(suspension_file_remove(suspensions, two), 1);
    removed = suspension_file_removed(suspensions, &removed_count);
    assert_int_equal(removed_count, 1);
    assert_string_equal(removed[0].domain, "b.example");
    assert_int_equal(suspension_file_remove(suspensions, two), 0);
    (void)suspension_file_removed(suspensions, &removed_count);
    assert_int_equal(removed_count, 0);
    json_decref(two);
    suspension_file_free(&suspensions);
    remove_directory();
}

TEST(suspensions_add_can_be_taken_back)
{
    size_t count;

    make_directory();
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_int_equal(add(suspensions, "{\"domain\":\"a.example\",\"for_s\":60}", 1000), 1);
    assert_int_equal(add(suspensions, "{\"domain\":\"b.example\"}", 1000), 2);
    suspension_file_undo_add(suspensions);
    assert_int_equal(add(suspensions, "{\"domain\":\"a.example\",\"for_s\":90}", 1000), 1);
    suspension_file_undo_add(suspensions);
    const struct suspension *rules = suspension_file_rules(suspensions, &count);
    assert_int_equal(count, 1);
    assert_int_equal(rules[0].number, 1);
    assert_int_equal(rules[0].until_ms, 61000);
    suspension_file_free(&suspensions);
    remove_directory();
}

TEST(suspensions_numbers_are_unique_and_positive)
{
    static const char *const refused[] = {
        "[{\"number\":1,\"domain\":\"a\"},{\"number\":1,\"domain\":\"b\"}]",
        "[{\"domain\":\"a\"}]",
        "[{\"number\":-1,\"domain\":\"a\"}]",
        "[{\"number\":4294967296,\"domain\":\"a\"}]",
    };

    make_directory();
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        write_file("suspensions.json", refused[i]);
        expect_row(i, suspension_file_load(directory, boot, why, sizeof(why)) == NULL);
    }
    write_file("suspensions.json", "[{\"number\":2147483647,\"domain\":\"a\"},"
                                   "{\"number\":1,\"domain\":\"b\"}]");
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_non_null(suspensions);
    assert_int_equal(add(suspensions, "{\"domain\":\"c\"}", 1000), 2);
    suspension_file_free(&suspensions);
    remove_directory();
}

/* An end in the year 292277026 could be written and never read again. */
TEST(suspensions_end_at_a_date_that_can_be_read_back)
{
    make_directory();
    struct suspension_file *suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_int_equal(add(suspensions, "{\"domain\":\"a\",\"for_s\":9223372036854775807}", 1000),
                     -EINVAL);
    assert_int_equal(add(suspensions, "{\"domain\":\"a\",\"for_s\":999999999999}", 1000), -EINVAL);
    assert_int_equal(add(suspensions, "{\"domain\":\"a\",\"for_s\":3153600000}", 1000), 1);
    assert_int_equal(suspension_file_save(suspensions, boot), 0);
    suspension_file_free(&suspensions);
    suspensions = suspension_file_load(directory, boot, why, sizeof(why));
    assert_non_null(suspensions);
    suspension_file_free(&suspensions);
    remove_directory();
}

TEST(suspensions_damaged_file_is_refused)
{
    make_directory();
    write_file("suspensions.json", "[{\"number\":");
    assert_null(suspension_file_load(directory, boot, why, sizeof(why)));
    assert_non_null(strstr(why, "damaged"));
    remove_directory();
}
