/* server_reply.c - the words of a session, and the account of what it refused. */
#include "smtpd/server_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "event/event_privacy.h"
#include "io/tls.h"

enum { SENTENCE_MAX = 1024 };

static enum metric metric_of(const struct verdict *verdict);
static struct smtp_concerned concerned(const struct smtp_server *server);

/* Whom a line concerns, as pairs of it: keys, quoted values; empty where it is not known. */
struct pairs {
    const char *from_key, *from, *to_key, *to;
};
static struct pairs pairs_of(struct smtp_concerned whom);

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
    unsigned errors_max = server->service->limits.errors_max;

    if (server_reply(server, verdict.code, verdict.enhanced, verdict.text) == STEP_CLOSE)
        return STEP_CLOSE;
    if (verdict.close)
        return STEP_CLOSE;
    if (server->error_count <= (errors_max != 0 ? errors_max : SMTP_SERVER_ERRORS_DEFAULT))
        return STEP_AGAIN;
    metric_inc(METRIC_SMTPD_TOO_MANY_ERRORS);
    return server_leave(server, "4.7.0", "Too many errors, closing", "limits.errors");
}

enum step server_leave(struct smtp_server *server, const char *enhanced, const char *text,
                       const char *rule)
{
    struct pairs pairs = pairs_of(concerned(server));
    char name[SESSION_NAME_MAX];

    session_name(&server->session, name);
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s left=\"421 %s %s\" state=%s rule=%s%s%s%s%s",
                name, server->session.peer, enhanced, text,
                smtp_server_state_name((enum smtp_server_state)server->session.state), rule,
                pairs.from_key, pairs.from, pairs.to_key, pairs.to);
    /* Best effort: a peer that reads nothing gets nothing. */
    (void)server_reply(server, 421, enhanced, text);
    return STEP_CLOSE;
}

static struct pairs pairs_of(struct smtp_concerned whom)
{
    struct pairs pairs = {"", "", "", ""};
    char shown[PRIVACY_ADDRESS_MAX];

    if (whom.from.ptr != NULL) {
        pairs.from_key = " from=";
        pairs.from = LOG_TEXT(privacy_address(whom.tenant, whom.from, shown));
    }
    if (whom.to.ptr != NULL) {
        pairs.to_key = " to=";
        pairs.to = LOG_TEXT(privacy_address(whom.tenant, whom.to, shown));
    }
    return pairs;
}

static struct smtp_concerned concerned(const struct smtp_server *server)
{
    const struct smtp_service *service = server->service;

    return service->policy->concerned(service->context, server);
}

/* `said` is told where it was no address. */
static void count(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict,
                  struct smtp_concerned whom, struct bytes said)
{
    static const char *const names[] = {
        [SMTP_MAIL] = "MAIL",       [SMTP_RCPT] = "RCPT", [SMTP_DATA] = "DATA",
        [SMTP_BDAT] = "BDAT",       [SMTP_AUTH] = "AUTH", [SMTP_STARTTLS] = "STARTTLS",
        [SMTP_VERB_UNKNOWN] = NULL,
    };
    const char *said_key = said.len > 0 ? " argument=" : "", *argument = "";
    struct pairs pairs = pairs_of(whom);
    char name[SESSION_NAME_MAX], shown[SENTENCE_MAX], refused[SENTENCE_MAX];
    struct bytes text =
        privacy_text(whom.tenant, bytes_of(verdict->text), whom.to, shown, sizeof(shown));

    metric_inc(metric_of(verdict));
    if (verdict->code >= 500)
        server->error_count++;
    session_name(&server->session, name);
    snprintf(refused, sizeof(refused), "%u %s %.*s", verdict->code, verdict->enhanced,
             BYTES_ARG(text));
    if (said.len > 0)
        argument = LOG_TEXT(privacy_text(whom.tenant, said, BYTES_NONE, shown, sizeof(shown)));
    log_limited(LOG_LEVEL_INFO, "session=%s client=%s refused=%s at=%s rule=%s%s%s%s%s%s%s", name,
                server->session.peer, LOG_STRING(refused),
                names[verb] != NULL ? names[verb] : "command",
                verdict->rule != NULL ? verdict->rule : "service", pairs.from_key, pairs.from,
                pairs.to_key, pairs.to, said_key, argument);
}

void server_count(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict)
{
    count(server, verb, verdict, concerned(server), BYTES_NONE);
}

void server_note(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict,
                 struct bytes address, struct bytes said)
{
    const struct smtp_service *service = server->service;
    struct smtp_refused refused = {verb, *verdict, concerned(server)};

    if (verb == SMTP_MAIL)
        refused.concerned.from = address;
    else if (verb == SMTP_RCPT)
        refused.concerned.to = address;
    count(server, verb, verdict, refused.concerned, address.ptr != NULL ? BYTES_NONE : said);
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

/* "250-AUTH" and the mechanisms, the best first; empty where the client cannot log in now. */
static void put_mechanisms(const struct smtp_server *server, char *line, size_t size)
{
    unsigned mechanisms = server_mechanisms(server, NULL);
    size_t len = 0;

    line[0] = '\0';
    if (mechanisms == 0)
        return;
    len = (size_t)snprintf(line, size, "250-AUTH");
    for (unsigned i = 0; i < SASL_MECHANISM_COUNT; i++)
        if ((mechanisms & (1U << i)) != 0)
            len += (size_t)snprintf(line + len, size - len, " %s",
                                    sasl_mechanism_name((enum sasl_mechanism)i));
    snprintf(line + len, size - len, "\r\n");
}

/* What is offered here is what works. */
enum step server_reply_ehlo(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    char limits[64] = "";
    char mechanisms[96];
    size_t len = 0;

    /* RFC 9422 section 4: only the limits there are. */
    if (service->limits.recipients_max != 0 || service->limits.mails_max != 0)
        len += (size_t)snprintf(limits, sizeof(limits), "250-LIMITS");
    if (service->limits.mails_max != 0)
        len += (size_t)snprintf(limits + len, sizeof(limits) - len, " MAILMAX=%u",
                                service->limits.mails_max);
    if (service->limits.recipients_max != 0)
        len += (size_t)snprintf(limits + len, sizeof(limits) - len, " RCPTMAX=%u",
                                service->limits.recipients_max);
    if (len > 0)
        snprintf(limits + len, sizeof(limits) - len, "\r\n");
    put_mechanisms(server, mechanisms, sizeof(mechanisms));
    /* RFC 1870 section 4: 0 says that there is no fixed limit. */
    if (!conn_printf(&server->session.conn,
                     "250-%s\r\n"
                     "250-PIPELINING\r\n"
                     "250-SIZE %" PRIu64 "\r\n"
                     "250-8BITMIME\r\n"
                     "250-SMTPUTF8\r\n"
                     "250-DSN\r\n"
                     "250-CHUNKING\r\n"
                     "%s%s%s%s"
                     "250 ENHANCEDSTATUSCODES\r\n",
                     service->hostname, service->limits.message_size_max, limits,
                     server_offers_tls(server) ? "250-STARTTLS\r\n" : "",
                     conn_is_under_tls(&server->session.conn) ? "250-REQUIRETLS\r\n" : "",
                     mechanisms))
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
