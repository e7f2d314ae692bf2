/* test_account.c - mailboxes are listed, made, deleted, renamed, subscribed to. */
#include "tests/unit/mailbox/mailbox_room.h"

#include <sched.h>
#include <sys/stat.h>

#include "inbound/mailbox/folder_name.h"

static struct bytes of(const char *string)
{
    return bytes_of(string);
}

/* "INBOX;a!+s" and so on: ! missing, + has children, s subscribed, and the use. */
static void list(struct room *room, char out[static 4096])
{
    struct mailbox_list all;
    size_t len = 0;

    assert_int_equal(mail_account_list(room->account, &all), 0);
    out[0] = '\0';
    for (size_t i = 0; i < all.count; i++) {
        const struct mailbox_entry *entry = &all.entries[i];
        const char *use = special_use_name(entry->use);

        len += (size_t)snprintf(out + len, 4096 - len, "%s%.*s%s%s%s%s", i > 0 ? ";" : "",
                                BYTES_ARG(entry->name), entry->is_missing ? "!" : "",
                                entry->has_children ? "+" : "", entry->is_subscribed ? "s" : "",
                                use != NULL ? use : "");
    }
    mailbox_list_free(&all);
}

static void expect_list(struct room *room, const char *expected)
{
    char out[4096];

    list(room, out);
    assert_string_equal(out, expected);
}

