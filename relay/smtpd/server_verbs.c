/* server_verbs.c - one command line at a time: which verbs there are, when they are allowed, and
 * what they answer. */
#include "smtpd/server_parts.h"

#include <string.h>

#include "base/metric.h"
#include "io/tls.h"

enum { RECIPIENTS_PAST_MAX = 1000 /* Postfix's smtpd_recipient_overshoot_limit */ };

struct verb {
    const char *name;
    unsigned needs; /* NEEDS_* bits */
    bool is_alone;  /* takes no argument */
    bool is_idle;   /* moves nothing: bounded between two messages */
    enum step (*handle)(struct smtp_server *server, struct bytes argument);
};

static enum step handle_ehlo(struct smtp_server *server, struct bytes argument);
static enum step handle_helo(struct smtp_server *server, struct bytes argument);
static enum step handle_mail(struct smtp_server *server, struct bytes argument);
static enum step handle_rcpt(struct smtp_server *server, struct bytes argument);
static enum step handle_rset(struct smtp_server *server, struct bytes argument);
static enum step handle_noop(struct smtp_server *server, struct bytes argument);
static enum step handle_vrfy(struct smtp_server *server, struct bytes argument);
static enum step handle_help(struct smtp_server *server, struct bytes argument);
static enum step handle_quit(struct smtp_server *server, struct bytes argument);
static enum step handle_not_here(struct smtp_server *server, struct bytes argument);
static enum step handle_unknown(struct smtp_server *server, struct bytes argument);
static enum step skip_line(struct smtp_server *server);
static enum step take_command(struct smtp_server *server, struct bytes line, bool has_more);
static enum step mail_answered(struct smtp_server *server, const struct smtp_mail *mail,
                               struct bytes argument, struct verdict verdict);
static enum step rcpt_answered(struct smtp_server *server, const struct smtp_rcpt *rcpt,
                               struct bytes argument, struct verdict verdict);

static const struct verb verbs[] = {
    [SMTP_EHLO] = {"EHLO", 0, false, false, handle_ehlo},
    [SMTP_HELO] = {"HELO", 0, false, false, handle_helo},
    [SMTP_MAIL] = {"MAIL", NEEDS_TLS | NEEDS_HELLO | NEEDS_NO_MAIL, false, false, handle_mail},
    [SMTP_RCPT] = {"RCPT", NEEDS_HELLO | NEEDS_MAIL | NEEDS_NO_CHUNKS, false, false, handle_rcpt},
    [SMTP_DATA] = {"DATA", NEEDS_HELLO | NEEDS_MAIL | NEEDS_NO_CHUNKS | NEEDS_RECIPIENT, true,
                   false, handle_data},
    /* A chunk follows a BDAT out of order too: the handler says 503 when it was read. */
    [SMTP_BDAT] = {"BDAT", 0, false, false, handle_bdat},
    [SMTP_RSET] = {"RSET", 0, true, true, handle_rset},
    [SMTP_NOOP] = {"NOOP", 0, false, true, handle_noop},
    [SMTP_VRFY] = {"VRFY", 0, false, true, handle_vrfy},
    [SMTP_EXPN] = {"EXPN", 0, false, true, handle_not_here},
    [SMTP_HELP] = {"HELP", 0, false, true, handle_help},
    [SMTP_QUIT] = {"QUIT", 0, true, false, handle_quit},
    /* Out of order only where it is offered, so the handler says it. */
    [SMTP_STARTTLS] = {"STARTTLS", 0, true, true, handle_starttls},
    [SMTP_AUTH] = {"AUTH", NEEDS_HELLO | NEEDS_NO_MAIL, false, true, handle_auth},
    [SMTP_VERB_UNKNOWN] = {"", 0, false, false, handle_unknown},
};

enum step command_step(struct session *session)
{
    struct smtp_server *server = server_of(session);
    struct bytes input = conn_input(&server->session.conn);
    struct bytes rest = input;
    struct bytes line;

