/* test_mailbox_cache.c - what is kept of messages, written and not written yet. */
#include "tests/unit/mailbox/mailbox_room.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/buf.h"

static const char text[] = "Subject: x\r\n\r\nhello\r\n";

TEST(cache_gives_back_what_was_put)
{
    struct room room = {0};
    struct buf out;

    room_make(&room);
    buf_init(&out, 1024);
    room_append(&room, room.inbox, text, 0);
    room_append(&room, room.inbox, text, 0);
    assert_false(mailbox_cache_get(room.inbox, 1, &out));
    mailbox_cache_put(room.inbox, 1, BYTES("envelope"));
    mailbox_cache_put(room.inbox, 2, BYTES("another"));
    assert_true(mailbox_cache_get(room.inbox, 1, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("envelope")));
    room_reopen(&room);
    buf_clear(&out);
    assert_true(mailbox_cache_get(room.inbox, 2, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("another")));
    /* A byte that is not as it was. */
    char path[768];
    room_path(&room, "ringpost.cache", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "X", 1, 16 + 16 + 2), 1);
    close(fd);
    assert_false(mailbox_cache_get(room.inbox, 1, &out));
    assert_int_equal(buf_len(&out), 7);
    buf_free(&out);
    room_free(&room);
}

/* Long and short ones, in the order in which they lie and in others, while more are put. */
TEST(cache_reads_ahead_of_what_is_asked_for)
{
    static char blob[48 << 10];
    enum { COUNT = 60 };
    struct room room = {0};
    struct buf out;

    room_make(&room);
    buf_init(&out, sizeof(blob));
    for (uint32_t uid = 1; uid <= COUNT; uid++)
        room_append(&room, room.inbox, text, 0);
    for (uint32_t put = 1; put <= COUNT; put++) {
        memset(blob, 'A' + (int)put % 26, sizeof(blob));
        mailbox_cache_put(room.inbox, put,
                          bytes_range(blob, put % 9 == 0 ? sizeof(blob) : 300 + put * 17));
        for (uint32_t uid = put > 3 ? put - 3 : 1; uid <= put; uid++) {
            buf_clear(&out);
            assert_true(mailbox_cache_get(room.inbox, uid, &out));
        }
    }
    for (uint32_t asked = 1; asked <= 3 * COUNT; asked++) {
        uint32_t uid = asked <= COUNT ? asked : asked * 37 % COUNT + 1;

        buf_clear(&out);
        assert_true(mailbox_cache_get(room.inbox, uid, &out));
        assert_int_equal(buf_len(&out), uid % 9 == 0 ? sizeof(blob) : 300 + uid * 17);
        for (size_t i = 0; i < buf_len(&out); i++)
            assert_int_equal(buf_bytes(&out).ptr[i], 'A' + (int)uid % 26);
    }
    /* Another mailbox's file, with the same UIDs at the same places. */
    struct mailbox *other;

    assert_int_equal(mail_account_create(room.account, BYTES("Other"), 0), 0);
    assert_int_equal(mailbox_open(room.account, BYTES("Other"), &other), 0);
    room_append(&room, other, text, 0);
    mailbox_cache_put(room.inbox, 1, BYTES("ours"));
    mailbox_cache_put(other, 1, BYTES("theirs"));
    buf_clear(&out);
    assert_true(mailbox_cache_get(other, 1, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("theirs")));
    mailbox_close(&other);
    buf_free(&out);
    room_free(&room);
}

static int64_t file_size(const struct room *room)
{
    struct stat status;
    char path[768];

    room_path(room, "ringpost.cache", path);
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

/* Behind what the buffer has. */
static void check_kept(struct room *room, uint32_t uid, struct bytes blob)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_true(buf_append(&out, BYTES("before ")));
    assert_true(mailbox_cache_get(room->inbox, uid, &out));
    buf_consume(&out, 7);
    assert_true(bytes_equal(buf_bytes(&out), blob));
    buf_free(&out);
}

TEST(cache_is_written_in_pieces_and_read_before)
{
    static char blob[1000];
    enum { COUNT = 100, WRITTEN = 65 }; /* records of 1016 bytes: 64 KiB are 64.5 of them */
    struct room room = {0};
    struct buf out;

    room_make(&room);
    buf_init(&out, 1024);
    memset(blob, 'b', sizeof(blob));
    for (uint32_t uid = 1; uid <= COUNT; uid++)
        room_append(&room, room.inbox, text, 0);
    for (uint32_t uid = 1; uid <= COUNT; uid++) {
        memcpy(blob, &uid, sizeof(uid));
        mailbox_cache_put(room.inbox, uid, bytes_range(blob, sizeof(blob)));
        assert_int_equal(file_size(&room), uid < WRITTEN ? 16 : 16 + WRITTEN * 1016);
        check_kept(&room, uid, bytes_range(blob, sizeof(blob)));
        memcpy(blob, &(uint32_t){uid / 2 + 1}, sizeof(uid));
        check_kept(&room, uid / 2 + 1, bytes_range(blob, sizeof(blob)));
    }
    while (!mailbox_hold(room.inbox))
        assert_int_equal(mailbox_look(room.inbox), 0);
    assert_true(mailbox_cache_get_held(room.inbox, COUNT, &out)); /* of memory */
    mailbox_let_go(room.inbox);
    assert_int_equal(buf_len(&out), sizeof(blob));
    mailbox_cache_write(room.inbox);
    assert_int_equal(file_size(&room), 16 + COUNT * 1016);
    mailbox_cache_write(room.inbox); /* nothing */
    assert_int_equal(file_size(&room), 16 + COUNT * 1016);
    mailbox_cache_put(room.inbox, 7, BYTES("in place of the other"));
    mailbox_cache_put(room.inbox, 9, BYTES("of one that goes"));
    size_t count;
    uint32_t uid = 9;
    room_store(room.inbox, 9, STORE_ADD, MAIL_DELETED);
    assert_int_equal(mailbox_expunge(room.inbox, &uid, 1, &count), 0);
    mailbox_cache_put(room.inbox, 9, BYTES("of one that went"));
    buf_clear(&out);
    assert_false(mailbox_cache_get(room.inbox, 9, &out));
    for (int round = 0; round < 2; round++) {
        for (uid = 1; uid <= COUNT; uid++) {
            memcpy(blob, &uid, sizeof(uid));
            if (uid != 9)
                check_kept(&room, uid,
                           uid == 7 ? BYTES("in place of the other")
                                    : bytes_range(blob, sizeof(blob)));
        }
        room_reopen(&room); /* closing writes what is left */
    }
    buf_free(&out);
    room_free(&room);
}

/* What cannot be written is as if nobody had put it. */
TEST(cache_that_cannot_be_written_is_none)
{
    struct room room = {0};
    struct buf out;
    struct rlimit before, small;

    room_make(&room);
    buf_init(&out, 1024);
    for (uint32_t uid = 1; uid <= 2; uid++)
        room_append(&room, room.inbox, text, 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 16, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    mailbox_cache_put(room.inbox, 1, BYTES("envelope"));
    check_kept(&room, 1, BYTES("envelope"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    mailbox_cache_write(room.inbox);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    mailbox_cache_put(room.inbox, 2, BYTES("another"));
    for (int round = 0; round < 2; round++) {
        assert_false(mailbox_cache_get(room.inbox, 1, &out));
        check_kept(&room, 2, BYTES("another"));
        room_reopen(&room);
    }
    mailbox_cache_put(room.inbox, 1, BYTES("envelope"));
    mailbox_cache_write(room.inbox);
    check_kept(&room, 1, BYTES("envelope"));
    buf_free(&out);
    room_free(&room);
}
