/*
 * login.c - LOGIN and AUTHENTICATE (RFC 9051 sections 6.2.2, 6.2.3; RFC 4959), by the directory.
 *
 * The lines of an exchange and what they decode to are secrets: no log has a word of them.
 */
#include "inbound/imap/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "auth/sasl/sasl.h"
#include "base/base64.h"
#include "base/log.h"
#include "directory/login_rule.h"
#include "inbound/imap/work.h"
#include "io/tls.h"

enum { NONCE_BYTES = 24, AUTH_LINE_MAX = 12288, USER_MAX = 1024 };

struct imap_login {
    struct sasl sasl;
    uint32_t credential; /* whose it may be */
};

static enum step go_on(struct imap_session *session, enum sasl_step step);
static enum step refuse(struct imap_session *session, const char *mechanism, struct bytes user);
static enum step succeed(struct imap_session *session, const char *mechanism, struct bytes user,
                         uint32_t credential_id);

void imap_forget_login(struct imap_session *session)
{
    struct imap_login *login = session->login;

    if (login == NULL)
        return;
    session->login = NULL;
    sasl_end(&login->sasl);
    free(login);
}

static struct login_place place_of(const struct imap_session *session)
{
    return (struct login_place){
        .scope = SCOPE_MAIL,
        .client = &session->session.conn.peer,
        .wall_s = engine_wall_ms(session->session.conn.engine) / 1000,
    };
}

/* Only who has an account has mail; a tenant's credential has none. */
static const char *obstacle(const struct snapshot *snapshot, const struct imap_session *session,
                            const struct directory_credential *credential)
{
    struct login_place place = place_of(session);

    return credential->account == 0 ? "account" : login_obstacle(snapshot, credential, &place);
}

static bool is_blocked(const struct imap_session *session)
{
    if (!login_guard_blocks(&session->session.client, engine_now_ms(session->session.conn.engine)))
        return false;
    metric_inc(METRIC_LOGINS_BLOCKED);
    return true;
}

static enum step say_blocked(struct imap_session *session)
{
    (void)imap_answer(session, "NO [LIMIT] Too many failed logins from your network");
    return imap_leave(session, "Try again later");
}

/* --- the end of a login ----------------------------------------------------------------------- */

static enum step refuse(struct imap_session *session, const char *mechanism, struct bytes user)
{
    const struct imap_settings *settings = imap_settings_of(session);
    char name[SESSION_NAME_MAX];
    bool begins_block;
    int64_t delay_ms =
        login_guard_failed(&session->session.client, &settings->guard,
                           engine_now_ms(session->session.conn.engine), &begins_block);

    session->login_failures++;
    metric_inc(METRIC_LOGINS_WRONG);
    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=imap login_failed=%s user=%s", name,
                session->session.peer, mechanism, LOG_TEXT(login_user_told(user)));
    if (begins_block) {
        metric_inc(METRIC_LOGIN_BLOCKS);
        log_limited(LOG_LEVEL_WARN, "client=%s what=\"too many failed logins\" blocked_ms=%lld",
                    session->session.peer, (long long)settings->guard.block_ms);
    }
    imap_forget_login(session);
    session->is_last_failure = begins_block || session->login_failures >= settings->failures_max;
    session->delay_ms = delay_ms;
    session_enter(&session->session, IMAP_DELAY);
    session_arm(&session->session);
    return STEP_WAIT;
}

static void tell_unusable(const struct imap_session *session, struct bytes id, const char *why)
{
    char name[SESSION_NAME_MAX];

    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=imap credential=%.*s unusable=%s",
                name, session->session.peer, BYTES_ARG(id), why);
}

