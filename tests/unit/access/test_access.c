/* modules: imap pop3 */
/* test_access.c - who is turned away, and what sessions hear at their end. */
#include "inbound/access/access.h"

#include "tests/unit/access/access_room.h"

static void expect_room_for_one(struct access_room *room)
{
    struct client client, other;

    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_come(&other, room, "127.0.0.2");
    client_hears_last(&other, room->speech->too_many);
    client_go(&client);
    client_greeted(&other, room, "127.0.0.2");
    client_go(&other);
}

TEST_EACH(one_session_too_many_is_told_so)
{
    room->settings.sessions.sessions_max = 1;
    expect_room_for_one(room);
}

/* Of all services together: `limits.sessions`. */
TEST_EACH(one_session_too_many_of_the_process_is_told_so)
{
    room->settings.sessions.sessions_total_max = 1;
    expect_room_for_one(room);
}

TEST_EACH(client_with_too_many_sessions_is_told_so)
{
    struct client client, other;

    room->settings.sessions.sessions_per_client_max = 1;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    client_come(&other, room, "127.0.0.1");
    client_hears_last(&other, room->speech->too_many_of_client);
    client_greeted(&other, room, "127.0.0.2");
    client_go(&other);
    client_go(&client);
}

TEST_EACH(who_is_turned_away_in_plain_text_where_tls_is_due_hears_nothing)
{
    struct client client, other;

    room->settings.sessions.sessions_max = 1;
    access_room_configure(room);
    client_greeted(&client, room, "127.0.0.1");
    room->listener.tls = ACCESS_TLS_IMPLICIT;
    client_come(&other, room, "127.0.0.2");
    client_hears_last(&other, NULL);
    client_go(&client);
}

TEST_EACH(stranger_has_less_time_than_who_logged_in)
{
    enum { STRANGER_MS = 180 * 1000, KNOWN_MS = 1800 * 1000 };
    struct client client, stranger;

    client_greeted(&client, room, "127.0.0.1");
    client_greeted(&stranger, room, "127.0.0.1");
    client_logs_in(&client);
    fake_advance_ms(room->engine, STRANGER_MS - 1);
    client_hears_nothing(&stranger);
    fake_advance_ms(room->engine, 1);
    client_hears_last(&stranger, room->speech->timeout);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, KNOWN_MS - STRANGER_MS - 1);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 1);
    client_hears_last(&client, room->speech->timeout);
}

TEST_EACH(who_says_something_may_be_silent_anew)
{
    enum { KNOWN_MS = 1800 * 1000 };
    struct client client;

    client_greeted(&client, room, "127.0.0.1");
    client_logs_in(&client);
    fake_advance_ms(room->engine, KNOWN_MS - 1);
    client_say(&client, room->speech->noop);
    client_hears(&client, room->speech->done);
    fake_advance_ms(room->engine, KNOWN_MS - 1);
    client_hears_nothing(&client);
    fake_advance_ms(room->engine, 1);
    client_hears_last(&client, room->speech->timeout);
}

TEST_EACH(stop_is_told_between_commands)
{
    struct client client, known, late;

    client_greeted(&client, room, "127.0.0.1");
    client_greeted(&known, room, "127.0.0.1");
    client_logs_in(&known);
    client_greeted(&late, room, "127.0.0.1");
    client_try(&late, USER, "guess");
    client_is_asked(&late);
    client_hears_nothing(&late);
    access_room_stop(room);
    client_hears_last(&client, room->speech->stop);
    client_hears_last(&known, room->speech->stop);
    client_hears_nothing(&late); /* its answer is still due */
    fake_advance_ms(room->engine, 250);
    client_hears(&late, room->speech->wrong);
    client_hears_last(&late, room->speech->stop);
}

TEST_EACH(settings_are_those_a_session_began_under)
{
    struct client client, other;

    client_greeted(&client, room, "127.0.0.1");
    room->settings.failures_max = 1;
    access_room_configure(room);
    client_greeted(&other, room, "127.0.0.2");
    client_guesses(&client, USER, 250);
    client_hears(&client, room->speech->wrong);
    client_guesses(&other, USER, 250);
    client_hears_last(&other, room->speech->last);
    client_go(&client);
}
