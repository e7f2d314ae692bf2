/* filing_refusal.c - a recipient that scripts of accounts refuse: each of whom it means for itself,
 * and the sender is told once. */
#include "delivery/filing/filer_private.h"

/* Reasons that are left out are those of others before; what they came to is told in any case. */
static void add(struct filer *filer, struct filed_recipient *r, struct bytes reason)
{
    struct bytes text;

    if (r->refusals.len + reason.len > SIEVE_REASON_MAX ||
        bytes_find_bytes(r->refusals, reason, 0) < r->refusals.len)
        return;
    if (arena_printf(&filer->arena, &text, "%.*s\n%.*s", BYTES_ARG(r->refusals), BYTES_ARG(reason)))
        r->refusals = text;
}

void filer_refuse(struct filer *filer, struct filed_recipient *r, const char *reason)
{
    r->refused_count++;
    if (r->target_count > 1)
        add(filer, r, bytes_of(reason));
    filer_judge(filer, r, JUDGEMENT_BOUNCED, 7, 1, "policy", "sieve-reject", reason);
}

void filer_word_refusals(struct filer *filer, struct filed_recipient *r)
{
    struct bytes text;

    if (r->judgement.kind == JUDGEMENT_BOUNCED && r->refused_count > 0 && r->target_count > 1 &&
        bytes_equal(bytes_of(r->judgement.rule), BYTES("sieve-reject")) &&
        arena_printf(&filer->arena, &text, "%u of the %u whom it means refused it:%.*s",
                     r->refused_count, r->target_count, BYTES_ARG(r->refusals)))
        r->judgement.text = text;
}
