/* test_mailbox.c - messages, flags and UIDs as sessions see them, over closing and opening. */
#include "tests/unit/mailbox/mailbox_room.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "inbound/mailbox/index_state.h"

static const char text[] = "Subject: x\r\n\r\nhello\r\n";

TEST(append_gives_uids_in_order_and_they_stay)
{
    struct room room = {0};

    room_make(&room);
    assert_int_equal(room_append(&room, room.inbox, text, MAIL_SEEN), 1);
    assert_int_equal(room_append(&room, room.inbox, text, 0), 2);
    struct mailbox_status before = room_status(room.inbox);
    assert_int_equal(before.exists, 2);
    assert_int_equal(before.unseen, 1);
    assert_int_equal(before.uidnext, 3);
    assert_int_equal(before.size, 2 * (sizeof(text) - 1));
    room_reopen(&room);
    struct mailbox_status after = room_status(room.inbox);
    assert_int_equal(after.uidvalidity, before.uidvalidity);
    assert_int_equal(after.modseq, before.modseq);
    assert_int_equal(after.exists, 2);
    assert_int_equal(after.uidnext, 3);
    assert_memory_equal(after.id, before.id, sizeof(after.id));
    assert_int_equal(room_flags(room.inbox, 1), MAIL_SEEN);
    assert_int_equal(room_append(&room, room.inbox, text, 0), 3);
    room_free(&room);
}

TEST(append_keeps_the_date_and_serves_the_bytes)
{
    struct room room = {0};
    struct mailbox_upload upload;
    struct mailbox_message message;
    char bytes[64] = "";

    room_make(&room);
    assert_int_equal(mailbox_upload_begin(room.account, &upload), 0);
    assert_int_equal(mailbox_upload_write(&upload, BYTES("a\n")), 0);
    assert_int_equal(mailbox_upload_write(&upload, BYTES("b\r\n")), 0);
    upload.has_internal = true;
    upload.internal_s = 1000000000;
    upload.lines_lf = 1;
    assert_int_equal(mailbox_append(room.inbox, &upload, 1), 0);
    mailbox_upload_end(room.account, &upload);
    assert_int_equal(room_count(&room, "tmp", NULL), 0);
    assert_true(mailbox_find(room.inbox, 1, &message));
    assert_int_equal(message.internal_s, 1000000000);
    assert_int_equal(message.file_size, 5);
    assert_int_equal(message.size, 6);
    int fd = mailbox_open_message(room.inbox, 1);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, sizeof(bytes)), 5);
    assert_string_equal(bytes, "a\nb\r\n");
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mtime, 1000000000);
    close(fd);
    room_free(&room);
}

TEST(upload_that_is_not_appended_goes)
{
    struct room room = {0};
    struct mailbox_upload upload;

    room_make(&room);
    assert_int_equal(mailbox_upload_begin(room.account, &upload), 0);
    assert_int_equal(room_count(&room, "tmp", NULL), 1);
    mailbox_upload_end(room.account, &upload);
    assert_int_equal(room_count(&room, "tmp", NULL), 0);
    room_free(&room);
}

TEST(flags_are_in_names_after_a_close_and_not_before)
{
    struct room room = {0};
    char name[256];
    unsigned keyword;

    room_make(&room);
    uint32_t uid = room_append(&room, room.inbox, text, 0);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("$Forwarded"), true, &keyword), 0);
    room_store(room.inbox, uid, STORE_ADD, MAIL_FLAGGED | MAIL_KEYWORD(keyword));
    assert_int_equal(room_count(&room, "cur", name), 1);
    assert_non_null(strstr(name, ":2,"));
    assert_string_equal(strstr(name, ":2,"), ":2,");
    room_close(&room);
    assert_int_equal(room_count(&room, "cur", name), 1);
    assert_string_equal(strstr(name, ":2,"), ":2,Fa");
    char list[256];
    room_read(&room, "dovecot-keywords", list, sizeof(list));
    assert_string_equal(list, "0 $Forwarded\n");
    room_open(&room);
    assert_int_equal(room_flags(room.inbox, uid), MAIL_FLAGGED | MAIL_KEYWORD(keyword));
    room_free(&room);
}

