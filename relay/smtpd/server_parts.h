/*
 * server_parts.h - what the files of an SMTP server session share; nobody else includes it.
 *
 * smtp_server.c has the states, server_verbs.c takes commands, server_content.c takes content,
 * server_pace.c bounds the time that takes, server_auth.c takes logins, server_question.c waits for
 * the service's answers, server_tls.c puts the session under TLS, server_reply.c words the replies
 * and keeps account of what was refused.
 *
 * A circle of server_auth.c, server_content.c, server_pace.c, server_question.c, server_reply.c,
 * server_tls.c, server_verbs.c and smtp_server.c: a state's step takes what came, a verb or an
 * answer of the service may enter any other state, and each of them ends in a reply or the end.
 */
#pragma once

#include "smtpd/smtp_server.h"

enum {
    COMMAND_LINE_MAX = 2048,   /* with CRLF: RFC 5321 section 4.5.3.1.4's 512, and what SIZE, BODY,
                                SMTPUTF8, DSN add (ORCPT alone 500 octets), as most servers take */
    AUTH_LINE_MAX = 12288,     /* with CRLF: RFC 4954 section 4 */
    REPLY_ROOM = 1024,         /* no command's replies are longer, EHLO's and HELP's included */
    OUTPUT_MAX = 16384,        /* replies that wait for a peer to read them */
    SWALLOW_DEFAULT = 1 << 30, /* smtp_limits.swallow_max */
    STRANGER_OUTPUT_MAX = 4096,
    STRANGER_INPUT_MAX = AUTH_LINE_MAX, /* commands, logins; nobody takes mail from strangers */
    STEPS_MAX = 256, /* a turn: a group of commands, not a whole input full of them */
};

static inline struct smtp_server *server_of(struct session *session)
{
    return container_of(session, struct smtp_server, session);
}

/* --- smtp_server.c ---------------------------------------------------------------------------- */

/* For a block of content to arrive. */
int64_t server_block_ms(const struct smtp_server *server);
/* RSET, EHLO, refused content, commit, the end: every way out of a transaction. */
void server_reset(struct smtp_server *server);

/* GREET goes on by the service's verdict; so do the next two. */
enum step connected_answered(struct smtp_server *server, struct verdict verdict);

/* --- server_question.c ------------------------------------------------------------------------ */

enum step asking_step(struct session *session);
/* To be called when a question returned VERDICT_CODE_LATER. True: ASKING, and the step waits.
 * False: *verdict is the answer after all. */
bool server_waits(struct smtp_server *server, enum smtp_question_kind kind,
                  struct verdict *verdict);
/* The open question, if there is one, is over without an answer. */
void server_cancel(struct smtp_server *server);
/* ... because its time is over: goes on by the verdict for that. */
enum step server_overdue(struct smtp_server *server);

/* --- server_tls.c ----------------------------------------------------------------------------- */

enum step handshake_step(struct session *session);
enum step handle_starttls(struct smtp_server *server, struct bytes argument);
/* TLS from the first byte on. */
enum step server_begin_tls(struct smtp_server *server);
/* EHLO offers STARTTLS. */
bool server_offers_tls(const struct smtp_server *server);
/* For the log, if it was that which ended the session. */
void server_tell_tls_failure(const struct smtp_server *server);

/* --- server_verbs.c --------------------------------------------------------------------------- */

enum step command_step(struct session *session);
/* The command that stands in the input's first line_len bytes goes on by the service's verdict. */
enum step command_answered(struct smtp_server *server, uint32_t line_len, struct verdict verdict);

/* What must hold before a command; what does not is a 503, or a 530 without TLS. */
enum {
    NEEDS_HELLO = 1 << 0,
    NEEDS_NO_MAIL = 1 << 1,
    NEEDS_MAIL = 1 << 2,
    NEEDS_NO_CHUNKS = 1 << 3,
    NEEDS_RECIPIENT = 1 << 4,
    NEEDS_TLS = 1 << 5, /* of clients that server->needs_tls is set for */
};
/* Code 0 when all of `needs` holds; else the one 503 (530 without TLS, 554 when all recipients were
 * refused). */
