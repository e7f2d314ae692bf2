/* test_mail_count.c - what is known of an account's use without waiting, and a store that opens
 * late. */
#include <sys/stat.h>

#include "unit/store/store_room.h"

/* Until it is known. */
static uint64_t use_of(struct room *room, struct bytes local, uint64_t quota)
{
    uint64_t bytes = 0;

    for (unsigned turn = 0; turn < 20000; turn++) {
        if (mail_store_use(room->store, BYTES("b.example"), local, quota, &bytes))
            return bytes;
        engine_turn(room->engine, 0);
        usleep(100);
    }
    fail_msg("what it holds is not known");
    return 0;
}

TEST(use_is_counted_off_the_engine_and_makes_no_account)
{
    struct room room;
    uint64_t bytes;
    char path[256];

    room_make(&room);
    struct filing filing = room_filing(&room, 1);

    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    assert_false(mail_store_use(room.store, BYTES("b.example"), BYTES("a"), 1000, &bytes));
    assert_int_equal(use_of(&room, BYTES("a"), 1000), filing.size);
    assert_int_equal(use_of(&room, BYTES("nobody"), 1000), 0);
    snprintf(path, sizeof(path), "%s/b.example/nobody", room.path);
    assert_int_equal(access(path, F_OK), -1);
    assert_false(mail_store_use(room.store, BYTES("b.example"), BYTES_NONE, 1000, &bytes));
    room_free(&room);
}

TEST(use_is_known_by_what_was_filed)
{
    struct room room;
    uint64_t bytes = 0;

    room_make(&room);
    struct filing first = room_filing(&room, 1), second = room_filing(&room, 2);

    first.quota = second.quota = 1000;
    assert_int_equal(room_file(&room, &first), FILING_DONE);
    assert_true(mail_store_use(room.store, BYTES("b.example"), BYTES("a"), 1000, &bytes));
    assert_int_equal(bytes, first.size);
    assert_int_equal(room_file(&room, &second), FILING_DONE);
    assert_true(mail_store_use(room.store, BYTES("b.example"), BYTES("a"), 1000, &bytes));
    assert_int_equal(bytes, 2 * first.size);
    room_free(&room);
}

TEST(use_of_many_accounts_is_counted_beside_filing)
{
    enum { COUNT = 100 };
    struct filing filings[COUNT];
    struct room room;
    uint64_t bytes;
    char locals[COUNT][16];

    room_make(&room);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(locals[i], sizeof(locals[i]), "a%zu", i);
        filings[i] = room_filing(&room, i + 1);
        filings[i].local = bytes_of(locals[i / 2]);
        filings[i].quota = 1000;
        (void)!mail_store_use(room.store, BYTES("b.example"), bytes_of(locals[i]), 1000, &bytes);
    }
    room_file_all(&room, filings, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        expect_row(i, filings[i].result == FILING_DONE);
        expect_row(i, use_of(&room, bytes_of(locals[i]), 1000) <= 2 * filings[0].size);
    }
    room_free(&room);
}

TEST(store_that_could_not_be_opened_fails_what_comes_and_opens_later)
{
    struct mail_store_settings settings = {.host = "mta1",
                                           .node = 0xa,
                                           .threads = 1,
                                           .open_again_ms = 50};
    struct room room;
    char path[128];
    uint64_t bytes;

    room_make(&room);
    snprintf(path, sizeof(path), "%s/mail", room.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    mail_store_close(&room.store);
    settings.directory = path;
    room.store = mail_store_open(&settings);
    assert_non_null(room.store);
    struct filing filing = room_filing(&room, 1);

    assert_int_equal(room_file(&room, &filing), FILING_FAILED);
    assert_non_null(strstr(filing.why, "be opened: Not a directory"));
    assert_false(mail_store_use(room.store, BYTES("b.example"), BYTES("a"), 1000, &bytes));
    assert_int_equal(unlink(path), 0);
    for (unsigned i = 0; i < 100 && room_file(&room, &filing) != FILING_DONE; i++)
        usleep(10000);
    assert_int_equal(filing.result, FILING_DONE);
    snprintf(path, sizeof(path), "%s/mail/b.example/a/new", room.path);
    assert_int_equal(access(path, F_OK), 0);
    room_free(&room);
}
