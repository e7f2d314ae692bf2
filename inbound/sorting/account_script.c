/* account_script.c - scripts on disk. */
#include "inbound/sorting/account_script.h"

#include "inbound/sorting/account_file.h"
#include "inbound/store/mail_name.h"

#define SUFFIX ".sieve"

static bool is_mailbox(struct bytes name)
{
    char folder[MAIL_FOLDER_MAX + 1];

    return mail_folder_encode(name, folder) && folder[0] != '\0';
}

const struct sieve_host account_script_host = {
    .can_redirect = true,
    .can_answer = true,
    .is_mailbox = is_mailbox,
};

int account_script_read(const char *directory, struct bytes domain, struct bytes local,
                        struct buf *out)
{
    return account_file_read(directory, domain, local, SUFFIX, SIEVE_SIZE_MAX, out);
}

int account_script_write(const char *directory, struct bytes domain, struct bytes local,
                         struct bytes text)
{
    return account_file_write(directory, domain, local, SUFFIX, text);
}

int account_script_remove(const char *directory, struct bytes domain, struct bytes local)
{
    return account_file_remove(directory, domain, local, SUFFIX);
}
