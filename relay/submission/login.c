/* login.c - answers the questions of AUTH. Secrets and what looks like one are never logged. */
#include "submission/login.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/metric.h"
#include "directory/credential_secret.h"
#include "directory/login_rule.h"
#include "io/tls.h"

enum { NONCE_BYTES = 24 };

static struct submission_session *session_of(const struct smtp_server *server)
{
    return container_of(server, struct submission_session, server);
}

static struct submission *submission_of(void *context)
{
    const struct settings_generation *generation = context;

    return generation->submission;
}

static struct bytes binding_of(const struct smtp_server *server, enum tls_binding binding,
                               uint8_t room[static TLS_BINDING_MAX])
{
    if (!conn_is_under_tls(&server->session.conn))
        return BYTES_NONE;
    return bytes_range(room, conn_tls_binding(&server->session.conn, binding, room));
}

unsigned login_mechanisms(void *context, const struct smtp_server *server, struct verdict *why_out)
{
    const struct submission *submission = submission_of(context);
    bool is_under_tls = conn_is_under_tls(&server->session.conn);
    unsigned mechanisms = 1U << SASL_SCRAM_SHA_256 | 1U << SASL_PLAIN | 1U << SASL_LOGIN;
    uint8_t room[TLS_BINDING_MAX];

    if (submission->reader == NULL)
        return 0; /* nobody could log in */
    if (!is_under_tls && !session_of(server)->may_log_in_plain) {
        *why_out = verdict_refuse(538, "5.7.11", "A login needs encryption here", "tls");
        return 0;
    }
    if (binding_of(server, TLS_BINDING_EXPORTER, room).len > 0 ||
        binding_of(server, TLS_BINDING_SERVER_END, room).len > 0)
        mechanisms |= 1U << SASL_SCRAM_SHA_256_PLUS;
    return mechanisms;
}

/* Of whom failed logins are counted. */
static struct admission_key counted_of(const struct smtp_server *server, struct bytes user)
{
    return session_of(server)->is_shared ? login_guard_user(&server->session.client, user)
                                         : server->session.client;
}

static struct verdict block(const struct smtp_server *server, const struct admission_key *counted)
{
    if (!login_guard_blocks(counted, engine_now_ms(server->session.conn.engine)))
        return VERDICT_OK;
    metric_inc(METRIC_LOGINS_BLOCKED);
    return verdict_refuse(421, "4.7.0", "Too many failed logins from your network, try again later",
                          "auth.failures_per_network");
}

struct verdict login_begin(void *context, struct smtp_server *server,
                           struct sasl_settings *settings_out)
{
    static _Thread_local uint8_t exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
    static _Thread_local char nonce[2 * NONCE_BYTES];
    const struct submission *submission = submission_of(context);
    uint8_t random[NONCE_BYTES];
    struct verdict verdict = VERDICT_OK;
    struct buf text;

    if (!session_of(server)->is_shared) /* else who it is must be told first */
        verdict = block(server, &server->session.client);
    if (verdict.code != 0)
        return verdict;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return verdict_refuse(454, "4.7.0", "No random bits for a login, try again later",
                              "random");
    buf_init(&text, sizeof(nonce));
    bool fits = base64_write(bytes_range(random, sizeof(random)), &text);
    check(fits);
    struct bytes written = buf_bytes(&text);
    memcpy(nonce, written.ptr, written.len);
    *settings_out = (struct sasl_settings){
        .channel = {binding_of(server, TLS_BINDING_EXPORTER, exporter),
                    binding_of(server, TLS_BINDING_SERVER_END, end_point)},
        .fake_key = bytes_range(submission->login_key, sizeof(submission->login_key)),
        .fake_salt_len = CREDENTIAL_SALT_LEN,
        .fake_iterations = CREDENTIAL_ITERATIONS,
        .nonce = bytes_range(nonce, written.len),
    };
    buf_free(&text);
    return VERDICT_OK;
}

/* Why it may not be used now; NULL: it may. */
static const char *why_not(const struct snapshot *snapshot, const struct smtp_server *server,
                           const struct directory_credential *credential)
{
    struct login_place place = {
        .scope = SCOPE_SUBMIT,
        .client = &server->session.conn.peer,
        .wall_s = engine_wall_ms(server->session.conn.engine) / 1000,
    };

    return login_obstacle(snapshot, credential, &place);
}

static void tell_unusable(const struct smtp_server *server, struct bytes id, const char *why)
{
    char name[SESSION_NAME_MAX];

    session_name(&server->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s credential=%.*s unusable=%s", name,
                server->session.peer, BYTES_ARG(id), why);
}

static bool is_right(const struct snapshot *snapshot, const struct smtp_server *server,
                     const struct smtp_login *login)
{
    const struct directory_credential *credential =
        login_of_secret(snapshot, login->user, login->secret);

    if (credential == NULL)
        return false;
    const char *why = why_not(snapshot, server, credential);
    if (why != NULL) {
        tell_unusable(server, login_credential_name(credential), why);
        return false;
    }
    session_of(server)->credential = credential->id;
    return true;
}

static void give_keys(const struct snapshot *snapshot, struct smtp_server *server,
                      struct bytes user)
{
    const struct directory_credential *credential = login_of_user(snapshot, user);
    struct sasl_keys keys = {.salt_len = CREDENTIAL_SALT_LEN, .iterations = CREDENTIAL_ITERATIONS};