/* Makes what a session has from its login on; false: it may not log in (any more). */
static bool adopt(const struct snapshot *snapshot, struct imap_session *session,
                  uint32_t credential_id)
{
    const struct directory_credential *credential = snapshot_credential_of(snapshot, credential_id);

    if (credential == NULL)
        return false;
    const char *why = obstacle(snapshot, session, credential);

    if (why != NULL) {
        tell_unusable(session, login_credential_name(credential), why);
        return false;
    }
    const struct directory_account *account = snapshot_account_of(snapshot, credential->account);

    session->credential = credential->id;
    session->work = work_create(session, account->address, account->quota);
    return session->work != NULL;
}

static enum step succeed(struct imap_session *session, const char *mechanism, struct bytes user,
                         uint32_t credential_id)
{
    static const struct conn_settings known = {.output_max = OUTPUT_MAX};
    struct snapshot_reader *reader = imap_of(session)->setup.reader;
    struct engine *engine = session->session.conn.engine;
    const struct snapshot *snapshot = snapshot_begin(reader);
    char name[SESSION_NAME_MAX], text[REPLY_MAX / 2];
    struct buf capability;
    bool is_good = adopt(snapshot, session, credential_id);

    if (is_good)
        snapshot_note_use(reader, snapshot_credential_of(snapshot, credential_id),
                          engine_wall_ms(engine) / 1000);
    snapshot_end(reader);
    if (!is_good)
        return refuse(session, mechanism, user);
    login_guard_passed(&session->session.client, engine_now_ms(engine));
    metric_inc(METRIC_LOGINS_RIGHT);
    session_name(&session->session, name);
    log_info("session=%s client=%s service=imap login=%s user=%s account=%s@%s", name,
             session->session.peer, mechanism, LOG_TEXT(login_user_told(user)),
             LOG_STRING(session->work->local), LOG_STRING(session->work->domain));
    imap_forget_login(session);
    conn_trust(&session->session.conn, &known);
    buf_init(&capability, sizeof(text) - 1);
    imap_capability(session, &capability);
    snprintf(text, sizeof(text), "OK [%.*s] Logged in", BYTES_ARG(buf_bytes(&capability)));
    buf_free(&capability);
    if (imap_answer(session, text) == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_next_command(session);
}

bool imap_login_still_good(const struct imap_session *session)
{
    struct snapshot_reader *reader = imap_of(session)->setup.reader;
    const struct snapshot *snapshot = snapshot_begin(reader);
    const struct directory_credential *credential =
        snapshot_credential_of(snapshot, session->credential);
    const char *why = credential != NULL ? obstacle(snapshot, session, credential) : "removed";

    snapshot_end(reader);
    return why == NULL;
}

/* --- LOGIN ------------------------------------------------------------------------------------ */

/* Why nobody can log in now; NULL: one can. */
static const char *why_not(const struct imap_session *session)
{
    return imap_may_log_in(session) ? NULL : "NO [PRIVACYREQUIRED] A login needs encryption here";
}

static uint32_t credential_of_secret(const struct imap_session *session, struct bytes user,
                                     struct bytes secret)
{
    struct snapshot_reader *reader = imap_of(session)->setup.reader;
    const struct snapshot *snapshot = snapshot_begin(reader);
    const struct directory_credential *credential = login_of_secret(snapshot, user, secret);
    uint32_t id = credential != NULL ? credential->id : 0;

    snapshot_end(reader);
    return id;
}

enum step imap_handle_login(struct imap_session *session, struct bytes arguments)
{
    struct bytes user, secret;
    struct arena arena;

    arena_init(&arena, COMMAND_STRANGER_MAX);
    bool is_good = imap_take_space(&arguments) && imap_take_astring(&arena, &arguments, &user) &&
                   imap_take_space(&arguments) && imap_take_astring(&arena, &arguments, &secret) &&
                   arguments.len == 0;
    const char *why = why_not(session);
    enum step step;

    if (!is_good) {
        step = imap_bad(session, "Syntax is LOGIN user password");
    } else if (why != NULL) {
        step = imap_answer(session, why);
    } else if (is_blocked(session)) {
        step = say_blocked(session);
    } else {
        uint32_t id = credential_of_secret(session, user, secret);

        step = id != 0 ? succeed(session, "LOGIN", user, id) : refuse(session, "LOGIN", user);
    }
    arena_free(&arena);
    return step;
}

/* --- AUTHENTICATE ----------------------------------------------------------------------------- */

static struct bytes binding_of(const struct imap_session *session, enum tls_binding binding,
                               uint8_t room[static TLS_BINDING_MAX])
{
    if (!conn_is_under_tls(&session->session.conn))
        return BYTES_NONE;
    return bytes_range(room, conn_tls_binding(&session->session.conn, binding, room));
}

static bool start(struct imap_session *session, enum sasl_mechanism mechanism)
{
    uint8_t exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX], random[NONCE_BYTES];
    struct buf nonce;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return false;
    session->login = calloc(1, sizeof(*session->login));
    if (session->login == NULL)
        return false;
    buf_init(&nonce, (size_t)2 * NONCE_BYTES);
    bool fits = base64_write(bytes_range(random, sizeof(random)), &nonce);

    check(fits);
    struct sasl_settings settings = {
        .channel = {binding_of(session, TLS_BINDING_EXPORTER, exporter),
                    binding_of(session, TLS_BINDING_SERVER_END, end_point)},
        .fake_key = bytes_range(imap_of(session)->login_key, IMAP_LOGIN_KEY_LEN),
        .fake_salt_len = CREDENTIAL_SALT_LEN,
        .fake_iterations = CREDENTIAL_ITERATIONS,
        .nonce = buf_bytes(&nonce),
    };

    sasl_start(&session->login->sasl, mechanism, &settings);
    buf_free(&nonce);
    return true;
}

