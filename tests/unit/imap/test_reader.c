/* test_reader.c - messages in the order of their UIDs, read some at a time. */
#include "inbound/imap/reader.h"

#include "tests/unit/mailbox/mailbox_room.h"

enum { MESSAGES = 300 };

static void fill(struct room *room)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        (void)room_append(room, room->inbox, "Subject: x\r\n\r\nx\r\n", 0);
}

static void expunge(struct mailbox *mailbox, uint32_t uid)
{
    size_t gone;

    room_store(mailbox, uid, STORE_ADD, MAIL_DELETED);
    assert_int_equal(mailbox_expunge_all(mailbox, &gone), 0);
    assert_int_equal(gone, 1);
}

TEST(reader_reads_few_times_what_follows_each_other)
{
    struct room room = {0};
    struct reader reader;

    room_make(&room);
    fill(&room);
    reader_begin(&reader, room.inbox);
    for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
        const struct mailbox_message *message = reader_find(&reader, uid);

        assert_non_null(message);
        assert_int_equal(message->uid, uid);
    }
    assert_true(reader.reads <= 10);
    assert_null(reader_find(&reader, MESSAGES + 1));
    room_free(&room);
}

TEST(reader_finds_what_lies_apart)
{
    struct room room = {0};
    struct reader reader;

    room_make(&room);
    fill(&room);
    reader_begin(&reader, room.inbox);
    for (uint32_t uid = 1; uid <= MESSAGES; uid += 37) {
        const struct mailbox_message *message = reader_find(&reader, uid);

        assert_non_null(message);
        assert_int_equal(message->uid, uid);
    }
    for (uint32_t uid = MESSAGES - 2; uid <= MESSAGES; uid++)
        assert_int_equal(reader_find(&reader, uid)->uid, uid);
    room_free(&room);
}

TEST(reader_passes_over_what_went)
{
    struct room room = {0};
    struct reader reader;

    room_make(&room);
    fill(&room);
    expunge(room.inbox, 1);
    expunge(room.inbox, 100);
    expunge(room.inbox, MESSAGES);
    reader_begin(&reader, room.inbox);
    for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
        bool is_there = uid != 1 && uid != 100 && uid != MESSAGES;

        assert_int_equal(reader_find(&reader, uid) != NULL, is_there);
    }
    room_free(&room);
}

TEST(reader_gives_what_it_has_ahead_and_goes_on_behind_it)
{
    struct room room = {0};
    struct reader reader;
    size_t count;

    room_make(&room);
    fill(&room);
    reader_begin(&reader, room.inbox);
    for (uint32_t uid = 1; uid <= MESSAGES; uid += (uint32_t)count) {
        const struct mailbox_message *messages = reader_find_run(&reader, uid, &count);

        assert_non_null(messages);
        assert_in_range(count, 1, READER_MAX);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(messages[i].uid, uid + i);
        reader_pass(&reader, count);
    }
    assert_true(reader.reads <= 10);
    assert_null(reader_find_run(&reader, MESSAGES + 1, &count));
    room_free(&room);
}