    if (!server_can_reply(server))
        return STEP_WAIT; /* the peer does not read; its deadline runs */
    if (server->skips_line)
        return skip_line(server);
    bool is_login = bytes_starts_nocase(input, BYTES("AUTH "));
    switch (smtp_line_take(&rest, is_login ? AUTH_LINE_MAX : COMMAND_LINE_MAX, &line)) {
    case SMTP_LINE_PARTIAL:
        return server->session.conn.eof ? STEP_CLOSE : STEP_WAIT;
    case SMTP_LINE_TOO_LONG:
        server->skips_line = true;
        server->skips_login = is_login;
        return STEP_AGAIN;
    case SMTP_LINE_BARE:
        conn_consume(&server->session.conn, input.len - rest.len);
        return server_refuse(server, SMTP_VERB_UNKNOWN,
                             VERDICT(500, "5.5.2", "A bare CR or NUL stands in the command line",
                                     "bare-newline"));
    case SMTP_LINE_BARE_LF:
        return server_refuse_bare_lf(server);
    case SMTP_LINE_WHOLE:
        break;
    }
    enum step next = take_command(server, line, rest.len > 0);
    if (session->state == SERVER_ASKING) /* the line waits for the answer */
        server->question.line_len = (uint32_t)(input.len - rest.len);
    else
        conn_consume(&server->session.conn, input.len - rest.len);
    return next;
}

/* Who gets a LF into an address or a name of an application's makes it end its line there. What
 * follows is then that somebody's, not the application's: none of it is read as commands. */
enum step server_refuse_bare_lf(struct smtp_server *server)
{
    conn_consume(&server->session.conn, conn_input(&server->session.conn).len);
    (void)server_refuse(server, SMTP_VERB_UNKNOWN,
                        VERDICT(500, "5.5.2", "Lines end in CRLF, not in a bare LF; closing",
                                "bare-newline"));
    return STEP_CLOSE;
}

/* A line that is too long is dropped up to its end, then answered once. */
static enum step skip_line(struct smtp_server *server)
{
    struct bytes input = conn_input(&server->session.conn);
    size_t lf = bytes_find(input, '\n', 0);

    if (lf == input.len) {
        /* A CR at the end may be half of a CRLF. */
        bool ends_in_cr = input.len > 0 && input.ptr[input.len - 1] == '\r';
        conn_consume(&server->session.conn, input.len - ends_in_cr);
        return server->session.conn.eof ? STEP_CLOSE : STEP_WAIT;
    }
    if (lf == 0 || input.ptr[lf - 1] != '\r')
        return server_refuse_bare_lf(server);
    conn_consume(&server->session.conn, lf + 1);
    server->skips_line = false;
    if (server->skips_login)
        return login_line_too_long(server);
    /* 5.5.6 looks fit but is registered for AUTH exchanges alone (RFC 4954 section 4). */
    return server_refuse(server, SMTP_VERB_UNKNOWN,
                         VERDICT(500, "5.5.2", "The command line is too long", "command-length"));
}

/* Must a client read the answer before it sends more? RFC 2920 section 3.1. */
static bool ends_group(const struct smtp_server *server, enum smtp_verb verb)
{
    return !server->is_esmtp || verb == SMTP_EHLO || verb == SMTP_HELO || verb == SMTP_DATA ||
           verb == SMTP_AUTH;
}

enum step server_refuse_early(struct smtp_server *server)
{
    metric_inc(METRIC_SMTPD_EARLY_TALKERS);
    return server_refuse(server, SMTP_VERB_UNKNOWN,
                         (struct verdict){554, "5.5.0", "You talk before it is your turn; closing",
                                          "early-talker", true});
}

enum step server_count_idle(struct smtp_server *server)
{
    unsigned max = server->service->limits.idle_commands_max;

    if (++server->idle_count <= (max != 0 ? max : SMTP_SERVER_IDLE_DEFAULT))
        return STEP_AGAIN;
    metric_inc(METRIC_SMTPD_TOO_MANY_IDLE);
    return server_leave(server, "4.7.0", "Too many commands that move nothing, closing",
                        "limits.idle_commands");
}

bool server_talks_early(const struct smtp_server *server, bool has_more)
{
    return server->is_stranger && (has_more || conn_has_unread(&server->session.conn));
}

/* It has not waited for the answer to `verb`, and must have. */
static bool talks_early(const struct smtp_server *server, enum smtp_verb verb, bool has_more)
{
    return ends_group(server, verb) && server_talks_early(server, has_more);
}

static enum step take_command(struct smtp_server *server, struct bytes line, bool has_more)
{
    struct smtp_command command;

    smtp_command_parse(line, &command);
    server->command_count++;
    metric_inc(METRIC_SMTPD_COMMANDS);
    const struct verb *verb = &verbs[command.verb];
    if (talks_early(server, command.verb, has_more))
        return server_refuse_early(server);
    if (verb->is_idle && server_count_idle(server) == STEP_CLOSE)
        return STEP_CLOSE;
    struct verdict verdict = server_out_of_order(server, verb->needs);
    if (verdict.code != 0)
        return server_refuse(server, command.verb, verdict);
    if (verb->is_alone && command.argument.len > 0)
        return server_refuse(server, command.verb,
                             VERDICT(501, "5.5.4", "This command takes no argument", "syntax"));
    return verb->handle(server,
                        command.verb == SMTP_VERB_UNKNOWN ? command.verb_text : command.argument);
}

