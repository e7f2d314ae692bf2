/* mailbox_hold.c - a mailbox for an engine, where it is to be had at once. */
#include <errno.h>

#include "inbound/mailbox/mailbox_private.h"
#include "inbound/store/mail_file.h"

bool mailbox_hold(struct mailbox *mailbox)
{
    if (pthread_mutex_trylock(&mailbox->mutex) != 0)
        return false;
    /* In this order: what is drained while it is asked for is news then. */
    if (mailbox_is_quiet(mailbox) && mailbox->is_loaded && !mailbox->is_gone &&
        !mailbox->is_broken && !mailbox->news_all && mailbox->news_count == 0)
        return true;
    pthread_mutex_unlock(&mailbox->mutex);
    return false;
}

void mailbox_let_go(struct mailbox *mailbox)
{
    pthread_mutex_unlock(&mailbox->mutex);
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
