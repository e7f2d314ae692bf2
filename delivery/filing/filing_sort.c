/* filing_sort.c - the script of an account, asked before its copy is written. */
#include <stdlib.h>

#include "delivery/filing/filer_private.h"

/* On the store's thread. What it makes is freed on the engine's, with the answer. */
static void sort(struct filing *filing, const struct maildir *maildir)
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
    };
    struct sorting *sorting = malloc(sizeof(*sorting));

    (void)maildir;
    check(sorting != NULL);
    sort_message(&request, sorting);
    if (sorting->kind == SORTING_NONE) {
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
    copy->filing.sort = sort;
}

bool filing_copy_judgement(const struct filing_copy *copy, struct judgement *out)
{
    const struct sorting *sorting = copy->sorting;

    if (sorting == NULL || sorting->kind == SORTING_FILED)
        return false;
    if (sorting->kind == SORTING_REJECTED)
        *out = judgement_of_ours(JUDGEMENT_BOUNCED, 7, 1, "policy", "sieve-reject",
                                 bytes_of(sorting->reason));
    else
        *out = judgement_of_ours(JUDGEMENT_FILED, 1, 5, "discarded", "sieve-discard",
                                 BYTES("discarded by the account's script"));
    return true;
}

void filing_copy_sorted(struct filing_copy *copy)
{
    free(copy->sorting);
    copy->sorting = NULL;
}
