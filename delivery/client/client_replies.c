/*
 * client_replies.c - the reading half: which command a reply answers, and what answers none.
 *
 * A peer that says one reply too many (a second one to the end of data, most often) shifts every
 * later reply by one command. With BDAT the 250 to a RCPT would then be taken for the word on the
 * content: the message is told delivered, whatever the peer says of it a moment later. So
 *
 * - nothing is sent while input waits that answers no command;
 * - no reply is taken for an answer to what the kernel was not even given, and none for the word on
 *   a content whose last byte the peer's TCP has not confirmed: it was said before;
 * - BDAT is used only where the peer's enhanced codes show which step a reply belongs to (enum
 *   client_codes), and where they do, 2.1.X is no word on a content. With DATA the 354 shows it;
 * - a refusal right behind the word on a content of a connection that was used before leaves open
 *   which of both it was: not known;
 * - a site that has said one reply too many gets a connection for each message from then on.
 *
 * What cannot be known: a surplus reply that is first of its site, late enough to come behind the
 * confirmation of a later message's last byte, and still before the true reply to that message,
 * looks as that one in every way. If it is 2xx and the true one is not, mail is told delivered that
 * was refused. SMTP has nothing by which to tell: replies carry no names. Likewise a surplus
 * refusal that comes while a content is on its way is taken for a refusal of it.
 */
#include <stdio.h>

#include "delivery/client/transaction.h"

void client_learn(struct smtp_client *c, enum client_codes lesson)
{
    if (lesson > carrier_lesson(&c->carrier))
        carrier_learn(&c->carrier, (uint8_t)lesson);
}

bool client_out_of_step(struct smtp_client *c)
{
    client_learn(c, CODES_SAY_TOO_MUCH);
    return client_fail_ours(c, 5, 0, "protocol", "reply-unexpected",
                            "the peer sent a reply that answers no command");
}

/* What was said goes to whoever wonders what became of the mail. */
static bool fail_broken(struct smtp_client *c)
{
    struct bytes line = bytes_slice(smtp_reply_broken_line(&c->reader), 0, BROKEN_LINE_MAX);
    char text[BROKEN_LINE_MAX + 80];

    snprintf(text, sizeof(text), "the peer sent something that is no SMTP reply: %.*s",
             BYTES_ARG(line));
    return client_fail_ours(c, 5, 0, "protocol", "reply-broken", text);
}

/* A refusal of the content before all of it was sent: the peer has heard enough. It may read the
 * rest or not: the connection is of no use any more. */
static bool is_early_refusal(const struct smtp_client *c, const struct smtp_reply *reply)
{
    return c->transaction != NULL && c->transaction->walk == WALK_CONTENT && reply->code >= 400;
}

static bool take_unasked(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct judgement judgement = judgement_of_reply(reply);

    if (c->state == CLIENT_READY) {
        if (c->messages_done > 0 && reply->code / 100 != 4) /* that says why it ends it */
            client_learn(c, CODES_SAY_TOO_MUCH);
        /* An idle connection may be ended by the peer, with or without a 421. */
        if (c->messages_done > 0 || carrier_is_idle(&c->carrier))
            client_abort(c);
        else if (reply->code == 421)
            client_lost_unused(c, &judgement);
        else
            client_lost_unused(c, NULL);
        return true;
    }
    if (reply->code == 421 || is_early_refusal(c, reply)) /* RFC 5321 section 3.8 */
        return client_fail(c, &judgement);
    return client_out_of_step(c);
}

static bool is_end_of_content(const struct sent *sent)
{
    return sent->command == COMMAND_DOT || sent->command == COMMAND_BDAT;
}

/* The peer cannot have seen the whole command: the kernel was not even given it, or, of the end of
 * a content, behind which nothing is sent, has no confirmation of it. */
static bool is_premature(const struct smtp_client *c, const struct sent *sent)
{
    return sent->end > conn_output_begun(&c->conn) ||
           (is_end_of_content(sent) && !conn_peer_may_have_all(&c->conn));
}

bool client_take_reply(struct smtp_client *c)
{
    struct bytes before = conn_input(&c->conn);
    struct bytes input = before;
    struct smtp_reply reply;
    struct sent sent;

    if (before.len == 0 || c->state == CLIENT_CLOSING || c->state == CLIENT_REOPEN)
        return false;
    enum smtp_reply_state result = smtp_reply_read(&c->reader, &input, &reply);

    conn_consume(&c->conn, before.len - input.len);
    if (result == SMTP_REPLY_PARTIAL)
        return false;
    if (result == SMTP_REPLY_BROKEN)
        return fail_broken(c);
    if (!pipeline_pop(&c->pipeline, &sent))
        return take_unasked(c, &reply);
    bool is_421 = reply.code == 421 && sent.command != COMMAND_QUIT; /* RFC 5321 section 3.8 */
    bool is_early = is_premature(c, &sent);
    bool is_premature_end = is_early && is_end_of_content(&sent) && reply.code >= 400;

    if (c->transaction != NULL)
        c->transaction->was_answered = c->transaction->was_answered || !is_421;
    if (is_421 || is_premature_end) {
        struct judgement judgement = judgement_of_reply(&reply);

        return client_fail(c, &judgement);
    }
    if (is_early)
        return client_out_of_step(c);
    return client_commands[sent.command].on_reply(c, &reply, sent.recipient);
}

bool client_has_unasked_input(const struct smtp_client *c)
{
    return pipeline_is_empty(&c->pipeline) &&
           (conn_input(&c->conn).len > 0 || smtp_reply_has_begun(&c->reader));
}

bool client_is_contradicted(const struct smtp_client *c)
{
    struct bytes input = conn_input(&c->conn);
    struct smtp_reply_reader reader;
    struct smtp_reply reply;

    if (c->messages_done == 0 || input.len == 0 || smtp_reply_has_begun(&c->reader))
        return false;
    smtp_reply_reader_init(&reader);
    return smtp_reply_read(&reader, &input, &reply) == SMTP_REPLY_WHOLE && reply.code >= 400 &&
           reply.code != 421;
}
