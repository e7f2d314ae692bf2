/* test_mailbox_name.c - modified UTF-7 (RFC 3501 section 5.1.3) and patterns of LIST. */
#include "inbound/imap/mailbox_name.h"

#include "support/unit.h"

static const struct {
    const char *utf7, *name; /* NULL: refused */
} names[] = {
    {"Sent", "Sent"},
    {"inbox", "INBOX"},
    {"iNbOx/Below", "INBOX/Below"},
    {"inboxes/x", "inboxes/x"},
    {"a&-b", "a&b"},
    {"Gr&APYA3w-e", "Gr\xc3\xb6\xc3\x9f"
                    "e"},
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/"
                                        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
    {"&2D3eAA-", "\xf0\x9f\x98\x80"},
    {"&Jjo-!", "\xe2\x98\xba!"},
    {"&AGE-", NULL},              /* "a" can be said without */
    {"&Jjo", NULL},               /* does not end */
    {"&Jjp-", NULL},              /* bits that are not zero behind the last character */
    {"&2D0-", NULL},              /* half of a pair */
    {"&3gA-", NULL},              /* the other half */
    {"&U,BTFw-&ZeVnLIqe-", NULL}, /* two runs where one does: RFC 3501 section 5.1.3 */
    {"Gr\xc3\xb6", NULL},
    {"a\tb", NULL},
    {"&AAA-", NULL}, /* NUL */
    {"&AA0-", NULL}, /* CR */
    {"&****-", NULL},
};

TEST(read_takes_utf7_that_is_good)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct arena arena;
        struct bytes name;

        arena_init(&arena, 8192);
        bool is_good = mailbox_name_read(&arena, bytes_of(names[i].utf7), false, &name);
        expect_row(i, is_good == (names[i].name != NULL));
        expect_row(i, !is_good || bytes_equal(name, bytes_of(names[i].name)));
        arena_free(&arena);
    }
}

static const struct {
    const char *name, *utf7, *utf8;
} told[] = {
    {"Sent", "Sent", "Sent"},
    {"a b", "\"a b\"", "\"a b\""},
    {"a&b", "a&-b", "\"a&b\""},
    {"Gr\xc3\xb6\xc3\x9f"
     "e",
     "Gr&APYA3w-e",
     "\"Gr\xc3\xb6\xc3\x9f"
     "e\""},
    {"\xf0\x9f\x98\x80", "&2D3eAA-", "\"\xf0\x9f\x98\x80\""},
    {"\xe2\x98\xba!", "&Jjo-!", "\"\xe2\x98\xba!\""},
};

TEST(put_writes_the_form_the_client_reads)
{
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        struct buf out;

        buf_init(&out, 1000);
        expect_row(i, mailbox_name_put(&out, bytes_of(told[i].name), false));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(told[i].utf7)));
        buf_clear(&out);
        expect_row(i, mailbox_name_put(&out, bytes_of(told[i].name), true));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(told[i].utf8)));
        buf_free(&out);
    }
}

TEST(read_of_utf8_refuses_what_is_none)
{
    struct arena arena;
    struct bytes name;

    arena_init(&arena, 8192);
    assert_true(mailbox_name_read(&arena, BYTES("Gr\xc3\xb6"), true, &name));
    assert_false(mailbox_name_read(&arena, BYTES("Gr\xc3"), true, &name));
    assert_true(mailbox_name_read(&arena, BYTES("a&b"), true, &name));
    assert_true(bytes_equal(name, BYTES("a&b")));
    arena_free(&arena);
}

static const struct {
    const char *name, *pattern;
    bool matches;
} patterns[] = {
    {"INBOX", "*", true},
    {"INBOX", "%", true},
    {"INBOX", "inbox", true},
    {"INBOX", "in%", true},
    {"INBOX/x", "iNbox/%", true},
    {"INBOX/x", "in*x", true},
    {"INBOX/x", "INBOX/X", false},
    {"inboxes", "INBOX", false},
    {"a/b", "*", true},
    {"a/b", "%", false},
    {"a/b", "%/%", true},
    {"a/b/c", "%/%", false},
    {"a/b/c", "a/*", true},
    {"a/b/c", "a*c", true},
    {"a/b/c", "a%c", false},
    {"a/b/c", "*/c", true},
    {"a/b/c", "%/*", true},
    {"abcabd", "*abd", true},
    {"abcabd", "%abd", true},
    {"a/x/b", "*%b", true},
    {"a/x/b", "%*b", true},
    {"a", "", false},
    {"", "*", true},
    {"a", "A", false},
    {"aab", "%%b", true},
    {"a/b", "*%%%/%b", true},
};

TEST(matches_follows_list)
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        expect_row(i, mailbox_name_matches(bytes_of(patterns[i].name),
                                           bytes_of(patterns[i].pattern)) == patterns[i].matches);
}
