/* threads: one */
/* test_filed_log.c - what was filed is known after a start, as far as files go and no further. */
#include "inbound/store/filed_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/unit.h"

struct place {
    char path[64];
    int fd;
    struct filed_log *log;
    unsigned doubts;
};

static void on_doubt(void *context, struct bytes account)
{
    struct place *place = context;

    assert_true(bytes_equal(account, BYTES("b.example/a")));
    place->doubts++;
}

static void place_open(struct place *place)
{
    place->doubts = 0;
    assert_int_equal(filed_log_open(place->fd, on_doubt, place, &place->log), 0);
}

static void place_make(struct place *place)
{
    snprintf(place->path, sizeof(place->path), "/tmp/ringpost-filed-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY);
    place_open(place);
}

static void place_free(struct place *place)
{
    char command[96];

    filed_log_close(&place->log);
    close(place->fd);
    snprintf(command, sizeof(command), "rm -rf %s", place->path);
    assert_int_equal(system(command), 0);
}

static void add(struct place *place, uint64_t message, uint32_t recipient, uint32_t time_s)
{
    struct filed_record record = {message, recipient, time_s, BYTES("b.example/a")};

    assert_int_equal(filed_log_add(place->log, 1, &record), 0);
}

static void file_of(const struct place *place, unsigned number, char out[static 128])
{
    snprintf(out, 128, "%s/.filed/%08x.log", place->path, number);
}

TEST(record_is_found_then_and_after_a_start)
{
    struct place place;

    place_make(&place);
    assert_int_equal(filed_log_find(place.log, 7, 0, BYTES("b.example/a")), FILED_NOT);
    add(&place, 7, 0, 1000);
    add(&place, 7, 1, 1000);
    assert_int_equal(filed_log_sync(place.log), 0);
    assert_int_equal(filed_log_find(place.log, 7, 0, BYTES("b.example/a")), FILED_SINCE);
    assert_int_equal(filed_log_find(place.log, 7, 2, BYTES("b.example/a")), FILED_NOT);
    assert_int_equal(filed_log_find(place.log, 7, 1, BYTES("b.example/b")), FILED_NOT);
    assert_int_equal(filed_log_find(place.log, 8, 0, BYTES("b.example/a")), FILED_NOT);
    filed_log_close(&place.log);
    place_open(&place);
    assert_int_equal(filed_log_find(place.log, 7, 1, BYTES("b.example/a")), FILED_SINCE);
    assert_int_equal(filed_log_find(place.log, 7, 2, BYTES("b.example/a")), FILED_NOT);
    assert_int_equal(place.doubts, 2);
    place_free(&place);
}

TEST(only_accounts_of_the_newest_records_are_in_doubt)
{
    struct place place;

    place_make(&place);
    add(&place, 1, 0, 1000);
    add(&place, 2, 0, 1000 + FILED_DOUBT_S + 1);
    filed_log_close(&place.log);
    place_open(&place);
    assert_int_equal(place.doubts, 1);
    place_free(&place);
}

TEST(record_of_another_boot_is_told_from_one_of_this)
{
    struct place place;
    char path[128];

    place_make(&place);
    add(&place, 1, 0, 1000);
    filed_log_close(&place.log);
    file_of(&place, 1, path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "another boot", 12, 8), 12);
    close(fd);
    place_open(&place);
    add(&place, 2, 0, 1000);
    assert_int_equal(filed_log_find(place.log, 1, 0, BYTES("b.example/a")), FILED_BEFORE);
    assert_int_equal(filed_log_find(place.log, 2, 0, BYTES("b.example/a")), FILED_SINCE);
    place_free(&place);
}

TEST(torn_or_foreign_file_is_read_as_far_as_it_goes)
{
    struct place place;
    char path[128];

    place_make(&place);
    for (uint64_t i = 1; i <= 3; i++)
        add(&place, i, 0, 1000);
    filed_log_close(&place.log);
    file_of(&place, 1, path);
    int fd = open(path, O_WRONLY);
    /* The second record: a byte of its message id. */
    assert_int_equal(pwrite(fd, "\xff", 1, FILED_HEADER + 40 + 8), 1);
    close(fd);
    place_open(&place);
    assert_int_equal(filed_log_find(place.log, 1, 0, BYTES("b.example/a")), FILED_SINCE);
    assert_int_equal(filed_log_find(place.log, 2, 0, BYTES("b.example/a")), FILED_NOT);
    filed_log_close(&place.log);
    file_of(&place, 1, path);
    assert_int_equal(truncate(path, 10), 0);
    place_open(&place);
    assert_int_equal(filed_log_find(place.log, 1, 0, BYTES("b.example/a")), FILED_NOT);
    place_free(&place);
}

TEST(memory_is_bounded_and_holds_what_it_promises)
{
    enum { MANY = 4 * FILED_FILE_SIZE / 40 };
    struct filed_record records[1000];
    struct place place;
    char path[128];

    place_make(&place);
    for (unsigned round = 0; round < 3 * MANY / 1000; round++) {
        for (size_t i = 0; i < ARRAY_LEN(records); i++)
            records[i] =
                (struct filed_record){round * 1000ULL + i + 1, 5, 1000, BYTES("b.example/a")};
        assert_int_equal(filed_log_add(place.log, ARRAY_LEN(records), records), 0);
    }
    uint64_t last = 3 * MANY / 1000 * 1000ULL;

    assert_int_equal(filed_log_find(place.log, 1, 5, BYTES("b.example/a")), FILED_NOT);
    assert_int_equal(filed_log_find(place.log, last, 5, BYTES("b.example/a")), FILED_SINCE);
    assert_int_equal(filed_log_find(place.log, last - MANY, 5, BYTES("b.example/a")), FILED_SINCE);
    file_of(&place, 1, path);
    assert_int_equal(access(path, F_OK), -1);
    filed_log_close(&place.log);
    place_open(&place);
    assert_int_equal(filed_log_find(place.log, last, 5, BYTES("b.example/a")), FILED_SINCE);
    assert_int_equal(filed_log_find(place.log, last - MANY, 5, BYTES("b.example/a")), FILED_SINCE);
    place_free(&place);
}
