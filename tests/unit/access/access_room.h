/*
 * access_room.h - the service of one protocol on a fake engine, and clients of it that come from
 * addresses of 127.0.0.0/8; who may log in is bob@hosted.example, with CHAT_SECRET.
 *
 * For tests: include in the test's only file. TEST_EACH runs once a protocol.
 */
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include "inbound/access/session.h"
#include "inbound/imap/imap.h"
#include "inbound/pop3/pop3.h"
#include "io/blocking.h"
#include "serve/login_guard.h"
#include "support/chat_directory.c"
#include "support/engine_fake.h"
#include "support/tls_peer.c"
#include "tests/unit/mailbox/mailbox_room.h"

enum { TURNS_MAX = 5000, QUIET_TURNS = 30, CLIENT_INPUT_MAX = 1 << 16, BLOCK_MS = 60000 };

#define USER "bob@hosted.example"

/* A protocol, and how it says what both say. Texts are whole lines, or their beginnings. */
struct speech {
    const struct access_kind *kind;
    const char *greeting;
    const char *login; /* of a user and a secret */
    const char *asks;  /* for the secret; NULL: both are told at once */
    const char *plain; /* of an initial response */
    const char *noop, *done;
    const char *starttls, *begin_tls, *no_tls, *behind_starttls, *no_starttls, *under_tls;
    const char *logged_in, *needs_tls, *wrong, *last, *blocked, *not_good;
    const char *too_many, *too_many_of_client, *timeout, *stop;
};

static const struct speech speeches[] = {
    {
        .kind = &imap_access,
        .greeting = "* OK [CAPABILITY ",
        .login = "a LOGIN %s %s\r\n",
        .plain = "a AUTHENTICATE PLAIN %s\r\n",
        .noop = "a NOOP\r\n",
        .done = "a OK ",
        .starttls = "a STARTTLS\r\n",
        .begin_tls = "a OK Begin TLS negotiation now\r\n",
        .no_tls = "a NO [UNAVAILABLE] TLS cannot be started now\r\n",
        .behind_starttls = "* BYE Text stands behind STARTTLS\r\n",
        .no_starttls = "a BAD [CLIENTBUG] STARTTLS is not offered here\r\n",
        .under_tls = "a BAD [CLIENTBUG] The session is under TLS already\r\n",
        .logged_in = "a OK [CAPABILITY ",
        .needs_tls = "a NO [PRIVACYREQUIRED] A login needs encryption here\r\n",
        .wrong = "a NO [AUTHENTICATIONFAILED] Authentication failed\r\n",
        .last = "a NO [AUTHENTICATIONFAILED] Authentication failed\r\n"
                "* BYE Too many failed logins\r\n",
        .blocked = "a NO [LIMIT] Too many failed logins from your network\r\n"
                   "* BYE Try again later\r\n",
        .not_good = "* BYE [EXPIRED] Your login is not good any more\r\n",
        .too_many = "* BYE [UNAVAILABLE] Too many sessions, try again later\r\n",
        .too_many_of_client = "* BYE [LIMIT] Too many sessions of your address\r\n",
        .timeout = "* BYE Autologout, nothing was said for too long\r\n",
        .stop = "* BYE [UNAVAILABLE] Shutting down\r\n",
    },
    {
        .kind = &pop3_access,
        .greeting = "+OK mx.example ringpost\r\n",
        .login = "USER %s\r\nPASS %s\r\n",
        .asks = "+OK Now the password\r\n",
        .plain = "AUTH PLAIN %s\r\n",
        .noop = "NOOP\r\n",
        .done = "+OK\r\n",
        .starttls = "STLS\r\n",
        .begin_tls = "+OK Begin TLS negotiation now\r\n",
        .no_tls = "-ERR [SYS/TEMP] TLS cannot be started now\r\n",
        .behind_starttls = "-ERR Text stands behind STLS\r\n",
        .no_starttls = "-ERR STLS is not offered here\r\n",
        .under_tls = "-ERR The session is under TLS already\r\n",
        .logged_in = "+OK Logged in, 0 messages\r\n",
        .needs_tls = "-ERR [SYS/PERM] A login needs encryption here\r\n",
        .wrong = "-ERR [AUTH] Authentication failed\r\n",
        .last = "-ERR [AUTH] Authentication failed, too often\r\n",
        .blocked = "-ERR [SYS/TEMP] Too many failed logins from your network\r\n",
        .not_good = "-ERR [AUTH] Your login is not good any more\r\n",
        .too_many = "-ERR [SYS/TEMP] Too many sessions, try again later\r\n",
        .too_many_of_client = "-ERR [SYS/TEMP] Too many sessions of your address\r\n",
        .timeout = "-ERR Nothing was said for too long\r\n",
        .stop = "-ERR [SYS/TEMP] Shutting down\r\n",
    },
};