TEST(list_has_parents_subscriptions_and_uses)
{
    struct room room = {0};

    room_make(&room);
    expect_list(&room, "INBOX");
    assert_int_equal(mail_account_create(room.account, of("Sent"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_create(room.account, of("a/b/c"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_create(room.account, of("Größe"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_subscribe(room.account, of("a/b/c"), true), 0);
    assert_int_equal(mail_account_subscribe(room.account, of("gone"), true), 0);
    assert_int_equal(mail_account_subscribe(room.account, of("inbox"), true), 0);
    expect_list(&room, "INBOXs;Größe;Sent\\Sent;a!+;a/b!+;a/b/cs;gone!s");
    assert_int_equal(mail_account_subscribe(room.account, of("gone"), false), 0);
    assert_int_equal(mail_account_subscribe(room.account, of("gone"), false), 0);
    char text[256];
    room_read(&room, "subscriptions", text, sizeof(text));
    assert_string_equal(text, "V\t2\n\na\tb\tc\nINBOX\n");
    room_drop(&room, "subscriptions", "INBOX\na.b.c\n..\nGr&APYA3w-e\n");
    expect_list(&room, "INBOXs;Größes;Sent\\Sent;a!+;a/b!+;a/b/cs");
    room_free(&room);
}

TEST(special_use_that_is_set_takes_the_place_of_the_name)
{
    struct room room = {0};

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, of("Sent"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_create(room.account, of("Gesendet"), SPECIAL_SENT), 0);
    expect_list(&room, "INBOX;Gesendet\\Sent;Sent");
    assert_int_equal(mail_account_rename(room.account, of("Gesendet"), of("Raus")), 0);
    expect_list(&room, "INBOX;Raus\\Sent;Sent");
    assert_int_equal(mail_account_delete(room.account, of("Raus")), 0);
    expect_list(&room, "INBOX;Sent\\Sent");
    enum special_use use;
    assert_true(special_use_parse(of("\\junk"), &use) && use == SPECIAL_JUNK);
    assert_false(special_use_parse(of("junk"), &use));
    room_free(&room);
}

TEST(names_that_cannot_be_are_refused)
{
    static const struct bytes names[] = {
        BYTES(".."),   BYTES("a/../b"), BYTES("a//b"), BYTES("/a"),   BYTES("a/"),
        BYTES("a\0b"), BYTES("a.b"),    BYTES("\xff"), BYTES("a\nb"),
    };
    struct room room = {0};
    struct mailbox *mailbox;

    room_make(&room);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        expect_row(i, mail_account_create(room.account, names[i], SPECIAL_NONE) == -EINVAL);
        expect_row(i, mailbox_open(room.account, names[i], &mailbox) == -EINVAL);
        expect_row(i, mail_account_delete(room.account, names[i]) == -EINVAL);
        expect_row(i, mail_account_rename(room.account, BYTES("x"), names[i]) == -EINVAL);
        expect_row(i, mail_account_subscribe(room.account, names[i], true) == -EINVAL);
    }
    assert_int_equal(mailbox_open(room.account, BYTES("none"), &mailbox), -ENOENT);
    assert_int_equal(mail_account_create(room.account, BYTES("InBox"), SPECIAL_NONE), -EEXIST);
    assert_int_equal(mail_account_delete(room.account, BYTES("INBOX")), -EINVAL);
    assert_int_equal(mail_account_delete(room.account, BYTES("none")), -ENOENT);
    assert_int_equal(mail_account_rename(room.account, BYTES("none"), BYTES("x")), -ENOENT);
    expect_list(&room, "INBOX");
    room_free(&room);
}

TEST(rename_takes_children_along_and_who_has_it_open)
{
    struct room room = {0};
    struct mailbox *mailbox, *again;

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, of("a"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_create(room.account, of("a/b"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_create(room.account, of("ab"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open(room.account, of("a/b"), &mailbox), 0);
    room_append(&room, mailbox, "x\r\n", 0);
    assert_int_equal(mail_account_rename(room.account, of("a"), of("ab")), -EEXIST);
    assert_int_equal(mail_account_rename(room.account, of("a"), of("a/x")), -EINVAL);
    assert_int_equal(mail_account_rename(room.account, of("a"), of("z/y")), 0);
    expect_list(&room, "INBOX;ab;z!+;z/y+;z/y/b");
    assert_int_equal(room_append(&room, mailbox, "x\r\n", 0), 2);
    assert_int_equal(mailbox_open(room.account, of("z/y/b"), &again), 0);
    assert_ptr_equal(again, mailbox);
    mailbox_close(&again);
    mailbox_close(&mailbox);
    room_reopen(&room);
    assert_int_equal(mailbox_open(room.account, of("z/y/b"), &mailbox), 0);
    assert_int_equal(room_status(mailbox).exists, 2);
    mailbox_close(&mailbox);
    room_free(&room);
}

TEST(rename_of_inbox_moves_its_messages)
{
    struct room room = {0};
    struct mailbox *mailbox;

    room_make(&room);
    for (unsigned i = 0; i < 150; i++)
        room_append(&room, room.inbox, "x\r\n", MAIL_SEEN);
    assert_int_equal(mail_account_create(room.account, of("INBOX/child"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_rename(room.account, of("inbox"), of("old")), 0);
    assert_int_equal(room_status(room.inbox).exists, 0);
    assert_int_equal(mailbox_open(room.account, of("old"), &mailbox), 0);
    assert_int_equal(room_status(mailbox).exists, 150);
    assert_int_equal(room_flags(mailbox, 150), MAIL_SEEN);
    mailbox_close(&mailbox);
    expect_list(&room, "INBOX+;INBOX/child;old");
    room_free(&room);
}

TEST(mailbox_that_is_deleted_is_gone_for_who_has_it_open)
{
    struct room room = {.quota = 1000};
    struct mailbox *mailbox, *again;
    struct account_usage usage;
    uint32_t uid;

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, of("x"), SPECIAL_NONE), 0);
    assert_int_equal(mail_account_create(room.account, of("x/y"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open(room.account, of("x"), &mailbox), 0);
    room_append(&room, mailbox, "x\r\n", 0);
    assert_int_equal(mail_account_delete(room.account, of("x")), 0);
    assert_true(room_status(mailbox).is_gone);
    assert_int_equal(mailbox_look(mailbox), -ENOENT);
    assert_int_equal(room_try_append(&room, mailbox, "x\r\n", 0, &uid), -ENOENT);
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.bytes, 0);
    expect_list(&room, "INBOX;x!+;x/y");
    assert_int_equal(mail_account_create(room.account, of("x"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open(room.account, of("x"), &again), 0);
    assert_int_equal(room_status(again).exists, 0);
    assert_ptr_not_equal(again, mailbox);
    mailbox_close(&again);
    mailbox_close(&mailbox);
    char path[768], command[1024];
    room_path(&room, "", path);
    snprintf(command, sizeof(command), "ls %s | grep -q ringpost-gone", path);
    assert_int_not_equal(system(command), 0);
    room_free(&room);
}

TEST(mailboxes_are_bounded_and_a_long_list_is_quick)
{
    struct room room = {0};
    struct mailbox_list all;
    char name[64];

    room_make(&room);
    for (unsigned i = 0; i < ACCOUNT_MAILBOXES_MAX; i++) {
        char path[768];

        snprintf(name, sizeof(name), ".p%u.q%u", i % 100, i);
        room_path(&room, name, path);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_int_equal(mail_account_list(room.account, &all), 0);
    assert_int_equal(all.count, ACCOUNT_MAILBOXES_MAX + 100 + 1);
    mailbox_list_free(&all);
    assert_int_equal(mail_account_create(room.account, of("more"), SPECIAL_NONE), -EMFILE);
    room_free(&room);
}

TEST(more_mailboxes_than_may_be_idle_are_closed)
{
    struct room room = {0};
    struct mailbox *mailbox;
    char name[16];

    room_make(&room);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        assert_int_equal(mail_account_create(room.account, of(name), SPECIAL_NONE), 0);
        assert_int_equal(mailbox_open(room.account, of(name), &mailbox), 0);
        mailbox_close(&mailbox);
    }
    size_t open_files = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory) != NULL)
        open_files++;
    closedir(directory);
    assert_true(open_files < 5 * 64 + 60);
    room_free(&room);
}

TEST(mailbox_is_opened_at_once_in_memory_and_closed_at_once_where_it_stays_there)
{
    struct room room = {0};
    struct mailbox *mailbox = NULL, *again = NULL;

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, of("a"), SPECIAL_NONE), 0);
    assert_int_equal(mailbox_open_held(room.account, of("a"), &mailbox), -EAGAIN);
    assert_int_equal(mailbox_open_held(room.account, of("a//b"), &mailbox), -EINVAL);
    assert_int_equal(mailbox_open(room.account, of("a"), &mailbox), 0);
    while (mailbox_open_held(room.account, of("a"), &again) == -EAGAIN)
        assert_int_equal(mailbox_look(mailbox), 0);
    assert_ptr_equal(again, mailbox);
    mailbox_let_go(again);
    assert_true(mailbox_try_close(&again));
    assert_null(again);
    assert_true(mailbox_try_close(&mailbox)); /* it is idle now, and found again */
    while (mailbox_open_held(room.account, of("a"), &mailbox) == -EAGAIN)
        sched_yield();
    mailbox_let_go(mailbox);
    assert_int_equal(mail_account_delete(room.account, of("a")), 0);
    assert_false(mailbox_try_close(&mailbox)); /* with its files, which are its last user's */
    mailbox_close(&mailbox);
    room_free(&room);
}

TEST(folder_names_decode_to_what_encodes_to_them)
{
    static const struct {
        const char *folder, *name; /* NULL: none */
    } rows[] = {
        {".a.b", "a/b"},      {".Gr&APYA3w-e", "Größe"},
        {".a &- b", "a & b"}, {".&2D3eAA-", "😀"},
        {"a", NULL},          {".", NULL},
        {"..a", NULL},        {".a.", NULL},
        {".&APY", NULL},      {".&AGE-", NULL},
        {".&2D0-", NULL},     {".&!!-", NULL},
        {".\xc3\xb6", NULL},  {".INBOX", NULL},
        {".a\x01", NULL},
    };
    uint8_t out[MAILBOX_NAME_MAX];
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_name = folder_name_decode(bytes_of(rows[i].folder), out, &len);

        expect_row(i, is_name == (rows[i].name != NULL));
        if (is_name)
            expect_row(i, bytes_equal(bytes_range(out, len), bytes_of(rows[i].name)));
    }
}
