/* test_maildrop.c - what a session sees of INBOX, and how messages are sent. */
#include "inbound/pop3/maildrop.h"

#include "tests/unit/mailbox/mailbox_room.h"

static void open_all(struct room *room, struct maildrop *maildrop)
{
    int more;

    maildrop_init(maildrop, BYTES("b.example"), BYTES("a"), 0);
    do {
        more = maildrop_open(room->accounts, maildrop);
    } while (more > 0);
    assert_int_equal(more, 0);
}

static void close_all(struct maildrop *maildrop)
{
    maildrop_close(maildrop);
    maildrop_free(maildrop);
}

static void append_piece(struct buf *out, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        assert_true(buf_append(out, bytes_of(piece)));
}

static const struct {
    const char *message;
    uint64_t lines; /* UINT64_MAX: RETR */
    const char *sent;
} rows[] = {
    {"a: b\r\n\r\n.c\r\n..\r\nd\r\n", UINT64_MAX, "a: b\r\n\r\n..c\r\n...\r\nd\r\n"},
    {"a: b\n\n.\nc", UINT64_MAX, "a: b\r\n\r\n..\r\nc\r\n"},
    {"a: b\r\n\r\nc\rd\r", UINT64_MAX, "a: b\r\n\r\nc\rd\r\n"},
    {"", UINT64_MAX, ""},
    {"\r\n", UINT64_MAX, "\r\n"},
    {"a: b", UINT64_MAX, "a: b\r\n"},
    {"a: b\r\n\r\nc\r\nd\r\n", 0, "a: b\r\n\r\n"},
    {"a: b\r\n\r\nc\r\nd\r\n", 1, "a: b\r\n\r\nc\r\n"},
    {"a: b\r\n\r\n\r\n\r\nd\r\n", 2, "a: b\r\n\r\n\r\n\r\n"},
    {"a: b\r\n\r\nc\r\nd", 9, "a: b\r\n\r\nc\r\nd\r\n"},
    {"a: b\r\n.c: d\r\n", 0, "a: b\r\n..c: d\r\n"},
    {"a: b\n\r\nc\n", 0, "a: b\r\n\r\n"},
};

TEST(messages_are_sent_stuffed_and_with_crlf)
{
    struct room room = {0};
    struct buf out;

    room_make(&room);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct maildrop maildrop;

        (void)room_append(&room, room.inbox, rows[i].message, 0);
        open_all(&room, &maildrop);
        assert_int_equal(maildrop.count, i + 1);
        assert_int_equal(maildrop_begin(&maildrop, maildrop_find(&maildrop, i + 1), rows[i].lines,
                                        false),
                         0);
        while (maildrop_send(&maildrop, false, &out) > 0)
            continue;
        assert_int_equal(maildrop.fd, -1);
        if (!bytes_equal(buf_bytes(&out), bytes_of(rows[i].sent)))
            fail_msg("row %zu: %.*s", i, BYTES_ARG(buf_bytes(&out)));
        buf_clear(&out);
        close_all(&maildrop);
    }
    buf_free(&out);
    room_free(&room);
}

/* Pieces end everywhere: in a CRLF, before a dot. */
TEST(long_messages_are_sent_in_pieces)
{
    struct room room = {0};
    struct maildrop maildrop;
    struct buf text, out, expected;

    room_make(&room);
    buf_init(&text, 1 << 20);
    buf_init(&expected, 1 << 20);
    buf_init(&out, 1 << 20);
    append_piece(&text, "a: b\r\n\r\n", 1);
    append_piece(&expected, "a: b\r\n\r\n", 1);
    append_piece(&text, ".x\r\n.\r\n", 20000);
    append_piece(&expected, "..x\r\n..\r\n", 20000);
    assert_true(buf_append_byte(&text, 0)); /* as a string ends */
    (void)room_append(&room, room.inbox, (const char *)buf_bytes(&text).ptr, 0);
    open_all(&room, &maildrop);
    assert_int_equal(maildrop_begin(&maildrop, maildrop_find(&maildrop, 1), UINT64_MAX, false), 0);
    while (maildrop_send(&maildrop, false, &out) > 0)
        continue;
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&expected)));
    close_all(&maildrop);
    buf_free(&text);
    buf_free(&out);
    buf_free(&expected);
    room_free(&room);
}

TEST(deletes_are_marks_until_the_update)
{
    struct room room = {0};
    struct maildrop maildrop;

    room_make(&room);
    for (int i = 0; i < 3; i++)
        (void)room_append(&room, room.inbox, "a: b\r\n\r\nc\r\n", 0);
    open_all(&room, &maildrop);
    maildrop_delete(&maildrop, maildrop_find(&maildrop, 2));
    assert_null(maildrop_find(&maildrop, 2));
    assert_null(maildrop_find(&maildrop, 0));
    assert_null(maildrop_find(&maildrop, 4));
    assert_int_equal(maildrop.deleted_bytes, 11);
    maildrop_reset(&maildrop);
    assert_int_equal(maildrop.deleted_count, 0);
    maildrop_delete(&maildrop, maildrop_find(&maildrop, 1));
    maildrop_find(&maildrop, 3)->was_read = true;
    assert_int_equal(room_status(room.inbox).exists, 3);
    maildrop.next = 0;
    assert_int_equal(maildrop_update(&maildrop), 0);
    assert_int_equal(room_status(room.inbox).exists, 2);
    assert_int_equal(room_flags(room.inbox, 2), 0);
    assert_int_equal(room_flags(room.inbox, 3), MAIL_SEEN);
    close_all(&maildrop);
    room_free(&room);
}

TEST(updates_of_many_messages_are_sliced)
{
    enum { COUNT = 1100 };
    struct room room = {0};
    struct maildrop maildrop;
    int slices = 1;

    room_make(&room);
    for (int i = 0; i < COUNT; i++)
        (void)room_append(&room, room.inbox, "a: b\r\n\r\n", 0);
    open_all(&room, &maildrop);
    assert_int_equal(maildrop.count, COUNT);
    for (uint64_t i = 1; i < COUNT; i++)
        maildrop_delete(&maildrop, maildrop_find(&maildrop, i));
    maildrop.next = 0;
    while (maildrop_update(&maildrop) > 0)
        slices++;
    assert_int_equal(slices, 3);
    assert_int_equal(room_status(room.inbox).exists, 1);
    close_all(&maildrop);
    room_free(&room);
}

TEST(a_message_that_is_gone_is_told)
{
    struct room room = {0};
    struct maildrop one, other;

    room_make(&room);
    (void)room_append(&room, room.inbox, "a: b\r\n\r\n", 0);
    open_all(&room, &one);
    open_all(&room, &other);
    maildrop_delete(&one, maildrop_find(&one, 1));
    assert_int_equal(maildrop_update(&one), 0);
    assert_int_equal(maildrop_begin(&other, maildrop_find(&other, 1), UINT64_MAX, false), -ENOENT);
    maildrop_delete(&other, maildrop_find(&other, 1));
    assert_int_equal(maildrop_update(&other), 0); /* it is as it was to be */
    close_all(&one);
    close_all(&other);
    room_free(&room);
}