struct access_room {
    const struct speech *speech;
    struct room mail;
    struct chat_directory directory;
    struct engine *engine;
    struct blocking_pool *pool;
    struct access *access;
    struct access_settings settings;
    struct access_listener listener;
    struct network trusted, shared; /* of the listener */
    _Atomic int load;
    bool is_stopping, is_stopped;
};

struct client {
    struct access_room *room;
    int fd;
    bool is_ended; /* by the service */
    struct buf got;
    struct tls_peer *peer; /* NULL: it speaks in plain text */
};

/* Logins without TLS from anywhere, no block; a test changes settings and listener. */
static inline void access_room_make(struct access_room *room, const struct speech *speech)
{
    static const uint8_t key[ACCESS_LOGIN_KEY_LEN] = {1};
    struct engine_settings settings = {.ring_entries = 64, .buffer_count = 16};
    struct blocking_settings pool = {.name = "mail", .threads = 1, .waiting_max = 64};

    *room = (struct access_room){
        .speech = speech,
        .settings =
            {
                .hostname = "mx.example",
                .message_size_max = 1 << 20,
                .sessions = {.sessions_max = 20},
                .errors_max = 20,
                .idle_timeout_s = 1800,
                .progress_s = 10,
                .failures_max = 20,
                .guard = {.failures_max = 0, .block_ms = BLOCK_MS},
            },
        .listener = {.plaintext = &room->trusted,
                     .plaintext_count = 1,
                     .shared = &room->shared,
                     .shared_count = 0},
    };
    assert_true(network_parse(BYTES("127.0.0.0/8"), &room->trusted));
    login_guard_forget_all();
    room_make(&room->mail);
    chat_directory_init(&room->directory);
    assert_true(chat_directory_rule(&room->directory, BYTES("account"), BYTES("1")));
    assert_true(chat_directory_rule(&room->directory, BYTES("scopes"), BYTES("4")));
    room->engine = engine_create(&settings);
    assert_non_null(room->engine);
    fake_calm(room->engine);
    room->pool = blocking_pool_start(&pool);
    assert_non_null(room->pool);
    struct access_setup setup = {
        .engine = room->engine,
        .reader = room->directory.reader,
        .pool = room->pool,
        .accounts = room->mail.accounts,
        .login_key = key,
        .load = &room->load,
    };
    room->access = access_create(speech->kind, &setup, &room->settings);
}

static inline void access_room_configure(struct access_room *room)
{
    access_configure(room->access, &room->settings);
}

static inline void access_room_stopped(void *context)
{
    ((struct access_room *)context)->is_stopped = true;
}

static inline void access_room_stop(struct access_room *room)
{
    if (!room->is_stopping)
        access_stop(room->access, engine_now_ms(room->engine) + 1000, access_room_stopped, room);
    room->is_stopping = true;
}

static inline void access_room_free(struct access_room *room)
{
    access_room_stop(room);
    access_abort(room->access);
    for (unsigned i = 0; i < TURNS_MAX && !room->is_stopped; i++)
        engine_turn(room->engine, 1);
    assert_true(room->is_stopped);
    assert_int_equal(room->load, 0);
    blocking_pool_stop(&room->pool);
    access_free(&room->access);
    engine_turn(room->engine, 0);
    engine_destroy(&room->engine);
    chat_directory_free(&room->directory);
    room_free(&room->mail);
}

/* --- clients ---------------------------------------------------------------------------------- */

static inline void client_come(struct client *client, struct access_room *room, const char *from)
{
    struct sockaddr_in ours = {.sin_family = AF_INET}, theirs = {.sin_family = AF_INET};
    socklen_t len = sizeof(theirs);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *client = (struct client){.room = room};
    buf_init(&client->got, CLIENT_INPUT_MAX);
    theirs.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&theirs, sizeof(theirs)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&theirs, &len), 0);
    assert_int_equal(inet_pton(AF_INET, from, &ours.sin_addr), 1);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(client->fd, (struct sockaddr *)&ours, sizeof(ours)), 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&theirs, sizeof(theirs)), 0);
    int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    close(listener);
    access_accept(room->access, accepted, &room->listener);
}

static inline void client_go(struct client *client)
{
    close(client->fd);
    buf_free(&client->got);
    for (unsigned i = 0; i < QUIET_TURNS; i++)
        engine_turn(client->room->engine, 0);
}

