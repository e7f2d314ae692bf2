/* test_mailbox_others.c - what other programs do to a Maildir, and what damage does to an index. */
#include "tests/unit/mailbox/mailbox_room.h"

#include <sys/stat.h>
#include <time.h>

#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/notice.h"

static const char text[] = "Subject: x\r\n\r\nhello\r\n";

static void look(struct room *room)
{
    assert_int_equal(mailbox_look(room->inbox), 0);
}

TEST(files_that_others_drop_get_uids_in_the_order_of_their_names)
{
    struct room room = {0};
    struct mailbox_message message;

    room_make(&room);
    room_close(&room);
    room_drop(&room, "cur/2000.b.host:2,FS", text);
    room_drop(&room, "new/300.a.host", text);
    room_drop(&room, "cur/10000.c.host,S=999,W=1000:2,", text);
    room_open(&room);
    assert_int_equal(room_status(room.inbox).exists, 3);
    assert_int_equal(room_flags(room.inbox, 1), 0);
    assert_int_equal(room_flags(room.inbox, 2), MAIL_FLAGGED | MAIL_SEEN);
    assert_true(mailbox_find(room.inbox, 2, &message));
    assert_true(message.size == MAILBOX_SIZE_UNKNOWN);
    uint64_t size;
    assert_int_equal(mailbox_message_size(room.inbox, 2, &size), 0);
    assert_int_equal(size, sizeof(text) - 1);
    /* A name that lies about its size is not believed. */
    assert_true(mailbox_find(room.inbox, 3, &message));
    assert_int_equal(message.file_size, sizeof(text) - 1);
    assert_true(message.size == MAILBOX_SIZE_UNKNOWN);
    room_reopen(&room);
    assert_true(mailbox_find(room.inbox, 2, &message));
    assert_int_equal(message.size, sizeof(text) - 1);
    assert_int_equal(room_count(&room, "new", NULL), 0);
    room_free(&room);
}

static void drop(struct room *room, unsigned number)
{
    char name[64];

    snprintf(name, sizeof(name), "new/1780000000.M%uP1.other", number);
    room_drop(room, name, text);
}

static bool has_been_told(const struct room *room)
{
    pthread_mutex_lock(&room->inbox->mutex);
    bool has_news = room->inbox->news_all || room->inbox->news_count > 0;

    pthread_mutex_unlock(&room->inbox->mutex);
    return has_news;
}

/* No matter what the thread that reads inotify has come to. */
TEST(look_takes_in_what_came_just_before_it)
{
    struct room room = {0};

    room_make(&room);
    for (unsigned i = 1; i <= 200; i++) {
        drop(&room, i);
        assert_true(!mailbox_is_quiet(room.inbox) || has_been_told(&room));
        look(&room);
        assert_true(mailbox_is_quiet(room.inbox));
        assert_int_equal(room_status(room.inbox).exists, i);
    }
    room_free(&room);
}

/* Within a tick of the kernel's clock the directory's time stays as it is. */
/* Once what we did ourselves was read. */
static void hold(struct room *room)
{
    while (!mailbox_hold(room->inbox))
        look(room);
}

TEST(mailbox_is_held_where_there_is_nothing_to_wait_for)
{
    struct room room = {0};
    struct mailbox_message message;
    struct buf blob;
    uint32_t next;

    room_make(&room);
    buf_init(&blob, 1024);
    room_append(&room, room.inbox, text, 0);
    mailbox_cache_put(room.inbox, 1, BYTES("envelope"));
    look(&room);
    hold(&room);
    assert_int_equal(room_status(room.inbox).exists, 1); /* these lock for themselves */
    assert_int_equal(mailbox_read(room.inbox, 1, 0, &message, 1, &next), 1);
    assert_int_equal(mailbox_open_message_held(room.inbox, 2), -ENOENT);
    int fd = mailbox_open_message_held(room.inbox, 1);
    assert_true(fd >= 0 || fd == -EAGAIN);
    if (fd >= 0)
        close(fd);
    if (mailbox_cache_get_held(room.inbox, 1, &blob)) /* as the file system can */
        assert_true(bytes_equal(buf_bytes(&blob), BYTES("envelope")));
    assert_false(mailbox_cache_get_held(room.inbox, 2, &blob));
    mailbox_let_go(room.inbox);
    drop(&room, 1);
    assert_false(mailbox_hold(room.inbox)); /* told or not, there is something to take in */
    while (!has_been_told(&room))
        usleep(1000);
    assert_false(mailbox_hold(room.inbox));
    assert_false(mailbox_hold_as_told(room.inbox));
    assert_true(mailbox_is_free(room.inbox));
    look(&room);
    hold(&room);
    assert_int_equal(room_status(room.inbox).exists, 2);
    mailbox_let_go(room.inbox);
    buf_free(&blob);
    room_free(&room);
}

