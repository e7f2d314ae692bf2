/*
 * auth.c - USER and PASS (RFC 1939 section 7), AUTH (RFC 5034). The maildrop is opened as a part of
 * the login, which is answered when that is done.
 */
#include <stdlib.h>
#include <string.h>

#include "inbound/access/login.h"
#include "inbound/pop3/session.h"

/* False: nobody can log in now, which was said, with *step_out. */
static bool is_open(struct pop3_session *session, enum step *step_out)
{
    if (!access_may_log_in(&session->access))
        *step_out = pop3_bad(session, "[SYS/PERM] A login needs encryption here");
    else if (access_is_blocked(&session->access))
        *step_out = access_say_blocked(&session->access);
    else
        return true;
    return false;
}

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
    enum step step;

    if (session->user == NULL)
        return pop3_bad(session, "USER comes first");
    if (!is_open(session, &step))
        return step;
    return access_log_in(&session->access, "USER", bytes_of(session->user), argument);
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
        !access_offers(&session->access, mechanism))
        return pop3_bad(session, "This mechanism is not offered here");
    return access_authenticate(&session->access, mechanism, initial.len > 0 ? &initial : NULL);
}

/* The state AUTH: a challenge was sent, this takes the response. */
enum step pop3_auth_step(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);
    struct bytes line;
    size_t len;
    enum step step = pop3_next_line(pop3, ACCESS_AUTH_LINE_MAX, &line, &len);

    if (step != STEP_AGAIN)
        return step;
    step = access_respond(&pop3->access, line);
    conn_consume(&session->conn, len);
    return step;
}
