/* mirror.c - the file that makes a folder a mirror. */
#include "inbound/mailbox/mirror.h"

#include <errno.h>

#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/mailbox_private.h"
#include "inbound/store/mail_file.h"

bool mailbox_is_mirror(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool is_mirror = maildir_is_mirror(mailbox->folder_fd);

    pthread_mutex_unlock(&mailbox->mutex);
    return is_mirror;
}

bool mail_account_is_mirror(struct mail_account *account, struct bytes name)
{
    char folder[MAIL_FOLDER_MAX + 1];

    if (!mail_folder_encode(name, folder) || folder[0] == '\0')
        return false;
    int fd = mail_file_open_directory(account->maildir.fd, folder);

    if (fd < 0)
        return false;
    bool is_mirror = maildir_is_mirror(fd);

    mail_file_close(fd);
    return is_mirror;
}
