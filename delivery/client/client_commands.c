/*
 * client_commands.c - the commands of the client: what is sent, and what each reply means.
 *
 * perform_x() writes one command and pushes it on the pipeline; on_x_reply() is called with its
 * reply. Both return whether there was progress, which all of them are.
 */
#include <stdio.h>
#include <string.h>

#include "delivery/client/transaction.h"
#include "delivery/outcome/classify.h"
#include "queue/flow.h"

enum { COMMAND_ROOM = 4096 /* the longest command: RCPT with a long address and ORCPT */ };

bool client_may_send(const struct smtp_client *c)
{
    if (!pipeline_is_empty(&c->pipeline) && !c->extensions.pipelining)
        return false;
    if (client_has_unasked_input(c))
        return false; /* its rest comes, or the deadline */
    return conn_output_room(&c->conn) >= COMMAND_ROOM;
}

static bool sent(struct smtp_client *c, enum client_command command, uint32_t recipient,
                 bool is_written)
{
    if (!is_written && !conn_is_open(&c->conn))
        return false; /* the connection is broken, which is about to be handled */
    if (!is_written)  /* a command beyond COMMAND_ROOM: no address is that long */
        return client_fail_ours(c, 5, 0, "protocol", "command-too-long",
                                "a command would be longer than we can send");
    pipeline_push(&c->pipeline, command, recipient, c->conn.written);
    return true;
}

/* A reply whose first digit the command does not know (RFC 5321 section 4.2.1). */
static bool fail_code(struct smtp_client *c, const struct smtp_reply *reply)
{
    char text[BROKEN_LINE_MAX + 80];

    snprintf(text, sizeof(text), "the peer answered with a code that makes no sense here: %u %.*s",
             reply->code, BYTES_ARG(bytes_slice(reply->text, 0, BROKEN_LINE_MAX)));
    return client_fail_ours(c, 5, 0, "protocol", "reply-code", text);
}

/* Its enhanced code says which step it belongs to: X.1.X to an address (RFC 3463 section 3.2). */
static bool is_of_address(const struct smtp_reply *reply)
{
    return reply->enhanced.class == 2 && reply->enhanced.subject == 1;
}

static bool is_of_content(const struct smtp_reply *reply)
{
    return reply->enhanced.class == 2 && reply->enhanced.subject != 1;
}

/* The peer does not want to talk to us, here or now: the site may try its next host. */
static bool refused(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct judgement judgement = judgement_of_reply(reply);

    if (judgement.kind == JUDGEMENT_DELIVERED || reply->code / 100 == 3)
        return fail_code(c, reply);
    return client_fail(c, &judgement);
}

/* --- the session ----------------------------------------------------------------------------- */

static bool on_greeting_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    (void)none;
    if (reply->code / 100 != 2)
        return refused(c, reply);
    client_enter(c, CLIENT_EHLO);
    return perform_ehlo(c);
}

bool perform_ehlo(struct smtp_client *c)
{
    c->extensions = (struct smtp_extensions){0};
    c->reader.extensions = &c->extensions;
    return sent(c, COMMAND_EHLO, 0,
                conn_printf(&c->conn, "EHLO %s\r\n", carrier_source(&c->carrier)->ehlo));
}

bool perform_helo(struct smtp_client *c)
{
    return sent(c, COMMAND_HELO, 0,
                conn_printf(&c->conn, "HELO %s\r\n", carrier_source(&c->carrier)->ehlo));
}

bool client_greeted(struct smtp_client *c)
{
    c->has_greeted = true;
    client_enter(c, CLIENT_READY);
    carrier_ready(&c->carrier);
    return true;
}

static bool on_ehlo_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    (void)none;
    c->reader.extensions = NULL;
    if (reply->code / 100 == 5) /* RFC 5321 section 3.2: older than EHLO */
        return perform_helo(c);
    if (reply->code != 250) /* a second 220 is none */
        return refused(c, reply);
    return client_choose_tls(c);
}

static bool on_helo_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    (void)none;
    if (reply->code != 250)
        return refused(c, reply);
    c->extensions = (struct smtp_extensions){0};
    return client_choose_tls(c);
}

bool perform_quit(struct smtp_client *c)
{
    if (!conn_write(&c->conn, BYTES("QUIT\r\n")))
        return false;
    pipeline_push(&c->pipeline, COMMAND_QUIT, 0, c->conn.written);
    return true;
}