TEST(look_without_inotify_takes_in_what_came_in_the_same_tick)
{
    struct room room = {0};
    struct timespec tick[2] = {{.tv_sec = time(NULL) + 60}, {.tv_sec = time(NULL) + 60}};

    room_make(&room);
    notice_remove(room.inbox->account->accounts->notice, room.inbox);
    assert_false(mailbox_is_quiet(room.inbox));
    for (unsigned i = 1; i <= 3; i++) {
        drop(&room, i);
        assert_int_equal(futimens(room.inbox->new_fd, tick), 0);
        look(&room);
        assert_int_equal(room_status(room.inbox).exists, i);
    }
    room_free(&room);
}

TEST(flags_that_others_change_in_names_are_taken_in)
{
    struct room room = {0};
    char name[256], from[300], to[300];

    room_make(&room);
    room_append(&room, room.inbox, text, MAIL_SEEN);
    room_count(&room, "cur", name);
    snprintf(from, sizeof(from), "cur/%s", name);
    *strstr(name, ":2,") = '\0';
    snprintf(to, sizeof(to), "cur/%s:2,FR", name);
    room_store(room.inbox, 1, STORE_ADD, MAIL_DRAFT); /* not in the name yet */
    uint64_t before = room_status(room.inbox).modseq;
    room_rename(&room, from, to);
    look(&room);
    assert_int_equal(room_flags(room.inbox, 1), MAIL_FLAGGED | MAIL_ANSWERED | MAIL_DRAFT);
    assert_true(room_status(room.inbox).modseq > before);
    int fd = mailbox_open_message(room.inbox, 1);
    assert_true(fd >= 0);
    close(fd);
    room_close(&room);
    snprintf(from, sizeof(from), "cur/%s:2,DFR", name);
    assert_true(room_has(&room, from));
    snprintf(to, sizeof(to), "cur/%s:2,SF", name); /* in no order, and while nobody looks */
    room_rename(&room, from, to);
    room_open(&room);
    assert_int_equal(room_flags(room.inbox, 1), MAIL_FLAGGED | MAIL_SEEN);
    assert_int_equal(room_status(room.inbox).exists, 1);
    assert_int_equal(room_status(room.inbox).uidnext, 2);
    room_free(&room);
}

TEST(rename_of_ours_does_not_take_the_place_of_a_file_of_others)
{
    struct room room = {0};
    char name[256], path[300];

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    room_count(&room, "cur", name);
    room_store(room.inbox, 1, STORE_ADD, MAIL_SEEN);
    snprintf(path, sizeof(path), "cur/%sS", name);
    room_drop(&room, path, "another");
    mail_accounts_tidy(room.accounts, true);
    look(&room);
    assert_int_equal(room_status(room.inbox).exists, 2);
    assert_int_equal(room_count(&room, "cur", NULL), 2);
    room_free(&room);
}

TEST(file_that_others_remove_is_expunged)
{
    struct room room = {0};
    char name[256], path[768];

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    room_count(&room, "cur", name);
    snprintf(path, sizeof(path), "%.63s/b.example/a/cur/%s", room.path, name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mailbox_open_message(room.inbox, 1), -ENOENT);
    assert_int_equal(room_status(room.inbox).exists, 0);
    room_free(&room);
}

