/* test_mirror.c - a folder that somebody else fills is read, and changed by nobody. */
#include "inbound/mailbox/mirror.h"

#include "unit/mailbox/mailbox_room.h"

static const char text[] = "Subject: x\r\n\r\nhello\r\n";

static struct mailbox *open_queue(struct room *room)
{
    struct mailbox *queue;

    assert_int_equal(mail_account_create(room->account, BYTES("Queue"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open(room->account, BYTES("Queue"), &queue), 0);
    return queue;
}

TEST(mirror_takes_in_files_and_refuses_changes)
{
    struct room room = {0};
    struct uid_pair pair;
    struct mailbox_status status;
    size_t count;
    uint32_t uid;

    room_make(&room);
    struct mailbox *queue = open_queue(&room);
    uint32_t own = room_append(&room, room.inbox, text, MAIL_DELETED);

    assert_false(mailbox_is_mirror(queue));
    room_drop(&room, ".Queue/ringpost.mirror", "");
    assert_true(mailbox_is_mirror(queue) && !mailbox_is_mirror(room.inbox));
    room_drop(&room, ".Queue/cur/1.Q2,S=21,W=21:2,T", text);
    status.exists = 0;
    for (int i = 0; i < 10000 && status.exists == 0; i++) { /* until inotify's thread has read it */
        usleep(1000);
        assert_int_equal(mailbox_look(queue), 0);
        mailbox_status(queue, &status);
    }
    assert_int_equal(status.exists, 1);
    uid = status.uidnext - 1;
    struct mailbox_flags_change change = {.how = STORE_ADD, .flags = MAIL_FLAGGED};

    assert_int_equal(mailbox_store_flags(queue, &uid, 1, &change), -EROFS);
    assert_int_equal(mailbox_expunge(queue, &uid, 1, &count), -EROFS);
    assert_int_equal(mailbox_expunge_all(queue, &count), -EROFS);
    assert_int_equal(mailbox_copy(queue, room.inbox, &uid, 1, true, &pair, &count), -EROFS);
    assert_int_equal(mailbox_copy(room.inbox, queue, &own, 1, false, &pair, &count), -EROFS);
    assert_int_equal(mailbox_copy(room.inbox, queue, &own, 1, true, &pair, &count), -EROFS);
    assert_int_equal(room_try_append(&room, queue, text, 0, &uid), -EROFS);
    assert_int_equal(mail_account_delete(room.account, BYTES("Queue")), -EROFS);
    assert_int_equal(mail_account_rename(room.account, BYTES("Queue"), BYTES("Other")), -EROFS);
    uid = status.uidnext - 1;
    assert_int_equal(mailbox_copy(queue, room.inbox, &uid, 1, false, &pair, &count), 0);
    assert_int_equal(count, 1);
    assert_true(room_has(&room, ".Queue/cur/1.Q2,S=21,W=21:2,T"));
    mailbox_close(&queue);
    room_free(&room);
}

TEST(mirror_counts_for_no_quota_and_goes_as_a_whole)
{
    struct room room = {.quota = 1000};
    struct account_usage usage;

    room_make(&room);
    struct mailbox *queue = open_queue(&room);

    room_drop(&room, ".Queue/ringpost.mirror", "");
    room_drop(&room, ".Queue/cur/1.Q2,S=900,W=900:2,S", text);
    room_append(&room, room.inbox, text, 0);
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.messages, 1);
    /* Others' folders are not dropped so. */
    assert_int_equal(mail_account_create(room.account, BYTES("Own"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_drop_mirror(room.account, BYTES("Own")), 0);
    assert_int_equal(mail_account_drop_mirror(room.account, BYTES("None")), 0);
    assert_int_equal(mail_account_drop_mirror(room.account, BYTES("INBOX")), 0);
    assert_true(room_has(&room, ".Own/cur"));
    assert_int_equal(mail_account_drop_mirror(room.account, BYTES("Queue")), 0);
    assert_false(room_has(&room, ".Queue"));
    assert_int_equal(mailbox_look(queue), -ENOENT);
    mailbox_close(&queue);
    room_free(&room);
}
