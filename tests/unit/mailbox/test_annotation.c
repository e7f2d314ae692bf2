/* test_annotation.c - annotations are kept, go with their mailbox, and are bounded (RFC 5464). */
#include "tests/unit/mailbox/mailbox_room.h"

#include "inbound/mailbox/annotation_list.h"

static int set(struct room *room, const char *mailbox, const char *name, const char *value)
{
    struct annotation change = {bytes_of(name), value == NULL ? BYTES_NONE : bytes_of(value)};

    return mail_account_annotate(room->account, bytes_of(mailbox), &change, 1);
}

/* "name=value;..." */
static void expect(struct room *room, const char *mailbox, const char *expected)
{
    struct annotation_list list;
    char out[1024] = "";
    size_t len = 0;

    assert_int_equal(mail_account_annotations(room->account, bytes_of(mailbox), &list), 0);
    for (size_t i = 0; i < list.count; i++)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s=%.*s;",
                                BYTES_ARG(list.of[i].name), BYTES_ARG(list.of[i].value));
    annotation_list_free(&list);
    assert_string_equal(out, expected);
}

TEST(annotations_are_kept_and_removed)
{
    struct room room = {0};

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, BYTES("a"), SPECIAL_NONE), 0);
    assert_int_equal(set(&room, "a", "/shared/comment", "two\r\nlines"), 0);
    assert_int_equal(set(&room, "a", "/private/comment", ""), 0);
    assert_int_equal(set(&room, "INBOX", "/private/comment", "of the inbox"), 0);
    assert_int_equal(set(&room, "", "/private/vendor/x/y", "of the account"), 0);
    assert_int_equal(set(&room, "none", "/private/comment", "x"), -ENOENT);
    assert_int_equal(set(&room, "a..b", "/private/comment", "x"), -EINVAL);
    room_reopen(&room);
    expect(&room, "a", "/private/comment=;/shared/comment=two\r\nlines;");
    expect(&room, "INBOX", "/private/comment=of the inbox;");
    expect(&room, "", "/private/vendor/x/y=of the account;");
    assert_int_equal(set(&room, "a", "/private/comment", NULL), 0);
    assert_int_equal(set(&room, "a", "/private/other", NULL), 0);
    assert_int_equal(set(&room, "a", "/shared/comment", "one"), 0);
    expect(&room, "a", "/shared/comment=one;");
    room_free(&room);
}

/* RFC 5464 section 4.1 */
TEST(annotations_go_with_their_mailbox)
{
    struct room room = {0};

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, BYTES("a/b"), SPECIAL_NONE), 0);
    assert_int_equal(set(&room, "a/b", "/shared/comment", "b"), 0);
    assert_int_equal(set(&room, "INBOX", "/shared/comment", "in"), 0);
    assert_int_equal(set(&room, "a", "/shared/comment", "not there"), -ENOENT);
    assert_int_equal(mail_account_rename(room.account, BYTES("a/b"), BYTES("c")), 0);
    expect(&room, "c", "/shared/comment=b;");
    assert_int_equal(mail_account_delete(room.account, BYTES("c")), 0);
    assert_int_equal(mail_account_create(room.account, BYTES("c"), SPECIAL_NONE), 0);
    expect(&room, "c", "");
    assert_int_equal(mail_account_rename(room.account, BYTES("INBOX"), BYTES("old")), 0);
    expect(&room, "old", "/shared/comment=in;");
    expect(&room, "INBOX", "/shared/comment=in;");
    room_free(&room);
}

TEST(annotations_tell_the_special_use)
{
    struct annotation_list list;
    struct room room = {0};

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, BYTES("Raus"), SPECIAL_SENT), 0);
    assert_int_equal(mail_account_annotations(room.account, BYTES("Raus"), &list), 0);
    assert_int_equal(list.use, SPECIAL_SENT);
    annotation_list_free(&list);
    room_free(&room);
}

/* All of a change or nothing of it. */
TEST(annotations_are_bounded)
{
    static uint8_t large[ANNOTATION_VALUE_MAX + 1];
    struct annotation changes[] = {
        {BYTES("/private/a"), BYTES("new")},
        {BYTES("/private/b"), bytes_range(large, sizeof(large))},
    };
    struct room room = {0};
    char name[32];

    memset(large, 'x', sizeof(large));
    room_make(&room);
    assert_int_equal(set(&room, "INBOX", "/private/a", "old"), 0);
    assert_int_equal(mail_account_annotate(room.account, BYTES("INBOX"), changes, 2), -EFBIG);
    expect(&room, "INBOX", "/private/a=old;");
    struct annotation turned[] = {changes[1], changes[0]};
    assert_int_equal(mail_account_annotate(room.account, BYTES("INBOX"), turned, 2), -EFBIG);
    expect(&room, "INBOX", "/private/a=old;");
    changes[1].value.len--;
    assert_int_equal(mail_account_annotate(room.account, BYTES("INBOX"), changes, 2), 0);
    for (unsigned i = 0; i < ANNOTATIONS_MAX - 2; i++) {
        snprintf(name, sizeof(name), "/shared/%u", i);
        assert_int_equal(set(&room, "INBOX", name, "x"), 0);
    }
    assert_int_equal(set(&room, "INBOX", "/shared/one-more", "x"), -EMFILE);
    assert_int_equal(set(&room, "INBOX", "/shared/7", "y"), 0);
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "/shared/%u", i);
        changes[1].name = bytes_of(name);
        assert_int_equal(mail_account_annotate(room.account, BYTES("INBOX"), &changes[1], 1), 0);
    }
    changes[1].name = BYTES("/shared/6");
    assert_int_equal(mail_account_annotate(room.account, BYTES("INBOX"), &changes[1], 1), -EMFILE);
    room_free(&room);
}

TEST(annotations_of_a_damaged_file_are_not_written_over)
{
    static const char *const damaged[] = {
        "4 /private/a\nab\n",
        "2 /private/a\nab",
        "2 /other/a\nab\n",
        "1 /private/b\nx\n1 /private/a\nx\n",
        "1 /private/a\nx\n1 /private/a\nx\n",
        "x\n",
        "1 /private/A\nx\n",
        "99999999999999999999 /private/a\nx\n",
        "18446744073709551615 /private/a\nx\n",
    };
    struct annotation_list list;
    struct room room = {0};

    room_make(&room);
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        char text[128];

        room_drop(&room, "ringpost.metadata", damaged[i]);
        assert_int_equal(mail_account_annotations(room.account, BYTES("INBOX"), &list), -EBADMSG);
        assert_int_equal(set(&room, "INBOX", "/private/x", "x"), -EBADMSG);
        room_read(&room, "ringpost.metadata", text, sizeof(text));
        assert_string_equal(text, damaged[i]);
    }
    room_drop(&room, "ringpost.metadata", "2 /private/a\nab\n");
    expect(&room, "INBOX", "/private/a=ab;");
    room_free(&room);
}

/* RFC 5464 section 3.2 */
TEST(names_are_valid_or_not)
{
    static const struct {
        const char *name;
        bool is_valid;
    } names[] = {
        {"/private/comment", true}, {"/shared/vendor/x/y", true},
        {"/private", true},         {"/shared", true},
        {"/private/", false},       {"/private//a", false},
        {"/privates", false},       {"/other/a", false},
        {"private/a", false},       {"", false},
        {"/private/a*", false},     {"/private/a%", false},
        {"/private/\x19", false},   {"/private/\xc3\xa4", false},
        {"/private/A", false},      {"/private/a b", true},
        {"/private/a/", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(annotation_name_is_valid(bytes_of(names[i].name)), names[i].is_valid);
}
