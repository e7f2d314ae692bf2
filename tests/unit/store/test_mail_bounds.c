/* test_mail_bounds.c - which files of a bounded folder go, and when. */
#include "inbound/store/mail_bounds.h"

#include "inbound/store/maildir_size.h"
#include "unit/store/store_room.h"

static const struct {
    const char *name;
    int64_t time_s; /* -1: it may not go */
} names[] = {
    {"1780000000.R000a0000000000000001N0.mta1,S=9,W=9", 1780000000},
    {"1780000000.R000a0000000000000001N0.mta1,S=9,W=9:2,S", 1780000000},
    {"5.R000a0000000000000001Nff.mta1", 5},
    {"1780000000.R000a0000000000000001N0.mta1,S=9,W=9:2,FS", -1}, /* flagged */
    {"1780000000.RFFFa0000000000000001N0.mta1", -1},
    {"1780000000.R000a000000000000001N0.mta1", -1}, /* an id that is too short */
    {"1780000000.R000a0000000000000001", -1},
    {"1780000000.M123P4.mta1,S=9,W=9", -1}, /* what was copied there */
    {"x.R000a0000000000000001N0.mta1", -1},
    {"18446744073709551615.R000a0000000000000001N0.mta1", -1},
    {"", -1},
};

TEST(files_that_filing_made_may_go)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int64_t time_s = -1;

        expect_row(i,
                   mail_bounds_may_go(bytes_of(names[i].name), &time_s) == (names[i].time_s >= 0));
        expect_row(i, time_s == names[i].time_s);
    }
}

static void file_one(struct room *room, uint64_t message, const struct mail_bounds *bounds)
{
    struct filing filing = room_filing(room, message);
    struct filing_target target = {.folder = ".Bounces"};

    filing.time_s += (int64_t)message;
    filing.targets = &target;
    filing.target_count = 1;
    filing.bounds = bounds;
    filing.quota = 100000;
    assert_int_equal(room_file(room, &filing), FILING_DONE);
}

static uint64_t used(const struct room *room)
{
    struct maildir maildir;
    struct maildir_usage usage = {0};
    int fd = open(room->path, O_RDONLY | O_DIRECTORY);

    assert_int_equal(maildir_open(fd, "b.example", "a", &maildir), 0);
    FILE *file = fdopen(openat(maildir.fd, "maildirsize", O_RDONLY), "r");
    char text[4096];
    size_t len = fread(text, 1, sizeof(text), file);
    struct maildir_usage counted;

    fclose(file);
    assert_true(maildir_size_parse(bytes_range(text, len), 100000, &usage));
    assert_int_equal(maildir_count(&maildir, &counted), 0);
    assert_int_equal(usage.bytes, counted.bytes);
    maildir_close(&maildir);
    close(fd);
    return usage.messages;
}

TEST(the_oldest_go_and_the_quota_knows_it)
{
    static const struct mail_bounds bounds = {.messages_max = 3};
    struct room room;
    char path[768], flagged[800];

    room_make(&room);
    for (uint64_t i = 1; i <= 20; i++)
        file_one(&room, i, &bounds);
    assert_int_equal(room_count(&room, ".Bounces/new", NULL), 20);
    room_path(&room, ".Bounces", "new/1780000001.R000a0000000000000001N0.mta1,S=55,W=55", path);
    snprintf(flagged, sizeof(flagged), "%s/b.example/a/.Bounces/cur/%s", room.path,
             "1780000001.R000a0000000000000001N0.mta1,S=55,W=55:2,F");
    assert_int_equal(rename(path, flagged), 0);
    /* At times only, by what the account has filed since the store knows it. */
    for (uint64_t i = 21; i <= 65; i++)
        file_one(&room, i, &bounds);
    assert_int_equal(room_count(&room, ".Bounces/new", NULL), 3);
    assert_int_equal(room_count(&room, ".Bounces/cur", NULL), 1);
    assert_int_equal(used(&room), 4);
    /* Without bounds nothing goes. */
    file_one(&room, 100, NULL);
    assert_int_equal(room_count(&room, ".Bounces/new", NULL), 4);
    room_free(&room);
}