/* Which are offered: imap_capability(). */
static bool is_offered(const struct imap_session *session, enum sasl_mechanism mechanism)
{
    uint8_t room[TLS_BINDING_MAX];

    switch (mechanism) {
    case SASL_PLAIN:
    case SASL_SCRAM_SHA_256:
        return true;
    case SASL_SCRAM_SHA_256_PLUS:
        return binding_of(session, TLS_BINDING_EXPORTER, room).len > 0 ||
               binding_of(session, TLS_BINDING_SERVER_END, room).len > 0;
    case SASL_LOGIN:
        break;
    }
    return false;
}

/* The login is over without one. */
static enum step end_bad(struct imap_session *session, const char *text)
{
    imap_forget_login(session);
    if (imap_bad(session, text) == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_next_command(session);
}

static enum step respond(struct imap_session *session, struct bytes text)
{
    struct buf response;

    buf_init(&response, AUTH_LINE_MAX);
    bool is_base64 = base64_read(text, &response);
    enum step next = is_base64
                         ? go_on(session, sasl_respond(&session->login->sasl, buf_bytes(&response)))
                         : end_bad(session, "That is no base64");

    if (response.ptr != NULL)
        explicit_bzero(response.ptr, response.capacity);
    buf_free(&response);
    return next;
}

enum step imap_handle_authenticate(struct imap_session *session, struct bytes arguments)
{
    enum sasl_mechanism mechanism;
    struct bytes name;
    const char *why = why_not(session);

    if (!imap_take_space(&arguments) || !imap_take_atom(&arguments, &name) ||
        (arguments.len > 0 && (!imap_take_space(&arguments) || arguments.len == 0)))
        return imap_bad(session, "Syntax is AUTHENTICATE mechanism [initial-response]");
    if (why != NULL)
        return imap_answer(session, why);
    if (!sasl_mechanism_find(name, &mechanism) || !is_offered(session, mechanism))
        return imap_answer(session, "NO [CANNOT] This mechanism is not offered here");
    if (is_blocked(session))
        return say_blocked(session);
    if (!start(session, mechanism))
        return imap_answer(session, "NO [UNAVAILABLE] No login is possible now");
    if (arguments.len == 0)
        return go_on(session, sasl_prompt(&session->login->sasl));
    if (bytes_equal(arguments, BYTES("="))) /* one that is empty: RFC 4959 section 3 */
        return go_on(session, sasl_respond(&session->login->sasl, BYTES_NONE));
    return respond(session, arguments);
}

/* The state AUTH: a challenge was sent, this takes the response. */
enum step imap_auth_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct conn *conn = &session->conn;
    struct bytes input = conn_input(conn);
    size_t end_at = bytes_find_bytes(input, BYTES("\r\n"), 0);
    enum step next;