struct verdict server_out_of_order(const struct smtp_server *server, unsigned needs)
{
    const struct smtp_transaction *transaction = &server->transaction;

    if ((needs & NEEDS_TLS) != 0 && server->needs_tls && !server->is_authenticated &&
        !conn_is_under_tls(&server->session.conn))
        return VERDICT(530, "5.7.0", "Say STARTTLS first", "tls"); /* RFC 3207 section 4 */
    if ((needs & NEEDS_HELLO) != 0 && !server->has_greeted)
        return VERDICT(503, "5.5.1", "Say EHLO first", "sequence");
    if ((needs & NEEDS_NO_MAIL) != 0 && transaction->is_open)
        return VERDICT(503, "5.5.1", "A transaction is open already; RSET ends it", "sequence");
    if ((needs & NEEDS_MAIL) != 0 && !transaction->is_open)
        return VERDICT(503, "5.5.1", "Say MAIL first", "sequence");
    if ((needs & NEEDS_NO_CHUNKS) != 0 && transaction->has_chunks)
        return VERDICT(503, "5.5.1", "BDAT has begun; end it with LAST or RSET", "sequence");
    if ((needs & NEEDS_RECIPIENT) != 0 && transaction->recipient_count == 0) {
        if (transaction->refused_count != 0)
            return VERDICT(554, "5.5.1", "No valid recipients", "sequence");
        return VERDICT(503, "5.5.1", "Say RCPT first", "sequence");
    }
    return VERDICT_OK;
}

/* EHLO and HELO, at any time, start afresh (RFC 5321 section 4.1.4). */
static enum step greet(struct smtp_server *server, struct bytes argument, bool is_esmtp)
{
    struct bytes name;
    bool is_strict;

    if (server->has_greeted && server_count_idle(server) == STEP_CLOSE)
        return STEP_CLOSE;
    if (!smtp_ehlo_parse(argument, &name, &is_strict))
        return server_refuse(server, SMTP_VERB_UNKNOWN,
                             VERDICT(501, "5.5.4", "Say who you are: a domain or an address",
                                     "syntax"));
    server_reset(server);
    server->incoming.broken = VERDICT_OK;
    size_t len = MIN(name.len, sizeof(server->ehlo) - 1);
    memcpy(server->ehlo, name.ptr, len);
    server->ehlo[len] = '\0';
    server->has_greeted = true;
    server->is_esmtp = is_esmtp;
    if (is_esmtp)
        return server_reply_ehlo(server);
    return server_reply(server, 250, NULL, server->service->hostname);
}

static enum step handle_ehlo(struct smtp_server *server, struct bytes argument)
{
    return greet(server, argument, true);
}

static enum step handle_helo(struct smtp_server *server, struct bytes argument)
{
    return greet(server, argument, false);
}

/* A client that goes on with what is refused for now brings nothing on either. */
static enum step say_for_now(struct smtp_server *server, struct verdict verdict)
{
    if (verdict.code < 500 && server_count_idle(server) == STEP_CLOSE)
        return STEP_CLOSE;
    return server_say(server, verdict);
}

/* Old clients put a space there, and every server takes it. */
static struct verdict judge_lax(const struct smtp_server *server)
{
    if (server->service->limits.is_strict)
        return VERDICT(501, "5.5.4", "No space is allowed behind the colon",
                       "limits.strict_syntax");
    metric_inc(METRIC_SMTPD_LAX_SYNTAX);
    return VERDICT_OK;
}

/* What the grammar has against an argument; most of it is syntax. */
static struct verdict verdict_of(const struct smtp_refusal *why)
{
    const char *rule = "syntax";

    if (bytes_equal(bytes_of(why->enhanced), BYTES("5.6.7")))
        rule = "smtputf8";
    else if (bytes_equal(bytes_of(why->enhanced), BYTES("5.3.4")))
        rule = "limits.message_size"; /* more than any limit: twenty digits of SIZE */
    return VERDICT(why->code, why->enhanced, why->text, rule);
}

/* What the session itself has against a MAIL that can be read. */
static struct verdict judge_mail(const struct smtp_server *server, const struct smtp_mail *mail)
{
    const struct smtp_service *service = server->service;

