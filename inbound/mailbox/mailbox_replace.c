/* mailbox_replace.c - a message in place of another. */
#include <errno.h>

#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/mailbox_change.h"
#include "inbound/mailbox/mirror.h"

static int size_of(struct mailbox *mailbox, uint32_t uid, uint64_t *size_out)
{
    pthread_mutex_lock(&mailbox->mutex);
    int error = mailbox_ready(mailbox);

    if (error == 0) {
        const struct message *message =
            uid < mailbox->visible ? messages_find(&mailbox->state.table, uid) : NULL;

        if (message != NULL)
            *size_out = message->file_size;
        else
            error = -ENOENT;
    }
    pthread_mutex_unlock(&mailbox->mutex);
    return error;
}

/* Never both in one frame: the removal of the old file may reach the disk before the name of the
 * new one, and then the user has neither. */
int mailbox_replace(struct mailbox *from, uint32_t uid, struct mailbox *to,
                    struct mailbox_upload *upload)
{
    uint64_t size = 0;
    bool is_gone;
    int error =
        mailbox_is_mirror(from) || mailbox_is_mirror(to) ? -EROFS : size_of(from, uid, &size);

    check(from->account == to->account);
    if (error == 0)
        error = mailbox_append_for(to, upload, 1, size);
    if (error < 0)
        return error;
    error = mailbox_remove(from, uid, &is_gone);
    if (!is_gone) /* else the new one is all that is left */
        (void)!mailbox_remove(to, upload->uid, &is_gone);
    return error;
}
