/* test_fetch_line.c - what the index says of a message, as text. */
#include "inbound/imap/fetch_line.h"

#include <string.h>

#include "support/unit.h"

static const struct mailbox_message message = {
    .uid = 12,
    .flags = MAIL_SEEN | MAIL_ANSWERED,
    .modseq = 7,
    .size = 300,
    .internal_s = 1580522584,
    .saved_s = 0,
    .email_id = 0xab,
};

static void check_item(enum fetch_kind kind, const char *expected)
{
    uint8_t room[FETCH_LINE_ITEM_ROOM];
    size_t len = (size_t)(fetch_line_put_item(room, kind, &message) - room);

    assert_true(fetch_line_is_item(kind));
    if (!bytes_equal(bytes_range(room, len), bytes_of(expected)))
        fail_msg("\"%.*s\", not \"%s\"", (int)len, (const char *)room, expected);
}

TEST(items_are_told_as_they_are_called)
{
    check_item(FETCH_FLAGS, "FLAGS (\\Answered \\Seen)");
    check_item(FETCH_UID, "UID 12");
    check_item(FETCH_INTERNALDATE, "INTERNALDATE \"01-Feb-2020 02:03:04 +0000\"");
    check_item(FETCH_SAVEDATE, "SAVEDATE \"01-Jan-1970 00:00:00 +0000\"");
    check_item(FETCH_SIZE, "RFC822.SIZE 300");
    check_item(FETCH_MODSEQ, "MODSEQ (7)");
    check_item(FETCH_EMAILID, "EMAILID (E00000000000000ab)");
    check_item(FETCH_THREADID, "THREADID NIL");
    assert_false(fetch_line_is_item(FETCH_ENVELOPE));
    assert_false(fetch_line_is_item(FETCH_BINARY_SIZE));
}

TEST(line_has_all_items_and_never_more_than_its_room)
{
    struct fetch_item items[FETCH_LINE_ITEMS_MAX + 1];
    struct fetch_program program = {.count = FETCH_LINE_ITEMS_MAX, .items = items};
    uint8_t room[FETCH_LINE_ROOM];

    for (unsigned kind = FETCH_FLAGS; kind <= FETCH_THREADID; kind++) {
        struct mailbox_message longest = {
            .uid = UINT32_MAX,
            .flags = (1 << MAILBOX_KEYWORD_SHIFT) - 1,
            .modseq = UINT64_MAX,
            .size = UINT64_MAX - 1,
            .internal_s = INT64_MAX,
            .saved_s = INT64_MIN,
            .email_id = UINT64_MAX,
        };

        for (size_t i = 0; i < ARRAY_LEN(items); i++)
            items[i] = (struct fetch_item){.kind = (enum fetch_kind)kind};
        assert_true(fetch_line_fits(&program));
        size_t len =
            (size_t)(fetch_line_put(room, UINT32_MAX, BYTES(" UIDFETCH ("), &program, &longest) -
                     room);
        assert_true(len <= sizeof(room));
        assert_memory_equal(room, "* 4294967295 UIDFETCH (", 23);
        assert_memory_equal(room + len - 3, ")\r\n", 3);
    }
    program.count = 2;
    items[0].kind = FETCH_UID;
    items[1].kind = FETCH_FLAGS;
    size_t len = (size_t)(fetch_line_put(room, 3, BYTES(" FETCH ("), &program, &message) - room);
    assert_true(bytes_equal(bytes_range(room, len),
                            BYTES("* 3 FETCH (UID 12 FLAGS (\\Answered \\Seen))\r\n")));
    items[1].kind = FETCH_ENVELOPE;
    assert_false(fetch_line_fits(&program));
    program.count = FETCH_LINE_ITEMS_MAX + 1;
    items[1].kind = FETCH_FLAGS;
    assert_false(fetch_line_fits(&program));
}

TEST(line_cannot_tell_keywords_nor_a_size_that_is_not_known)
{
    struct mailbox_message other = message;

    assert_true(fetch_line_can(&other));
    other.flags |= MAIL_KEYWORD(0);
    assert_false(fetch_line_can(&other));
    other.flags = 0;
    other.size = MAILBOX_SIZE_UNKNOWN;
    assert_false(fetch_line_can(&other));
}
