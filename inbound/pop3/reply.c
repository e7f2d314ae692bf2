/* reply.c - what an engine says to a client, and the steps to the next line and command. */
#include "inbound/pop3/session.h"

enum step pop3_bad(struct pop3_session *session, const char *text)
{
    metric_inc(METRIC_POP3_BAD);
    if (++session->access.errors >= access_settings_of(&session->access)->errors_max)
        return pop3_leave(session, "Too many commands that are none");
    return pop3_say(session, "-ERR %s\r\n", text);
}

enum step pop3_next_command(struct pop3_session *session)
{
    if (session->access.session.state != ACCESS_COMMAND)
        session_enter(&session->access.session, ACCESS_COMMAND);
    return STEP_AGAIN;
}

enum step pop3_next_line(struct pop3_session *session, size_t max, struct bytes *line_out,
                         size_t *len_out)
{
    struct conn *conn = &session->access.session.conn;
    struct bytes input = conn_input(conn);
    size_t end = bytes_find(input, '\n', 0);

    if (conn_output_room(conn) < 2 * POP3_REPLY_MAX)
        return STEP_WAIT;
    if (MIN(end, input.len) + 1 > max) /* where the next command begins is not known */
        return pop3_leave(session, "The line is too long");
    if (end == input.len)
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    *line_out = bytes_slice(input, 0, end);
    *len_out = end + 1;
    if (line_out->len > 0 && line_out->ptr[line_out->len - 1] == '\r')
        line_out->len--;
    return STEP_AGAIN;
}
