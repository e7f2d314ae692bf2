/* modules: imap pop3 */
/* test_login.c - failed logins are answered later and counted by network, or by user where many
 * share one; who logged in stays only while what he logged in with is good. */
#include "inbound/access/login.h"

#include "base/base64.h"
#include "tests/unit/access/access_room.h"

static void share(struct access_room *room, const char *network)
{
    assert_true(network_parse(bytes_of(network), &room->shared));
    room->listener.shared_count = 1;
}

/* --- delays ----------------------------------------------------------------------------------- */

TEST_EACH(each_wrong_login_is_answered_later_than_the_one_before)
{
    static const int64_t delays_ms[] = {250, 500, 1000, 2000, 4000, 8000, 8000};
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    for (size_t i = 0; i < ARRAY_LEN(delays_ms); i++) {
        client_guesses(&client, USER, delays_ms[i]);
        client_hears(&client, room->speech->wrong);
    }
    client_logs_in(&client);
    client_go(&client);
}

TEST_EACH(delay_is_of_the_network_and_not_of_the_session)
{
    struct client client, other;

    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, USER, 250);
    client_hears(&client, room->speech->wrong);
    client_go(&client);
    client_greeted(&client, room, "127.0.0.1");
    client_greeted(&other, room, "127.0.0.2");
    client_guesses(&client, "nobody@hosted.example", 500);
    client_hears(&client, room->speech->wrong);
    client_guesses(&other, USER, 250);
    client_hears(&other, room->speech->wrong);
    client_go(&client);
    client_go(&other);
}

TEST_EACH(what_is_pipelined_behind_a_wrong_login_waits_with_it)
{
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    client_try(&client, USER, "guess");
    client_try(&client, USER, CHAT_SECRET);
    client_is_asked(&client);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 250);
    client_hears(&client, room->speech->wrong);
    client_is_asked(&client);
    client_hears(&client, room->speech->logged_in);
    client_go(&client);
}

TEST_EACH(wrong_exchange_is_delayed_as_a_wrong_secret_is)
{
    char text[128];
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    snprintf(text, sizeof(text), room->speech->plain, "AGJvYkBob3N0ZWQuZXhhbXBsZQBndWVzcw==");
    client_say(&client, text);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 249);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 1);
    client_hears(&client, room->speech->wrong);
    client_guesses(&client, USER, 500);
    client_hears(&client, room->speech->wrong);
    client_go(&client);
}

TEST_EACH(right_secret_that_may_not_be_used_is_a_wrong_login)
{
    struct client client;

    assert_true(chat_directory_rule(&room->directory, BYTES("scopes"), BYTES("1")));
    client_greeted(&client, room, "127.0.0.1");
    client_try(&client, USER, CHAT_SECRET);
    client_is_asked(&client);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 250);
    client_hears(&client, room->speech->wrong);
    client_go(&client);
}

TEST_EACH(right_login_halves_what_is_counted)
{
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    for (int64_t delay_ms = 250; delay_ms <= 2000; delay_ms *= 2) {
        client_guesses(&client, USER, delay_ms);
        client_hears(&client, room->speech->wrong);
    }
    client_logs_in(&client);
    client_go(&client);
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, USER, 1000); /* the third */
    client_hears(&client, room->speech->wrong);
    client_go(&client);
}

TEST_EACH(client_that_goes_while_it_waits_is_gone)
{
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    client_try(&client, USER, "guess");
    client_is_asked(&client);
    client_hears_nothing(&client);
    assert_int_equal(access_sessions(room->access), 1);
    client_go(&client);
    assert_int_equal(access_sessions(room->access), 0);
}

/* --- blocks ----------------------------------------------------------------------------------- */

TEST_EACH(session_has_so_many_wrong_logins)
{
    struct client client;

    room->settings.failures_max = 2;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, USER, 250);
    client_hears(&client, room->speech->wrong);
    client_guesses(&client, USER, 500);
    client_hears_last(&client, room->speech->last);
    client_greeted(&client, room, "127.0.0.1"); /* the network is not blocked by that */
    client_logs_in(&client);
    client_go(&client);
}

TEST_EACH(network_is_blocked_for_a_while_and_no_other)
{
    struct client client, other;

    room->settings.guard.failures_max = 2;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_greeted(&other, room, "127.0.0.1");
    client_guesses(&client, USER, 250);
    client_hears(&client, room->speech->wrong);
    client_guesses(&client, "nobody@hosted.example", 500);
    client_hears_last(&client, room->speech->last);
    /* Who was there, and who comes: whatever the secret. */
    client_try(&other, USER, CHAT_SECRET);
    client_hears_last(&other, room->speech->blocked);
    client_greeted(&other, room, "127.0.0.1");
    client_try(&other, "apikey", CHAT_SECRET);
    client_hears_last(&other, room->speech->blocked);
    client_greeted(&other, room, "127.0.0.2");
    client_logs_in(&other);
    client_go(&other);

    fake_advance_ms(room->engine, BLOCK_MS - 500 - 1);
    client_greeted(&client, room, "127.0.0.1");
    client_try(&client, USER, CHAT_SECRET);
    client_hears_last(&client, room->speech->blocked);
    fake_advance_ms(room->engine, 1);
    client_greeted(&client, room, "127.0.0.1");
    client_logs_in(&client);
    client_go(&client);
}

