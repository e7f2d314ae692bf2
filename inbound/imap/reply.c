/* reply.c - what an engine says to a client, and the step to the next command. */
#include "inbound/imap/session.h"

#include <inttypes.h>
#include <stdio.h>

#include "io/tls.h"

enum step imap_say(struct imap_session *session, const char *format, ...)
{
    char line[REPLY_MAX];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    check(len > 0 && (size_t)len < sizeof(line));
    return conn_write(&session->session.conn, bytes_range(line, (size_t)len)) ? STEP_AGAIN
                                                                              : STEP_CLOSE;
}

enum step imap_answer(struct imap_session *session, const char *status_and_text)
{
    return imap_say(session, "%s %s\r\n", session->tag, status_and_text);
}

enum step imap_leave(struct imap_session *session, const char *text)
{
    (void)imap_say(session, "* BYE %s\r\n", text);
    return STEP_CLOSE;
}

enum step imap_bad(struct imap_session *session, const char *text)
{
    const char *tag = session->tag[0] != '\0' ? session->tag : "*";

    metric_inc(METRIC_IMAP_BAD);
    if (imap_say(session, "%s BAD %s\r\n", tag, text) == STEP_CLOSE)
        return STEP_CLOSE;
    if (++session->errors >= imap_settings_of(session)->errors_max)
        return imap_leave(session, "[CLIENTBUG] Too many commands that are none");
    return STEP_AGAIN;
}

bool imap_may_log_in(const struct imap_session *session)
{
    return session->may_log_in_plain || conn_is_under_tls(&session->session.conn);
}

void imap_capability(const struct imap_session *session, struct buf *out)
{
    const struct conn *conn = &session->session.conn;
    uint8_t room[TLS_BINDING_MAX];
    bool fits = buf_printf(out, "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR");

    if (session->work == NULL) {
        if (session->listener->tls == IMAP_TLS_STARTTLS && !conn_is_under_tls(conn))
            fits = fits && buf_printf(out, " STARTTLS");
        if (!imap_may_log_in(session)) {
            fits = fits && buf_printf(out, " LOGINDISABLED");
        } else {
            bool is_bound = conn_is_under_tls(conn) &&
                            (conn_tls_binding(conn, TLS_BINDING_EXPORTER, room) > 0 ||
                             conn_tls_binding(conn, TLS_BINDING_SERVER_END, room) > 0);

            fits = fits && buf_printf(out, " AUTH=PLAIN AUTH=SCRAM-SHA-256%s",
                                      is_bound ? " AUTH=SCRAM-SHA-256-PLUS" : "");
        }
    } else {
        fits =
            fits &&
            buf_printf(
                out,
                " IDLE NAMESPACE UNSELECT CHILDREN UIDPLUS MOVE ESEARCH SEARCHRES"
                " WITHIN CONDSTORE QRESYNC LIST-EXTENDED LIST-STATUS SPECIAL-USE"
                " CREATE-SPECIAL-USE STATUS=SIZE BINARY MULTIAPPEND OBJECTID"
                " SORT SORT=DISPLAY THREAD=ORDEREDSUBJECT METADATA UTF8=ACCEPT NOTIFY"
                " THREAD=REFERENCES SAVEDATE PREVIEW QUOTA QUOTA=RES-STORAGE APPENDLIMIT=%" PRIu64,
                imap_settings_of(session)->message_size_max);
    }
    check(fits);
}

enum step imap_next_command(struct imap_session *session)
{
    frame_begin(&session->frame, session->work != NULL ? COMMAND_MAX : COMMAND_STRANGER_MAX);
    session->tag[0] = '\0';
    session->worked = NULL;
    if (session->session.state != IMAP_COMMAND)
        session_enter(&session->session, IMAP_COMMAND);
    return STEP_AGAIN;
}