struct verdict server_out_of_order(const struct smtp_server *server, unsigned needs);

/* 554 to a client that has to wait for its turn and did not. */
enum step server_refuse_early(struct smtp_server *server);
/* One more command that moves nothing; STEP_CLOSE when there were too many. */
enum step server_count_idle(struct smtp_server *server);

/* It must wait for a reply and has not: there is more in the input, or in the kernel. */
bool server_talks_early(const struct smtp_server *server, bool has_more);
/* A bare LF: what follows is not to be trusted. */
enum step server_refuse_bare_lf(struct smtp_server *server);

/* --- server_auth.c ---------------------------------------------------------------------------- */

enum step handle_auth(struct smtp_server *server, struct bytes argument);
enum step auth_step(struct session *session);
/* A question of a login was answered. */
enum step login_answered(struct smtp_server *server, const struct smtp_question *asked,
                         struct verdict verdict);
/* A line of a login that was too long has ended. */
enum step login_line_too_long(struct smtp_server *server);
/* The login under way, if there is one, is given up, and its secrets wiped. */
void server_forget_login(struct smtp_server *server);
/* By which mechanisms the client may log in now. */
unsigned server_mechanisms(const struct smtp_server *server, struct verdict *why_out);

/* --- server_content.c ------------------------------------------------------------------------- */

enum step content_step(struct session *session);
enum step handle_data(struct smtp_server *server, struct bytes argument);
enum step handle_bdat(struct smtp_server *server, struct bytes argument);
enum step data_answered(struct smtp_server *server, struct verdict verdict);
enum step bdat_answered(struct smtp_server *server, struct bytes argument, struct verdict verdict);
enum step content_answered(struct smtp_server *server, struct verdict verdict);

/* --- server_pace.c ---------------------------------------------------------------------------- */

/* Content begins: with DATA, or with the first chunk. */
void pace_begin(struct smtp_server *server);
/* The service has no room; and it has some again. */
void pace_wait(struct smtp_server *server);
void pace_go_on(struct smtp_server *server);
/* What is left of the time for the content under way; INT64_MAX: none is. */
int64_t pace_left_ms(const struct smtp_server *server);
/* "421 ..." to a client that took all of it. */
enum step pace_leave(struct smtp_server *server);

/* --- server_reply.c --------------------------------------------------------------------------- */

#define VERDICT(code, enhanced, text, rule) ((struct verdict){code, enhanced, text, rule, false})

/* "250 2.1.0 Sender ok": enhanced NULL for the replies that carry none (RFC 2034 section 4). */
enum step server_reply(struct smtp_server *server, unsigned code, const char *enhanced,
                       const char *text);
/* Says the verdict; then 421 and STEP_CLOSE where it or the number of errors asks for that. */
enum step server_say(struct smtp_server *server, struct verdict verdict);
/* Counts and logs a refusal that server_say() says now or later. */
void server_count(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict);
/* The same for something of a transaction: the service is told as well. `address` is that of MAIL
 * or RCPT, and `said` what they were given, for the log where no address could be read from it. */
void server_note(struct smtp_server *server, enum smtp_verb verb, const struct verdict *verdict,
                 struct bytes address, struct bytes said);
/* Counts and says. */
enum step server_refuse(struct smtp_server *server, enum smtp_verb verb, struct verdict verdict);
/* "421 ..." by our own will, ends the session. `rule` is why, for the log. */
enum step server_leave(struct smtp_server *server, const char *enhanced, const char *text,
                       const char *rule);
/* Room for the replies of one more command. */
bool server_can_reply(const struct smtp_server *server);
enum step server_reply_ehlo(struct smtp_server *server);
enum step server_reply_greeting(struct smtp_server *server);
