/* modules: imap pop3 */
/* test_tls.c - where a login needs TLS, and how a session comes under it. */
#include "inbound/access/tls.h"

#include "io/tls_context.h"
#include "tests/unit/access/access_room.h"

static void offer(struct access_room *room, enum access_tls tls, const char *trusted)
{
    struct tls_certificate *certificate = tls_test_certificate("mx.example");

    room->settings.tls = tls_server_context(&certificate, 1, NULL);
    assert_non_null(room->settings.tls);
    tls_certificate_release(&certificate);
    access_room_configure(room);
    tls_context_release(&room->settings.tls);
    room->listener.tls = tls;
    room->listener.plaintext_count = trusted != NULL;
    if (trusted != NULL)
        assert_true(network_parse(bytes_of(trusted), &room->trusted));
}

/* By a name and a secret, where the name alone is answered as well; and by an exchange. */
static void expect_no_login(struct client *client)
{
    const struct speech *speech = client->room->speech;
    char text[128];

    if (speech->asks != NULL) {
        client_say(client, "USER " USER "\r\n");
        client_hears(client, speech->needs_tls);
    } else {
        client_try(client, USER, CHAT_SECRET);
        client_hears(client, speech->needs_tls);
    }
    snprintf(text, sizeof(text), speech->plain, "AGJvYkBob3N0ZWQuZXhhbXBsZQBndWVzcw==");
    client_say(client, text);
    client_hears(client, speech->needs_tls); /* at once: it is no guess that was wrong */
}

TEST_EACH(login_needs_tls_where_the_client_is_not_trusted)
{
    struct client client;

    offer(room, ACCESS_TLS_STARTTLS, "127.0.0.2/32");
    client_greeted(&client, room, "127.0.0.1");
    expect_no_login(&client);
    client_go(&client);
    client_greeted(&client, room, "127.0.0.2");
    client_logs_in(&client);
    client_go(&client);
}

TEST_EACH(login_needs_tls_also_where_none_can_be_had)
{
    struct client client;

    room->listener.plaintext_count = 0;
    client_greeted(&client, room, "127.0.0.1");
    expect_no_login(&client);
    client_say(&client, room->speech->starttls);
    client_hears(&client, room->speech->no_starttls);
    client_go(&client);
}

TEST_EACH(session_under_tls_by_its_word_logs_in)
{
    struct client client;
    struct tls_peer peer;

    offer(room, ACCESS_TLS_STARTTLS, NULL);
    client_greeted(&client, room, "127.0.0.1");
    expect_no_login(&client);
    client_say(&client, room->speech->starttls);
    client_hears(&client, room->speech->begin_tls);
    client_secures(&client, &peer);
    client_hears_nothing(&client); /* no second greeting */
    client_say(&client, room->speech->starttls);
    client_hears(&client, room->speech->under_tls);
    client_guesses(&client, USER, 250);
    client_hears(&client, room->speech->wrong);
    client_logs_in(&client);
    client_go(&client);
    tls_peer_free(&peer);
}

TEST_EACH(session_under_tls_from_the_first_byte_on_is_greeted_there)
{
    struct client client;
    struct tls_peer peer;

    offer(room, ACCESS_TLS_IMPLICIT, NULL);
    client_come(&client, room, "127.0.0.1");
    client_hears_nothing(&client);
    client_secures(&client, &peer);
    client_hears(&client, room->speech->greeting);
    client_logs_in(&client);
    client_go(&client);
    tls_peer_free(&peer);
}

TEST_EACH(text_behind_starttls_ends_the_session)
{
    char text[128];
    struct client client;

    offer(room, ACCESS_TLS_STARTTLS, NULL);
    client_greeted(&client, room, "127.0.0.1");
    snprintf(text, sizeof(text), "%s%s", room->speech->starttls, room->speech->noop);
    client_say(&client, text);
    client_hears_last(&client, room->speech->behind_starttls);
}

TEST_EACH(session_without_certificates_goes_on_in_plain_text)
{
    struct client client;

    room->listener.tls = ACCESS_TLS_STARTTLS;
    room->listener.plaintext_count = 0;
    client_greeted(&client, room, "127.0.0.1");
    client_say(&client, room->speech->starttls);
    client_hears(&client, room->speech->no_tls);
    expect_no_login(&client);
    client_go(&client);
}

TEST_EACH(session_that_has_to_be_under_tls_and_cannot_hears_nothing)
{
    struct client client;

    room->listener.tls = ACCESS_TLS_IMPLICIT;
    client_come(&client, room, "127.0.0.1");
    client_hears_last(&client, NULL);
}

/* What was said in plain text may be somebody else's. */
TEST(user_of_plain_text_is_not_known_under_tls)
{
    struct access_room room;
    struct client client;
    struct tls_peer peer;

    access_room_make(&room, &speeches[1]);
    offer(&room, ACCESS_TLS_STARTTLS, "127.0.0.0/8");
    client_greeted(&client, &room, "127.0.0.1");
    client_say(&client, "USER " USER "\r\n");
    client_is_asked(&client);
    client_say(&client, "STLS\r\n");
    client_hears(&client, room.speech->begin_tls);
    client_secures(&client, &peer);
    client_say(&client, "PASS " CHAT_SECRET "\r\n");
    client_hears(&client, "-ERR USER comes first\r\n");
    client_go(&client);
    tls_peer_free(&peer);
    access_room_free(&room);
}
