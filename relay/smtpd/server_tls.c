/* server_tls.c - STARTTLS (RFC 3207), TLS from the first byte on (RFC 8314), and what is left of a
 * session's past afterwards: nothing. */
#include "smtpd/server_parts.h"

#include "base/log.h"
#include "io/conn_layer.h"
#include "io/tls.h"
#include "serve/service.h"

static bool offers(const struct smtp_server *server)
{
    return server->tls == SMTP_TLS_STARTTLS && !conn_is_under_tls(&server->session.conn);
}

bool server_offers_tls(const struct smtp_server *server)
{
    return offers(server);
}

static struct conn_layer *create_layer(const struct smtp_server *server)
{
    const struct service *service = server->session.service; /* NULL: a session without one */

    if (server->service->tls == NULL || (service != NULL && pressure_is_high(&service->pressure)))
        return NULL;
    return tls_server_layer(server->service->tls);
}

enum step server_begin_tls(struct smtp_server *server)
{
    struct conn_layer *layer = create_layer(server);

    if (layer == NULL)
        return STEP_CLOSE; /* nothing can be said in plain text here */
    if (!conn_secure(&server->session.conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    session_enter(&server->session, SERVER_HANDSHAKE);
    return STEP_AGAIN;
}

enum step handle_starttls(struct smtp_server *server, struct bytes argument __attribute__((unused)))
{
    if (conn_is_under_tls(&server->session.conn))
        return server_refuse(server, SMTP_STARTTLS,
                             VERDICT(503, "5.5.1", "The session is under TLS already", "sequence"));
    if (!offers(server))
        return server_refuse(server, SMTP_STARTTLS,
                             VERDICT(502, "5.5.1", "This command is not offered here",
                                     "not-offered"));
    struct verdict verdict = server_out_of_order(server, NEEDS_HELLO | NEEDS_NO_MAIL);
    if (verdict.code == 0 && server->is_authenticated)
        verdict = VERDICT(503, "5.5.1", "You are logged in; TLS comes before that", "sequence");
    if (verdict.code != 0)
        return server_refuse(server, SMTP_STARTTLS, verdict);
    /* What is behind the line is seen when it is consumed. */
    session_enter(&server->session, SERVER_HANDSHAKE);
    return STEP_AGAIN;
}

/* Nothing may come before our answer: it would be somebody else's text, put there to be taken for
 * the client's (RFC 3207 section 4.2 and CVE-2011-0411). */
static enum step accept_starttls(struct smtp_server *server)
{
    struct conn *conn = &server->session.conn;

    if (conn_input(conn).len > 0 || conn_has_unread(conn)) {
        metric_inc(METRIC_SMTPD_STARTTLS_INJECTED);
        return server_refuse(server, SMTP_STARTTLS,
                             (struct verdict){554, "5.5.0", "Text stands behind STARTTLS, closing",
                                              "starttls-injection", true});
    }
    struct conn_layer *layer = create_layer(server);
    if (layer == NULL) {
        session_enter(&server->session, SERVER_COMMAND);
        return server_refuse(server, SMTP_STARTTLS,
                             VERDICT(454, "4.7.0", "TLS cannot be started now", "tls"));
    }
    if (server_reply(server, 220, "2.0.0", "Ready to start TLS") == STEP_CLOSE ||
        !conn_secure(conn, layer)) {
        tls_layer_free(&layer);
        return STEP_CLOSE;
    }
    return STEP_AGAIN;
}

/* RFC 3207 section 4.2: what was learned before is discarded. Errors stay counted. */
static void forget(struct smtp_server *server)
{
    server_reset(server);
    server->has_greeted = false;
    server->is_esmtp = false;
    server->ehlo[0] = '\0';
    server->incoming.broken = VERDICT_OK;
}

static void tell(const struct smtp_server *server)
{
    struct tls_facts facts;
    char name[SESSION_NAME_MAX];

    if (!conn_tls_facts(&server->session.conn, &facts))
        return;
    session_name(&server->session, name);
    log_debug("session=%s client=%s tls=%s cipher=%s server_name=%s resumed=%d", name,
              server->session.peer, facts.version, facts.cipher, LOG_TEXT(facts.server_name),
              facts.is_resumed);
}

enum step handshake_step(struct session *session)
{
    struct smtp_server *server = server_of(session);
    struct conn *conn = &session->conn;

    if (conn->layer == NULL)
        return accept_starttls(server);
    if (!conn_is_under_tls(conn))
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    tell(server);
    forget(server);
    session_enter(session, server->tls == SMTP_TLS_IMPLICIT ? SERVER_GREET : SERVER_COMMAND);
    return STEP_AGAIN;
}

void server_tell_tls_failure(const struct smtp_server *server)
{
    const char *failure = conn_tls_failure(&server->session.conn);
    char name[SESSION_NAME_MAX];

    if (server->session.state != SERVER_HANDSHAKE && failure == NULL)
        return;
    session_name(&server->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s state=%s what=\"no TLS\" why=%s", name,
                server->session.peer,
                smtp_server_state_name((enum smtp_server_state)server->session.state),
                LOG_STRING(failure != NULL ? failure : "the handshake did not end"));
}