TEST(store_sets_adds_removes_and_respects_unchangedsince)
{
    struct room room = {0};
    uint32_t failed[2], uids[] = {1, 2, 77};

    room_make(&room);
    room_append(&room, room.inbox, text, MAIL_SEEN);
    room_append(&room, room.inbox, text, 0);
    struct mailbox_flags_change change = {.how = STORE_SET, .flags = MAIL_DRAFT, .failed = failed};
    assert_int_equal(mailbox_store_flags(room.inbox, uids, 3, &change), 0);
    uint64_t modseq = change.modseq;
    assert_int_equal(room_flags(room.inbox, 1), MAIL_DRAFT);
    assert_int_equal(room_status(room.inbox).modseq, modseq);
    room_store(room.inbox, 2, STORE_ADD, MAIL_SEEN);
    change = (struct mailbox_flags_change){.how = STORE_REMOVE,
                                           .flags = MAIL_DRAFT,
                                           .has_unchanged_since = true,
                                           .unchanged_since = modseq,
                                           .failed = failed};
    assert_int_equal(mailbox_store_flags(room.inbox, uids, 2, &change), 0);
    assert_int_equal(change.failed_count, 1);
    assert_int_equal(failed[0], 2);
    assert_int_equal(room_flags(room.inbox, 1), 0);
    assert_int_equal(room_flags(room.inbox, 2), MAIL_DRAFT | MAIL_SEEN);
    /* What is so already is no change. */
    change = (struct mailbox_flags_change){.how = STORE_ADD, .flags = MAIL_SEEN};
    assert_int_equal(mailbox_store_flags(room.inbox, &uids[1], 1, &change), 0);
    assert_int_equal(change.modseq, 0);
    room_free(&room);
}

TEST(store_ignores_keywords_that_do_not_exist)
{
    struct room room = {0};

    room_make(&room);
    room_append(&room, room.inbox, text, MAIL_KEYWORD(9));
    assert_int_equal(room_flags(room.inbox, 1), 0);
    room_store(room.inbox, 1, STORE_ADD, MAIL_KEYWORD(3) | MAIL_SEEN);
    assert_int_equal(room_flags(room.inbox, 1), MAIL_SEEN);
    room_free(&room);
}

TEST(read_tells_what_changed_since)
{
    struct room room = {0};
    struct mailbox_message messages[8];
    uint32_t next;

    room_make(&room);
    for (unsigned i = 0; i < 6; i++)
        room_append(&room, room.inbox, text, 0);
    uint64_t since = room_status(room.inbox).modseq;
    room_store(room.inbox, 5, STORE_ADD, MAIL_SEEN);
    room_store(room.inbox, 2, STORE_ADD, MAIL_SEEN);
    room_store(room.inbox, 5, STORE_ADD, MAIL_FLAGGED);
    assert_int_equal(mailbox_read(room.inbox, 1, since, messages, 8, &next), 2);
    assert_int_equal(messages[0].uid, 2);
    assert_int_equal(messages[1].uid, 5);
    assert_int_equal(next, 0);
    assert_int_equal(mailbox_read(room.inbox, 1, since, messages, 1, &next), 1);
    assert_int_equal(mailbox_read(room.inbox, next, since, messages, 1, &next), 1);
    assert_int_equal(messages[0].uid, 5);
    /* From memory that does not know single changes any more. */
    room_reopen(&room);
    assert_int_equal(mailbox_read(room.inbox, 1, since, messages, 8, &next), 2);
    assert_int_equal(messages[1].uid, 5);
    assert_int_equal(mailbox_read(room.inbox, 3, 0, messages, 8, &next), 4);
    room_free(&room);
}

TEST(read_tells_of_changes_that_are_not_remembered_one_by_one)
{
    struct room room = {0};
    struct mailbox_message messages[4];
    uint32_t next;

    room_make(&room);
    for (unsigned i = 0; i < 3; i++)
        room_append(&room, room.inbox, text, 0);
    uint64_t since = room_status(room.inbox).modseq;
    room_store(room.inbox, 1, STORE_ADD, MAIL_SEEN);
    for (unsigned i = 0; i < 1100; i++)
        room_store(room.inbox, 2, i % 2 == 0 ? STORE_ADD : STORE_REMOVE, MAIL_SEEN);
    assert_int_equal(mailbox_read(room.inbox, 1, since, messages, 4, &next), 2);
    assert_int_equal(messages[0].uid, 1);
    room_free(&room);
}

