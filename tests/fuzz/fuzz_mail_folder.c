/* modules: store */
/* fuzz_mail_folder.c - names of mailboxes, accounts and files of any bytes: never a path. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "inbound/store/mail_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_folder(struct bytes mailbox)
{
    char folder[MAIL_FOLDER_MAX + 1];

    memset(folder, 'x', sizeof(folder));
    if (!mail_folder_encode(mailbox, folder))
        return;
    size_t len = strnlen(folder, sizeof(folder));

    check(len <= MAIL_FOLDER_MAX);
    check(len == 0 || (folder[0] == '.' && len > 1 && folder[len - 1] != '.'));
    check(strstr(folder, "..") == NULL);
    for (size_t i = 0; i < len; i++)
        check(folder[i] >= ' ' && folder[i] <= '~' && folder[i] != '/');
}

static void check_account(struct bytes name)
{
    char encoded[MAIL_NAME_MAX + 1];
    uint8_t decoded[MAIL_NAME_MAX];
    size_t len = 0;

    if (mail_name_encode(name, encoded)) {
        check(encoded[0] != '.' && encoded[0] != '\0' && strchr(encoded, '/') == NULL);
        check(mail_name_decode(bytes_of(encoded), decoded, &len));
        check(len == name.len && memcmp(decoded, name.ptr, len) == 0);
    }
    if (mail_name_decode(name, decoded, &len)) {
        check(mail_name_encode(bytes_range(decoded, len), encoded));
        check(bytes_equal(bytes_of(encoded), name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_range(data, size);
    uint64_t file_size;

    check_folder(text);
    check_account(text);
    (void)!mail_file_name_size(text, &file_size);
    return 0;
}
