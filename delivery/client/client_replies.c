/*
 * client_replies.c - the reading half: which command a reply answers, and what answers none.
 *
 * A peer that says one reply too many (a second one to the end of data, most often) shifts every
 * later reply by one command. With BDAT the 250 to a RCPT would then be taken for the word on the
 * content: the message is told delivered, whatever the peer says of it a moment later. So
 *
 * - nothing is sent while input waits that answers no command, be it with the kernel still: no
 *   first command of a message, and no end of a content, which waits for the rest of such a reply;
 * - a reply is as old as its first byte. None is taken for an answer to what the kernel was not
 *   even given, and none for the word on a content, or on the first command behind another message
 *   where codes do not tell, whose last byte the peer's TCP has not confirmed: it was said before;
 * - BDAT is used only where the peer's enhanced codes show which step a reply belongs to (enum
 *   client_codes), and where they do, 2.1.X is no word on a content. With DATA the 354 shows it;
 * - before a content's word becomes the outcome, what has come behind it is looked at, to its last
 *   byte. On a connection that was used before, a reply there that says the opposite (a refusal
 *   beside a 250, a 354 beside a refusal) leaves open which of both it was: not known;
 * - a site that has said one reply too many gets a connection for each message from then on, and
 *   the log names the message behind whose word it came.
 *
 * What no client can know: replies carry no names. A surplus reply that is the first of its site,
 * begins only after the peer has confirmed a later message's last byte, before the true reply to
 * that message, with the code of such a one, and so long before the true one that nothing of that
 * has come when the outcome is written, is that reply in every way. If it is 2xx and the true one
 * is not, mail is told delivered that was refused; the true one is counted and logged when it
 * comes, but the event is written. On the first message of a connection the first word is the
 * word. Likewise a surplus refusal that comes while a content is on its way is taken for a refusal
 * of it.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/transaction.h"

enum { SURPLUS_MAX = 8 /* replies behind the word on a content that are looked at */ };

void client_learn(struct smtp_client *c, enum client_codes lesson)
{
    if (lesson > carrier_lesson(&c->carrier))
        carrier_learn(&c->carrier, (uint8_t)lesson);
}

void client_tell_surplus(struct smtp_client *c)
{
    char id[MESSAGE_ID_TEXT_MAX] = "none";

    if (c->messages_done > 0)
        message_id_format(c->last_id, id);
    metric_inc(METRIC_DELIVERY_SURPLUS_REPLIES);
    log_limited(LOG_LEVEL_WARN,
                "site=%s host=%s after=%s what=\"a reply that answers no command: the connection "
                "is broken off\"",
                LOG_TEXT(carrier_site_name(&c->carrier)), LOG_TEXT(c->carrier.host_name), id);
    client_learn(c, CODES_SAY_TOO_MUCH);
}

bool client_out_of_step(struct smtp_client *c)
{
    client_tell_surplus(c);
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

/* A line of a reply, or what has come of it, beside the word on the content. A 421 says why the
 * connection ends, nothing else (RFC 5321 section 3.8). */
static enum contradiction contradicts(const struct judgement *word, struct bytes line)
{
    struct bytes closing = bytes_slice(BYTES("421"), 0, line.len);
    uint8_t first = line.len > 0 ? line.ptr[0] : 0;
    bool is_refusal = first == '4' || first == '5';

    if (word->kind != JUDGEMENT_DELIVERED)
        return first == '2' || first == '3' ? CONTRADICTION_FOUND : CONTRADICTION_NONE;
    if (!is_refusal)
        return CONTRADICTION_NONE;
    if (!bytes_equal(bytes_slice(line, 0, closing.len), closing))
        return CONTRADICTION_FOUND;
    return closing.len < 3 ? CONTRADICTION_NOT_READ : CONTRADICTION_NONE;
}

static bool code_contradicts(const struct judgement *word, unsigned code)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", code);
    return contradicts(word, bytes_of(text)) == CONTRADICTION_FOUND;
}

/* It came while finish() waited for it: see client_contradiction(). True: it says nothing new, and
 * what is behind it may. */
