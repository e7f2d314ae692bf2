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

/* Of these messages, which the view has in numbers from 3 on. */
static void check_lines_of(const struct fetch_lines *lines, size_t expected_count,
                           const char *expected)
{
    uint8_t room[2048];
    size_t told;
    size_t len = (size_t)(fetch_lines_put(room, lines, &told) - room);

    assert_true(len <= lines->count * fetch_line_room(lines->program));
    assert_int_equal(told, expected_count);
    if (!bytes_equal(bytes_range(room, len), bytes_of(expected)))
        fail_msg("\"%.*s\", not \"%s\"", (int)len, (const char *)room, expected);
}

static void check_lines(const struct fetch_program *program, bool is_uidonly,
                        const struct mailbox_message *messages, const uint32_t *uids, size_t count,
                        size_t expected_count, const char *expected)
{
    struct fetch_lines lines = {program, is_uidonly, 3, uids, messages, count, NULL, NULL};

    check_lines_of(&lines, expected_count, expected);
}

TEST(line_has_all_items_and_never_more_than_its_room)
{
    struct fetch_item items[FETCH_LINE_ITEMS_MAX + 1];
    struct fetch_program program = {.count = FETCH_LINE_ITEMS_MAX, .items = items};
    static struct flag_memo memo;
    uint8_t room[2048];
    char text[FLAG_TEXT_ROOM];

    memset(text, 'x', sizeof(text));
    flag_memo_keep(&memo, UINT64_MAX, bytes_range(text, sizeof(text) - 1));
    for (unsigned kind = FETCH_FLAGS; kind <= FETCH_THREADID; kind++) {
        struct mailbox_message longest = {
            .uid = UINT32_MAX,
            .flags = UINT64_MAX,
            .modseq = UINT64_MAX,
            .size = UINT64_MAX - 1,
            .internal_s = INT64_MAX,
            .saved_s = INT64_MIN,
            .email_id = UINT64_MAX,
        };
        uint32_t uid = UINT32_MAX;
        struct fetch_lines lines = {&program, true, 1, &uid, &longest, 1, &memo, NULL};
        size_t told;

        for (size_t i = 0; i < ARRAY_LEN(items); i++)
            items[i] = (struct fetch_item){.kind = (enum fetch_kind)kind};
        assert_true(fetch_line_fits(&program, false));
        size_t len = (size_t)(fetch_lines_put(room, &lines, &told) - room);
        assert_int_equal(told, 1);
        assert_true(len <= fetch_line_room(&program));
        assert_memory_equal(room, "* 4294967295 UIDFETCH (", 23);
        assert_memory_equal(room + len - 3, ")\r\n", 3);
    }
    items[1].kind = FETCH_ENVELOPE;
    items[2].kind = FETCH_BODYSTRUCTURE;
    assert_true(fetch_line_fits(&program, false));
    items[3].kind = FETCH_SECTION;
    assert_false(fetch_line_fits(&program, false));
    assert_true(fetch_line_fits(&program, true));
    items[3].kind = FETCH_UID;
    items[1].kind = FETCH_BODY;
    assert_false(fetch_line_fits(&program, false));
    program.count = FETCH_LINE_ITEMS_MAX + 1;
    items[1].kind = FETCH_FLAGS;
    assert_false(fetch_line_fits(&program, false));
}

TEST(lines_end_where_more_must_be_asked)
{
    struct fetch_item items[] = {{.kind = FETCH_UID}, {.kind = FETCH_FLAGS}};
    struct fetch_program program = {.count = 2, .items = items};
    struct fetch_program alone = {.count = 1, .items = items + 1};
    struct mailbox_message messages[3] = {message, message, message};
    uint32_t uids[] = {12, 13, 14};
    static const char one[] = "* 3 FETCH (UID 12 FLAGS (\\Answered \\Seen))\r\n";

    messages[1] = (struct mailbox_message){.uid = 13, .modseq = 1};
    messages[2].uid = 14;
    check_lines(&program, false, messages, uids, 3, 3,
                "* 3 FETCH (UID 12 FLAGS (\\Answered \\Seen))\r\n"
                "* 4 FETCH (UID 13 FLAGS ())\r\n"
                "* 5 FETCH (UID 14 FLAGS (\\Answered \\Seen))\r\n");
    check_lines(&program, false, messages, uids, 1, 1, one);
    check_lines(&program, true, messages, uids, 2, 2,
                "* 12 UIDFETCH (UID 12 FLAGS (\\Answered \\Seen))\r\n"
                "* 13 UIDFETCH (UID 13 FLAGS ())\r\n");
    check_lines(&alone, false, messages, uids, 2, 2,
                "* 3 FETCH (FLAGS (\\Answered \\Seen))\r\n"
                "* 4 FETCH (FLAGS ())\r\n");
    check_lines(&alone, true, messages, uids, 2, 2,
                "* 12 UIDFETCH (FLAGS (\\Answered \\Seen))\r\n"
                "* 13 UIDFETCH (FLAGS ())\r\n");
    messages[1].flags = MAIL_KEYWORD(0);
    check_lines(&program, false, messages, uids, 3, 1, one);
    messages[1].flags = 0;
    messages[1].size = MAILBOX_SIZE_UNKNOWN;
    check_lines(&program, false, messages, uids, 3, 1, one);
    messages[1].size = 1;
    messages[1].uid = 14; /* 13 went */
    check_lines(&program, false, messages, uids, 2, 1, one);
    uids[0] = 11;
    check_lines(&program, false, messages, uids, 3, 0, "");
}

