/* filing_sort.c - the script of an account, asked before its copy is written. */
#include <stdlib.h>

#include "base/clock.h"
#include "delivery/filing/filer_private.h"

/* On the store's thread. What it makes is freed on the engine's, with the answer. */
static void sort(struct filing *filing)
{
    struct filing_copy *copy = container_of(filing, struct filing_copy, filing);
    struct sorting_request request = {
        .directory = copy->filer->filers->setup.scripts,
        .domain = filing->domain,
        .local = filing->local,
        .from = copy->from,
        .to = copy->to,
        .head = filing->head,
        .prefix = filing->prefix,
        .content = filing->content,
        .usual = &copy->usual,
        .alias = copy->recipient->alias,
        .message = filing->message,
        .recipient = filing->recipient,
        .answer_id = copy->answer_id,
        .now_ms = clock_wall_ms(),
    };
    struct sorting *sorting = malloc(sizeof(*sorting));

    check(sorting != NULL);
    sort_message(&request, sorting);
    if (sorting->kind == SORTING_NONE) {
        sorting_free(sorting);
        free(sorting);
        return;
    }
    copy->sorting = sorting;
    filing->is_dropped = sorting->kind != SORTING_FILED;
    filing->targets = sorting->targets;
    filing->target_count = sorting->target_count;
}

void filing_copy_sort(struct filing_copy *copy)
{
    if (copy->filing.target_count > 0)
        copy->usual = copy->filing.targets[0];
    copy->answer_id = filing_answer_id(copy->filer, copy->recipient);
    copy->filing.sort = sort;
}

bool filing_copy_judge(const struct filing_copy *copy)
{
    enum sorting_kind kind = copy->sorting != NULL ? copy->sorting->kind : SORTING_NONE;

    switch (kind) {
    case SORTING_NONE:
    case SORTING_FILED:
        return false;
    case SORTING_REDIRECTED: /* who sends it on judges */
        return true;
    case SORTING_DISCARDED:
        filer_judge(copy->filer, copy->recipient, JUDGEMENT_FILED, 1, 5, "discarded",
                    "sieve-discard", "discarded by the account's script");
        return true;
    case SORTING_REJECTED:
        filer_refuse(copy->filer, copy->recipient, copy->sorting->reason);
        return true;
    }
    return false;
}

static void redirect(const struct filing_copy *copy)
{
    const struct filing *filing = &copy->filing;
    struct forward_to to = {
        /* The account's address, of which they are the parts. */
        .by = bytes_range(filing->local.ptr, filing->local.len + 1 + filing->domain.len),
        .rule = "sieve",
    };

    for (size_t i = 0; i < copy->sorting->redirect_count; i++) {
        to.address = bytes_of(copy->sorting->redirects[i]);
        if (!filer_forward(copy->filer, copy->recipient, &to))
            filer_judge(copy->filer, copy->recipient, JUDGEMENT_DEFERRED, 3, 0, "system",
                        "no-memory", "memory ran dry while it was redirected");
    }
}

void filing_copy_sorted(struct filing_copy *copy)
{
    if (copy->sorting != NULL) {
        redirect(copy);
        if (copy->filing.result == FILING_DONE)
            filing_answer_take(copy);
        sorting_free(copy->sorting);
    }
    free(copy->sorting);
    copy->sorting = NULL;
}
