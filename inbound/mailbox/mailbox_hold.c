/* mailbox_hold.c - a mailbox for an engine, where it is to be had at once. */
#include <errno.h>

#include "base/clock.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/store/mail_file.h"

/* Locked: what was told was taken in. */
static bool is_calm(const struct mailbox *mailbox)
{
    return mailbox->is_loaded && !mailbox->is_gone && !mailbox->is_broken && !mailbox->news_all &&
           mailbox->news_count == 0;
}

static bool hold(struct mailbox *mailbox, bool asks_inotify)
{
    if (pthread_mutex_trylock(&mailbox->mutex) != 0)
        return false;
    /* In this order: what is drained while it is asked for is news then. */
    if ((!asks_inotify || mailbox_is_quiet(mailbox)) && is_calm(mailbox))
        return true;
    pthread_mutex_unlock(&mailbox->mutex);
    return false;
}

bool mailbox_hold(struct mailbox *mailbox)
{
    return hold(mailbox, true);
}

bool mailbox_hold_as_told(struct mailbox *mailbox)
{
    return hold(mailbox, false);
}

void mailbox_let_go(struct mailbox *mailbox)
{
    pthread_mutex_unlock(&mailbox->mutex);
}

bool mailbox_is_free(struct mailbox *mailbox)
{
    if (pthread_mutex_trylock(&mailbox->mutex) != 0)
        return false;
    pthread_mutex_unlock(&mailbox->mutex);
    return true;
}

int mailbox_open_message_held(struct mailbox *mailbox, uint32_t uid)
{
    char name[MAIL_NAME_MAX + 1];
    const struct message *message =
        uid < mailbox->visible ? messages_find(&mailbox->state.table, uid) : NULL;

    if (message == NULL)
        return -ENOENT;
    messages_file(&mailbox->state.table, message, name);
    return mail_file_open_cached((message->bits & MESSAGE_IN_NEW) != 0 ? mailbox->new_fd
                                                                       : mailbox->cur_fd,
                                 name);
}

/* The account's lock is held. */
static int find_held(struct mail_account *account, const char *folder, struct mailbox **out)
{
    struct map_node *node = map_find(&account->mailboxes, bytes_of(folder));
    struct mailbox *mailbox = node == NULL ? NULL : container_of(node, struct mailbox, node);

    if (mailbox == NULL || !mailbox_hold(mailbox))
        return -EAGAIN;
    account->accounts->idle_count -= mailbox->refs == 0;
    mailbox->refs++;
    *out = mailbox;
    return 0;
}

int mailbox_open_held(struct mail_account *account, struct bytes name, struct mailbox **mailbox_out)
{
    char folder[MAIL_FOLDER_MAX + 1];

    if (!mail_folder_encode(name, folder))
        return -EINVAL;
    if (pthread_mutex_trylock(&account->mutex) != 0)
        return -EAGAIN;
    int error = find_held(account, folder, mailbox_out);

    pthread_mutex_unlock(&account->mutex);
    return error;
}

bool mailbox_try_close(struct mailbox **mailbox_ref)
{
    struct mailbox *mailbox = *mailbox_ref;
    struct mail_account *account = mailbox->account;
    struct mail_accounts *accounts = account->accounts;

    if (pthread_mutex_trylock(&account->mutex) != 0)
        return false;
    /* The last one to close it may have to take it out of memory, with what is lazy. */
    bool can = mailbox->refs > 1 || (!mailbox->is_out && accounts->idle_count < accounts->idle_max);

    if (can && --mailbox->refs == 0) {
        mailbox->idle_since_ms = clock_monotonic_ms();
        accounts->idle_count++;
    }
    pthread_mutex_unlock(&account->mutex);
    if (can)
        *mailbox_ref = NULL;
    return can;
}