TEST_EACH(network_is_blocked_for_exchanges_too)
{
    char text[128];
    struct client client;

    room->settings.guard.failures_max = 1;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, USER, 250);
    client_hears_last(&client, room->speech->last);
    client_greeted(&client, room, "127.0.0.1");
    snprintf(text, sizeof(text), room->speech->plain, "AGJvYkBob3N0ZWQuZXhhbXBsZQBndWVzcw==");
    client_say(&client, text);
    client_hears_last(&client, room->speech->blocked);
}

TEST_EACH(user_of_a_shared_network_is_blocked_and_no_other)
{
    struct client client;

    share(room, "127.0.0.0/8");
    room->settings.guard.failures_max = 2;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, "apikey", 250);
    client_hears(&client, room->speech->wrong);
    client_guesses(&client, "APIkey", 500);
    client_hears_last(&client, room->speech->last);
    client_greeted(&client, room, "127.0.0.1");
    client_try(&client, "apikey", CHAT_SECRET);
    client_is_asked(&client);
    client_hears_last(&client, room->speech->blocked);
    client_greeted(&client, room, "127.0.0.1");
    client_logs_in(&client);
    client_go(&client);
}

TEST_EACH(user_of_a_shared_network_waits_for_his_own_failures)
{
    struct client client;

    share(room, "127.0.0.0/8");
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, "x@hosted.example", 250);
    client_hears(&client, room->speech->wrong);
    client_guesses(&client, "x@hosted.example", 500);
    client_hears(&client, room->speech->wrong);
    client_guesses(&client, "y@hosted.example", 250);
    client_hears(&client, room->speech->wrong);
    client_go(&client);
}

TEST_EACH(network_beside_a_shared_one_is_blocked_as_one)
{
    struct client client;

    share(room, "127.0.0.2/32");
    room->settings.guard.failures_max = 1;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, "x@hosted.example", 250);
    client_hears_last(&client, room->speech->last);
    client_greeted(&client, room, "127.0.0.1");
    client_try(&client, USER, CHAT_SECRET);
    client_hears_last(&client, room->speech->blocked);
    client_greeted(&client, room, "127.0.0.2");
    client_guesses(&client, "x@hosted.example", 250);
    client_hears_last(&client, room->speech->last);
    client_greeted(&client, room, "127.0.0.2");
    client_logs_in(&client);
    client_go(&client);
}

/* Another listener, or the time before a reload, may not have known it for shared. */
TEST_EACH(block_of_a_network_is_none_of_the_users_who_share_it)
{
    struct client client;

    room->settings.guard.failures_max = 1;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_guesses(&client, "x@hosted.example", 250);
    client_hears_last(&client, room->speech->last);
    share(room, "127.0.0.0/8");
    client_greeted(&client, room, "127.0.0.1");
    client_logs_in(&client);
    client_go(&client);
}

/* --- exchanges -------------------------------------------------------------------------------- */

TEST_EACH(exchange_that_is_right_logs_in)
{
    static const char initial[] = "\0" USER "\0" CHAT_SECRET;
    char text[512];
    struct client client;
    struct buf coded;

    buf_init(&coded, sizeof(text));
    assert_true(base64_write(bytes_range((const uint8_t *)initial, sizeof(initial) - 1), &coded));
    assert_true(buf_append_byte(&coded, 0));
    client_greeted(&client, room, "127.0.0.1");
    snprintf(text, sizeof(text), room->speech->plain, (const char *)buf_bytes(&coded).ptr);
    client_say(&client, text);
    client_hears(&client, room->speech->logged_in);
    client_go(&client);
    buf_free(&coded);
}

/* --- afterwards ------------------------------------------------------------------------------- */

TEST_EACH(session_ends_once_its_login_is_not_good_any_more)
{
    static const struct {
        const char *key, *bad, *good;
    } rows[] = {
        {"revoked", "1", "0"},   {"tenant_disabled", "1", "0"},
        {"expires_s", "1", "0"}, {"scopes", "3", "4"},
        {"account", "4", "1"},   {"networks", "192.0.2.0/24", "127.0.0.0/8"},
        {"account", "999", "1"}, {"account", "0", "1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client client, other;

        client_greeted(&client, room, "127.0.0.1");
        client_logs_in(&client);
        client_say(&client, room->speech->noop);
        client_hears(&client, room->speech->done);
        assert_true(
            chat_directory_rule(&room->directory, bytes_of(rows[i].key), bytes_of(rows[i].bad)));
        client_hears_nothing(&client);
        client_say(&client, room->speech->noop);
        client_hears_last(&client, room->speech->not_good);
        assert_true(
            chat_directory_rule(&room->directory, bytes_of(rows[i].key), bytes_of(rows[i].good)));
        client_greeted(&other, room, "127.0.0.1");
        client_logs_in(&other);
        client_go(&other);
    }
}

/* Nothing wakes it: the login is looked at once a minute. */
TEST_EACH(silent_session_ends_within_a_minute_once_its_login_is_not_good_any_more)
{
    enum { LOOK_MS = 60 * 1000 };
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    client_logs_in(&client);
    fake_advance_ms(room->engine, LOOK_MS);
    client_hears_nothing(&client);
    assert_true(chat_directory_rule(&room->directory, BYTES("revoked"), BYTES("1")));
    fake_advance_ms(room->engine, LOOK_MS - 1);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 1);
    client_hears_last(&client, room->speech->not_good);
}