TEST(hostile_names_are_no_messages_or_get_better_ones)
{
    struct room room = {0};
    char name[256], path[768];

    room_make(&room);
    room_close(&room);
    room_drop(&room, "cur/.hidden:2,S", text);
    room_drop(&room, "cur/with\nline:2,S", text);
    room_drop(&room, "cur/noinfo", text);
    room_drop(&room, "cur/odd:2,TSSX", text);
    room_drop(&room, "new/info:2,F", text);
    memset(name, 'x', 250);
    name[250] = '\0';
    snprintf(path, sizeof(path), "cur/%s", name);
    room_drop(&room, path, text);
    room_path(&room, "cur/directory:2,S", path);
    assert_int_equal(mkdir(path, 0700), 0);
    room_path(&room, "cur/link:2,S", path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    room_open(&room);
    assert_int_equal(room_status(room.inbox).exists, 4);
    for (uint32_t uid = 1; uid <= 4; uid++) {
        int fd = mailbox_open_message(room.inbox, uid);

        assert_true(fd >= 0);
        close(fd);
    }
    assert_true(room_has(&room, "cur/noinfo:2,"));
    assert_true(room_has(&room, "cur/odd:2,ST"));
    assert_true(room_has(&room, "cur/info:2,F"));
    assert_true(room_has(&room, "cur/.hidden:2,S"));
    room_free(&room);
}

TEST(two_files_of_one_base_are_two_messages)
{
    struct room room = {0};

    room_make(&room);
    room_close(&room);
    room_drop(&room, "cur/twin:2,S", "first");
    room_drop(&room, "cur/twin:2,F", "second");
    room_drop(&room, "new/twin", "third");
    room_open(&room);
    look(&room);
    assert_int_equal(room_status(room.inbox).exists, 3);
    room_reopen(&room);
    assert_int_equal(room_status(room.inbox).exists, 3);
    assert_int_equal(room_status(room.inbox).uidnext, 4);
    room_free(&room);
}

TEST(uidlist_and_keywords_of_dovecot_are_believed)
{
    struct room room = {0};
    struct mailbox_status status;
    unsigned number;

    room_make(&room);
    room_close(&room);
    char path[768];
    room_path(&room, "ringpost.index", path);
    assert_int_equal(unlink(path), 0);
    room_drop(&room, "cur/1.a.host:2,Sab", text);
    room_drop(&room, "cur/2.b.host:2,b", text);
    room_drop(&room, "new/3.c.host", text);
    room_drop(&room, "dovecot-keywords", "0 $Junk\n1 Work\n");
    room_drop(&room, "dovecot-uidlist",
              "3 V4000000000 N90 G000102030405060708090a0b0c0d0e0f\n"
              "17 :2.b.host:2,\n"
              "42 W25 Gsome-guid :1.a.host:2,S\n"
              "43 :gone.host\n");
    room_open(&room);
    status = room_status(room.inbox);
    assert_int_equal(status.uidvalidity, 4000000000U);
    assert_int_equal(status.exists, 3);
    assert_int_equal(status.id[15], 15);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("work"), false, &number), 0);
    uint64_t work = MAIL_KEYWORD(number);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("$junk"), false, &number), 0);
    assert_int_equal(room_flags(room.inbox, 17), work);
    assert_int_equal(room_flags(room.inbox, 42), work | MAIL_SEEN | MAIL_KEYWORD(number));
    assert_int_equal(room_flags(room.inbox, 90), 0);
    assert_int_equal(status.uidnext, 91);
    room_close(&room);
    char list[1024];
    room_read(&room, "dovecot-uidlist", list, sizeof(list));
    assert_non_null(strstr(list, "\n17 :2.b.host\n42 "));
    assert_non_null(strstr(list, "3 V4000000000 N91 G000102030405060708090a0b0c0d0e0f\n"));
    room_open(&room);
    room_free(&room);
}

TEST(uids_that_dovecot_gave_meanwhile_are_kept_and_disputed_ones_are_given_anew)
{
    struct room room = {0};
    char list[1024], again[1200];

    room_make(&room);
    room_drop(&room, "cur/1.a.host:2,S", text);
    look(&room);
    room_drop(&room, "cur/2.b.host:2,", text);
    look(&room);
    unsigned validity = room_status(room.inbox).uidvalidity;
    room_close(&room);
    /* It gave 5 to one that came, and takes the second for another. */
    room_drop(&room, "new/3.c.host", text);
    room_read(&room, "dovecot-uidlist", list, sizeof(list));
    snprintf(again, sizeof(again), "3 V%u N6 G%.32s\n1 :1.a.host\n4 :2.b.host\n5 :3.c.host\n",
             validity, strchr(list, 'G') + 1);
    room_drop(&room, "dovecot-uidlist", again);
    room_open(&room);
    assert_int_equal(room_status(room.inbox).uidvalidity, validity);
    assert_int_equal(room_status(room.inbox).exists, 3);
    assert_int_equal(room_flags(room.inbox, 1), MAIL_SEEN);
    assert_int_equal(room_flags(room.inbox, 4), 0);
    assert_int_equal(room_flags(room.inbox, 5), 0);
    struct mailbox_message message;
    assert_false(mailbox_find(room.inbox, 2, &message));
    room_free(&room);
}

