/* sent.c - the sender's own copy. */
#include "submission/sent.h"

/* NULL: none, or one that does not want it. */
static const struct directory_account *account_of(const struct snapshot *snapshot,
                                                  uint32_t credential_id)
{
    const struct directory_credential *credential = snapshot_credential_of(snapshot, credential_id);
    const struct directory_account *account =
        credential != NULL && credential->account != 0
            ? snapshot_account_of(snapshot, credential->account)
            : NULL;

    return account != NULL && account->files_sent && !account->is_disabled ? account : NULL;
}

struct verdict sent_add(const struct submission *submission,
                        const struct submission_session *session, struct intake *intake)
{
    struct verdict verdict = VERDICT_OK;

    if (session->credential == 0 || submission->reader == NULL)
        return verdict;
    const struct directory_account *account =
        account_of(snapshot_begin(submission->reader), session->credential);

    if (account != NULL)
        verdict = intake_add_sent(intake, account->address);
    snapshot_end(submission->reader);
    return verdict;
}
