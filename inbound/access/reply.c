/* reply.c - what an engine says to a client. */
#include "inbound/access/session.h"

#include <stdio.h>

enum step access_say(struct access_session *session, const char *format, ...)
{
    char line[ACCESS_REPLY_MAX];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    check(len > 0 && (size_t)len < sizeof(line));
    return conn_write(&session->session.conn, bytes_range(line, (size_t)len)) ? STEP_AGAIN
                                                                              : STEP_CLOSE;
}

enum step access_leave(struct access_session *session, const char *text)
{
    (void)access_say(session, "%s %s\r\n", access_kind_of(session)->last, text);
    return STEP_CLOSE;
}