    if (conn_output_room(conn) < REPLY_MAX)
        return STEP_WAIT;
    if (end_at == input.len) {
        if (input.len > AUTH_LINE_MAX)
            return imap_leave(imap, "[CLIENTBUG] A line of a login is too long");
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    }
    struct bytes line = bytes_slice(input, 0, end_at);

    if (line.len > AUTH_LINE_MAX)
        return imap_leave(imap, "[CLIENTBUG] A line of a login is too long");
    if (bytes_equal(line, BYTES("*")))
        next = end_bad(imap, "The login was cancelled");
    else
        next = respond(imap, line);
    conn_consume(conn, end_at + 2);
    return next;
}

static enum step challenge(struct imap_session *session)
{
    struct buf text;

    buf_init(&text, REPLY_MAX / 2);
    bool fits = base64_write(sasl_challenge(&session->login->sasl), &text);

    check(fits); /* SASL_CHALLENGE_MAX */
    if (session->session.state != IMAP_AUTH)
        session_enter(&session->session, IMAP_AUTH);
    enum step step = imap_say(session, "+ %.*s\r\n", BYTES_ARG(buf_bytes(&text)));

    buf_free(&text);
    return step;
}

static enum step check_secret(struct imap_session *session)
{
    struct imap_login *login = session->login;

    login->credential =
        credential_of_secret(session, sasl_user(&login->sasl), sasl_secret(&login->sasl));
    return go_on(session, sasl_answer_secret(&login->sasl, login->credential != 0));
}

static enum step give_keys(struct imap_session *session)
{
    struct imap_login *login = session->login;
    struct snapshot_reader *reader = imap_of(session)->setup.reader;
    const struct directory_credential *credential =
        login_of_user(snapshot_begin(reader), sasl_user(&login->sasl));
    struct sasl_keys keys = {.salt_len = CREDENTIAL_SALT_LEN, .iterations = CREDENTIAL_ITERATIONS};

    if (credential != NULL) {
        memcpy(keys.salt, credential->salt, sizeof(credential->salt));
        memcpy(keys.stored_key, credential->stored_key, sizeof(keys.stored_key));
        memcpy(keys.server_key, credential->server_key, sizeof(keys.server_key));
        login->credential = credential->id;
    }
    snapshot_end(reader);
    return go_on(session, sasl_answer_keys(&login->sasl, login->credential != 0 ? &keys : NULL));
}

static enum step go_on(struct imap_session *session, enum sasl_step step)
{
    struct imap_login *login = session->login;
    char user_room[USER_MAX];
    struct bytes user = bytes_slice(sasl_user(&login->sasl), 0, sizeof(user_room));

    switch (step) {
    case SASL_CHALLENGE:
        return challenge(session);
    case SASL_ASKS_SECRET:
        return check_secret(session);
    case SASL_ASKS_KEYS:
        return give_keys(session);
    case SASL_DONE:
    case SASL_REFUSED:
        break;
    case SASL_MALFORMED:
        return end_bad(session, "That is no message of this mechanism");
    }
    if (user.len > 0)
        memcpy(user_room, user.ptr, user.len); /* its own memory goes with the login */
    user = bytes_range(user_room, user.len);
    const char *mechanism = sasl_mechanism_name(login->sasl.mechanism);

    return step == SASL_DONE ? succeed(session, mechanism, user, login->credential)
                             : refuse(session, mechanism, user);
}
