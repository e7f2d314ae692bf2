/* pop3.c - what POP3 brings to the sessions of readers. */
#include "inbound/pop3/pop3.h"

#include <stdlib.h>

#include "inbound/pop3/work.h"

static size_t held(const struct access_session *access)
{
    return access->work != NULL ? maildrop_memory(&pop3_work_from(access->work)->maildrop) : 0;
}

static enum step answer(struct access_session *access, const char *text)
{
    return access_say(access, "%s\r\n", text);
}

static enum step bad(struct access_session *access, const char *text)
{
    return pop3_bad(pop3_session_from(access), text);
}

static enum step next_command(struct access_session *access)
{
    return pop3_next_command(pop3_session_from(access));
}

static enum step greet(struct access_session *access)
{
    return access_say(access, "+OK %s ringpost\r\n", access_settings_of(access)->hostname);
}

static void forget(struct access_session *access)
{
    struct pop3_session *session = pop3_session_from(access);

    free(session->user);
    session->user = NULL;
}

static enum step logged_in(struct access_session *access)
{
    return pop3_work_open(pop3_work_from(access->work));
}

const struct access_kind pop3_access = {
    .name = "pop3",
    .session_size = sizeof(struct pop3_session),
    .work_size = sizeof(struct pop3_work),
    .out_max = 1 << 20,
    .protocol = &pop3_protocol,
    .idle_states = 1U << ACCESS_COMMAND,
    .refused = METRIC_POP3_REFUSED,
    .shed = METRIC_POP3_SHED,
    .timeouts = METRIC_POP3_TIMEOUTS,
    .last = "-ERR",
    .words =
        {
            .starttls = "STLS",
            .begin_tls = "+OK Begin TLS negotiation now",
            .no_tls = "-ERR [SYS/TEMP] TLS cannot be started now",
            .no_login = "-ERR [SYS/TEMP] No login is possible now",
            .wrong_login = "-ERR [AUTH] Authentication failed",
            .blocked = {NULL, "[SYS/TEMP] Too many failed logins from your network"},
            .last_failure = {NULL, "[AUTH] Authentication failed, too often"},
            .timeout = "Nothing was said for too long",
            .expired = "[AUTH] Your login is not good any more",
            .unavailable = "[SYS/TEMP]",
            .limit = "[SYS/TEMP]",
        },
    .held = held,
    .answer = answer,
    .bad = bad,
    .next_command = next_command,
    .greet = greet,
    .forget = forget,
    .logged_in = logged_in,
    .work_init = pop3_work_init,
    .work_run = pop3_work_run,
    .work_enter = pop3_work_enter,
    .work_leave = pop3_work_leave,
    .work_close = pop3_work_close,
    .work_free = pop3_work_free,
};
