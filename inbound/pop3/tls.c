/* tls.c - STLS (RFC 2595), and TLS from the first byte on (RFC 8314). */
#include "inbound/pop3/session.h"

#include "base/log.h"
#include "io/conn_layer.h"
#include "io/tls.h"

static struct conn_layer *create_layer(const struct pop3_session *session)
{
    struct tls_context *tls = pop3_settings_of(session)->tls;

    if (tls == NULL || pressure_is_high(&session->session.service->pressure))
        return NULL;
    return tls_server_layer(tls);
}

enum step pop3_begin_tls(struct pop3_session *session)
{
    struct conn_layer *layer = create_layer(session);

    if (layer == NULL)
        return STEP_CLOSE; /* nothing can be said in plain text here */
    if (!conn_secure(&session->session.conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    session_enter(&session->session, POP3_HANDSHAKE);
    return STEP_AGAIN;
}

enum step pop3_handle_stls(struct pop3_session *session, struct bytes argument)
{
    if (argument.len > 0)
        return pop3_bad(session, "Syntax is STLS");
    if (conn_is_under_tls(&session->session.conn))
        return pop3_bad(session, "The session is under TLS already");
    if (session->listener->tls != POP3_TLS_STLS)
        return pop3_bad(session, "STLS is not offered here");
    session_enter(&session->session, POP3_HANDSHAKE);
    return STEP_AGAIN;
}

/* Nothing may come before our answer: it would be somebody else's text, put there to be taken for
 * the client's (CVE-2021-33515). What USER said in plain text is not known afterwards. */
static enum step accept_stls(struct pop3_session *session)
{
    struct conn *conn = &session->session.conn;

    if (conn_input(conn).len > 0 || conn_has_unread(conn)) {
        metric_inc(METRIC_SMTPD_STARTTLS_INJECTED);
        return pop3_leave(session, "Text stands behind STLS");
    }
    struct conn_layer *layer = create_layer(session);

    if (layer == NULL) {
        if (pop3_say(session, "-ERR [SYS/TEMP] TLS cannot be started now\r\n") == STEP_CLOSE)
            return STEP_CLOSE;
        return pop3_next_command(session);
    }
    pop3_forget_login(session);
    if (pop3_say(session, "+OK Begin TLS negotiation now\r\n") == STEP_CLOSE ||
        !conn_secure(conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    return STEP_AGAIN;
}

enum step pop3_handshake_step(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);
    struct conn *conn = &session->conn;

    if (conn->layer == NULL)
        return accept_stls(pop3);
    if (!conn_is_under_tls(conn))
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    if (pop3->listener->tls == POP3_TLS_IMPLICIT) {
        session_enter(session, POP3_GREET);
        return STEP_AGAIN;
    }
    return pop3_next_command(pop3);
}

void pop3_tell_tls_failure(const struct pop3_session *session)
{
    const char *failure = conn_tls_failure(&session->session.conn);
    char name[SESSION_NAME_MAX];

    if (session->session.state != POP3_HANDSHAKE && failure == NULL)
        return;
    session_name(&session->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s service=pop3 state=%s what=\"no TLS\" why=%s",
                name, session->session.peer, session_state_name(&session->session),
                LOG_STRING(failure != NULL ? failure : "the handshake did not end"));
}