static bool on_quit_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    (void)reply;
    (void)none;
    client_abort(c);
    return true;
}

bool perform_rset(struct smtp_client *c)
{
    c->needs_rset = false;
    return sent(c, COMMAND_RSET, 0, conn_write(&c->conn, BYTES("RSET\r\n")));
}

static bool on_rset_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    (void)none;
    if (reply->code / 100 == 2)
        return true;
    /* What the peer makes of the next MAIL is anybody's guess. The message that was to follow has
     * no part in it: nothing of its content was sent, it is not even an attempt. */
    return client_fail_ours(c, 5, 0, "protocol", "rset-refused", "the peer refused RSET");
}

/* --- the envelope ---------------------------------------------------------------------------- */

static bool put_mail(struct smtp_client *c, struct buf *out)
{
    const struct transaction *t = c->transaction;
    const struct message *m = t->message;
    const struct smtp_extensions *e = &c->extensions;
    bool ok = buf_printf(out, "MAIL FROM:<%.*s>", BYTES_ARG(t->reverse_path));

    if (e->has_size)
        ok = ok && buf_printf(out, " SIZE=%llu", (unsigned long long)t->size);
    if (e->eightbitmime && transaction_is_8bit(t))
        ok = ok && buf_append(out, BYTES(" BODY=8BITMIME"));
    if (t->uses_utf8)
        ok = ok && buf_append(out, BYTES(" SMTPUTF8"));
    if (e->dsn && m->ret != SMTP_RET_NONE)
        ok = ok && buf_printf(out, " RET=%s", m->ret == SMTP_RET_FULL ? "FULL" : "HDRS");
    if (e->dsn && m->envid.len > 0)
        ok = ok && buf_printf(out, " ENVID=%.*s", BYTES_ARG(m->envid));
    if (m->tls == MAIL_TLS_REQUIRED && client_keeps_promise(c))
        ok = ok && buf_append(out, BYTES(" REQUIRETLS"));
    return ok && buf_append(out, BYTES("\r\n"));
}

bool perform_mail(struct smtp_client *c)
{
    struct buf *line = &c->clients->scratch;

    buf_clear(line);
    c->transaction->mail_ms = client_now_ms(c);
    return sent(c, COMMAND_MAIL, 0, put_mail(c, line) && conn_write(&c->conn, buf_bytes(line)));
}

static bool on_mail_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    struct transaction *t = c->transaction;
    struct judgement judgement = judgement_of_reply(reply);

    (void)none;
    if (reply->code / 100 == 3)
        return fail_code(c, reply);
    if (judgement.kind == JUDGEMENT_DELIVERED) {
        bool was_told = t->codes_tell;

        t->codes_tell = t->codes_tell && is_of_address(reply);
        if (was_told && !t->codes_tell && c->messages_done > 0 &&
            carrier_lesson(&c->carrier) == CODES_TELL)
            return client_out_of_step(c); /* one reply too many to what came before */
        t->mail_accepted = true;
        c->mails_taken++;
        return true;
    }
    t->mail_refused = true;
    /* It took mail before: the connection is worn out (so many messages, so long, a transaction
     * that the peer thinks open). On a fresh one the peer says what it thinks of the message. */
    if (c->mails_taken > 0) {
        c->is_worn = true;
        t->is_put_back = true;
    } else {
        transaction_refuse_all(t, &judgement);
    }
    if (t->walk == WALK_RCPT || t->walk == WALK_DATA)
        t->walk = WALK_REPLIES;
    return true;
}

static bool put_notify(unsigned notify, struct buf *out)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {SMTP_NOTIFY_NEVER, "NEVER"},
        {SMTP_NOTIFY_SUCCESS, "SUCCESS"},
        {SMTP_NOTIFY_FAILURE, "FAILURE"},
        {SMTP_NOTIFY_DELAY, "DELAY"},
    };
    const char *before = " NOTIFY=";

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((notify & names[i].bit) == 0)
            continue;
        if (!buf_printf(out, "%s%s", before, names[i].name))
            return false;
        before = ",";
    }
    return true;
}