static bool look_for_contradiction(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct transaction *t = c->transaction;

    if (t == NULL || t->walk != WALK_REPLIES || t->judgement == NULL || c->messages_done == 0)
        return false;
    if (code_contradicts(t->judgement, reply->code)) {
        t->judgement = NULL;
        return false;
    }
    return reply->code != 421 && ++t->surplus_count < SURPLUS_MAX;
}

static bool take_unasked(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct judgement judgement = judgement_of_reply(reply);

    if (c->state == CLIENT_READY) {
        if (c->messages_done > 0 && reply->code / 100 != 4) /* that says why it ends it */
            client_tell_surplus(c);
        /* An idle connection may be ended by the peer, with or without a 421. */
        if (c->messages_done > 0 || carrier_is_idle(&c->carrier))
            client_abort(c);
        else if (reply->code == 421)
            client_lost_unused(c, &judgement);
        else
            client_lost_unused(c, NULL);
        return true;
    }
    if (look_for_contradiction(c, reply)) {
        client_tell_surplus(c);
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

/* The first command of a message on a connection that has carried others: what is taken for its
 * reply may be one too many to the message before, and no code will tell. */
static bool follows_a_message(const struct smtp_client *c, const struct sent *sent)
{
    return (sent->command == COMMAND_MAIL || sent->command == COMMAND_RSET) &&
           c->messages_done > 0 && carrier_lesson(&c->carrier) != CODES_TELL;
}

/* The peer cannot have seen the whole command: the kernel was not even given it, or has no
 * confirmation of it, which is asked where it matters most. */
static bool is_premature(const struct smtp_client *c, const struct sent *sent)
{
    if (sent->end > conn_output_begun(&c->conn))
        return true;
    if (is_end_of_content(sent))
        return !conn_peer_may_have_all(&c->conn);
    return follows_a_message(c, sent) && !conn_peer_may_have(&c->conn, sent->end);
}

/* A reply is as old as its first byte. */
static void note_beginning(struct smtp_client *c)
{
    struct sent sent;

    if (!c->is_early_reply && pipeline_first(&c->pipeline, &sent))
        c->is_early_reply = is_premature(c, &sent);
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
    if (result == SMTP_REPLY_PARTIAL) {
        note_beginning(c);
        return false;
    }
    if (result == SMTP_REPLY_BROKEN)
        return fail_broken(c);
    if (!pipeline_pop(&c->pipeline, &sent))
        return take_unasked(c, &reply);
    bool is_421 = reply.code == 421 && sent.command != COMMAND_QUIT; /* RFC 5321 section 3.8 */
    bool is_early = c->is_early_reply || is_premature(c, &sent);
    bool is_premature_end = is_early && is_end_of_content(&sent) && reply.code >= 400;

    c->is_early_reply = false;
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

/* A system call, so it is not asked twice in a run. */
static bool waits_for_unread(struct smtp_client *c)
{
    if (!c->is_quiet)
        c->is_quiet = !conn_waits_for_unread(&c->conn);
    return !c->is_quiet;
}

bool client_has_unasked_bytes(struct smtp_client *c)
{
    return client_has_unasked_input(c) || (pipeline_is_empty(&c->pipeline) && waits_for_unread(c));
}

enum contradiction client_contradiction(struct smtp_client *c)
{
    const struct judgement *word = c->transaction->judgement;
    struct bytes input = conn_input(&c->conn);

    if (c->messages_done == 0 || word == NULL)
        return CONTRADICTION_NONE;
    if (smtp_reply_has_begun(&c->reader) && code_contradicts(word, c->reader.code))
        return CONTRADICTION_FOUND;
    while (input.len > 0) {
        size_t lf = bytes_find(input, '\n', 0);
        enum contradiction one = contradicts(word, bytes_slice(input, 0, lf));

        if (one != CONTRADICTION_NONE)
            return one;
        input = bytes_slice(input, MIN(lf + 1, input.len), input.len);
    }
    return waits_for_unread(c) ? CONTRADICTION_NOT_READ : CONTRADICTION_NONE;
}
