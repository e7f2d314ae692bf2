/* test_account_event.c - who watches an account hears of each event once, or that it lost some. */
#include "tests/unit/mailbox/mailbox_room.h"

#include "inbound/mailbox/account_event.h"

struct listener {
    struct account_watch watch;
    unsigned calls;
};

static void changed(struct account_watch *watch)
{
    container_of(watch, struct listener, watch)->calls++;
}

static void listen_to(struct room *room, struct listener *listener)
{
    *listener = (struct listener){.watch.changed = changed};
    mail_account_watch(room->account, &listener->watch);
}

static void tell(struct room *room, enum account_event_kind kind, const char *name,
                 const char *other)
{
    struct account_event event = {kind, room, bytes_of(name), bytes_of(other)};

    mail_account_tell(room->account, &event);
}

/* "KIND name other;..." */
static void expect(struct room *room, struct listener *listener, const char *expected)
{
    uint8_t text[ACCOUNT_EVENT_TEXT_MAX];
    struct account_event event;
    char out[1024] = "";
    size_t len = 0;
    int taken;

    while ((taken = mail_account_next_event(room->account, &listener->watch, &event, text)) == 1)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%d %.*s %.*s;", (int)event.kind,
                                BYTES_ARG(event.name), BYTES_ARG(event.other));
    assert_int_equal(taken, 0);
    assert_string_equal(out, expected);
}

TEST(each_watch_has_each_event_once)
{
    struct listener one, two;
    struct room room = {0};

    room_make(&room);
    tell(&room, ACCOUNT_CREATED, "before", "");
    listen_to(&room, &one);
    tell(&room, ACCOUNT_CREATED, "a", "");
    listen_to(&room, &two);
    tell(&room, ACCOUNT_RENAMED, "b", "a");
    assert_int_equal(one.calls, 2);
    assert_int_equal(two.calls, 1);
    expect(&room, &one, "0 a ;2 b a;");
    expect(&room, &one, "");
    expect(&room, &two, "2 b a;");
    mail_account_unwatch(room.account, &one.watch);
    tell(&room, ACCOUNT_DELETED, "b", "");
    assert_int_equal(one.calls, 2);
    expect(&room, &two, "1 b ;");
    mail_account_unwatch(room.account, &two.watch);
    listen_to(&room, &one);
    expect(&room, &one, "");
    mail_account_unwatch(room.account, &one.watch);
    room_free(&room);
}

TEST(events_that_are_lost_are_told)
{
    uint8_t text[ACCOUNT_EVENT_TEXT_MAX];
    struct account_event event;
    struct listener one;
    struct room room = {0};
    char name[16];

    room_make(&room);
    listen_to(&room, &one);
    for (unsigned i = 0; i < ACCOUNT_EVENTS_MAX; i++)
        tell(&room, ACCOUNT_CREATED, "x", "");
    assert_int_equal(mail_account_next_event(room.account, &one.watch, &event, text), 1);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(name, sizeof(name), "y%u", i);
        tell(&room, ACCOUNT_CREATED, name, "");
    }
    assert_int_equal(mail_account_next_event(room.account, &one.watch, &event, text), -EOVERFLOW);
    for (unsigned i = 0; i < ACCOUNT_EVENTS_MAX - 1; i++)
        assert_int_equal(mail_account_next_event(room.account, &one.watch, &event, text), 1);
    expect(&room, &one, "0 y1 ;");
    mail_account_unwatch(room.account, &one.watch);
    room_free(&room);
}

/* Filing tells of mailboxes that nobody has open: once, until something else happened. */
TEST(filed_mail_is_told_where_nobody_has_the_mailbox_open)
{
    struct listener one;
    struct room room = {0};

    room_make(&room);
    listen_to(&room, &one);
    mail_accounts_notice(room.accounts, "b.example", "a", "");
    expect(&room, &one, "");
    for (unsigned i = 0; i < 3; i++) {
        mail_accounts_notice(room.accounts, "b.example", "a", ".Gr&APYA3w-e.x");
        mail_accounts_notice(room.accounts, "b.example", "a", ".other");
    }
    mail_accounts_notice(room.accounts, "b.example", "a", "broken..");
    expect(&room, &one, "6 Größe/x ;6 other ;");
    tell(&room, ACCOUNT_DELETED, "other", "");
    mail_accounts_notice(room.accounts, "b.example", "a", ".other");
    expect(&room, &one, "1 other ;6 other ;");
    mail_account_unwatch(room.account, &one.watch);
    room_free(&room);
}
