/* tls.c - STARTTLS, and TLS from the first byte on (RFC 8314). */
#include "inbound/imap/session.h"

#include "base/log.h"
#include "io/conn_layer.h"
#include "io/tls.h"

static struct conn_layer *create_layer(const struct imap_session *session)
{
    struct tls_context *tls = imap_settings_of(session)->tls;

    if (tls == NULL || pressure_is_high(&session->session.service->pressure))
        return NULL;
    return tls_server_layer(tls);
}

enum step imap_begin_tls(struct imap_session *session)
{
    struct conn_layer *layer = create_layer(session);

    if (layer == NULL)
        return STEP_CLOSE; /* nothing can be said in plain text here */
    if (!conn_secure(&session->session.conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    session_enter(&session->session, IMAP_HANDSHAKE);
    return STEP_AGAIN;
}

enum step imap_handle_starttls(struct imap_session *session, struct bytes arguments)
{
    struct conn *conn = &session->session.conn;

    if (arguments.len > 0)
        return imap_bad(session, "Syntax is STARTTLS");
    if (conn_is_under_tls(conn))
        return imap_bad(session, "The session is under TLS already");
    if (session->listener->tls != IMAP_TLS_STARTTLS)
        return imap_bad(session, "STARTTLS is not offered here");
    session_enter(&session->session, IMAP_HANDSHAKE);
    return STEP_AGAIN;
}

/* Nothing may come before our answer: it would be somebody else's text, put there to be taken for
 * the client's (RFC 9051 section 11.1, CVE-2021-33515). */
static enum step accept_starttls(struct imap_session *session)
{
    struct conn *conn = &session->session.conn;

    if (conn_input(conn).len > 0 || conn_has_unread(conn)) {
        metric_inc(METRIC_SMTPD_STARTTLS_INJECTED);
        return imap_leave(session, "Text stands behind STARTTLS");
    }
    struct conn_layer *layer = create_layer(session);

    if (layer == NULL) {
        if (imap_answer(session, "NO [UNAVAILABLE] TLS cannot be started now") == STEP_CLOSE)
            return STEP_CLOSE;
        return imap_next_command(session);
    }
    if (imap_answer(session, "OK Begin TLS negotiation now") == STEP_CLOSE ||
        !conn_secure(conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    return STEP_AGAIN;
}

enum step imap_handshake_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct conn *conn = &session->conn;

    if (conn->layer == NULL)
        return accept_starttls(imap);
    if (!conn_is_under_tls(conn))
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    if (imap->listener->tls == IMAP_TLS_IMPLICIT) {
        session_enter(session, IMAP_GREET);
        return STEP_AGAIN;
    }
    return imap_next_command(imap);
}

void imap_tell_tls_failure(const struct imap_session *session)
{
    const char *failure = conn_tls_failure(&session->session.conn);
    char name[SESSION_NAME_MAX];

    if (session->session.state != IMAP_HANDSHAKE && failure == NULL)
        return;
    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=imap state=%s what=\"no TLS\" why=%s",
                name, session->session.peer, session_state_name(&session->session),
                LOG_STRING(failure != NULL ? failure : "the handshake did not end"));
}
