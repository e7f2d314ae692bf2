/* account_validity.c - uidvalidities that were never given in this account before. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/store/mail_file.h"

int account_uidvalidity(struct mail_account *account, uint32_t above, uint32_t *uidvalidity_out)
{
    static const char name[] = "ringpost.uidvalidity", new_name[] = "ringpost.uidvalidity.new";
    uint8_t text[16];
    uint64_t last = 0, next = (uint64_t)(clock_wall_ms() / 1000);
    int folder = account->maildir.fd;

    pthread_mutex_lock(&account->validity_mutex);
    int fd = mail_file_open(folder, name, O_RDONLY);

    if (fd >= 0) {
        int64_t len = mail_file_read_at(fd, text, sizeof(text), 0);
        struct bytes rest = bytes_range(text, (size_t)MAX(len, (int64_t)0));

        mail_file_close(fd);
        if (!bytes_take_u64(&rest, &last))
            last = 0;
    }
    next = MAX(MAX(next, last + 1), (uint64_t)above + 1);
    if (next >
        UINT32_MAX) /* the clock is wrong, or was: what is new is better than what is right */
        next = MAX((uint64_t)above + 1, UINT64_C(1)) & UINT32_MAX;
    int len = snprintf((char *)text, sizeof(text), "%" PRIu64 "\n", next & UINT32_MAX);

    fd = mail_file_open(folder, new_name, O_WRONLY | O_CREAT | O_TRUNC);
    int error = fd < 0 ? fd : mail_file_write_at(fd, bytes_range(text, (size_t)len), 0);

    if (error == 0)
        error = mail_file_sync(fd);
    if (fd >= 0)
        mail_file_close(fd);
    if (error == 0)
        error = mail_file_rename(folder, new_name, folder, name);
    pthread_mutex_unlock(&account->validity_mutex);
    if (error == 0)
        *uidvalidity_out = (uint32_t)next;
    return error;
}