static bool put_rcpt(struct smtp_client *c, uint32_t number, struct buf *out)
{
    const struct transaction *t = c->transaction;
    const struct pending *pending = t->recipients[number].pending;
    const struct recipient *recipient = &t->message->recipients[pending_number(pending)];
    bool ok =
        buf_printf(out, "RCPT TO:<%.*s>", BYTES_ARG(transaction_recipient_address(t, number)));

    if (c->extensions.dsn) {
        ok = ok && put_notify(recipient->notify, out);
        if (recipient->orcpt.len > 0)
            ok = ok && buf_append(out, BYTES(" ORCPT=")) &&
                 (t->uses_utf8 ? buf_append(out, recipient->orcpt)
                               : smtp_orcpt_encode(recipient->orcpt, out));
    }
    return ok && buf_append(out, BYTES("\r\n"));
}

bool perform_rcpt(struct smtp_client *c, uint32_t number)
{
    struct buf *line = &c->clients->scratch;

    buf_clear(line);
    bool ok = put_rcpt(c, number, line) && conn_write(&c->conn, buf_bytes(line));

    return sent(c, COMMAND_RCPT, number, ok);
}

/* "Too many recipients" for one transaction is no word on this recipient: the others are sent, it
 * comes next (RFC 5321 section 4.5.3.1.10). X.5.3 means that with any code (RFC 3463 section 3.6).
 * Only if something became of somebody before it, so that there is an end. */
static bool is_too_many(const struct transaction *t, const struct smtp_reply *reply)
{
    const struct smtp_enhanced *e = &reply->enhanced;
    const struct transaction_recipient *first = &t->recipients[0];
    bool is_53 = e->class >= 4 && e->subject == 5 && e->detail == 3;

    if (t->accepted > 0)
        return is_53 || (e->class == 0 && (reply->code == 452 || reply->code == 552));
    return is_53 && first->judgement != NULL &&
           !(first->judgement->enhanced.subject == 5 && first->judgement->enhanced.detail == 3);
}

/* Of those that were accepted. */
static unsigned count_domains(const struct transaction *t)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t same = 0;

        if (t->recipients[i].status != RECIPIENT_ACCEPTED)
            continue;
        while (t->recipients[same].status != RECIPIENT_ACCEPTED ||
               pending_domain(t->recipients[same].pending) !=
                   pending_domain(t->recipients[i].pending))
            same++;
        count += same == i ? 1 : 0;
    }
    return count;
}

/* "One domain a transaction", to a recipient whose domain is not the first one's: another
 * transaction, at once. */
static bool is_too_many_domains(const struct transaction *t, const struct judgement *judgement,
                                uint32_t number)
{
    return strcmp(judgement->class, CLASS_TOO_MANY_DOMAINS) == 0 &&
           pending_domain(t->recipients[number].pending) !=
               pending_domain(t->recipients[0].pending);
}

/* Its next transactions have no more than it took of this one. */
static void learn_limit(struct smtp_client *c, bool is_of_domains)
{
    struct transaction *t = c->transaction;

    if (t->is_limited) /* what follows the first such reply says nothing new */
        return;
    t->is_limited = true;
    if (is_of_domains)
        carrier_learn_domains(&c->carrier, MAX(count_domains(t), 1U));
    else
        c->recipients_max = MAX(t->accepted, 1U);
}

static bool on_rcpt_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t number)
{
    struct transaction *t = c->transaction;
    struct transaction_recipient *recipient = &t->recipients[number];
    struct judgement judgement = judgement_of_reply(reply);

    check(number < t->count);
    if (reply->code / 100 == 3)
        return fail_code(c, reply);
    if (t->mail_refused) {
        t->is_out_of_place = t->is_out_of_place || judgement.kind == JUDGEMENT_DELIVERED;
        return true;
    }
    if (judgement.kind == JUDGEMENT_DELIVERED) {
        t->codes_tell = t->codes_tell && is_of_address(reply);
        recipient->status = RECIPIENT_ACCEPTED;
        t->accepted++;
        carrier_took(&c->carrier);
    } else if (is_too_many(t, reply) || is_too_many_domains(t, &judgement, number)) {
        recipient->status = RECIPIENT_AGAIN;
        learn_limit(c, is_too_many_domains(t, &judgement, number));
    } else {
        recipient->status = RECIPIENT_REFUSED;
        recipient->judgement = transaction_keep(t, &judgement);
    }
    if (t->uses_bdat && number + 1 == t->ask_count)
        t->content_ms = client_now_ms(c);
    return true;
}

/* --- the content ----------------------------------------------------------------------------- */

bool perform_data(struct smtp_client *c)
{
    c->transaction->walk = WALK_DATA_REPLY;
    return sent(c, COMMAND_DATA, 0, conn_write(&c->conn, BYTES("DATA\r\n")));
}

