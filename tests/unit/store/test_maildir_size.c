/* test_maildir_size.c - maildirsize as others write it, and how full an account is. */
#include "inbound/store/maildir_size.h"

#include <sys/stat.h>
#include <time.h>

#include "unit/store/store_room.h"

static const struct {
    const char *text;
    bool is_good;
    uint64_t bytes, messages;
} files[] = {
    {"1000S\n", true, 0, 0},
    {"1000S,10C\n10 1\n20 1\n", true, 30, 2},
    {"1000S\n  10     1 \n-10 -1\n", true, 0, 0},
    {"1000S\n10 1", false, 0, 0},  /* torn */
    {"999S\n10 1\n", false, 0, 0}, /* of another quota */
    {"1000C\n10 1\n", false, 0, 0},
    {"1000S\n-10 -1\n", false, 0, 0}, /* less than nothing */
    {"1000S\nx 1\n", false, 0, 0},
    {"1000S\n10\n", false, 0, 0},
    {"1000S\n10 1 1\n", false, 0, 0},
    {"1000S\n9223372036854775807 1\n1 1\n", false, 0, 0},
    {"1000S\n\n", false, 0, 0},
    {"", false, 0, 0},
};

TEST(maildirsize_is_summed_or_refused)
{
    struct maildir_usage usage;

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        expect_row(i,
                   maildir_size_parse(bytes_of(files[i].text), 1000, &usage) == files[i].is_good);
        expect_row(i, !files[i].is_good ||
                          (usage.bytes == files[i].bytes && usage.messages == files[i].messages));
    }
}

static void put_file(const struct room *room, const char *name, const char *text, int64_t age_s)
{
    char path[768];

    snprintf(path, sizeof(path), "%s/b.example/a/%s", room->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age_s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static uint64_t used(struct room *room, uint64_t quota, bool in_doubt, uint64_t needed)
{
    struct maildir maildir;
    struct maildir_usage usage = {0};
    int fd = open(room->path, O_RDONLY | O_DIRECTORY);

    assert_int_equal(maildir_open(fd, "b.example", "a", &maildir), 0);
    assert_int_equal(maildir_size_read(&maildir, quota, in_doubt, needed, &usage), 0);
    maildir_close(&maildir);
    close(fd);
    return usage.bytes;
}

TEST(usage_is_counted_when_the_file_cannot_be_believed)
{
    struct room room;

    room_make(&room);
    struct filing filing = room_filing(&room, 1);

    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    uint64_t size = filing.size;

    assert_int_equal(used(&room, 1000, false, 1), size); /* there is none yet */
    put_file(&room, "new/2.x.h,S=100", "", 0);
    put_file(&room, "cur/3.x.h:2,S", "twelve bytes", 0); /* without a size in its name */
    assert_int_equal(used(&room, 1000, false, 1), size); /* others did not say so */
    assert_int_equal(used(&room, 1000, true, 1), size + 112);
    put_file(&room, "maildirsize", "1000S\n5 1\n", 3600);
    assert_int_equal(used(&room, 1000, false, 1), 5);
    assert_int_equal(used(&room, 2000, false, 1), size + 112); /* the quota changed */
    put_file(&room, "maildirsize", "2000S\n1999 1\n", 5);
    assert_int_equal(used(&room, 2000, false, 10), 1999); /* counted just now */
    put_file(&room, "maildirsize", "2000S\n1999 1\n", 3600);
    assert_int_equal(used(&room, 2000, false, 10), size + 112); /* full by an old word */
    room_free(&room);
}

TEST(quota_keeps_out_what_does_not_fit)
{
    struct room room;

    room_make(&room);
    struct filing first = room_filing(&room, 1), second = room_filing(&room, 2);
    struct filing third = room_filing(&room, 3), large = room_filing(&room, 4);

    first.quota = second.quota = third.quota = large.quota = 130;
    large.content = BYTES("0123456789012345678901234567890123456789012345678901234567890123456789"
                          "012345678901234567890123456789");
    assert_int_equal(room_file(&room, &first), FILING_DONE);
    assert_int_equal(room_file(&room, &second), FILING_DONE);
    assert_int_equal(room_file(&room, &third), FILING_OVER_QUOTA);
    large.quota = 120;
    assert_int_equal(room_file(&room, &large), FILING_TOO_LARGE);
    assert_int_equal(room_count(&room, "new", NULL), 2);
    assert_int_equal(room_count(&room, "tmp", NULL), 0);
    room_free(&room);
}

TEST(quota_holds_within_one_batch)
{
    enum { COUNT = 40 };
    struct filing filings[COUNT];
    struct room room;
    size_t done = 0;

    room_make(&room);
    for (size_t i = 0; i < COUNT; i++) {
        filings[i] = room_filing(&room, i + 1);
        filings[i].quota = 600;
    }
    room_file_all(&room, filings, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        done += filings[i].result == FILING_DONE;
    assert_int_equal(done, 600 / filings[0].size);
    assert_int_equal(room_count(&room, "new", NULL), done);
    assert_int_equal(used(&room, 600, false, 1), done * filings[0].size);
    room_free(&room);
}

TEST(account_without_a_quota_any_more_shows_none_to_others)
{
    struct room room;

    room_make(&room);
    struct filing first = room_filing(&room, 1), second = room_filing(&room, 2);

    first.quota = 1000;
    assert_int_equal(room_file(&room, &first), FILING_DONE);
    char path[768];
    snprintf(path, sizeof(path), "%s/b.example/a/maildirsize", room.path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(room_file(&room, &second), FILING_DONE);
    assert_int_equal(access(path, F_OK), -1);
    room_free(&room);
}