    if (service->limits.mails_max != 0 && server->mail_count >= service->limits.mails_max)
        return VERDICT(452, "4.5.3", "Too many transactions in this session", "mails_max");
    /* RFC 4954 section 5: only where AUTH is offered. Who vouches for whom is then our own matter,
     * as it says: the value is as good as <>. */
    if (mail->has_auth && !server->is_authenticated && server_mechanisms(server, NULL) == 0)
        return VERDICT(555, "5.5.4", "AUTH= is not offered here", "syntax");
    if (mail->requiretls && !conn_is_under_tls(&server->session.conn)) /* RFC 8689 section 2 */
        return VERDICT(555, "5.5.4", "REQUIRETLS is offered under TLS only", "requiretls");
    if (mail->reverse_path.text.len > 0 && mail->reverse_path.domain.len == 0)
        return VERDICT(553, "5.1.7", "The sender's address needs a domain", "syntax");
    if (service->limits.message_size_max != 0 && mail->size > service->limits.message_size_max)
        return VERDICT(552, "5.3.4", "The message is larger than we take (see SIZE)",
                       "limits.message_size"); /* RFC 1870 section 6.1 */
    return VERDICT_OK;
}

static enum step handle_mail(struct smtp_server *server, struct bytes argument)
{
    const struct smtp_service *service = server->service;
    struct smtp_mail mail = {0};
    struct smtp_refusal why;
    struct verdict verdict;

    if (!smtp_mail_parse(argument, &mail, &why))
        verdict = verdict_of(&why);
    else
        verdict = judge_mail(server, &mail);
    if (verdict.code == 0 && mail.is_lax)
        verdict = judge_lax(server);
    if (verdict.code == 0)
        verdict = service->policy->mail(service->context, server, &mail);
    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_MAIL, &verdict))
        return STEP_WAIT;
    return mail_answered(server, &mail, argument, verdict);
}

static enum step mail_answered(struct smtp_server *server, const struct smtp_mail *mail,
                               struct bytes argument, struct verdict verdict)
{
    if (verdict.code != 0) {
        server_note(server, SMTP_MAIL, &verdict, mail->reverse_path.text, argument);
        return say_for_now(server, verdict);
    }
    server->transaction.is_open = true;
    server->transaction.is_smtputf8 = mail->smtputf8;
    server->incoming.broken = VERDICT_OK;
    server->mail_count++;
    return server_reply(server, 250, "2.1.0", "Sender ok");
}

static struct verdict judge_rcpt(const struct smtp_server *server, const struct smtp_rcpt *rcpt)
{
    const struct smtp_service *service = server->service;

    if (rcpt->forward_path.is_utf8 && !server->transaction.is_smtputf8) /* RFC 6531 section 3.5 */
        return VERDICT(553, "5.6.7", "A UTF-8 address needs SMTPUTF8 with MAIL", "smtputf8");
    if (service->limits.recipients_max != 0 &&
        server->transaction.recipient_count >= service->limits.recipients_max)
        /* The client sends the rest in another transaction: RFC 5321 section 4.5.3.1.10. */
        return VERDICT(452, "4.5.3", "Too many recipients", "limits.recipients");
    return VERDICT_OK;
}

static enum step handle_rcpt(struct smtp_server *server, struct bytes argument)
{
    const struct smtp_service *service = server->service;
    struct smtp_rcpt rcpt = {0};
    struct smtp_refusal why;
    struct verdict verdict;

    if (!smtp_rcpt_parse(argument, &rcpt, &why))
        verdict = verdict_of(&why);
    else
        verdict = judge_rcpt(server, &rcpt);
    if (verdict.code == 0 && rcpt.is_lax)
        verdict = judge_lax(server);
    if (verdict.code == 0)
        verdict = service->policy->rcpt(service->context, server, &rcpt);
    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_RCPT, &verdict))
        return STEP_WAIT;
    return rcpt_answered(server, &rcpt, argument, verdict);
}

static enum step rcpt_answered(struct smtp_server *server, const struct smtp_rcpt *rcpt,
                               struct bytes argument, struct verdict verdict)
{
    if (verdict.code != 0) {
        server->transaction.refused_count++;
        server_note(server, SMTP_RCPT, &verdict, rcpt->forward_path.text, argument);
        /* Clients that do not know the limit are let run past it: they send the rest later. */
        if (server->transaction.refused_count > RECIPIENTS_PAST_MAX)
            return say_for_now(server, verdict);
        return server_say(server, verdict);
    }
    server->transaction.recipient_count++;
    return server_reply(server, 250, "2.1.5", "Recipient ok");
}