/* RFC 2920 section 3.1: with DATA pipelined, a peer without a recipient may still say 354. */
static bool send_lone_dot(struct smtp_client *c)
{
    c->transaction->walk = WALK_REPLIES;
    return sent(c, COMMAND_DOT, 0, conn_write(&c->conn, BYTES(".\r\n")));
}

static bool on_data_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    struct transaction *t = c->transaction;
    struct judgement judgement = judgement_of_reply(reply);

    (void)none;
    if (reply->code == 354) {
        t->content_ms = client_now_ms(c);
        /* A transaction that the peer holds open: a dot would send it an empty message. */
        if (t->is_out_of_place)
            return client_out_of_step(c);
        if (t->accepted == 0)
            return send_lone_dot(c);
        dot_writer_init(&t->dots);
        t->walk = WALK_CONTENT;
        return true;
    }
    if (reply->code / 100 < 4) {
        client_learn(c, CODES_SAY_TOO_MUCH);
        return fail_code(c, reply);
    }
    if (t->accepted > 0)
        t->judgement = transaction_keep(t, &judgement);
    c->needs_rset = t->mail_accepted;
    t->walk = WALK_REPLIES;
    return true;
}

static bool on_end_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct transaction *t = c->transaction;
    struct judgement judgement = judgement_of_reply(reply);

    if (reply->code / 100 == 3)
        return fail_code(c, reply);
    if (t->accepted > 0)
        t->judgement = transaction_keep(t, &judgement);
    if (t->accepted == 0 || judgement.kind != JUDGEMENT_DELIVERED)
        return true;
    client_learn(c, t->codes_tell && is_of_content(reply) ? CODES_TELL : CODES_DO_NOT_TELL);
    return true;
}

static bool on_dot_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    const struct transaction *t = c->transaction;

    (void)none;
    /* A second reply to a RCPT, from hosts that never answered a content so. */
    if (is_of_address(reply) && t->codes_tell && t->accepted > 0 &&
        carrier_lesson(&c->carrier) == CODES_TELL)
        return client_out_of_step(c);
    return on_end_reply(c, reply);
}

bool perform_bdat(struct smtp_client *c)
{
    struct transaction *t = c->transaction;

    if (!conn_printf(&c->conn, "BDAT %llu LAST\r\n", (unsigned long long)t->size) ||
        !transaction_write_whole(c))
        return sent(c, COMMAND_BDAT, 0, false);
    t->walk = WALK_REPLIES;
    t->is_all_written = true;
    return sent(c, COMMAND_BDAT, 0, true);
}

static bool on_bdat_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    const struct transaction *t = c->transaction;

    (void)none;
    /* It may as well be the reply to the last RCPT: then the one to the content is still to come,
     * and what it says is not known. */
    if (reply->code / 100 == 2 && t->accepted > 0 && (!t->codes_tell || !is_of_content(reply)))
        return client_out_of_step(c);
    /* RFC 3030 section 2: what state a refused chunk leaves is anybody's guess. */
    c->needs_rset = reply->code / 100 != 2;
    return on_end_reply(c, reply);
}

const struct client_command_info client_commands[COMMAND_COUNT] = {
    [COMMAND_GREETING] = {"the connection", 300, on_greeting_reply}, /* section 4.5.3.2.1 */
    [COMMAND_EHLO] = {"EHLO", 300, on_ehlo_reply},
    [COMMAND_HELO] = {"HELO", 300, on_helo_reply},
    [COMMAND_STARTTLS] = {"STARTTLS", 300, client_on_starttls_reply},
    [COMMAND_MAIL] = {"MAIL", 300, on_mail_reply},                 /* section 4.5.3.2.2 */
    [COMMAND_RCPT] = {"RCPT", 300, on_rcpt_reply},                 /* section 4.5.3.2.3 */
    [COMMAND_DATA] = {"DATA", 120, on_data_reply},                 /* section 4.5.3.2.4 */
    [COMMAND_DOT] = {"the end of the content", 600, on_dot_reply}, /* section 4.5.3.2.6 */
    [COMMAND_BDAT] = {"BDAT", 600, on_bdat_reply},
    [COMMAND_RSET] = {"RSET", 300, on_rset_reply},
    [COMMAND_QUIT] = {"QUIT", 10, on_quit_reply},
};
