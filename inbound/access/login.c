/* login.c - secrets, exchanges of SASL, and what comes of them. */
#include "inbound/access/login.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/log.h"
#include "directory/account_shows.h"
#include "directory/credential_secret.h"
#include "directory/login_rule.h"
#include "inbound/access/work.h"
#include "io/tls.h"

enum { NONCE_BYTES = 24, USER_MAX = 1024, CHALLENGE_MAX = ACCESS_REPLY_MAX / 2 };

struct access_login {
    struct sasl sasl;
    uint32_t credential; /* whose it may be */
};

static enum step go_on(struct access_session *session, enum sasl_step step);

bool access_may_log_in(const struct access_session *session)
{
    return session->may_log_in_plain || conn_is_under_tls(&session->session.conn);
}

static bool is_blocked(const struct access_session *session, const struct admission_key *counted)
{
    if (!login_guard_blocks(counted, engine_now_ms(session->session.conn.engine)))
        return false;
    metric_inc(METRIC_LOGINS_BLOCKED);
    return true;
}

bool access_is_blocked(const struct access_session *session)
{
    return !session->is_shared && is_blocked(session, &session->session.client);
}

/* Of whom failed logins are counted. */
static struct admission_key counted_of(const struct access_session *session, struct bytes user)
{
    return session->is_shared ? login_guard_user(&session->session.client, user)
                              : session->session.client;
}

enum step access_say_blocked(struct access_session *session)
{
    const struct access_kind *kind = access_kind_of(session);
    const struct access_end *end = &kind->words.blocked;

    if (end->answer != NULL)
        (void)kind->answer(session, end->answer);
    return access_leave(session, end->leave);
}

void access_forget_login(struct access_session *session)
{
    const struct access_kind *kind = access_kind_of(session);
    struct access_login *login = session->login;

    if (kind->forget != NULL)
        kind->forget(session);
    if (login == NULL)
        return;
    session->login = NULL;
    sasl_end(&login->sasl);
    free(login);
}

/* --- the end of a login ----------------------------------------------------------------------- */

static enum step refuse(struct access_session *session, const char *mechanism, struct bytes user)
{
    const struct access_settings *settings = access_settings_of(session);
    struct admission_key counted = counted_of(session, user);
    char name[SESSION_NAME_MAX];
    bool begins_block;
    int64_t delay_ms =
        login_guard_failed(&counted, &settings->guard, engine_now_ms(session->session.conn.engine),
                           &begins_block);

    session->login_failures++;
    metric_inc(METRIC_LOGINS_WRONG);
    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=%s login_failed=%s user=%s", name,
                session->session.peer, access_kind_of(session)->name, mechanism,
                LOG_TEXT(login_user_told(user)));
    if (begins_block) {
        metric_inc(METRIC_LOGIN_BLOCKS);
        log_limited(LOG_LEVEL_WARN, "client=%s what=\"too many failed logins\" blocked_ms=%lld",
                    session->session.peer, (long long)settings->guard.block_ms);
    }
    access_forget_login(session);
    session->is_last_failure = begins_block || session->login_failures >= settings->failures_max;
    session->delay_ms = delay_ms;
    session_enter(&session->session, ACCESS_DELAY);
    session_arm(&session->session);
    return STEP_WAIT;
}

/* Why it may not be used here and now; NULL: it may. Only who has an account has mail; a tenant's
 * credential has none. */
static const char *obstacle(const struct snapshot *snapshot, const struct access_session *session,
                            const struct directory_credential *credential)
{
    struct login_place place = {
        .scope = SCOPE_MAIL,
        .client = &session->session.conn.peer,
        .wall_s = engine_wall_ms(session->session.conn.engine) / 1000,
    };

    return credential->account == 0 ? "account" : login_obstacle(snapshot, credential, &place);
}

/* Whose mail its folder Queue shows; empty: it has none. */
static struct bytes queue_tenant(const struct snapshot *snapshot,
                                 const struct access_session *session,
                                 const struct directory_account *account)
{
    const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, account->tenant);
    bool is_shown = (account->shows & SHOWS_QUEUE) != 0 && tenant != NULL &&
                    access_of(session)->setup.mirrors != NULL;

    return is_shown ? tenant->name : BYTES_NONE;
}