    if (credential == NULL)
        return;
    memcpy(keys.salt, credential->salt, sizeof(credential->salt));
    memcpy(keys.stored_key, credential->stored_key, sizeof(keys.stored_key));
    memcpy(keys.server_key, credential->server_key, sizeof(keys.server_key));
    smtp_server_keys(server, &keys);
    session_of(server)->credential = credential->id;
}

struct verdict login_asked(void *context, struct smtp_server *server,
                           const struct smtp_login *login)
{
    const struct submission *submission = submission_of(context);
    struct admission_key counted = counted_of(server, login->user);
    struct verdict verdict = block(server, &counted);
    bool goes_on = true;

    session_of(server)->credential = 0;
    if (verdict.code != 0)
        return verdict;
    /* No wrong secret, so it counts as no failure; and clients try their next mechanism at 504. */
    if (login->secret.ptr == NULL && login_is_apikey(login->user))
        return verdict_refuse(504, "5.5.4",
                              "\"apikey\" goes with PLAIN and LOGIN; with SCRAM the user is the"
                              " credential's id",
                              "not-offered");
    const struct snapshot *snapshot = snapshot_begin(submission->reader);

    if (login->secret.ptr != NULL)
        goes_on = is_right(snapshot, server, login);
    else
        give_keys(snapshot, server, login->user);
    snapshot_end(submission->reader);
    return goes_on ? VERDICT_OK : verdict_refuse(535, "5.7.8", "Authentication failed", "login");
}

/* Takes over what the session keeps of its credential. False: it may not be used (any more). */
static bool adopt(const struct snapshot *snapshot, struct submission_session *session)
{
    const struct directory_credential *credential =
        snapshot_credential_of(snapshot, session->credential);

    if (credential == NULL)
        return false;
    const char *why = why_not(snapshot, &session->server, credential);
    if (why != NULL) {
        tell_unusable(&session->server, login_credential_name(credential), why);
        return false;
    }
    const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, credential->tenant);
    snprintf(session->tenant, sizeof(session->tenant), "%.*s", BYTES_ARG(tenant->name));
    session->class = credential->class;
    session->account = credential->account;
    return true;
}

struct verdict login_done(void *context, struct smtp_server *server, const struct smtp_login *login)
{
    const struct submission *submission = submission_of(context);
    struct submission_session *session = session_of(server);
    struct engine *engine = server->session.conn.engine;
    const struct snapshot *snapshot = snapshot_begin(submission->reader);
    bool is_good = adopt(snapshot, session);
    struct admission_key counted = counted_of(server, login->user);
    char name[SESSION_NAME_MAX];

    if (is_good)
        snapshot_note_use(submission->reader, snapshot_credential_of(snapshot, session->credential),
                          engine_wall_ms(engine) / 1000);
    snapshot_end(submission->reader);
    if (!is_good) /* by SCRAM: it has shown that it knows the secret */
        return verdict_refuse(535, "5.7.8", "Authentication failed", "login");
    login_guard_passed(&counted, engine_now_ms(engine));
    metric_inc(METRIC_LOGINS_RIGHT);
    session_name(&server->session, name);
    log_info("session=%s client=%s login=%s user=%s tenant=%s", name, server->session.peer,
             sasl_mechanism_name(login->mechanism), LOG_TEXT(login_user_told(login->user)),
             LOG_STRING(session->tenant));
    return VERDICT_OK;
}

struct verdict login_failed(void *context, struct smtp_server *server,
                            const struct smtp_login *login)
{
    static const struct verdict failed = {535, "5.7.8", "Authentication failed", "login", false};
    static const struct verdict too_many = {421, "4.7.0", "Too many failed logins, closing",
                                            "auth.failures_per_session", true};
    const struct settings_generation *generation = context;
    const struct login_settings *settings = &generation->settings.login;
    struct submission_session *session = session_of(server);
    struct admission_key counted = counted_of(server, login->user);
    char name[SESSION_NAME_MAX];
    bool begins_block;
    uint64_t token; /* nobody answers: it is said when the delay is over */
    int64_t delay_ms =
        login_guard_failed(&counted, &settings->guard, engine_now_ms(server->session.conn.engine),
                           &begins_block);

    session->credential = 0;
    session->login_failures++;
    metric_inc(METRIC_LOGINS_WRONG);
    session_name(&server->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s login_failed=%s user=%s", name,
                server->session.peer, sasl_mechanism_name(login->mechanism),
                LOG_TEXT(login_user_told(login->user)));
    if (begins_block) {
        metric_inc(METRIC_LOGIN_BLOCKS);
        log_limited(LOG_LEVEL_WARN, "client=%s what=\"too many failed logins\" blocked_ms=%lld",
                    server->session.peer, (long long)settings->guard.block_ms);
    }
    submission_tell_refused(generation, server, &failed, (struct smtp_concerned){0});
    bool is_last = begins_block || session->login_failures >= settings->failures_max;
    return smtp_server_later(server, delay_ms, is_last ? too_many : failed, &token);
}

struct verdict login_still_good(const struct submission *submission,
                                struct submission_session *session)
{
    if (!session->server.is_authenticated)
        return VERDICT_OK;
    bool is_good = adopt(snapshot_begin(submission->reader), session);

    snapshot_end(submission->reader);
    /* Not 535: the client has no login to repeat here, and finds out where it begins anew. */
    return is_good
               ? VERDICT_OK
               : verdict_refuse(421, "4.7.0", "Your login is not good any more, closing", "login");
}
