/* reply.c - what an engine says to a client, and the step to the next command. */
#include "inbound/imap/session.h"

#include <inttypes.h>
#include <stdio.h>

#include "inbound/access/login.h"
#include "inbound/access/tls.h"

enum step imap_answer(struct imap_session *session, const char *status_and_text)
{
    return imap_say(session, "%s %s\r\n", session->tag, status_and_text);
}

bool imap_may_go_on(struct imap_session *session, enum step *step_out)
{
    if (access_login_still_good(&session->access))
        return true;
    *step_out = imap_leave(session, access_kind_of(&session->access)->words.expired);
    return false;
}

enum step imap_bad(struct imap_session *session, const char *text)
{
    const char *tag = session->tag[0] != '\0' ? session->tag : "*";

    metric_inc(METRIC_IMAP_BAD);
    if (imap_say(session, "%s BAD %s%s\r\n", tag, text[0] == '[' ? "" : "[CLIENTBUG] ", text) ==
        STEP_CLOSE)
        return STEP_CLOSE;
    if (++session->access.errors >= access_settings_of(&session->access)->errors_max)
        return imap_leave(session, "[CLIENTBUG] Too many commands that are none");
    return STEP_AGAIN;
}

static void put_capability(const struct imap_session *session, struct buf *out)
{
    bool fits = buf_printf(out, "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR");

    if (session->access.work == NULL) {
        if (access_offers_starttls(&session->access))
            fits = fits && buf_printf(out, " STARTTLS");
        if (!access_may_log_in(&session->access))
            fits = fits && buf_printf(out, " LOGINDISABLED");
        else
            fits = fits && buf_printf(out, " AUTH=PLAIN AUTH=SCRAM-SHA-256%s",
                                      access_offers(&session->access, SASL_SCRAM_SHA_256_PLUS)
                                          ? " AUTH=SCRAM-SHA-256-PLUS"
                                          : "");
    } else {
        fits =
            fits &&
            buf_printf(
                out,
                " IDLE COMPRESS=DEFLATE NAMESPACE UNSELECT CHILDREN UIDPLUS MOVE ESEARCH SEARCHRES"
                " WITHIN CONDSTORE QRESYNC LIST-EXTENDED LIST-STATUS SPECIAL-USE"
                " CREATE-SPECIAL-USE STATUS=SIZE BINARY MULTIAPPEND REPLACE UIDONLY INPROGRESS"
                " OBJECTID SORT SORT=DISPLAY THREAD=ORDEREDSUBJECT METADATA UTF8=ACCEPT"
                " NOTIFY"
                " THREAD=REFERENCES SAVEDATE PREVIEW QUOTA QUOTA=RES-STORAGE APPENDLIMIT=%" PRIu64,
                access_settings_of(&session->access)->message_size_max);
    }
    check(fits);
}

const char *imap_capability_text(const struct imap_session *session, char *room, size_t size)
{
    struct buf text;

    buf_init(&text, size - 1);
    put_capability(session, &text);
    snprintf(room, size, "%.*s", BYTES_ARG(buf_bytes(&text)));
    buf_free(&text);
    return room;
}

enum step imap_next_command(struct imap_session *session)
{
    frame_begin(&session->frame, session->access.work != NULL ? COMMAND_MAX : COMMAND_STRANGER_MAX);
    session->tag[0] = '\0';
    session->worked = NULL;
    if (session->access.session.state != ACCESS_COMMAND)
        session_enter(&session->access.session, ACCESS_COMMAND);
    return STEP_AGAIN;
}
