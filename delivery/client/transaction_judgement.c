/* transaction_judgement.c - judgements that live as long as their transaction. */
#include "delivery/client/transaction.h"

const struct judgement *transaction_keep(struct transaction *t, const struct judgement *judgement)
{
    struct judgement *kept = arena_alloc(&t->client->arena, sizeof(*kept));
    static const struct judgement deferred = {.kind = JUDGEMENT_DEFERRED,
                                              .is_ours = true,
                                              .enhanced = {4, 3, 0},
                                              .class = "system",
                                              .rule = "no-memory"};

    if (kept == NULL) /* thousands of refusals with long texts */
        return &deferred;
    *kept = *judgement;
    if (judgement->text.len == 0 || !arena_copy(&t->client->arena, judgement->text, &kept->text))
        kept->text = BYTES_NONE;
    return kept;
}

void transaction_refuse_all(struct transaction *t, const struct judgement *judgement)
{
    const struct judgement *kept = transaction_keep(t, judgement);

    for (uint32_t i = 0; i < t->count; i++) {
        if (t->recipients[i].status != RECIPIENT_ASKED)
            continue;
        t->recipients[i].status = RECIPIENT_REFUSED;
        t->recipients[i].judgement = kept;
    }
}
