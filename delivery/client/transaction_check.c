/* transaction_check.c - what a peer's extensions say it cannot take. */
#include "delivery/client/transaction.h"
#include "delivery/outcome/dsn_7bit.h"
#include "io/tls.h"

/* Many clients declare 8BITMIME whatever they send; content in memory is looked at. */
bool transaction_is_8bit(const struct transaction *t)
{
    const struct message *m = t->message;

    if (m->body != SMTP_BODY_8BITMIME)
        return false;
    if (t->client->extensions.eightbitmime || m->content.memory.ptr == NULL)
        return true;
    return bytes_has_8bit(m->prefix) || bytes_has_8bit(m->content.memory);
}

void transaction_fit(struct transaction *t)
{
    const struct smtp_extensions *e = &t->client->extensions;
    bool needs_utf8 = t->message->needs_smtputf8 && !e->smtputf8;
    bool needs_7bit = !e->eightbitmime && transaction_is_8bit(t);

    if (!t->message->is_dsn || (!needs_utf8 && !needs_7bit))
        return;
    struct message *plain = dsn_as_7bit(t->message);

    if (plain == NULL)
        return;
    message_release(&t->message);
    t->message = plain;
}

static const struct judgement *cannot(struct transaction *t, uint16_t subject, uint16_t detail,
                                      const char *class, const char *rule, struct bytes text)
{
    struct judgement judgement =
        judgement_of_ours(JUDGEMENT_BOUNCED, subject, detail, class, rule, text);

    return transaction_keep(t, &judgement);
}

bool client_keeps_promise(const struct smtp_client *c)
{
    const struct tls_policy *p = c->carrier.tls;

    return conn_is_under_tls(&c->conn) && p->level == TLS_LEVEL_VERIFY &&
           p->source != TLS_SOURCE_CONFIG && c->extensions.requiretls;
}

const struct judgement *transaction_check(struct transaction *t)
{
    const struct smtp_extensions *e = &t->client->extensions;
    const struct message *m = t->message;
    struct bytes text;

    /* Its flow leads to such hosts only; what an older program made of the flow may not. A bounce
     * is not lost for it (RFC 8689 section 5). */
    if (m->tls == MAIL_TLS_REQUIRED && m->reverse_path.len > 0 && !client_keeps_promise(t->client))
        return cannot(t, 7, 10, CLASS_TLS, "requiretls",
                      BYTES("the message demands verified TLS and REQUIRETLS of this host"));
    /* RFC 1870 section 6.1 */
    if (e->has_size && e->size_max > 0 && t->size > e->size_max) {
        if (!arena_printf(&t->client->arena, &text,
                          "the message has %llu bytes, the receiving server takes at most %llu",
                          (unsigned long long)t->size, (unsigned long long)e->size_max))
            text = BYTES("the message is larger than the receiving server takes");
        return cannot(t, 3, 4, "message-too-large", "peer-size", text);
    }
    const struct judgement *judgement = transaction_check_utf8(t);

    if (judgement != NULL)
        return judgement;
    /* RFC 6152 section 3: convert or return; converting would break signatures. */
    if (!e->eightbitmime && transaction_is_8bit(t))
        return cannot(t, 6, 3, "content", "peer-8bitmime",
                      BYTES("the message has 8-bit content, which the receiving server does not "
                            "take (no 8BITMIME)"));
    return NULL;
}
