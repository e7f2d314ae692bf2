/* server_reply.c - the words of a session, and the account of what it refused. */
#include "smtpd/server_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"

static enum metric metric_of(const struct verdict *verdict);

bool server_can_reply(const struct smtp_server *server)
{
    return conn_output_room(&server->session.conn) >= REPLY_ROOM;
}

enum step server_reply(struct smtp_server *server, unsigned code, const char *enhanced,
                       const char *text)
{
    /* Every command begins with REPLY_ROOM free, so this fails for want of memory only: a reply
     * cannot be left out, the session can. */
    if (!conn_printf(&server->session.conn, "%03u %s%s%s\r\n", code,
                     enhanced != NULL ? enhanced : "", enhanced != NULL ? " " : "", text))
        return STEP_CLOSE;
    return STEP_AGAIN;
}

enum step server_say(struct smtp_server *server, struct verdict verdict)
{
    unsigned errors_max = server->service->errors_max;

    if (server_reply(server, verdict.code, verdict.enhanced, verdict.text) == STEP_CLOSE)
        return STEP_CLOSE;
    if (verdict.close)
        return STEP_CLOSE;
    if (server->error_count <= (errors_max != 0 ? errors_max : SMTP_SERVER_ERRORS_DEFAULT))
        return STEP_AGAIN;
    metric_inc(METRIC_SMTPD_TOO_MANY_ERRORS);
    return server_leave(server, "4.7.0", "Too many errors, closing");
}

enum step server_leave(struct smtp_server *server, const char *enhanced, const char *text)
{
    log_limited(LOG_LEVEL_INFO, "session=%u.%" PRIu64 " client=%s left=\"421 %s %s\" state=%s",
                engine_index(server->session.conn.engine), server->session.serial,
                server->session.peer, enhanced, text,
                smtp_server_state_name((enum smtp_server_state)server->session.state));
    /* Best effort: a peer that reads nothing gets nothing. */
    (void)server_reply(server, 421, enhanced, text);
    return STEP_CLOSE;
}

/* Whom it concerned, as one more pair of the line: the address, or what was no address. */
static const char *concerned_key(enum smtp_verb verb, struct bytes address, struct bytes said)
{
    if (address.ptr != NULL)
        return verb == SMTP_MAIL ? " from=" : " to=";
    return said.len > 0 ? " argument=" : "";
}

static void count(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict,
                  struct bytes address, struct bytes said)
{
    static const char *const names[] = {
        [SMTP_MAIL] = "MAIL", [SMTP_RCPT] = "RCPT",       [SMTP_DATA] = "DATA",
        [SMTP_BDAT] = "BDAT", [SMTP_VERB_UNKNOWN] = NULL,
    };
    const char *key = concerned_key(verb, address, said);

    metric_inc(metric_of(verdict));
    if (verdict->code >= 500)
        server->error_count++;
    log_limited(LOG_LEVEL_INFO,
                "session=%u.%" PRIu64 " client=%s refused=\"%u %s %s\" at=%s rule=%s%s%s",
                engine_index(server->session.conn.engine), server->session.serial,
                server->session.peer, verdict->code, verdict->enhanced, verdict->text,
                names[verb] != NULL ? names[verb] : "command",
                verdict->rule != NULL ? verdict->rule : "service", key,
                key[0] == '\0' ? "" : LOG_TEXT(address.ptr != NULL ? address : said));
}

void server_count(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict)
{
    count(server, verb, verdict, BYTES_NONE, BYTES_NONE);
}

void server_note(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict,
                 struct bytes address, struct bytes said)
{
    const struct smtp_service *service = server->service;
    struct smtp_refused refused = {verb, *verdict, address};

    count(server, verb, verdict, address, said);
    service->policy->refused(service->context, server, &refused);
}

enum step server_refuse(struct smtp_server *server, enum smtp_verb verb, struct verdict verdict)
{
    server_count(server, verb, &verdict);
    return server_say(server, verdict);
}

enum step server_reply_greeting(struct smtp_server *server)
{
    if (!conn_printf(&server->session.conn, "220 %s ESMTP ringpost\r\n", server->service->hostname))
        return STEP_CLOSE;
    return STEP_AGAIN;
}

/* What is offered here is what works; STARTTLS and AUTH join when they do. */
enum step server_reply_ehlo(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    char limits[64] = "";
    size_t len = 0;

    /* RFC 9422 section 4: only the limits there are. */
    if (service->recipients_max != 0 || service->mails_max != 0)
        len += (size_t)snprintf(limits, sizeof(limits), "250-LIMITS");
    if (service->mails_max != 0)
        len +=
            (size_t)snprintf(limits + len, sizeof(limits) - len, " MAILMAX=%u", service->mails_max);
    if (service->recipients_max != 0)
        len += (size_t)snprintf(limits + len, sizeof(limits) - len, " RCPTMAX=%u",
                                service->recipients_max);
    if (len > 0)
        snprintf(limits + len, sizeof(limits) - len, "\r\n");
    /* RFC 1870 section 4: 0 says that there is no fixed limit. */
    if (!conn_printf(&server->session.conn,
                     "250-%s\r\n"
                     "250-PIPELINING\r\n"
                     "250-SIZE %" PRIu64 "\r\n"
                     "250-8BITMIME\r\n"
                     "250-SMTPUTF8\r\n"
                     "250-DSN\r\n"
                     "250-CHUNKING\r\n"
                     "%s"
                     "250 ENHANCEDSTATUSCODES\r\n",
                     service->hostname, service->message_size_max, limits))
        return STEP_CLOSE;
    return STEP_AGAIN;
}

/* The class of a refusal is the subject of its enhanced code (RFC 3463 section 3). */
static enum metric metric_of(const struct verdict *verdict)
{
    static const enum metric subjects[] = {
        METRIC_SMTPD_REFUSED_OTHER,   METRIC_SMTPD_REFUSED_ADDRESS, METRIC_SMTPD_REFUSED_MAILBOX,
        METRIC_SMTPD_REFUSED_SYSTEM,  METRIC_SMTPD_REFUSED_NETWORK, METRIC_SMTPD_REFUSED_PROTOCOL,
        METRIC_SMTPD_REFUSED_CONTENT, METRIC_SMTPD_REFUSED_POLICY,
    };
    const char *enhanced = verdict->enhanced;

    if (enhanced == NULL || strlen(enhanced) < 3 || enhanced[2] < '0' || enhanced[2] > '7')
        return METRIC_SMTPD_REFUSED_OTHER;
    return subjects[enhanced[2] - '0'];
}
