/*
 * login.c - USER and PASS (RFC 1939 section 7), AUTH (RFC 5034), by the directory; then the
 * maildrop is opened, which is a part of the login: it is answered when that is done.
 *
 * The lines of an exchange and what they decode to are secrets: no log has a word of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "auth/sasl/sasl.h"
#include "base/base64.h"
#include "base/log.h"
#include "directory/credential_secret.h"
#include "directory/login_rule.h"
#include "inbound/pop3/work.h"
#include "io/tls.h"

enum { NONCE_BYTES = 24, AUTH_LINE_MAX = 12288, USER_MAX = 1024 };

struct pop3_login {
    struct sasl sasl;
    uint32_t credential; /* whose it may be */
};

static enum step go_on(struct pop3_session *session, enum sasl_step step);

void pop3_forget_login(struct pop3_session *session)
{
    struct pop3_login *login = session->login;

    free(session->user);
    session->user = NULL;
    session->login = NULL;
    if (login == NULL)
        return;
    sasl_end(&login->sasl);
    free(login);
}

static bool is_blocked(const struct pop3_session *session)
{
    if (!login_guard_blocks(&session->session.client, engine_now_ms(session->session.conn.engine)))
        return false;
    metric_inc(METRIC_LOGINS_BLOCKED);
    return true;
}

/* False: nobody can log in now, which was said, with *step_out. */
static bool is_open(struct pop3_session *session, enum step *step_out)
{
    if (!pop3_may_log_in(session))
        *step_out = pop3_bad(session, "[SYS/PERM] A login needs encryption here");
    else if (is_blocked(session))
        *step_out = pop3_leave(session, "[SYS/TEMP] Too many failed logins from your network");
    else
        return true;
    return false;
}

/* --- the end of a login ----------------------------------------------------------------------- */

static enum step refuse(struct pop3_session *session, const char *mechanism, struct bytes user)
{
    const struct pop3_settings *settings = pop3_settings_of(session);
    char name[SESSION_NAME_MAX];
    bool begins_block;
    int64_t delay_ms =
        login_guard_failed(&session->session.client, &settings->guard,
                           engine_now_ms(session->session.conn.engine), &begins_block);

    session->login_failures++;
    metric_inc(METRIC_LOGINS_WRONG);
    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=pop3 login_failed=%s user=%s", name,
                session->session.peer, mechanism, LOG_TEXT(login_user_told(user)));
    if (begins_block) {
        metric_inc(METRIC_LOGIN_BLOCKS);
        log_limited(LOG_LEVEL_WARN, "client=%s what=\"too many failed logins\" blocked_ms=%lld",
                    session->session.peer, (long long)settings->guard.block_ms);
    }
    pop3_forget_login(session);
    session->is_last_failure = begins_block || session->login_failures >= settings->failures_max;
    session->delay_ms = delay_ms;
    session_enter(&session->session, POP3_DELAY);
    session_arm(&session->session);
    return STEP_WAIT;
}

/* Why it may not be used here and now; NULL: it may. Only who has an account has mail. */
static const char *obstacle(const struct snapshot *snapshot, const struct pop3_session *session,
                            const struct directory_credential *credential)
{
    struct login_place place = {
        .scope = SCOPE_MAIL,
        .client = &session->session.conn.peer,
        .wall_s = engine_wall_ms(session->session.conn.engine) / 1000,
    };

    return credential->account == 0 ? "account" : login_obstacle(snapshot, credential, &place);
}

/* Makes what a session has from its login on; false: it may not log in (any more). */
static bool adopt(const struct snapshot *snapshot, struct pop3_session *session,
                  uint32_t credential_id)
{
    const struct directory_credential *credential = snapshot_credential_of(snapshot, credential_id);
    char name[SESSION_NAME_MAX];

    if (credential == NULL)
        return false;
    const char *why = obstacle(snapshot, session, credential);

    if (why != NULL) {
        session_name(&session->session, name);
        log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=pop3 credential=%.*s unusable=%s",
                    name, session->session.peer, BYTES_ARG(login_credential_name(credential)), why);
        return false;
    }
    const struct directory_account *account = snapshot_account_of(snapshot, credential->account);

    session->work = pop3_work_create(session, account->address, account->quota);
    return session->work != NULL;
}