/* --- damage ----------------------------------------------------------------------------------- */

static void damage(struct room *room, const char *name, int64_t offset)
{
    char path[768];
    uint8_t byte;

    room_path(room, name, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    off_t at = offset >= 0 ? offset : size + offset;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Where frames end: zeros stand behind them. */
static int64_t index_end(struct room *room)
{
    static char bytes[64 << 10];
    size_t len = room_read(room, "ringpost.index", bytes, sizeof(bytes));

    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return (int64_t)len;
}

static void remove_file(struct room *room, const char *name)
{
    char path[768];

    room_path(room, name, path);
    assert_int_equal(unlink(path), 0);
}

static void fill(struct room *room)
{
    room_make(room);
    for (unsigned i = 0; i < 5; i++)
        room_append(room, room->inbox, text, i == 2 ? MAIL_SEEN : 0);
    room_close(room);
}

TEST(index_damaged_at_any_byte_keeps_or_raises_uids_and_loses_no_message)
{
    struct room room = {0};
    char path[768], copy[800], command[1700];
    struct mailbox_message messages[8];
    uint32_t next;

    fill(&room);
    room_open(&room);
    unsigned validity = room_status(room.inbox).uidvalidity;
    room_close(&room);
    room_path(&room, "ringpost.index", path);
    snprintf(copy, sizeof(copy), "%s.copy", path);
    snprintf(command, sizeof(command), "cp %s %s", path, copy);
    assert_int_equal(system(command), 0);
    int64_t end = index_end(&room);
    snprintf(command, sizeof(command), "cat %s > %s", copy, path);
    for (int64_t at = 0; at < end + 100; at += 3) {
        assert_int_equal(system(command), 0);
        damage(&room, "ringpost.index", at);
        room_open(&room);
        struct mailbox_status told = room_status(room.inbox);
        assert_int_equal(told.uidvalidity, validity);
        assert_int_equal(told.exists, 5);
        size_t count = mailbox_read(room.inbox, 1, 0, messages, 8, &next);
        assert_int_equal(count, 5);
        for (size_t i = 0; i < count; i++) {
            /* Its own, or one that nobody had. */
            assert_true(messages[i].uid == i + 1 || messages[i].uid > 5);
            int fd = mailbox_open_message(room.inbox, messages[i].uid);
            assert_true(fd >= 0);
            close(fd);
        }
        assert_true(told.uidnext >= 6);
        room_close(&room);
    }
    room_open(&room);
    room_free(&room);
}

TEST(tail_that_is_damaged_takes_its_uids_with_it)
{
    struct room room = {0};
    struct mailbox_message messages[8];
    uint32_t next;

    fill(&room);
    /* What Dovecot would know is lost as well. */
    remove_file(&room, "dovecot-uidlist");
    damage(&room, "ringpost.index", index_end(&room) - 300);
    room_open(&room);
    size_t count = mailbox_read(room.inbox, 1, 0, messages, 8, &next);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++)
        assert_true(messages[i].uid == i + 1 || messages[i].uid > 5);
    assert_true(messages[4].uid > 5);
    room_free(&room);
}

TEST(index_and_uidlist_lost_give_a_greater_uidvalidity)
{
    struct room room = {0};

    fill(&room);
    room_open(&room);
    struct mailbox_status before = room_status(room.inbox);
    room_close(&room);
    remove_file(&room, "dovecot-uidlist");
    remove_file(&room, "ringpost.index");
    room_open(&room);
    struct mailbox_status after = room_status(room.inbox);
    assert_true(after.uidvalidity > before.uidvalidity);
    assert_true(after.modseq >= before.modseq);
    assert_int_equal(after.exists, 5);
    assert_int_equal(room_flags(room.inbox, 3), MAIL_SEEN);
    room_free(&room);
}

static enum index_read read_index(struct room *room, struct index_state *index)
{
    static char bytes[64 << 10];
    size_t len = room_read(room, "ringpost.index", bytes, sizeof(bytes));

    return index_state_read(index, bytes_range(bytes, len));
}

TEST(index_made_of_what_was_found_reads_back_and_so_does_what_follows)
{
    struct room room = {0};
    struct index_state index = {0};

    fill(&room);
    remove_file(&room, "ringpost.index");
    room_open(&room); /* one write: whatever becomes of the program, it is there */
    assert_int_equal(read_index(&room, &index), INDEX_CUT);
    assert_int_equal(index.table.exists, 5);
    assert_true(index.modseq > room_status(room.inbox).modseq);
    index_state_clear(&index);
    room_close(&room);
    assert_int_equal(read_index(&room, &index), INDEX_WHOLE);
    assert_int_equal(index.frames, 2);
    index_state_clear(&index);
    room_open(&room);
    room_append(&room, room.inbox, text, 0);
    room_close(&room);
    assert_int_equal(read_index(&room, &index), INDEX_WHOLE);
    assert_int_equal(index.table.exists, 6);
    index_state_clear(&index);
    room_open(&room);
    room_free(&room);
}

TEST(mailbox_that_is_deleted_and_made_again_has_a_greater_uidvalidity)
{
    struct room room = {0};
    struct mailbox *mailbox;
    unsigned last = 0;

    room_make(&room);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mail_account_create(room.account, BYTES("x"), SPECIAL_NONE), 0);
        assert_int_equal(mailbox_open(room.account, BYTES("x"), &mailbox), 0);
        assert_true(room_status(mailbox).uidvalidity > last);
        last = room_status(mailbox).uidvalidity;
        mailbox_close(&mailbox);
        assert_int_equal(mail_account_delete(room.account, BYTES("x")), 0);
    }
    room_free(&room);
}