/* Makes what a session has from its login on; false: it may not log in (any more). */
static bool adopt(const struct snapshot *snapshot, struct access_session *session,
                  uint32_t credential_id)
{
    const struct directory_credential *credential = snapshot_credential_of(snapshot, credential_id);
    char name[SESSION_NAME_MAX];

    if (credential == NULL)
        return false;
    const char *why = obstacle(snapshot, session, credential);

    if (why != NULL) {
        session_name(&session->session, name);
        log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=%s credential=%.*s unusable=%s",
                    name, session->session.peer, access_kind_of(session)->name,
                    BYTES_ARG(login_credential_name(credential)), why);
        return false;
    }
    const struct directory_account *account = snapshot_account_of(snapshot, credential->account);

    session->credential = credential->id;
    session->work = access_work_create(session, account->address, account->quota,
                                       queue_tenant(snapshot, session, account));
    return session->work != NULL;
}

static enum step succeed(struct access_session *session, const char *mechanism, struct bytes user,
                         uint32_t credential_id)
{
    static const struct conn_settings known = {.output_max = ACCESS_OUTPUT_MAX};
    struct snapshot_reader *reader = access_of(session)->setup.reader;
    struct engine *engine = session->session.conn.engine;
    const struct snapshot *snapshot = snapshot_begin(reader);
    struct admission_key counted = counted_of(session, user);
    char name[SESSION_NAME_MAX];
    bool is_good = adopt(snapshot, session, credential_id);

    if (is_good)
        snapshot_note_use(reader, snapshot_credential_of(snapshot, credential_id),
                          engine_wall_ms(engine) / 1000);
    snapshot_end(reader);
    if (!is_good)
        return refuse(session, mechanism, user);
    login_guard_passed(&counted, engine_now_ms(engine));
    metric_inc(METRIC_LOGINS_RIGHT);
    session_name(&session->session, name);
    log_info("session=%s client=%s service=%s login=%s user=%s account=%s@%s", name,
             session->session.peer, access_kind_of(session)->name, mechanism,
             LOG_TEXT(login_user_told(user)), LOG_STRING(session->work->local),
             LOG_STRING(session->work->domain));
    access_forget_login(session);
    conn_trust(&session->session.conn, &known);
    return access_kind_of(session)->logged_in(session);
}

bool access_login_still_good(const struct access_session *session)
{
    struct snapshot_reader *reader = access_of(session)->setup.reader;
    const struct snapshot *snapshot = snapshot_begin(reader);
    const struct directory_credential *credential =
        snapshot_credential_of(snapshot, session->credential);
    const char *why = credential != NULL ? obstacle(snapshot, session, credential) : "removed";

    snapshot_end(reader);
    return why == NULL;
}

/* --- a secret --------------------------------------------------------------------------------- */

static uint32_t credential_of_secret(const struct access_session *session, struct bytes user,
                                     struct bytes secret)
{
    struct snapshot_reader *reader = access_of(session)->setup.reader;
    const struct snapshot *snapshot = snapshot_begin(reader);
    const struct directory_credential *credential = login_of_secret(snapshot, user, secret);
    uint32_t id = credential != NULL ? credential->id : 0;

    snapshot_end(reader);
    return id;
}

/* What becomes of a login. The user's name may be in memory that goes with it. */
static enum step decide(struct access_session *session, const char *mechanism, struct bytes user,
                        bool is_right, uint32_t credential)
{
    char room[USER_MAX];

    user = bytes_slice(user, 0, sizeof(room));
    if (user.len > 0)
        memcpy(room, user.ptr, user.len);
    user = bytes_range(room, user.len);
    struct admission_key counted = counted_of(session, user);

    if (session->is_shared && is_blocked(session, &counted)) {
        access_forget_login(session);
        return access_say_blocked(session);
    }
    return is_right ? succeed(session, mechanism, user, credential)
                    : refuse(session, mechanism, user);
}

enum step access_log_in(struct access_session *session, const char *verb, struct bytes user,
                        struct bytes secret)
{
    uint32_t id = credential_of_secret(session, user, secret);

    return decide(session, verb, user, id != 0, id);
}

/* --- SASL ------------------------------------------------------------------------------------- */