/* The grammar took this line when the question was asked; it is read again. */
static enum step go_on(struct smtp_server *server, const struct smtp_command *command,
                       struct verdict verdict)
{
    struct smtp_mail mail = {0};
    struct smtp_rcpt rcpt = {0};
    struct smtp_refusal why;
    bool is_good;

    switch (command->verb) {
    case SMTP_MAIL:
        is_good = smtp_mail_parse(command->argument, &mail, &why);
        check(is_good);
        return mail_answered(server, &mail, command->argument, verdict);
    case SMTP_RCPT:
        is_good = smtp_rcpt_parse(command->argument, &rcpt, &why);
        check(is_good);
        return rcpt_answered(server, &rcpt, command->argument, verdict);
    case SMTP_DATA:
        return data_answered(server, verdict);
    default:
        check(command->verb == SMTP_BDAT);
        return bdat_answered(server, command->argument, verdict);
    }
}

enum step command_answered(struct smtp_server *server, uint32_t line_len, struct verdict verdict)
{
    struct conn *conn = &server->session.conn;
    struct bytes input = conn_input(conn);
    struct bytes rest = input;
    struct bytes line;
    struct smtp_command command;

    bool is_whole = smtp_line_take(&rest, COMMAND_LINE_MAX, &line) == SMTP_LINE_WHOLE;
    check(is_whole);
    check(input.len - rest.len == line_len);
    smtp_command_parse(line, &command);
    session_enter(&server->session, SERVER_COMMAND);
    enum step next;
    if (talks_early(server, command.verb, rest.len > 0)) {
        if (command.verb == SMTP_MAIL && verdict.code == 0)
            server->transaction.is_open = true; /* the service has one: it is to be reset */
        next = server_refuse_early(server);
    } else {
        next = go_on(server, &command, verdict);
    }
    conn_consume(conn, line_len);
    return next;
}

static enum step handle_rset(struct smtp_server *server,
                             struct bytes argument __attribute__((unused)))
{
    server_reset(server);
    server->incoming.broken = VERDICT_OK;
    return server_reply(server, 250, "2.0.0", "Ok");
}

static enum step handle_noop(struct smtp_server *server,
                             struct bytes argument __attribute__((unused)))
{
    return server_reply(server, 250, "2.0.0", "Ok");
}

/* 2.1.5 (destination address) with RFC 5321 section 3.5.3's 252: addressing is what it is about,
 * and "cannot verify, but will take and try" is the truth of every address here. */
static enum step handle_vrfy(struct smtp_server *server, struct bytes argument)
{
    if (argument.len == 0)
        return server_refuse(server, SMTP_VERB_UNKNOWN,
                             VERDICT(501, "5.5.4", "Which address?", "syntax"));
    return server_reply(server, 252, "2.1.5", "Cannot verify; mail for it will be tried");
}

static enum step handle_help(struct smtp_server *server,
                             struct bytes argument __attribute__((unused)))
{
    return server_reply(
        server, 214, "2.0.0",
        "EHLO HELO AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 5321");
}

static enum step handle_quit(struct smtp_server *server,
                             struct bytes argument __attribute__((unused)))
{
    (void)server_reply(server, 221, "2.0.0", "Bye");
    return STEP_CLOSE;
}

/* Known, not offered: RFC 5321 section 4.2.4. */
static enum step handle_not_here(struct smtp_server *server,
                                 struct bytes argument __attribute__((unused)))
{
    return server_refuse(server, SMTP_VERB_UNKNOWN,
                         VERDICT(502, "5.5.1", "This command is not offered here", "not-offered"));
}

static enum step handle_unknown(struct smtp_server *server, struct bytes verb)
{
    static const struct bytes http[] = {BYTES("GET"),     BYTES("POST"),    BYTES("PUT"),
                                        BYTES("CONNECT"), BYTES("OPTIONS"), BYTES("HEAD")};

    /* A browser made to post mail to a trusted port on this machine: what it sends behind its
     * headers would be commands. */
    for (size_t i = 0; i < ARRAY_LEN(http); i++)
        if (bytes_equal_nocase(verb, http[i]))
            return server_refuse(server, SMTP_VERB_UNKNOWN,
                                 (struct verdict){421, "4.7.0", "This is an SMTP server, closing",
                                                  "http", true});
    return server_refuse(server, SMTP_VERB_UNKNOWN,
                         VERDICT(500, "5.5.1", "Unknown command", "unknown-command"));
}