/* Imported mail, or what another program files: its letters are explained before it comes. */
TEST(a_keyword_that_others_gave_a_letter_is_known_while_the_mailbox_is_open)
{
    struct room room = {0};
    struct mailbox_message message;
    char name[MAILBOX_KEYWORD_LEN_MAX + 1];
    unsigned number;

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("Ours"), true, &number), 0);
    room_store(room.inbox, 1, STORE_ADD, MAIL_KEYWORD(number));
    mail_accounts_tidy(room.accounts, true);
    room_drop(&room, "dovecot-keywords", "0 Ours\n1 Theirs\n");
    room_drop(&room, "cur/100.x.host:2,Sab", text);
    look(&room);
    assert_true(mailbox_find(room.inbox, 2, &message));
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("theirs"), false, &number), 0);
    assert_int_equal(message.flags, MAIL_SEEN | MAIL_KEYWORD(0) | MAIL_KEYWORD(number));
    room_close(&room);
    room_rename(&room, "dovecot-keywords", "gone"); /* the index knows it too */
    room_open(&room);
    assert_true(mailbox_keyword_name(room.inbox, number, name));
    assert_string_equal(name, "Theirs");
    assert_int_equal(room_flags(room.inbox, 2), MAIL_SEEN | MAIL_KEYWORD(0) | MAIL_KEYWORD(number));
    room_free(&room);
}

TEST(a_keyword_of_ours_that_no_name_has_yet_gives_its_letter_to_one_of_others)
{
    struct room room = {0};
    struct mailbox_message message;
    unsigned ours, theirs;

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("Ours"), true, &ours), 0);
    room_store(room.inbox, 1, STORE_ADD, MAIL_KEYWORD(ours));
    room_drop(&room, "dovecot-keywords", "0 Theirs\n");
    room_drop(&room, "cur/100.x.host:2,a", text);
    look(&room);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(mailbox_find(room.inbox, 2, &message));
        assert_int_equal(mailbox_keyword(room.inbox, BYTES("Theirs"), false, &theirs), 0);
        assert_int_equal(mailbox_keyword(room.inbox, BYTES("Ours"), false, &ours), 0);
        assert_int_equal(message.flags, MAIL_KEYWORD(theirs));
        assert_int_equal(room_flags(room.inbox, 1), MAIL_KEYWORD(ours));
        room_reopen(&room);
    }
    room_free(&room);
}

TEST(a_keyword_of_ours_does_not_write_over_one_of_others)
{
    struct room room = {0};
    unsigned number, others;

    room_make(&room);
    room_append(&room, room.inbox, text, 0);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("Ours"), true, &number), 0);
    room_store(room.inbox, 1, STORE_ADD, MAIL_KEYWORD(number));
    mail_accounts_tidy(room.accounts, false);
    room_drop(&room, "dovecot-keywords", "0 Ours\n5 Theirs\n");
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("More"), true, &number), 0);
    room_store(room.inbox, 1, STORE_ADD, MAIL_KEYWORD(number));
    room_reopen(&room);
    assert_int_equal(mailbox_keyword(room.inbox, BYTES("Theirs"), false, &others), 0);
    room_free(&room);
}