/* A turn, and what came of it. */
static inline void client_turn(struct client *client, int wait_ms)
{
    uint8_t piece[4096];

    engine_turn(client->room->engine, wait_ms);
    ssize_t len = recv(client->fd, piece, sizeof(piece), MSG_DONTWAIT);
    client->is_ended |= len == 0 || (len < 0 && errno != EAGAIN);
    if (len <= 0)
        return;
    if (client->peer != NULL)
        tls_peer_feed(client->peer, bytes_range(piece, (size_t)len), &client->got);
    else
        assert_true(buf_append(&client->got, bytes_range(piece, (size_t)len)));
}

static inline void client_send(struct client *client, struct bytes text)
{
    assert_int_equal(send(client->fd, text.ptr, text.len, MSG_NOSIGNAL), text.len);
}

static inline void client_send_wire(struct client *client)
{
    if (buf_len(&client->peer->wire) > 0)
        client_send(client, buf_bytes(&client->peer->wire));
    buf_clear(&client->peer->wire);
}

/* From now on it speaks TLS; `peer` lives until tls_peer_free() after the client. */
static inline void client_secures(struct client *client, struct tls_peer *peer)
{
    client->peer = peer;
    tls_peer_begin(peer, NULL, NULL, "mx.example");
    for (unsigned i = 0; i < TURNS_MAX && !peer->is_secured; i++) {
        client_send_wire(client);
        client_turn(client, 0);
    }
    assert_true(peer->is_secured);
    client_send_wire(client);
}

static inline void client_say(struct client *client, const char *text)
{
    if (client->peer == NULL) {
        client_send(client, bytes_of(text));
        return;
    }
    tls_peer_write(client->peer, bytes_of(text));
    client_send_wire(client);
}

static inline void client_try(struct client *client, const char *user, const char *secret)
{
    char text[512];

    snprintf(text, sizeof(text), client->room->speech->login, user, secret);
    client_say(client, text);
}

/* Next comes `text`, whose last line may be told in part. */
static inline void client_hears(struct client *client, const char *text)
{
    struct bytes expected = bytes_of(text), got;
    size_t lines = 0, end = 0;

    for (size_t i = 0; i < expected.len; i++)
        lines += expected.ptr[i] == '\n' || i + 1 == expected.len;
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        size_t left = lines;

        got = buf_bytes(&client->got);
        for (end = 0; end < got.len && left > 0; end++)
            left -= got.ptr[end] == '\n';
        if (left == 0)
            break;
        client_turn(client, 1);
    }
    if (!bytes_equal(bytes_slice(got, 0, expected.len), expected))
        fail_msg("%s: got \"%.*s\" where \"%s\" was due", client->room->speech->kind->name,
                 BYTES_ARG(got), text);
    buf_consume(&client->got, end);
}

static inline void client_hears_nothing(struct client *client)
{
    for (unsigned i = 0; i < QUIET_TURNS; i++)
        client_turn(client, 0);
    assert_false(client->is_ended);
    if (buf_len(&client->got) > 0)
        fail_msg("%s: got \"%.*s\" where nothing was due", client->room->speech->kind->name,
                 BYTES_ARG(buf_bytes(&client->got)));
}

/* That, and the end of the session. */
static inline void client_hears_last(struct client *client, const char *text)
{
    if (text != NULL)
        client_hears(client, text);
    for (unsigned i = 0; i < TURNS_MAX && !client->is_ended; i++)
        client_turn(client, 1);
    assert_true(client->is_ended);
    assert_int_equal(buf_len(&client->got), 0);
    client_go(client);
}

static inline void client_greeted(struct client *client, struct access_room *room, const char *from)
{
    client_come(client, room, from);
    client_hears(client, room->speech->greeting);
}

/* Where the user's name alone is answered with a question. */
static inline void client_is_asked(struct client *client)
{
    if (client->room->speech->asks != NULL)
        client_hears(client, client->room->speech->asks);
}

static inline void client_logs_in(struct client *client)
{
    client_try(client, USER, CHAT_SECRET);
    client_is_asked(client);
    client_hears(client, client->room->speech->logged_in);
}

/* Guesses, and is told after `delay_ms` and not before. */
static inline void client_guesses(struct client *client, const char *user, int64_t delay_ms)
{
    client_try(client, user, "guess");
    client_is_asked(client);
    client_hears_nothing(client);
    fake_advance_ms(client->room->engine, delay_ms - 1);
    client_hears_nothing(client);
    fake_advance_ms(client->room->engine, 1);
}

/* Runs what a test does once a protocol. */
static inline void in_each_room(void (*run)(struct access_room *room))
{
    for (size_t i = 0; i < ARRAY_LEN(speeches); i++) {
        struct access_room room;

        access_room_make(&room, &speeches[i]);
        run(&room);
        access_room_free(&room);
    }
}

#define TEST_EACH(name) \
    static void in_room_##name(struct access_room *room); \
    TEST(name) \
    { \
        in_each_room(in_room_##name); \
    } \
    static void in_room_##name(struct access_room *room)
