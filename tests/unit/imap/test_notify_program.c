/* test_notify_program.c - NOTIFY's groups and events are read (RFC 5465 section 8). */
#include "inbound/imap/notify_program.h"

#include "support/unit.h"

static const struct {
    const char *input;
    bool is_good;
} inputs[] = {
    {" NONE", true},
    {" none", true},
    {" SET (SELECTED NONE)", true},
    {" SET STATUS (SELECTED-DELAYED (MessageNew MessageExpunge))", true},
    {" SET (selected (messagenew (uid flags) messageexpunge flagchange))", true},
    {" SET (PERSONAL (MailboxName)) (INBOXES (MessageNew MessageExpunge))", true},
    {" SET (SUBTREE (a \"b c\") (MailboxName)) (MAILBOXES x NONE)", true},
    {" SET (SUBSCRIBED (SubscriptionChange ServerMetadataChange MailboxMetadataChange))", true},
    {"", false},
    {" NONE ", false},
    {" SET", false},
    {" SET ", false},
    {" SET STATUS", false},
    {" SET ()", false},
    {" SET (SELECTED)", false},
    {" SET (SELECTED ())", false},
    {" SET (SELECTED (MessageNew))", false}, /* section 5: both, or none */
    {" SET (SELECTED (MessageExpunge))", false},
    {" SET (PERSONAL (FlagChange))", false},
    {" SET (SELECTED (MailboxName))", false}, /* section 6.1 */
    {" SET (SELECTED NONE) (SELECTED NONE)", false},
    {" SET (SELECTED NONE) (SELECTED-DELAYED NONE)", false},
    {" SET (PERSONAL (MessageNew (UID) MessageExpunge))", false}, /* section 8 */
    {" SET (SELECTED (MessageNew () MessageExpunge))", false},
    {" SET (SELECTED (MessageNew (ALL) MessageExpunge))", false},
    {" SET (SELECTED (MessageNew (UID MessageExpunge))", false},
    {" SET (SUBTREE (MailboxName))", false},
    {" SET (MAILBOXES () NONE)", false},
    {" SET (MAILBOXES \"&bad\" NONE)", false},
    {" SET (SELECTED NONE", false},
    {" SET (SELECTED NONE)x", false},
};

TEST(commands_are_read_or_refused)
{
    static struct notify_program program;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
        if (notify_program_take(&arena, bytes_of(inputs[i].input), false, &program) !=
            inputs[i].is_good)
            fail_msg("%s", inputs[i].input);
    arena_free(&arena);
}

static unsigned events(const struct notify_program *program, const char *name, bool is_subscribed)
{
    return notify_program_events(program, bytes_of(name), is_subscribed);
}

/* Section 6: what several groups say of a mailbox holds together. */
TEST(groups_say_what_is_wanted_of_a_mailbox)
{
    static struct notify_program program;
    unsigned messages = NOTIFY_NEW | NOTIFY_EXPUNGE;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    assert_true(notify_program_take(
        &arena,
        BYTES(" SET (SELECTED-DELAYED (MessageNew (UID) MessageExpunge FlagChange))"
              " (SUBTREE (a/b c) (MessageNew MessageExpunge)) (MAILBOXES inbox (MailboxName))"
              " (SUBSCRIBED (SubscriptionChange)) (MAILBOXES \"a/b/*\" (ServerMetadataChange))"),
        false, &program));
    assert_int_equal(program.selected, NOTIFY_MESSAGES);
    assert_true(program.is_delayed && program.has_fetch && program.fetch.count == 1);
    assert_int_equal(events(&program, "a/b", false), messages);
    assert_int_equal(events(&program, "a/b/c", true), messages | NOTIFY_SUBSCRIPTION);
    assert_int_equal(events(&program, "a/bc", false), 0);
    assert_int_equal(events(&program, "a", false), 0);
    assert_int_equal(events(&program, "c", false), messages);
    assert_int_equal(events(&program, "INBOX", false), NOTIFY_NAME);
    assert_int_equal(events(&program, "INBOX/x", false), 0);
    assert_int_equal(notify_program_all_events(&program),
                     messages | NOTIFY_NAME | NOTIFY_SUBSCRIPTION | NOTIFY_SERVER_METADATA);
    assert_false(program.has_unknown);
    assert_true(notify_program_take(&arena, BYTES(" SET (PERSONAL (MailboxName AnnotationChange))"),
                                    false, &program));
    assert_true(program.has_unknown);
    assert_int_equal(events(&program, "whatever", false), NOTIFY_NAME);
    arena_free(&arena);
}

TEST(groups_and_names_are_bounded)
{
    static struct notify_program program;
    struct arena arena;
    struct buf text;

    arena_init(&arena, 8 << 20);
    buf_init(&text, 1 << 20);
    assert_true(buf_append(&text, BYTES(" SET")));
    for (unsigned i = 0; i < NOTIFY_GROUPS_MAX; i++)
        assert_true(buf_append(&text, BYTES(" (PERSONAL NONE)")));
    assert_true(notify_program_take(&arena, buf_bytes(&text), false, &program));
    assert_true(buf_append(&text, BYTES(" (PERSONAL NONE)")));
    assert_false(notify_program_take(&arena, buf_bytes(&text), false, &program));
    buf_clear(&text);
    assert_true(buf_append(&text, BYTES(" SET (MAILBOXES (x")));
    for (unsigned i = 1; i < NOTIFY_NAMES_MAX; i++)
        assert_true(buf_append(&text, BYTES(" x")));
    assert_true(buf_append(&text, BYTES(") NONE)")));
    assert_true(notify_program_take(&arena, buf_bytes(&text), false, &program));
    buf_truncate(&text, buf_len(&text) - 1);
    assert_true(buf_append(&text, BYTES(") (SUBTREE y NONE)")));
    assert_false(notify_program_take(&arena, buf_bytes(&text), false, &program));
    buf_free(&text);
    arena_free(&arena);
}