TEST(index_tells_a_ceiling_above_what_can_be_seen)
{
    struct room room = {0};
    struct index_state index = {0};
    static char bytes[64 << 10];

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    uint64_t told = room_status(room.inbox).modseq;
    size_t len = room_read(&room, "ringpost.index", bytes, sizeof(bytes));
    assert_int_equal(index_state_read(&index, bytes_range(bytes, len)), INDEX_CUT);
    assert_true(index.modseq > told + 1000);
    index_state_clear(&index);
    room_free(&room);
}

TEST(expunge_takes_deleted_ones_and_remembers_them)
{
    struct room room = {0};
    struct uid_range ranges[4];
    uint32_t next, uids[] = {1, 2, 3, 4, 5};
    size_t count;

    room_make(&room);
    for (unsigned i = 0; i < 5; i++)
        room_append(&room, room.inbox, text, i == 0 || i == 4 ? 0 : MAIL_DELETED);
    uint64_t since = room_status(room.inbox).modseq;
    assert_int_equal(mailbox_expunge(room.inbox, uids, 3, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(room_status(room.inbox).exists, 3);
    assert_int_equal(room_status(room.inbox).deleted, 1);
    assert_int_equal(mailbox_vanished(room.inbox, since, 1, ranges, 4, &next), 1);
    assert_int_equal(ranges[0].first, 2);
    assert_int_equal(ranges[0].last, 3);
    assert_int_equal(mailbox_expunge_all(room.inbox, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(room_count(&room, "cur", NULL), 2);
    room_reopen(&room);
    assert_int_equal(mailbox_vanished(room.inbox, since, 1, ranges, 4, &next), 1);
    assert_int_equal(ranges[0].last, 4);
    /* Older than what is remembered: all that is not there. */
    assert_int_equal(mailbox_vanished(room.inbox, 1, 1, ranges, 4, &next), 1);
    assert_int_equal(ranges[0].first, 2);
    assert_int_equal(ranges[0].last, 4);
    assert_int_equal(mailbox_open_message(room.inbox, 2), -ENOENT);
    room_free(&room);
}

TEST(uid_of_the_last_message_is_not_given_again)
{
    struct room room = {0};
    size_t count;

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    room_append(&room, room.inbox, text, MAIL_DELETED);
    assert_int_equal(mailbox_expunge_all(room.inbox, &count), 0);
    room_reopen(&room);
    assert_int_equal(room_append(&room, room.inbox, text, 0), 3);
    /* Nor where the index is lost: dovecot-uidlist knows. */
    uint32_t uid = room_append(&room, room.inbox, text, MAIL_DELETED);
    assert_int_equal(uid, 4);
    assert_int_equal(mailbox_expunge_all(room.inbox, &count), 0);
    uint32_t validity = room_status(room.inbox).uidvalidity;
    room_close(&room);
    char path[768];
    room_path(&room, "ringpost.index", path);
    assert_int_equal(unlink(path), 0);
    room_open(&room);
    assert_int_equal(room_status(room.inbox).uidvalidity, validity);
    assert_int_equal(room_status(room.inbox).exists, 2);
    assert_int_equal(room_append(&room, room.inbox, text, 0), 5);
    room_free(&room);
}

TEST(copy_has_the_flags_and_the_id_and_move_leaves_nothing)
{
    struct room room = {0};
    struct mailbox *other;
    struct uid_pair pairs[3];
    struct mailbox_message one, two;
    uint32_t uids[] = {1, 2, 9};
    size_t count;
    unsigned keyword, there;

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, BYTES("Archive"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open(room.account, BYTES("Archive"), &other), 0);
    assert_int_equal(mailbox_keyword(other, BYTES("other"), true, &keyword), 0);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("Work"), true, &keyword), 0);
    room_append(&room, room.inbox, text, MAIL_SEEN | MAIL_KEYWORD(keyword));
    room_append(&room, room.inbox, text, 0);
    assert_int_equal(mailbox_copy(room.inbox, other, uids, 3, false, pairs, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(pairs[1].from, 2);
    assert_int_equal(pairs[1].to, 2);
    assert_int_equal(mailbox_keyword(other, BYTES("work"), false, &there), 0);
    assert_int_equal(room_flags(other, 1), MAIL_SEEN | MAIL_KEYWORD(there));
    assert_true(mailbox_find(room.inbox, 1, &one) && mailbox_find(other, 1, &two));
    assert_int_equal(one.email_id, two.email_id);
    assert_int_equal(mailbox_copy(room.inbox, other, uids, 1, true, pairs, &count), 0);
    assert_int_equal(pairs[0].to, 3);
    assert_int_equal(room_status(room.inbox).exists, 1);
    assert_int_equal(room_status(other).exists, 3);
    assert_int_equal(room_count(&room, ".Archive/cur", NULL), 3);
    mailbox_close(&other);
    room_reopen(&room);
    assert_int_equal(mailbox_open(room.account, BYTES("Archive"), &other), 0);
    assert_true(mailbox_find(other, 3, &two));
    assert_int_equal(one.email_id, two.email_id);
    mailbox_close(&other);
    room_free(&room);
}

TEST(copy_and_move_into_the_same_mailbox)
{
    struct room room = {0};
    struct uid_pair pair;
    uint32_t uid = 1;
    size_t count;

    room_make(&room);
    room_append(&room, room.inbox, text, MAIL_SEEN);
    assert_int_equal(mailbox_copy(room.inbox, room.inbox, &uid, 1, false, &pair, &count), 0);
    assert_int_equal(pair.to, 2);
    assert_int_equal(mailbox_copy(room.inbox, room.inbox, &uid, 1, true, &pair, &count), 0);
    assert_int_equal(pair.to, 3);
    assert_int_equal(room_status(room.inbox).exists, 2);
    assert_int_equal(room_count(&room, "cur", NULL), 2);
    room_free(&room);
}

TEST(multiappend_is_all_or_none)
{
    struct room room = {.quota = 4096};
    struct mailbox_upload uploads[3];

    room_make(&room);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mailbox_upload_begin(room.account, &uploads[i]), 0);
        assert_int_equal(mailbox_upload_write(&uploads[i], bytes_of(text)), 0);
    }
    /* The second one is not there any more. */
    char path[768];
    snprintf(path, sizeof(path), "%s/b.example/a/tmp/%s", room.path, uploads[1].name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mailbox_append(room.inbox, uploads, 3), -ENOENT);
    for (unsigned i = 0; i < 3; i++)
        mailbox_upload_end(room.account, &uploads[i]);
    assert_int_equal(mailbox_look(room.inbox), 0);
    assert_int_equal(room_status(room.inbox).exists, 0);
    assert_int_equal(room_count(&room, "cur", NULL) + room_count(&room, "tmp", NULL), 0);
    struct account_usage usage;
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.bytes, 0);
    room_free(&room);
}

TEST(quota_is_kept_and_given_back)
{
    struct room room = {.quota = 100};
    struct account_usage usage;
    char large[128];
    uint32_t uid;
    struct uid_pair pair;
    size_t count;

    room_make(&room);
    memset(large, 'x', 90);
    large[90] = '\0';
    assert_int_equal(room_append(&room, room.inbox, large, MAIL_DELETED), 1);
    assert_int_equal(room_try_append(&room, room.inbox, large, 0, &uid), -EDQUOT);
    uid = 1;
    assert_int_equal(mailbox_copy(room.inbox, room.inbox, &uid, 1, false, &pair, &count), -EDQUOT);
    memset(large, 'x', 120);
    large[120] = '\0';
    assert_int_equal(room_try_append(&room, room.inbox, large, 0, &uid), -EFBIG);
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.bytes, 90);
    assert_int_equal(usage.messages, 1);
    assert_int_equal(mailbox_expunge_all(room.inbox, &count), 0);
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.bytes, 0);
    assert_int_equal(mail_account_has_room(room.account, 100, 0), 0);
    assert_int_equal(mail_account_has_room(room.account, 101, 0), -EFBIG);
    room_free(&room);
}