static bool run_open(struct pop3_work *work)
{
    struct mail_accounts *accounts = work->pop3->setup.accounts;
    int more = accounts == NULL ? -EIO : maildrop_open(accounts, &work->maildrop);

    if (more > 0)
        return false;
    if (more < 0) {
        log_limited(LOG_LEVEL_ERROR,
                    "account=%s@%s service=pop3 what=\"the mailbox cannot be opened: %s\"",
                    LOG_STRING(work->maildrop.local), LOG_STRING(work->maildrop.domain),
                    strerror(-more));
        pop3_work_put(work, BYTES("-ERR [SYS/TEMP] The mailbox cannot be opened now\r\n"));
        work->is_last = true;
    } else {
        pop3_work_printf(work, "+OK Logged in, %zu messages\r\n", work->maildrop.count);
    }
    return true;
}

static enum step succeed(struct pop3_session *session, const char *mechanism, struct bytes user,
                         uint32_t credential_id)
{
    static const struct conn_settings known = {.output_max = POP3_OUTPUT_MAX};
    struct snapshot_reader *reader = pop3_of(session)->setup.reader;
    struct engine *engine = session->session.conn.engine;
    const struct snapshot *snapshot = snapshot_begin(reader);
    char name[SESSION_NAME_MAX];
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
    log_info("session=%s client=%s service=pop3 login=%s user=%s account=%s@%s", name,
             session->session.peer, mechanism, LOG_TEXT(login_user_told(user)),
             LOG_STRING(session->work->maildrop.local), LOG_STRING(session->work->maildrop.domain));
    pop3_forget_login(session);
    conn_trust(&session->session.conn, &known);
    return pop3_work_begin(session->work, run_open);
}

static uint32_t credential_of_secret(const struct pop3_session *session, struct bytes user,
                                     struct bytes secret)
{
    struct snapshot_reader *reader = pop3_of(session)->setup.reader;
    const struct directory_credential *credential =
        login_of_secret(snapshot_begin(reader), user, secret);
    uint32_t id = credential != NULL ? credential->id : 0;

    snapshot_end(reader);
    return id;
}

/* --- USER and PASS ---------------------------------------------------------------------------- */

enum step pop3_handle_user(struct pop3_session *session, struct bytes argument)
{
    enum step step;

    if (argument.len == 0)
        return pop3_bad(session, "Syntax is USER name");
    if (!is_open(session, &step))
        return step;
    free(session->user);
    session->user = strndup((const char *)argument.ptr, argument.len);
    /* Whether there is such a user is not told. */
    return session->user != NULL ? pop3_say(session, "+OK Now the password\r\n")
                                 : pop3_say(session, "-ERR [SYS/TEMP] Out of memory\r\n");
}

enum step pop3_handle_pass(struct pop3_session *session, struct bytes argument)
{
    uint8_t room[POP3_LINE_MAX];
    enum step step;

    if (session->user == NULL)
        return pop3_bad(session, "USER comes first");
    if (!is_open(session, &step))
        return step;
    struct bytes user = bytes_of(session->user);
    uint32_t id = credential_of_secret(session, user, argument);

    memcpy(room, user.ptr, user.len); /* its own memory goes with the login */
    user.ptr = room;
    return id != 0 ? succeed(session, "USER", user, id) : refuse(session, "USER", user);
}

/* --- AUTH ------------------------------------------------------------------------------------- */

static struct bytes binding_of(const struct pop3_session *session, enum tls_binding binding,
                               uint8_t room[static TLS_BINDING_MAX])
{
    if (!conn_is_under_tls(&session->session.conn))
        return BYTES_NONE;
    return bytes_range(room, conn_tls_binding(&session->session.conn, binding, room));
}

bool pop3_is_bound(const struct pop3_session *session)
{
    uint8_t room[TLS_BINDING_MAX];

    return binding_of(session, TLS_BINDING_EXPORTER, room).len > 0 ||
           binding_of(session, TLS_BINDING_SERVER_END, room).len > 0;
}

