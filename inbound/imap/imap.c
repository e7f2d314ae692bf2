/* imap.c - what IMAP brings to the sessions of readers. */
#include "inbound/imap/imap.h"

#include <stdio.h>

#include "inbound/imap/work.h"

static void begin(struct access_session *access)
{
    frame_init(&imap_session_from(access)->frame, COMMAND_STRANGER_MAX);
}

static void ended(struct access_session *access)
{
    frame_free(&imap_session_from(access)->frame);
}

static size_t held(const struct access_session *access)
{
    const struct imap_session *session = container_of(access, struct imap_session, access);
    const struct imap_work *work = imap_work_of(session);

    return session->frame.text.capacity + (work != NULL ? work_memory(work) : 0);
}

static enum step answer(struct access_session *access, const char *text)
{
    return imap_answer(imap_session_from(access), text);
}

static enum step bad(struct access_session *access, const char *text)
{
    return imap_bad(imap_session_from(access), text);
}

static enum step next_command(struct access_session *access)
{
    return imap_next_command(imap_session_from(access));
}

static enum step greet(struct access_session *access)
{
    char text[ACCESS_REPLY_MAX / 2];

    return access_say(access, "* OK [%s] %s ringpost\r\n",
                      imap_capability_text(imap_session_from(access), text, sizeof(text)),
                      access_settings_of(access)->hostname);
}

static enum step logged_in(struct access_session *access)
{
    struct imap_session *session = imap_session_from(access);
    char text[ACCESS_REPLY_MAX / 2];

    if (imap_say(session, "%s OK [%s] Logged in\r\n", session->tag,
                 imap_capability_text(session, text, sizeof(text))) == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_next_command(session);
}

static enum step worked(struct access_session *access)
{
    struct imap_session *session = imap_session_from(access);

    return session->worked != NULL ? session->worked(session) : imap_next_command(session);
}

const struct access_kind imap_access = {
    .name = "imap",
    .session_size = sizeof(struct imap_session),
    .work_size = sizeof(struct imap_work),
    .out_max = WORK_OUT_MAX,
    .protocol = &imap_protocol,
    .idle_states = 1U << ACCESS_COMMAND | 1U << IMAP_IDLE,
    .refused = METRIC_IMAP_REFUSED,
    .shed = METRIC_IMAP_SHED,
    .timeouts = METRIC_IMAP_TIMEOUTS,
    .last = "* BYE",
    .words =
        {
            .starttls = "STARTTLS",
            .begin_tls = "OK Begin TLS negotiation now",
            .no_tls = "NO [UNAVAILABLE] TLS cannot be started now",
            .no_login = "NO [UNAVAILABLE] No login is possible now",
            .wrong_login = "NO [AUTHENTICATIONFAILED] Authentication failed",
            .blocked = {"NO [LIMIT] Too many failed logins from your network", "Try again later"},
            .last_failure = {"NO [AUTHENTICATIONFAILED] Authentication failed",
                             "Too many failed logins"},
            .timeout = "Autologout, nothing was said for too long",
            .expired = "[EXPIRED] Your login is not good any more",
            .unavailable = "[UNAVAILABLE]",
            .limit = "[LIMIT]",
        },
    .begin = begin,
    .held = held,
    .answer = answer,
    .bad = bad,
    .next_command = next_command,
    .greet = greet,
    .logged_in = logged_in,
    .ended = ended,
    .work_init = work_init,
    .work_run = work_run,
    .work_enter = work_enter,
    .work_leave = work_leave,
    .work_close = work_close,
    .work_is_held = work_is_held,
    .work_free = work_free,
    .worked = worked,
};
