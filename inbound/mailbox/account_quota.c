/* account_quota.c - room in an account: maildirsize, which filing and others keep as well. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/store/maildir_size.h"

static int read_usage(struct mail_account *account, uint64_t needed, struct maildir_usage *out)
{
    int error =
        maildir_size_read(&account->maildir, account->quota, account->quota_in_doubt, needed, out);

    if (error == 0)
        account->quota_in_doubt = false;
    return error;
}

static int check_room(struct mail_account *account, uint64_t bytes, uint64_t largest)
{
    struct maildir_usage usage;

    if (account->quota == 0)
        return 0;
    if (largest > account->quota)
        return -EFBIG;
    int error = read_usage(account, bytes, &usage);

    if (error < 0)
        return error;
    return bytes > 0 && usage.bytes + bytes > account->quota ? -EDQUOT : 0;
}

static void add(struct mail_account *account, int64_t bytes, int64_t messages)
{
    if (account->quota == 0)
        return;
    int error = maildir_size_add(&account->maildir, bytes, messages);

    if (error == 0)
        return;
    account->quota_in_doubt = true;
    log_limited(LOG_LEVEL_WARN, "account=%s what=\"maildirsize cannot be written: %s\"",
                LOG_TEXT(account->node.key), strerrordesc_np(-error));
}

int account_reserve(struct mail_account *account, uint64_t bytes, uint64_t largest,
                    uint64_t messages, uint64_t freed)
{
    pthread_mutex_lock(&account->quota_mutex);
    int error = check_room(account, bytes - MIN(bytes, freed), largest);

    if (error == 0 && messages > 0)
        add(account, (int64_t)bytes, (int64_t)messages);
    pthread_mutex_unlock(&account->quota_mutex);
    return error;
}

void account_give_back(struct mail_account *account, uint64_t bytes, uint64_t messages)
{
    if (bytes == 0 && messages == 0)
        return;
    pthread_mutex_lock(&account->quota_mutex);
    add(account, -(int64_t)bytes, -(int64_t)messages);
    pthread_mutex_unlock(&account->quota_mutex);
}

int mail_account_has_room(struct mail_account *account, uint64_t size, uint64_t freed)
{
    return account_reserve(account, size, size, 0, freed);
}

int mail_account_usage(struct mail_account *account, struct account_usage *usage_out)
{
    struct maildir_usage usage = {0};
    int error = 0;

    pthread_mutex_lock(&account->quota_mutex);
    if (account->quota != 0)
        error = read_usage(account, 0, &usage);
    if (error == 0)
        *usage_out = (struct account_usage){usage.bytes, usage.messages, account->quota};
    pthread_mutex_unlock(&account->quota_mutex);
    return error;
}

void account_forget_usage(struct mail_account *account)
{
    pthread_mutex_lock(&account->quota_mutex);
    account->quota_in_doubt = true;
    (void)!maildir_size_drop(&account->maildir);
    pthread_mutex_unlock(&account->quota_mutex);
}
