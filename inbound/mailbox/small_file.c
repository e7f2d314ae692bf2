/* small_file.c - a new file takes the old one's name. */
#include "inbound/mailbox/small_file.h"

#include <fcntl.h>

#include "inbound/store/mail_file.h"

int small_file_write(int directory, const char *name, const char *temporary, struct bytes text)
{
    int fd = mail_file_open(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC);

    if (fd < 0)
        return fd;
    int error = mail_file_write_at(fd, text, 0);

    if (error == 0)
        error = mail_file_sync(fd);
    mail_file_close(fd);
    if (error == 0)
        error = mail_file_rename(directory, temporary, directory, name);
    return error < 0 ? error : mail_file_sync(directory);
}