static int try_replace(struct room *room, struct mailbox *from, uint32_t uid, struct mailbox *to,
                       const char *content, uint32_t *uid_out)
{
    struct mailbox_upload upload;

    assert_int_equal(mailbox_upload_begin(room->account, &upload), 0);
    assert_int_equal(mailbox_upload_write(&upload, bytes_of(content)), 0);
    upload.flags = MAIL_DRAFT;
    int error = mailbox_replace(from, uid, to, &upload);

    *uid_out = upload.uid;
    mailbox_upload_end(room->account, &upload);
    return error;
}

TEST(replacement_needs_no_more_room_than_it_adds)
{
    struct room room = {.quota = 100};
    struct account_usage usage;
    struct mailbox_message message;
    char large[128];
    uint32_t uid;

    room_make(&room);
    memset(large, 'x', sizeof(large));
    large[90] = '\0';
    assert_int_equal(room_append(&room, room.inbox, large, MAIL_SEEN), 1);
    large[90] = 'x';
    large[95] = '\0';
    assert_int_equal(mail_account_has_room(room.account, 95, 0), -EDQUOT);
    assert_int_equal(mail_account_has_room(room.account, 95, 90), 0);
    assert_int_equal(try_replace(&room, room.inbox, 1, room.inbox, large, &uid), 0);
    assert_int_equal(uid, 2);
    assert_false(mailbox_find(room.inbox, 1, &message));
    assert_true(mailbox_find(room.inbox, 2, &message));
    assert_int_equal(message.flags, MAIL_DRAFT); /* nothing is inherited */
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.bytes, 95);
    assert_int_equal(usage.messages, 1);
    large[95] = 'x';
    large[101] = '\0';
    assert_int_equal(try_replace(&room, room.inbox, 2, room.inbox, large, &uid), -EFBIG);
    assert_int_equal(try_replace(&room, room.inbox, 1, room.inbox, "x\r\n", &uid), -ENOENT);
    assert_true(mailbox_find(room.inbox, 2, &message));
    assert_int_equal(room_status(room.inbox).exists, 1);
    assert_int_equal(room_count(&room, "tmp", NULL), 0);
    assert_int_equal(room_count(&room, "cur", NULL), 1);
    room_free(&room);
}

