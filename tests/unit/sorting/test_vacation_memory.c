/* test_vacation_memory.c - whom a script answered: once in its time, in a bounded file. */
#include "inbound/sorting/vacation_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/unit.h"

enum { DAY = 86400, NOW = 1800000000 };

struct room {
    char top[64], directory[96], file[160];
};

static void open_room(struct room *room)
{
    *room = (struct room){.top = "/tmp/ringpost-vacation-XXXXXX"};
    assert_non_null(mkdtemp(room->top));
    snprintf(room->directory, sizeof(room->directory), "%s/sieve", room->top);
    snprintf(room->file, sizeof(room->file), "%s/b.example/anna.vacation", room->directory);
}

static void close_room(struct room *room)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", room->top);
    assert_int_equal(system(command), 0);
}

static int claim(struct room *room, uint64_t key, uint64_t message, int64_t now_s)
{
    const struct vacation_claim asked = {
        .key = key, .message = message, .recipient = 1, .lasts_s = 7 * DAY, .now_s = now_s};

    return vacation_memory_claim(room->directory, BYTES("b.example"), BYTES("anna"), &asked);
}

TEST(a_sender_is_answered_once_in_its_time)
{
    struct room room;

    open_room(&room);
    assert_int_equal(claim(&room, 1, 100, NOW), 1);
    assert_int_equal(claim(&room, 1, 101, NOW + 10), 0);
    assert_int_equal(claim(&room, 2, 102, NOW + 10), 1); /* another one */
    assert_int_equal(claim(&room, 1, 100, NOW + 10), 1); /* the same message, sorted again */
    assert_int_equal(claim(&room, 1, 103, NOW + 7 * DAY - 1), 0);
    assert_int_equal(claim(&room, 1, 104, NOW + 7 * DAY), 1);
    assert_int_equal(claim(&room, 1, 100, NOW + 7 * DAY), 0); /* it is another's claim now */
    close_room(&room);
}

TEST(the_same_message_for_another_recipient_is_another)
{
    struct vacation_claim asked = {
        .key = 1, .message = 5, .recipient = 0, .lasts_s = DAY, .now_s = NOW};
    static struct vacation_list list;
    bool is_changed;

    assert_int_equal(vacation_list_claim(&list, &asked, &is_changed), 1);
    assert_true(is_changed);
    asked.recipient = 1;
    assert_int_equal(vacation_list_claim(&list, &asked, &is_changed), 0);
    assert_false(is_changed);
}

TEST(a_clock_that_is_set_back_silences_nobody_for_longer)
{
    struct room room;

    open_room(&room);
    assert_int_equal(claim(&room, 1, 100, NOW + 3650LL * DAY), 1); /* it went ahead */
    assert_int_equal(claim(&room, 1, 101, NOW), 0);
    assert_int_equal(claim(&room, 1, 102, NOW + 7 * DAY - 1), 0);
    assert_int_equal(claim(&room, 1, 103, NOW + 7 * DAY), 1);
    close_room(&room);
}

TEST(what_is_remembered_is_bounded)
{
    static struct vacation_list list;
    struct vacation_claim asked = {.lasts_s = 7 * DAY};
    bool is_changed;

    list.count = 0;
    for (unsigned i = 0; i < VACATION_MEMORY_MAX; i++) {
        asked.key = asked.message = i + 1;
        asked.now_s = NOW + i;
        asked.lasts_s = i == 500 ? 10 : 7 * DAY;
        assert_int_equal(vacation_list_claim(&list, &asked, &is_changed), 1);
    }
    assert_int_equal(list.count, VACATION_MEMORY_MAX);
    asked.key = asked.message = 5000;
    asked.lasts_s = 7 * DAY;
    asked.now_s = NOW + 2000;
    assert_int_equal(vacation_list_claim(&list, &asked, &is_changed), 1);
    assert_int_equal(list.of[500].key, 5000); /* its time was over */
    asked.key = asked.message = 5001;
    assert_int_equal(vacation_list_claim(&list, &asked, &is_changed), 1);
    assert_int_equal(list.of[0].key, 5001); /* the oldest */
    assert_int_equal(list.count, VACATION_MEMORY_MAX);
}

TEST(a_list_reads_back_and_nothing_else_does)
{
    static struct vacation_list list, back;
    static uint8_t file[VACATION_FILE_MAX];

    list.count = 3;
    for (unsigned i = 0; i < 3; i++)
        list.of[i] = (struct vacation_claim){.key = 0x8877665544332211 + i,
                                             .message = i,
                                             .recipient = 70000,
                                             .lasts_s = 31536000,
                                             .now_s = NOW};
    size_t len = vacation_list_write(&list, file);

    assert_true(vacation_list_read(bytes_range(file, len), &back));
    assert_int_equal(back.count, 3);
    assert_memory_equal(back.of, list.of, 3 * sizeof(list.of[0]));
    for (size_t i = 0; i < len; i++) {
        assert_false(vacation_list_read(bytes_range(file, i), &back));
        file[i] ^= 1;
        assert_false(vacation_list_read(bytes_range(file, len), &back));
        assert_int_equal(back.count, 0);
        file[i] ^= 1;
    }
    assert_false(vacation_list_read(BYTES_NONE, &back));
    list.count = VACATION_MEMORY_MAX;
    assert_int_equal(vacation_list_write(&list, file), VACATION_FILE_MAX);
    assert_true(vacation_list_read(bytes_range(file, VACATION_FILE_MAX), &back));
}

TEST(what_cannot_be_remembered_is_not_answered)
{
    struct room room;
    struct stat stat_buf;

    open_room(&room);
    assert_int_equal(claim(&room, 1, 100, NOW), 1);
    assert_int_equal(truncate(room.file, 20), 0); /* damaged: as if there were none */
    assert_int_equal(claim(&room, 1, 101, NOW), 1);
    assert_int_equal(claim(&room, 1, 102, NOW), 0);
    assert_int_equal(truncate(room.file, VACATION_FILE_MAX + 1), 0);
    assert_int_equal(claim(&room, 1, 103, NOW), 1);
    assert_int_equal(stat(room.file, &stat_buf), 0);
    assert_int_equal(stat_buf.st_mode & 07777, 0600);
    assert_int_equal(unlink(room.file), 0);
    assert_int_equal(symlink("/etc/passwd", room.file), 0);
    assert_int_equal(claim(&room, 1, 104, NOW), -ELOOP);
    assert_int_equal(vacation_memory_remove(room.directory, BYTES("b.example"), BYTES("anna")), 0);
    assert_int_equal(mkdir(room.file, 0700), 0);
    assert_true(claim(&room, 1, 105, NOW) < 0);
    close_room(&room);
}
