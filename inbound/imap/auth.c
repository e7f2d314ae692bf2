/* auth.c - LOGIN and AUTHENTICATE (RFC 9051 sections 6.2.2, 6.2.3; RFC 4959). */
#include "inbound/access/login.h"
#include "inbound/imap/session.h"

static const char no_privacy[] = "NO [PRIVACYREQUIRED] A login needs encryption here";

enum step imap_handle_login(struct imap_session *session, struct bytes arguments)
{
    struct bytes user, secret;
    struct arena arena;
    enum step step;

    arena_init(&arena, COMMAND_STRANGER_MAX);
    if (!imap_take_space(&arguments) || !imap_take_astring(&arena, &arguments, &user) ||
        !imap_take_space(&arguments) || !imap_take_astring(&arena, &arguments, &secret) ||
        arguments.len > 0)
        step = imap_bad(session, "Syntax is LOGIN user password");
    else if (!access_may_log_in(&session->access))
        step = imap_answer(session, no_privacy);
    else if (access_is_blocked(&session->access))
        step = access_say_blocked(&session->access);
    else
        step = access_log_in(&session->access, "LOGIN", user, secret);
    arena_free(&arena);
    return step;
}

enum step imap_handle_authenticate(struct imap_session *session, struct bytes arguments)
{
    enum sasl_mechanism mechanism;
    struct bytes name;

    if (!imap_take_space(&arguments) || !imap_take_atom(&arguments, &name) ||
        (arguments.len > 0 && (!imap_take_space(&arguments) || arguments.len == 0)))
        return imap_bad(session, "Syntax is AUTHENTICATE mechanism [initial-response]");
    if (!access_may_log_in(&session->access))
        return imap_answer(session, no_privacy);
    if (!sasl_mechanism_find(name, &mechanism) || !access_offers(&session->access, mechanism))
        return imap_answer(session, "NO [CANNOT] This mechanism is not offered here");
    if (access_is_blocked(&session->access))
        return access_say_blocked(&session->access);
    return access_authenticate(&session->access, mechanism, arguments.len > 0 ? &arguments : NULL);
}

/* The state AUTH: a challenge was sent, this takes the response. */
enum step imap_auth_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct conn *conn = &session->conn;
    struct bytes input = conn_input(conn);
    size_t end = bytes_find_bytes(input, BYTES("\r\n"), 0);

    if (conn_output_room(conn) < ACCESS_REPLY_MAX)
        return STEP_WAIT;
    if (end > ACCESS_AUTH_LINE_MAX)
        return imap_leave(imap, "[CLIENTBUG] A line of a login is too long");
    if (end == input.len)
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    enum step step = access_respond(&imap->access, bytes_slice(input, 0, end));

    conn_consume(conn, end + 2);
    return step;
}
