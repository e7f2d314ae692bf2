/* tls.c - what a session does to come under TLS. */
#include "inbound/access/tls.h"

#include <stdio.h>

#include "base/log.h"
#include "inbound/access/login.h"
#include "io/conn_layer.h"
#include "io/tls.h"

bool access_offers_starttls(const struct access_session *session)
{
    return session->listener->tls == ACCESS_TLS_STARTTLS &&
           !conn_is_under_tls(&session->session.conn);
}

static struct conn_layer *create_layer(const struct access_session *session)
{
    struct tls_context *tls = access_settings_of(session)->tls;

    if (tls == NULL || pressure_is_high(&session->session.service->pressure))
        return NULL;
    return tls_server_layer(tls);
}

enum step access_begin_tls(struct access_session *session)
{
    struct conn_layer *layer = create_layer(session);

    if (layer == NULL)
        return STEP_CLOSE; /* nothing can be said in plain text here */
    if (!conn_secure(&session->session.conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    session_enter(&session->session, ACCESS_HANDSHAKE);
    return STEP_AGAIN;
}

enum step access_handle_starttls(struct access_session *session, struct bytes arguments)
{
    const struct access_kind *kind = access_kind_of(session);
    char text[64];

    if (arguments.len > 0) {
        snprintf(text, sizeof(text), "Syntax is %s", kind->words.starttls);
        return kind->bad(session, text);
    }
    if (conn_is_under_tls(&session->session.conn))
        return kind->bad(session, "The session is under TLS already");
    if (!access_offers_starttls(session)) {
        snprintf(text, sizeof(text), "%s is not offered here", kind->words.starttls);
        return kind->bad(session, text);
    }
    session_enter(&session->session, ACCESS_HANDSHAKE);
    return STEP_AGAIN;
}

/* Nothing may come before our answer: it would be somebody else's text, put there to be taken for
 * the client's (RFC 9051 section 11.1, CVE-2021-33515). What was said of a login in plain text is
 * not known afterwards. */
static enum step accept_starttls(struct access_session *session)
{
    const struct access_kind *kind = access_kind_of(session);
    struct conn *conn = &session->session.conn;
    char text[64];

    if (conn_input(conn).len > 0 || conn_has_unread(conn)) {
        metric_inc(METRIC_SMTPD_STARTTLS_INJECTED);
        snprintf(text, sizeof(text), "Text stands behind %s", kind->words.starttls);
        return access_leave(session, text);
    }
    struct conn_layer *layer = create_layer(session);

    if (layer == NULL) {
        if (kind->answer(session, kind->words.no_tls) == STEP_CLOSE)
            return STEP_CLOSE;
        return kind->next_command(session);
    }
    access_forget_login(session);
    if (kind->answer(session, kind->words.begin_tls) == STEP_CLOSE || !conn_secure(conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    return STEP_AGAIN;
}

enum step access_handshake_step(struct session *session)
{
    struct access_session *access = access_session_of(session);
    struct conn *conn = &session->conn;

    if (conn->layer == NULL)
        return accept_starttls(access);
    if (!conn_is_under_tls(conn))
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    if (access->listener->tls == ACCESS_TLS_IMPLICIT) {
        session_enter(session, ACCESS_GREET);
        return STEP_AGAIN;
    }
    return access_kind_of(access)->next_command(access);
}

void access_tell_tls_failure(const struct access_session *session)
{
    const char *failure = conn_tls_failure(&session->session.conn);
    char name[SESSION_NAME_MAX];

    if (session->session.state != ACCESS_HANDSHAKE && failure == NULL)
        return;
    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=%s state=%s what=\"no TLS\" why=%s",
                name, session->session.peer, access_kind_of(session)->name,
                session_state_name(&session->session),
                LOG_STRING(failure != NULL ? failure : "the handshake did not end"));
}