/* Others took the file away, which nobody has noticed yet: the new one is there all the same. */
TEST(replacement_of_a_file_that_went_is_filed)
{
    struct room room = {0};
    char name[512], path[768];
    uint32_t uid;

    room_make(&room);
    assert_int_equal(room_append(&room, room.inbox, "one\r\n", 0), 1);
    assert_int_equal(room_count(&room, "cur", name), 1);
    snprintf(path, sizeof(path), "cur/%s", name);
    room_rename(&room, path, "tmp/away");
    assert_int_equal(try_replace(&room, room.inbox, 1, room.inbox, "two\r\n", &uid), 0);
    assert_int_equal(mailbox_look(room.inbox), 0);
    assert_int_equal(room_status(room.inbox).exists, 1);
    room_free(&room);
}

/* It cannot go: then the new one does, and is not there twice when the client tries again. */
TEST(replacement_of_what_does_not_go_is_undone)
{
    struct room room = {0};
    struct mailbox *archive;
    char name[512], path[768], whole[768];
    uint32_t uid;

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, BYTES("Archive"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open(room.account, BYTES("Archive"), &archive), 0);
    assert_int_equal(room_append(&room, room.inbox, "one\r\n", 0), 1);
    assert_int_equal(room_count(&room, "cur", name), 1);
    snprintf(path, sizeof(path), "cur/%s", name);
    room_rename(&room, path, "tmp/away");
    room_path(&room, path, whole);
    assert_int_equal(mkdir(whole, 0700), 0); /* which unlink() does not take */
    assert_true(try_replace(&room, room.inbox, 1, archive, "two\r\n", &uid) < 0);
    assert_int_equal(room_status(archive).exists, 0);
    assert_int_equal(rmdir(whole), 0);
    mailbox_close(&archive);
    room_free(&room);
}

static void count_call(struct mailbox_watch *watch);
static _Atomic unsigned calls;

static void count_call(struct mailbox_watch *watch)
{
    (void)watch;
    calls++;
}

static bool wait_for_call(void)
{
    for (unsigned i = 0; i < 2000 && calls == 0; i++)
        usleep(1000);
    return calls > 0;
}

TEST(watchers_learn_of_changes_and_of_files_that_others_drop)
{
    struct room room = {0};
    struct mailbox_watch watch = {.changed = count_call};

    room_make(&room);
    calls = 0;
    mailbox_watch(room.inbox, &watch);
    room_append(&room, room.inbox, text, 0);
    assert_true(calls > 0);
    usleep(20000); /* events of our own rename */
    calls = 0;
    usleep(20000);
    assert_int_equal(calls, 0);
    room_drop(&room, "new/1000.x.host", text);
    assert_true(wait_for_call());
    assert_int_equal(mailbox_look(room.inbox), 0);
    assert_int_equal(room_status(room.inbox).exists, 2);
    mailbox_unwatch(room.inbox, &watch);
    calls = 0;
    room_append(&room, room.inbox, text, 0);
    assert_int_equal(calls, 0);
    room_free(&room);
}
