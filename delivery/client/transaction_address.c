/*
 * transaction_address.c - who needs SMTPUTF8 of a transaction, and addresses for a peer without it.
 *
 * A message is not UTF-8 as a whole: one recipient of it may be, and the header may not. What a
 * peer without SMTPUTF8 cannot be told is the local part; a domain has its A-labels (RFC 5890).
 */
#include "delivery/client/transaction.h"

/* The domain has no "@", a quoted local part may. */
static size_t find_domain(struct bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at;
}

/* With A-labels; false where the local part, or the domain, cannot be said in ASCII. */
static bool to_ascii(struct arena *arena, struct bytes address, struct bytes *ascii_out)
{
    size_t at = find_domain(address);
    struct bytes domain;

    if (at == 0 || bytes_has_8bit(bytes_slice(address, 0, at)))
        return false;
    if (!smtp_domain_normalise(arena, bytes_slice(address, at, address.len), &domain))
        return false;
    return arena_printf(arena, ascii_out, "%.*s%.*s", (int)at, (const char *)address.ptr,
                        BYTES_ARG(domain));
}

static struct bytes address_of(const struct transaction *t, uint32_t i)
{
    return t->message->recipients[pending_number(t->recipients[i].pending)].address;
}

static bool header_is_utf8(const struct message *m)
{
    return m->needs_smtputf8 && !m->has_ascii_header;
}

static const struct judgement *cannot(struct transaction *t, struct bytes text)
{
    struct judgement judgement =
        judgement_of_ours(JUDGEMENT_BOUNCED, 6, 7, "content", "peer-smtputf8", text);

    return transaction_keep(t, &judgement);
}

/* Where bounces are to go: to us, or to the sender. */
static struct bytes return_path(const struct transaction *t)
{
    const struct smtp_clients *clients = t->client->clients;
    const struct message *m = t->message;
    uint32_t number = t->count == 1 ? pending_number(t->recipients[0].pending) : UINT32_MAX;
    char text[SMTP_RETURN_PATH_MAX];
    struct bytes path;

    if (clients->return_path == NULL || m->reverse_path.len == 0)
        return m->reverse_path;
    size_t len = clients->return_path(clients->return_context, m, number, text);

    if (len == 0 || !arena_copy(&t->client->arena, bytes_range(text, len), &path))
        return m->reverse_path;
    return path;
}

const struct judgement *transaction_check_utf8(struct transaction *t)
{
    const struct message *m = t->message;

    t->reverse_path = return_path(t);
    if (!m->needs_smtputf8)
        return NULL;
    if (t->client->extensions.smtputf8) {
        t->uses_utf8 = header_is_utf8(m) || bytes_has_8bit(t->reverse_path);
        for (uint32_t i = 0; i < t->count && !t->uses_utf8; i++)
            t->uses_utf8 = bytes_has_8bit(address_of(t, i));
        return NULL;
    }
    /* RFC 6531 section 3.5 */
    if (header_is_utf8(m))
        return cannot(t, BYTES("a header field needs SMTPUTF8, which the receiving server does not "
                               "offer"));
    if (bytes_has_8bit(t->reverse_path) &&
        !to_ascii(&t->client->arena, t->reverse_path, &t->reverse_path))
        return cannot(t,
                      BYTES("the sender's address needs SMTPUTF8, which the receiving server does "
                            "not offer"));
    return NULL;
}

void transaction_refuse_utf8(struct transaction *t)
{
    const struct judgement *judgement = NULL;
    uint32_t asked = 0;

    t->ask_count = t->count;
    if (t->uses_utf8 || !t->message->needs_smtputf8)
        return;
    for (uint32_t i = 0; i < t->count; i++) {
        struct transaction_recipient *recipient = &t->recipients[i];
        struct bytes address = address_of(t, i);

        if (!bytes_has_8bit(address) || to_ascii(&t->client->arena, address, &recipient->address)) {
            struct transaction_recipient asked_one = *recipient;

            *recipient = t->recipients[asked]; /* who is asked stands in front */
            t->recipients[asked++] = asked_one;
            continue;
        }
        if (judgement == NULL)
            judgement =
                cannot(t, BYTES("the recipient's address needs SMTPUTF8, which the receiving "
                                "server does not offer"));
        recipient->status = RECIPIENT_REFUSED;
        recipient->judgement = judgement;
    }
    t->ask_count = asked;
}

struct bytes transaction_recipient_address(const struct transaction *t, uint32_t number)
{
    struct bytes ascii = t->recipients[number].address;

    return ascii.len > 0 ? ascii : address_of(t, number);
}