static bool is_offered(const struct pop3_session *session, enum sasl_mechanism mechanism)
{
    switch (mechanism) {
    case SASL_PLAIN:
    case SASL_SCRAM_SHA_256:
        return true;
    case SASL_SCRAM_SHA_256_PLUS:
        return pop3_is_bound(session);
    case SASL_LOGIN:
        break;
    }
    return false;
}

static bool start(struct pop3_session *session, enum sasl_mechanism mechanism)
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
        .fake_key = bytes_range(pop3_of(session)->login_key, POP3_LOGIN_KEY_LEN),
        .fake_salt_len = CREDENTIAL_SALT_LEN,
        .fake_iterations = CREDENTIAL_ITERATIONS,
        .nonce = buf_bytes(&nonce),
    };

    sasl_start(&session->login->sasl, mechanism, &settings);
    buf_free(&nonce);
    return true;
}

/* The login is over without one. */
static enum step end_bad(struct pop3_session *session, const char *text)
{
    pop3_forget_login(session);
    if (pop3_bad(session, text) == STEP_CLOSE)
        return STEP_CLOSE;
    return pop3_next_command(session);
}

static enum step respond(struct pop3_session *session, struct bytes text)
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

enum step pop3_handle_auth(struct pop3_session *session, struct bytes argument)
{
    size_t space = bytes_find(argument, ' ', 0);
    struct bytes initial = bytes_slice(argument, space + 1, argument.len);
    enum sasl_mechanism mechanism;
    enum step step;

    if (argument.len == 0)
        return pop3_bad(session, "Syntax is AUTH mechanism [initial-response]");
    if (!is_open(session, &step))
        return step;
    if (!sasl_mechanism_find(bytes_slice(argument, 0, space), &mechanism) ||
        !is_offered(session, mechanism))
        return pop3_bad(session, "This mechanism is not offered here");
    pop3_forget_login(session);
    if (!start(session, mechanism))
        return pop3_say(session, "-ERR [SYS/TEMP] No login is possible now\r\n");
    if (initial.len == 0)
        return go_on(session, sasl_prompt(&session->login->sasl));
    if (bytes_equal(initial, BYTES("="))) /* one that is empty: RFC 5034 section 4 */
        return go_on(session, sasl_respond(&session->login->sasl, BYTES_NONE));
    return respond(session, initial);
}

/* The state AUTH: a challenge was sent, this takes the response. */
enum step pop3_auth_step(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);
    struct bytes line;
    size_t len;
    enum step step = pop3_next_line(pop3, AUTH_LINE_MAX, &line, &len);

    if (step != STEP_AGAIN)
        return step;
    step = bytes_equal(line, BYTES("*")) ? end_bad(pop3, "The login was cancelled")
                                         : respond(pop3, line);
    conn_consume(&session->conn, len);
    return step;
}

static enum step challenge(struct pop3_session *session)
{
    struct buf text;

    buf_init(&text, POP3_REPLY_MAX - 8);
    bool fits = base64_write(sasl_challenge(&session->login->sasl), &text);

    check(fits); /* SASL_CHALLENGE_MAX */
    if (session->session.state != POP3_AUTH)
        session_enter(&session->session, POP3_AUTH);
    enum step step = pop3_say(session, "+ %.*s\r\n", BYTES_ARG(buf_bytes(&text)));

    buf_free(&text);
    return step;
}

static enum step check_secret(struct pop3_session *session)
{
    struct pop3_login *login = session->login;

    login->credential =
        credential_of_secret(session, sasl_user(&login->sasl), sasl_secret(&login->sasl));
    return go_on(session, sasl_answer_secret(&login->sasl, login->credential != 0));
}

static enum step give_keys(struct pop3_session *session)
{
    struct pop3_login *login = session->login;
    struct snapshot_reader *reader = pop3_of(session)->setup.reader;
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

static enum step go_on(struct pop3_session *session, enum sasl_step step)
{
    struct pop3_login *login = session->login;
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
