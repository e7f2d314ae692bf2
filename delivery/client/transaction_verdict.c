/* transaction_verdict.c - verdicts that live as long as their transaction. */
#include "delivery/client/transaction.h"

const struct verdict *transaction_keep(struct transaction *t, const struct verdict *verdict)
{
    struct verdict *kept = arena_alloc(&t->client->arena, sizeof(*kept));
    static const struct verdict deferred = {.kind = VERDICT_DEFERRED,
                                            .is_ours = true,
                                            .enhanced = {4, 3, 0},
                                            .class = "system",
                                            .rule = "no-memory"};

    if (kept == NULL) /* thousands of refusals with long texts */
        return &deferred;
    *kept = *verdict;
    if (verdict->text.len == 0 || !arena_copy(&t->client->arena, verdict->text, &kept->text))
        kept->text = BYTES_NONE;
    return kept;
}

void transaction_refuse_all(struct transaction *t, const struct verdict *verdict)
{
    const struct verdict *kept = transaction_keep(t, verdict);

    for (uint32_t i = 0; i < t->count; i++) {
        if (t->recipients[i].status != RECIPIENT_ASKED)
            continue;
        t->recipients[i].status = RECIPIENT_REFUSED;
        t->recipients[i].verdict = kept;
    }
}