TEST(lines_leave_out_what_has_not_changed_since)
{
    struct fetch_item items[] = {{.kind = FETCH_UID}};
    struct fetch_program program = {.count = 1, .items = items, .has_since = true, .since = 7};
    struct mailbox_message messages[3] = {{.uid = 1, .modseq = 8},
                                          {.uid = 2, .modseq = 7},
                                          {.uid = 3, .modseq = 9}};
    uint32_t uids[] = {1, 2, 3};

    check_lines(&program, false, messages, uids, 3, 3,
                "* 3 FETCH (UID 1)\r\n* 5 FETCH (UID 3)\r\n");
}

TEST(lines_with_keywords_are_told_as_the_memo_has_them)
{
    static struct flag_memo memo;
    struct fetch_item items[] = {{.kind = FETCH_FLAGS}, {.kind = FETCH_UID}};
    struct fetch_program program = {.count = 2, .items = items};
    struct mailbox_message messages[] = {{.uid = 1, .modseq = 1, .flags = MAIL_SEEN},
                                         {.uid = 2,
                                          .modseq = 1,
                                          .flags = MAIL_SEEN | MAIL_KEYWORD(1)},
                                         {.uid = 3, .modseq = 1, .flags = MAIL_KEYWORD(1)}};
    uint32_t uids[] = {1, 2, 3};
    struct fetch_lines lines = {&program, false, 1, uids, messages, 3, &memo, NULL};

    check_lines_of(&lines, 1, "* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n");
    flag_memo_keep(&memo, messages[1].flags, BYTES("FLAGS (\\Seen $Junk"));
    check_lines_of(&lines, 2,
                   "* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n"
                   "* 2 FETCH (FLAGS (\\Seen $Junk) UID 2)\r\n");
    program.items++; /* UID alone */
    program.count--;
    lines.memo = NULL;
    check_lines_of(&lines, 3, "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n");
}

TEST(lines_have_texts_as_they_are_at_hand)
{
    struct fetch_item items[] = {{.kind = FETCH_ENVELOPE},
                                 {.kind = FETCH_UID},
                                 {.kind = FETCH_BODYSTRUCTURE},
                                 {.kind = FETCH_SECTION}};
    struct fetch_program program = {.count = 4, .items = items};
    struct mailbox_message messages[] = {{.uid = 1, .modseq = 1}, {.uid = 2, .modseq = 2}};
    struct fetch_line_texts texts[] = {
        {BYTES("(NIL)"), BYTES("(\"text\")"), BYTES("BODY[HEADER.FIELDS (TO)] {2}\r\n\r\n")},
        {BYTES("()"), BYTES("(\"image\")"), BYTES("BODY[HEADER.FIELDS (TO)] {0}\r\n")},
    };
    uint32_t uids[] = {1, 2};
    struct fetch_lines lines = {&program, false, 1, uids, messages, 2, NULL, texts};

    check_lines_of(&lines, 2,
                   "* 1 FETCH (ENVELOPE (NIL) UID 1 BODYSTRUCTURE (\"text\") "
                   "BODY[HEADER.FIELDS (TO)] {2}\r\n\r\n)\r\n"
                   "* 2 FETCH (ENVELOPE () UID 2 BODYSTRUCTURE (\"image\") "
                   "BODY[HEADER.FIELDS (TO)] {0}\r\n)\r\n");
    program.has_since = true;
    program.since = 1;
    check_lines_of(&lines, 2,
                   "* 2 FETCH (ENVELOPE () UID 2 BODYSTRUCTURE (\"image\") "
                   "BODY[HEADER.FIELDS (TO)] {0}\r\n)\r\n");
}
