/* filing_judge.c - what becomes of a recipient, of what is said of its copies. */
#include "delivery/filing/filer_private.h"
#include "delivery/outcome/place.h"

/* Of several copies of a recipient the worst counts: one that may still come right before one that
 * never will, and both before what went well. */
static unsigned weight(enum judgement_kind kind)
{
    return kind == JUDGEMENT_DEFERRED ? 2 : kind == JUDGEMENT_BOUNCED ? 1 : 0;
}

void filer_judge(struct filer *filer, struct filed_recipient *recipient, enum judgement_kind kind,
                 uint16_t subject, uint16_t detail, const char *class, const char *rule,
                 const char *text)
{
    struct bytes copy;

    if (recipient->is_judged && weight(recipient->judgement.kind) >= weight(kind))
        return;
    if (!arena_copy(&filer->arena, bytes_of(text), &copy))
        copy = BYTES_NONE;
    recipient->is_judged = true;
    recipient->judgement = judgement_of_ours(kind, subject, detail, class, rule, copy);
}
