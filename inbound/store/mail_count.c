/* mail_count.c - looks at what accounts hold, for those who asked. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "inbound/store/mail_store_private.h"
#include "inbound/store/maildir_size.h"

/* Nothing is made: mail that comes makes the account. */
static int count(struct mail_store *store, struct mail_account *account)
{
    int error = maildir_look(store->fd, account->domain, account->local, &account->maildir);

    if (error == -ENOENT) {
        account->usage = (struct maildir_usage){0};
        return 0;
    }
    if (error < 0)
        return error;
    error = maildir_size_read(&account->maildir, account->counts_for, account->is_in_doubt, 1,
                              &account->usage);
    maildir_close(&account->maildir);
    if (error == 0)
        account->is_in_doubt = false;
    return error;
}

void batch_count(struct batch *batch)
{
    for (size_t i = 0; i < batch->account_count; i++) {
        struct mail_account *account = batch->accounts[i];
        int error = count(batch->store, account);

        account->has_use = error == 0;
        if (error < 0)
            log_limited(LOG_LEVEL_WARN, "account=%s what=\"what it holds cannot be counted: %s\"",
                        LOG_TEXT(account->node.key), strerrordesc_np(-error));
    }
}