static struct bytes binding_of(const struct access_session *session, enum tls_binding binding,
                               uint8_t room[static TLS_BINDING_MAX])
{
    if (!conn_is_under_tls(&session->session.conn))
        return BYTES_NONE;
    return bytes_range(room, conn_tls_binding(&session->session.conn, binding, room));
}

bool access_offers(const struct access_session *session, enum sasl_mechanism mechanism)
{
    uint8_t room[TLS_BINDING_MAX];

    switch (mechanism) {
    case SASL_PLAIN:
    case SASL_SCRAM_SHA_256:
        return true;
    case SASL_SCRAM_SHA_256_PLUS: /* it needs a channel to bind to */
        return binding_of(session, TLS_BINDING_EXPORTER, room).len > 0 ||
               binding_of(session, TLS_BINDING_SERVER_END, room).len > 0;
    case SASL_LOGIN:
        break;
    }
    return false;
}

static bool start(struct access_session *session, enum sasl_mechanism mechanism)
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
        .fake_key = bytes_range(access_of(session)->login_key, ACCESS_LOGIN_KEY_LEN),
        .fake_salt_len = CREDENTIAL_SALT_LEN,
        .fake_iterations = CREDENTIAL_ITERATIONS,
        .nonce = buf_bytes(&nonce),
    };

    sasl_start(&session->login->sasl, mechanism, &settings);
    buf_free(&nonce);
    return true;
}

/* The login is over without one. */
static enum step end_bad(struct access_session *session, const char *text)
{
    const struct access_kind *kind = access_kind_of(session);

    access_forget_login(session);
    if (kind->bad(session, text) == STEP_CLOSE)
        return STEP_CLOSE;
    return kind->next_command(session);
}

static enum step respond(struct access_session *session, struct bytes text)
{
    struct buf response;

    buf_init(&response, ACCESS_AUTH_LINE_MAX);
    bool is_base64 = base64_read(text, &response);
    enum step next = is_base64
                         ? go_on(session, sasl_respond(&session->login->sasl, buf_bytes(&response)))
                         : end_bad(session, "That is no base64");

    if (response.ptr != NULL)
        explicit_bzero(response.ptr, response.capacity);
    buf_free(&response);
    return next;
}

enum step access_authenticate(struct access_session *session, enum sasl_mechanism mechanism,
                              const struct bytes *initial)
{
    const struct access_kind *kind = access_kind_of(session);

    access_forget_login(session);
    if (!start(session, mechanism))
        return kind->answer(session, kind->words.no_login);
    if (initial == NULL)
        return go_on(session, sasl_prompt(&session->login->sasl));
    if (bytes_equal(*initial, BYTES("="))) /* one that is empty: RFC 4959, 5034 section 4 */
        return go_on(session, sasl_respond(&session->login->sasl, BYTES_NONE));
    return respond(session, *initial);
}

enum step access_respond(struct access_session *session, struct bytes line)
{
    return bytes_equal(line, BYTES("*")) ? end_bad(session, "The login was cancelled")
                                         : respond(session, line);
}

static enum step challenge(struct access_session *session)
{
    struct buf text;

    buf_init(&text, CHALLENGE_MAX);
    bool fits = base64_write(sasl_challenge(&session->login->sasl), &text);

    check(fits); /* SASL_CHALLENGE_MAX */
    if (session->session.state != ACCESS_AUTH)
        session_enter(&session->session, ACCESS_AUTH);
    enum step step = access_say(session, "+ %.*s\r\n", BYTES_ARG(buf_bytes(&text)));

    buf_free(&text);
    return step;
}

static enum step check_secret(struct access_session *session)
{
    struct access_login *login = session->login;

    login->credential =
        credential_of_secret(session, sasl_user(&login->sasl), sasl_secret(&login->sasl));
    return go_on(session, sasl_answer_secret(&login->sasl, login->credential != 0));
}

static enum step give_keys(struct access_session *session)
{
    struct access_login *login = session->login;
    struct snapshot_reader *reader = access_of(session)->setup.reader;
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

static enum step go_on(struct access_session *session, enum sasl_step step)
{
    struct access_login *login = session->login;

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
    return decide(session, sasl_mechanism_name(login->sasl.mechanism), sasl_user(&login->sasl),
                  step == SASL_DONE, login->credential);
}
